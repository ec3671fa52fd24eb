//! `ecsim merge DIR… --out DIR`: the shards of a sweep put together.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{Console, Outcome, sweep};
use crate::report::output::OutputDir;
use crate::report::sweep::{STUDY, Sweep, SweepError};

/// Put the shards of a sweep together; the result has the bytes of a sweep that was never cut.
///
/// Examples:
///   ecsim merge big/shard-1-of-2 big/shard-2-of-2 --out whole
///   ecsim merge big --out whole                     # every shard in that folder
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct MergeArgs {
    /// Folders of shards, or a folder that holds them.
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// Folder for the whole sweep.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write each table as Parquet too, beside its CSV: typed columns, an empty cell as null.
    #[arg(long)]
    pub parquet: bool,
}

/// Merges the shards.
pub fn run(args: &MergeArgs, console: &Console) -> anyhow::Result<Outcome> {
    let mut shards = Vec::new();
    for folder in &args.folders {
        for shard in shards_in(folder)? {
            let sweep = Sweep::read(&shard)?;
            shards.push((shard, sweep));
        }
    }
    let whole = Sweep::merge(shards)?;
    let folder = whole.write(OutputDir::prepare(&args.out)?.with_parquet(args.parquet)?)?;
    sweep::tell(&whole, &folder, *console)?;
    Ok(Outcome::Done)
}

/// The folder itself when it is a shard, else those in it, by name.
fn shards_in(folder: &Path) -> Result<Vec<PathBuf>, SweepError> {
    if folder.join(STUDY).is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let not_a_sweep = || SweepError::NotASweep(folder.to_owned());
    let entries = std::fs::read_dir(folder).map_err(|_| not_a_sweep())?;
    let mut shards: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("shard-") && path.is_dir()
        })
        .collect();
    shards.sort();
    if shards.is_empty() { Err(not_a_sweep()) } else { Ok(shards) }
}
