//! Removing what runs have left behind.

use super::engine::{Answer, ContainerEngine, Found, Kind};
use super::labels::{RUN, is_over};

/// What is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// What runs have left whose process is gone.
    Dead,
    /// Everything, of runs that go on too.
    All,
    /// What one run has made.
    Run(&'a str),
}

impl Which<'_> {
    fn has(self, found: &Found) -> bool {
        match self {
            Self::Dead => is_over(&found.labels) == Some(true),
            Self::All => true,
            Self::Run(id) => found.labels.get(RUN).is_some_and(|run| run == id),
        }
    }
}

/// Removes what carries our labels, containers first, and returns what it was.
///
/// # Errors
/// The first refusal, once everything else has been tried.
pub async fn prune<E: ContainerEngine>(engine: &E, which: Which<'_>) -> Answer<Vec<Found>> {
    let mut all = engine.list(RUN).await?;
    all.retain(|found| which.has(found));
    all.sort_by_key(|found| found.kind);
    let mut refused = None;
    let mut removed = Vec::new();
    for kind in [Kind::Container, Kind::Network, Kind::Volume] {
        let of_kind: Vec<&Found> = all.iter().filter(|found| found.kind == kind).collect();
        let answers = of_kind.iter().map(|found| engine.remove(kind, &found.name));
        for (found, answer) in of_kind.iter().zip(futures_util::future::join_all(answers).await) {
            match answer {
                Ok(()) => removed.push((*found).clone()),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
    }
    refused.map_or(Ok(removed), Err)
}
