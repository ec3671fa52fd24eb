//! Software versions: the images that the tags of a task definition name, and how long a deployment holds on to them (TD-29).

use crate::ecs::ids::{ImageId, SoftwareId, TaskDefinitionId};
use crate::workload::behaviour::ContainerBehaviour;

/// What the containers of a task definition run once the tags of their images are resolved to digests.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftwareVersion {
    /// The definition.
    pub definition: TaskDefinitionId,
    /// The image of each container, in the order of the definition.
    pub images: Vec<ImageId>,
    /// Its `imageDigest`.
    pub digests: Vec<String>,
    /// How often its tag had been moved by then ; a digest that comes back has its number of before.
    pub pushes: Vec<u32>,
    /// How each container behaves.
    pub behaviours: Vec<ContainerBehaviour>,
}

/// `versionConsistency` of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionConsistency {
    /// The first task of a deployment resolves the tag for all of them.
    #[default]
    Enabled,
    /// Each task resolves it for itself.
    Disabled,
}

/// Which images the tasks of a deployment run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// No task has resolved the tags yet; so many have tried in vain.
    Unresolved {
        /// Tasks that could not pull.
        failed: u32,
    },
    /// What the first task found.
    Resolved(SoftwareId),
    /// Each task resolves them for itself, after [`Resolution::TRIES`] that failed.
    ByTask,
}

impl Resolution {
    /// So many tasks try to resolve the tags of a deployment.
    pub const TRIES: u32 = 3;

    /// What it has resolved.
    pub const fn resolved(self) -> Option<SoftwareId> {
        match self {
            Self::Resolved(software) => Some(software),
            Self::Unresolved { .. } | Self::ByTask => None,
        }
    }

    /// After a task that could not pull; the last try is the third.
    #[must_use]
    pub const fn after_failure(self) -> Self {
        match self {
            Self::Unresolved { failed } if failed + 1 < Self::TRIES => Self::Unresolved { failed: failed + 1 },
            Self::Unresolved { .. } => Self::ByTask,
            other => other,
        }
    }
}

impl Default for Resolution {
    fn default() -> Self {
        Self::Unresolved { failed: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn td_29_three_tries_are_made_to_resolve() {
        let mut resolution = Resolution::default();
        for failed in 1..=2 {
            resolution = resolution.after_failure();
            assert_eq!(resolution, Resolution::Unresolved { failed });
        }
        assert_eq!(resolution.after_failure(), Resolution::ByTask);
        assert_eq!(Resolution::ByTask.after_failure(), Resolution::ByTask);
        let resolved = Resolution::Resolved(SoftwareId(4));
        assert_eq!((resolved.after_failure(), resolved.resolved()), (resolved, Some(SoftwareId(4))));
    }
}
