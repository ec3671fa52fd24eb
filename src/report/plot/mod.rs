//! The pictures of section 5 of the design, drawn from the files of a finished run: SVG by `plotters`, and PNG by
//! rendering that SVG with fonts that are compiled in.
//!
//! A picture's title is its finding. Axes of values begin at zero and name their unit; nothing is smoothed, and
//! thinning keeps every peak.

mod chart;
pub(super) mod compare;
pub(super) mod compare_runs;
mod compare_service;
pub(super) mod findings;
pub(super) mod folder;
mod front;
mod idle;
pub(super) mod levels;
mod occurrence;
mod offered;
pub mod png;
mod queue;
mod replications;
pub(super) mod run;
mod sweep;
#[cfg(test)]
pub(super) mod synthetic;
pub(super) mod theme;
mod traffic;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use folder::{AlarmPlan, DefinitionPlan, MachinePlan, PLAN, PicturePlan, QueuePlan, ServicePlan, TrackedSeries};
pub use occurrence::Occurrence;

use crate::report::compare::{COMPARISON, Comparison};
use crate::report::compare_runs::RunsCompared;
use crate::report::offered::OfferedLoad;
use crate::report::optimize::Search;
use crate::report::output::safe_name;
use crate::report::sweep::{Sweep, SweepTables};

/// Why a picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// A file of the run cannot be read.
    #[error("cannot read `{path}`: {source}; is it the folder of a finished run with `--detail series` or `full`?")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the run is not what it should be.
    #[error("`{path}` is damaged: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where and how.
        reason: String,
    },
    /// A picture cannot be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The drawing backend gave up.
    #[error("cannot draw: {0}")]
    Draw(String),
    /// What should be rendered is no SVG.
    #[error("cannot read the SVG: {0}")]
    Svg(String),
    /// The image cannot be encoded.
    #[error("cannot make a PNG: {0}")]
    Png(String),
}

/// Draws every picture that a run's folder has data for into its `plots`, as SVG and PNG; returns their paths.
///
/// # Errors
/// [`PlotError`] when the folder is no run's, is damaged, or cannot be written.
pub fn draw_run(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    draw_folder(folder, &folder::Folder::read(folder)?)
}

/// The same from files that have been read.
pub(super) fn draw_folder(folder: &Path, run: &folder::Folder) -> Result<Vec<PathBuf>, PlotError> {
    let mut pictures = run::all(run)?;
    pictures.extend(replications::all(folder)?);
    save(folder, pictures)
}

/// Draws a comparison into `plots` of its folder: the differences, and the variants whose runs lie beside it laid
/// over one another.
///
/// # Errors
/// As for [`draw_run`].
pub fn draw_comparison(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let (comparison, runs) = read_comparison(folder)?;
    draw_variants(folder, &comparison, &runs)
}

/// The same from files that have been read.
pub(super) fn draw_variants(
    folder: &Path,
    comparison: &Comparison,
    runs: &[(String, folder::Folder)],
) -> Result<Vec<PathBuf>, PlotError> {
    save(folder, compare::all(comparison, runs)?)
}

/// A comparison, and the runs of its variants that lie beside it.
pub(super) fn read_comparison(folder: &Path) -> Result<(Comparison, Vec<(String, folder::Folder)>), PlotError> {
    let path = folder.join(COMPARISON);
    let text = fs::read_to_string(&path).map_err(|source| PlotError::Read { path: path.clone(), source })?;
    let comparison: Comparison =
        serde_json::from_str(&text).map_err(|error| PlotError::Malformed { path, reason: error.to_string() })?;
    let mut runs = Vec::new();
    for variant in &comparison.variants {
        let run = folder.join(safe_name(variant));
        if run.join(PLAN).is_file() {
            runs.push((variant.clone(), folder::Folder::read(&run)?));
        }
    }
    Ok((comparison, runs))
}

/// Draws a sweep into `plots` of its folder.
///
/// # Errors
/// As for [`draw_run`].
pub fn draw_sweep(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let sweep = Sweep::read(folder)
        .map_err(|error| PlotError::Malformed { path: folder.to_owned(), reason: error.to_string() })?;
    save(folder, sweep::all(&SweepTables::new(&sweep))?)
}

/// Draws a search into `plots` of its folder.
///
/// # Errors
/// As for [`draw_run`].
pub fn draw_search(folder: &Path, search: &Search) -> Result<Vec<PathBuf>, PlotError> {
    save(folder, front::all(search)?)
}

