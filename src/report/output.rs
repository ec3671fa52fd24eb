//! The folder of a run: written beside its place under another name, and moved there when it is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::report::column::Column;
#[cfg(feature = "parquet")]
use crate::report::parquet;

/// The files of which one marks a folder as ours: the output of a run, of a comparison, of a sweep, of a search.
pub const MARKERS: [&str; 4] = ["summary.json", "compare.json", "sweep.csv", "optimize.json"];

/// A name of the user's as the name of a file or folder: letters, digits and `._-`, never hidden, never above its place.
pub fn safe_name(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|letter| if letter.is_alphanumeric() || "._-".contains(letter) { letter } else { '-' })
        .collect();
    let safe = safe.trim_start_matches('.');
    if safe.is_empty() { "unnamed".to_owned() } else { safe.to_owned() }
}

/// An output folder in the making; dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct OutputDir {
    target: PathBuf,
    folder: TempDir,
    page: bool,
    parquet: bool,
}

/// Why an output folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The path has no last component, as `/` or `..`.
    #[error("`{0}` cannot be an output folder: it has no name of its own")]
    Nameless(PathBuf),
    /// There is a file where the folder should be.
    #[error("`{0}` is a file; name a folder")]
    IsAFile(PathBuf),
    /// The folder holds something that is no finished run, and would be lost.
    #[error(
        "`{0}` exists and holds none of `{files}`: it is not our output; remove it or name another folder",
        files = MARKERS.join("`, `")
    )]
    Foreign(PathBuf),
    /// Parquet was asked of a program that was built without it.
    #[error("this ecsim was built without Parquet; build it with the feature `parquet`, or read the CSV files")]
    NoParquet,
    /// The file system refused.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_owned();
    move |source| OutputError::Io { action, path, source }
}

/// The system's own words: `tempfile` adds the path of a folder that nobody has heard of.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    let words = text.split_once(" at path ").map_or(text.as_str(), |(words, _)| words);
    io::Error::new(error.kind(), words)
}

impl OutputDir {
    /// Checks that `target` can be written and replaced, and makes the temporary folder beside it.
    ///
    /// Call it before the run: a long run must not end with "permission denied".
    ///
    /// # Errors
    /// [`OutputError`] when the place is taken by something else or cannot be written.
    pub fn prepare(target: &Path) -> Result<Self, OutputError> {
        let name = target.file_name().ok_or_else(|| OutputError::Nameless(target.to_owned()))?;
        match fs::metadata(target) {
            Ok(found) if !found.is_dir() => return Err(OutputError::IsAFile(target.to_owned())),
            Ok(_) if !is_replaceable(target)? => return Err(OutputError::Foreign(target.to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused("look at", target)(error)),
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(refused("create", parent))?;
        let prefix = format!(".{}-", name.to_string_lossy());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".partial");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // The folder keeps its permissions when it is renamed: the usual ones, less the umask.
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let folder = builder.tempdir_in(parent).map_err(|error| refused("write into", parent)(without_path(&error)))?;
        Ok(Self { target: target.to_owned(), folder, page: true, parquet: false })
    }

    /// The same folder with or without `report.html`, of which there is one unless this says otherwise.
    #[must_use]
    pub fn with_page(self, page: bool) -> Self {
        Self { page, ..self }
    }

    /// The same folder with or without each table as Parquet beside its CSV; there is none unless this says otherwise.
    ///
    /// # Errors
    /// [`OutputError::NoParquet`] without the feature `parquet`.
    pub fn with_parquet(self, parquet: bool) -> Result<Self, OutputError> {
        if parquet && cfg!(not(feature = "parquet")) {
            return Err(OutputError::NoParquet);
        }
        Ok(Self { parquet, ..self })
    }

    /// A folder inside this one, which is written and finished on its own, with the same forms of output.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn within(&self, name: &str) -> Result<Self, OutputError> {
        let inner = Self::prepare(&self.path().join(safe_name(name)))?;
        Ok(Self { page: self.page, parquet: self.parquet, ..inner })
    }

    /// Whether it gets a `report.html`.
    pub fn has_page(&self) -> bool {
        self.page
    }

    /// Where to write until it is committed.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// A new file of it, folders on the way included.
    ///
    /// # Errors
    /// [`OutputError::Io`].
    pub fn create(&self, name: &str) -> Result<File, OutputError> {
        let path = self.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(refused("create", folder))?;
        }
        File::create(&path).map_err(refused("create", &path))
    }

    /// The error of a file of it that could not be written.
    pub(super) fn refused(&self, name: &str, source: io::Error) -> OutputError {
        refused("write", &self.path().join(name))(source)
    }

    /// Writes a whole file of it.
    ///
    /// # Errors
    /// [`OutputError::Io`].
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<(), OutputError> {
        let mut file = self.create(name)?;
        io::Write::write_all(&mut file, contents.as_ref()).map_err(refused("write", &self.path().join(name)))
    }

    /// Writes a whole table with these columns: its CSV file `name`, and what [`Self::table_done`] adds.
    ///
    /// # Errors
    /// [`OutputError::Io`].
    pub fn write_table(&self, name: &str, csv: &str, columns: &[Column]) -> Result<(), OutputError> {
        self.write(name, csv)?;
        self.table_done(name, columns)
    }

    /// The CSV file `name` with these columns is complete: it gets its Parquet beside it, where that is wanted.
    ///
    /// # Errors
    /// [`OutputError::Io`].
    pub(super) fn table_done(&self, name: &str, columns: &[Column]) -> Result<(), OutputError> {
        #[cfg(feature = "parquet")]
        if self.parquet {
            let from = self.path().join(name);
            let to = from.with_extension("parquet");
            return parquet::write(&from, &to, columns).map_err(refused("write", &to));
        }
        let _ = (name, columns);
        Ok(())
    }

    /// Puts the folder in its place; a finished run that was there is replaced only now.
    ///
    /// # Errors
    /// [`OutputError::Io`]; the folder that was there is then still there.
    pub fn commit(self) -> Result<PathBuf, OutputError> {
        let Self { target, folder, .. } = self;
        let retired = folder.path().with_extension("replaced");
        let replaces = target.exists();
        if replaces {
            fs::rename(&target, &retired).map_err(refused("replace", &target))?;
        }
        if let Err(error) = fs::rename(folder.path(), &target) {
            if replaces {
                // Put the old one back; should that fail too, it is still whole under the other name.
                fs::rename(&retired, &target).map_err(refused("restore", &target))?;
            }
            return Err(refused("rename to", &target)(error));
        }
        // Renamed away: nothing is left for the guard to remove.
        let _ = folder.keep();
        if replaces {
            fs::remove_dir_all(&retired).map_err(refused("remove", &retired))?;
        }
        Ok(target)
    }
}

