//! Where a run comes from: the command that gives it again, and the texts of its scenario.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::report::output::{OutputDir, OutputError};
use crate::report::plot::PlotError;

/// The file of an output folder that holds it.
pub const ORIGIN: &str = "origin.json";

/// What has to be typed, and where, to get the same bytes again. No path of the machine and no time of the day is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The words of the command, to be typed in the folder of the scenario file.
    pub command: Vec<String>,
    /// Version of the program.
    pub version: String,
    /// Hash of the scenario's texts.
    pub hash: String,
    /// The scenario file, and the files it includes.
    pub texts: Vec<SourceText>,
}

/// One text that a scenario is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// Its path from the folder of the scenario file.
    pub name: String,
    /// All of it.
    pub text: String,
}

impl Origin {
    /// Writes it into an output folder.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn write(&self, output: &OutputDir) -> Result<(), OutputError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| output.refused(ORIGIN, error.into()))?;
        output.write(ORIGIN, text + "\n")
    }

    /// Reads it from an output folder; `None` where the run was made by other means than the command line.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, PlotError> {
        let path = folder.join(ORIGIN);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| PlotError::Malformed { path, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PlotError::Read { path, source }),
        }
    }

    /// The command as a shell takes it.
    pub(super) fn line(&self) -> String {
        self.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/=:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let words = ["ecsim", "run", "my file.yaml", "--set", "name=it's <b>", ""];
        let origin = Origin {
            command: words.map(str::to_owned).to_vec(),
            version: "0".into(),
            hash: String::new(),
            texts: Vec::new(),
        };
        assert_eq!(origin.line(), r"ecsim run 'my file.yaml' --set 'name=it'\''s <b>' ''");
    }
}