/// Draws an offered load into `plots` of `folder`: a picture of each workload.
///
/// # Errors
/// [`PlotError`] when the folder cannot be written.
pub fn draw_offered(
    folder: &Path,
    scenario: &str,
    start: jiff::Timestamp,
    loads: &[OfferedLoad],
) -> Result<Vec<PathBuf>, PlotError> {
    save(folder, offered::all(scenario, start, loads)?)
}

/// Draws two runs over each other into `plots` of `folder`.
pub(super) fn draw_both(
    folder: &Path,
    both: &compare_runs::Both<'_>,
    compared: &RunsCompared,
) -> Result<Vec<PathBuf>, PlotError> {
    save(folder, compare_runs::all(both, compared)?)
}

fn save(folder: &Path, pictures: Vec<(String, String)>) -> Result<Vec<PathBuf>, PlotError> {
    let plots = folder.join("plots");
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| PlotError::Write { path, source }
    };
    fs::create_dir_all(&plots).map_err(refused(&plots))?;
    let mut paths = Vec::new();
    for (name, svg) in pictures {
        let image = png::render(&svg)?;
        for (extension, contents) in [("svg", svg.as_bytes()), ("png", &image)] {
            let path = plots.join(format!("{name}.{extension}"));
            fs::write(&path, contents).map_err(refused(&path))?;
            paths.push(path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::tests::replication;

    fn names(paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn titles(paths: &[PathBuf]) -> String {
        let title = |path: &PathBuf| {
            let svg = fs::read_to_string(path).unwrap();
            let (begin, end) = (svg.find("<title>").unwrap() + 7, svg.find("</title>").unwrap());
            format!("{}: {}", path.file_stem().unwrap().to_string_lossy(), &svg[begin..end])
        };
        paths
            .iter()
            .filter(|path| path.extension().is_some_and(|kind| kind == "svg"))
            .map(title)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_run_gives_every_picture_twice_and_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        synthetic::write(folder.path(), 1.0);
        let paths = draw_run(folder.path()).unwrap();
        assert_eq!(paths.len(), 18, "{:?}", names(&paths));
        let read = || paths.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
        let first = read();
        assert!(first.iter().all(|bytes| bytes.starts_with(b"<svg") || bytes.starts_with(b"\x89PNG")));
        assert_eq!(draw_run(folder.path()).unwrap(), paths);
        assert!(read() == first, "the same files give the same bytes");
        insta::assert_snapshot!(titles(&paths));
    }

    #[test]
    fn a_comparison_is_drawn_with_the_runs_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let runs = |cost: f64| (0..3).map(|n| replication(cost + f64::from(n) * cost / 50.0, 0.2)).collect();
        let variants = [("binpack".to_owned(), runs(12.0)), ("spread".to_owned(), runs(13.7))];
        let comparison = serde_json::to_string(&Comparison::new("web-day", &variants)).unwrap();
        fs::write(folder.path().join(COMPARISON), comparison).unwrap();
        assert_eq!(names(&draw_comparison(folder.path()).unwrap()), ["differences.svg", "differences.png"]);
        synthetic::write(&folder.path().join("binpack"), 1.0);
        synthetic::write(&folder.path().join("spread"), 1.3);
        let paths = draw_comparison(folder.path()).unwrap();
        let drawn =
            ["variants.svg", "variants.png", "scaling-web.svg", "scaling-web.png", "queue-jobs.svg", "queue-jobs.png"];
        assert_eq!(names(&paths)[2..], drawn);
        insta::assert_snapshot!("comparison", titles(&paths));
    }

    #[test]
    fn a_folder_that_is_no_run_or_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = draw_run(folder.path()).unwrap_err();
        assert!(matches!(&error, PlotError::Read { path, .. } if path.ends_with(PLAN)), "{error}");
        synthetic::write(folder.path(), 1.0);
        fs::write(folder.path().join("series.csv"), "time_s,resource,metric,value\n0,a,b,many\n").unwrap();
        let error = draw_run(folder.path()).unwrap_err();
        assert!(matches!(&error, PlotError::Malformed { path, .. } if path.ends_with("series.csv")), "{error}");
        assert!(png::render("<p>").is_err());
    }

    #[test]
    fn a_run_without_hosts_or_scaling_has_fewer_pictures() {
        let folder = tempfile::tempdir().unwrap();
        synthetic::write(folder.path(), 1.0);
        for name in ["instances.csv", "alarms.csv", "packing.csv", "cost.csv", "idle.csv"] {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        fs::write(
            folder.path().join("series.csv"),
            "time_s,resource,metric,value\n0,service/default/web,DesiredCount,2\n",
        )
        .unwrap();
        assert_eq!(names(&draw_run(folder.path()).unwrap()), ["service-web.svg", "service-web.png"]);
    }
}