/// Writes a file of the user's naming, whole or not at all.
///
/// # Errors
/// [`OutputError`].
pub fn write_whole(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), OutputError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".partial");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As above: the usual permissions, less the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(|error| refused("write into", folder)(without_path(&error)))?;
    io::Write::write_all(&mut file, contents.as_ref()).map_err(refused("write", path))?;
    file.persist(path).map_err(|error| refused("write", path)(error.error))?;
    Ok(())
}

/// True for finished output and for an empty folder.
fn is_replaceable(target: &Path) -> Result<bool, OutputError> {
    if MARKERS.iter().any(|marker| target.join(marker).is_file()) {
        return Ok(true);
    }
    let mut entries = fs::read_dir(target).map_err(refused("read", target))?;
    Ok(entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = MARKERS[0];

    #[test]
    fn names_of_users_stay_in_their_folder() {
        let table =
            [("web-day 2", "web-day-2"), ("../../etc", "-..-etc"), ("..", "unnamed"), ("täglich.v1", "täglich.v1")];
        for (name, expected) in table {
            assert_eq!(safe_name(name), expected);
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("deep/web");
        let output = OutputDir::prepare(&target).unwrap();
        output.write("plots/a.svg", "<svg/>").unwrap();
        assert!(!target.exists());
        drop(output);
        assert_eq!(names(&place.path().join("deep")), [""; 0], "an abandoned run leaves nothing");

        let output = OutputDir::prepare(&target).unwrap();
        output.write(MARKER, "{}").unwrap();
        assert_eq!(output.commit().unwrap(), target);
        assert_eq!(names(&place.path().join("deep")), ["web"]);
        assert_eq!(names(&target), [MARKER]);
    }

    #[test]
    fn a_finished_run_is_replaced_only_by_a_whole_one() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("web");
        let first = OutputDir::prepare(&target).unwrap();
        first.write(MARKER, "1").unwrap();
        first.write("old.csv", "").unwrap();
        first.commit().unwrap();
        let second = OutputDir::prepare(&target).unwrap();
        second.write(MARKER, "2").unwrap();
        assert_eq!(fs::read_to_string(target.join(MARKER)).unwrap(), "1");
        second.commit().unwrap();
        assert_eq!(fs::read_to_string(target.join(MARKER)).unwrap(), "2");
        assert_eq!((names(&target), names(place.path())), (vec![MARKER.to_owned()], vec!["web".to_owned()]));
    }

    #[test]
    fn parquet_is_had_or_refused_before_anything_runs() {
        let place = tempfile::tempdir().unwrap();
        let asked = |parquet| OutputDir::prepare(&place.path().join("web")).unwrap().with_parquet(parquet);
        assert!(asked(false).is_ok());
        let refusal = asked(true).map(|_| ()).map_err(|error| error.to_string());
        let without = Err(OutputError::NoParquet.to_string());
        assert_eq!(refusal, if cfg!(feature = "parquet") { Ok(()) } else { without });
    }

    #[test]
    fn what_is_no_run_is_never_replaced() {
        let place = tempfile::tempdir().unwrap();
        let foreign = place.path().join("thesis");
        fs::create_dir(&foreign).unwrap();
        assert!(OutputDir::prepare(&foreign).is_ok(), "an empty folder is fine");
        fs::write(foreign.join("chapter1.tex"), "").unwrap();
        assert!(matches!(OutputDir::prepare(&foreign), Err(OutputError::Foreign(_))));
        assert!(matches!(OutputDir::prepare(&foreign.join("chapter1.tex")), Err(OutputError::IsAFile(_))));
        assert!(matches!(OutputDir::prepare(Path::new("/")), Err(OutputError::Nameless(_))));
        #[cfg(target_os = "linux")]
        {
            // A folder that exists and takes no files.
            let error = OutputDir::prepare(Path::new("/proc/run")).unwrap_err().to_string();
            assert!(error.starts_with("cannot write into `/proc`: ") && !error.contains(".partial"), "{error}");
        }
        let below_a_file = foreign.join("chapter1.tex/run");
        assert!(matches!(OutputDir::prepare(&below_a_file), Err(OutputError::Io { .. })));
    }
}
