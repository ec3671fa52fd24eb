//! A finished run by the program itself: its folder, and what `ecsim explain` tells of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// The output folder of one run.
pub(crate) struct Run(TempDir);

impl Run {
    /// Runs `scenario` with every book checked after every event; `more` goes on the command line.
    pub(crate) fn new(scenario: &str, more: &[&str]) -> Self {
        let run = Self(TempDir::new().expect("a temporary folder"));
        std::fs::write(run.path().join("story.yaml"), scenario).expect("a file in it");
        let mut args = vec!["run", "story.yaml", "--out", "out", "--quiet", "--paranoid"];
        args.extend(more);
        let output = run.ecsim(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        run
    }

    /// Rows of a table, by column.
    pub(crate) fn rows(&self, file: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path().join("out").join(file)).expect("it is written");
        reader.deserialize().map(|row| row.expect("a row")).collect()
    }

    /// Means of the summary.
    pub(crate) fn figures(&self) -> BTreeMap<String, f64> {
        let text = std::fs::read_to_string(self.path().join("out/summary.json")).expect("it is written");
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        let metrics = summary["metrics"].as_object().expect("metrics").iter();
        metrics.filter_map(|(key, figure)| Some((key.clone(), figure["mean"].as_f64()?))).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn ecsim(&self, args: &[&str]) -> Output {
        let mut command = Command::cargo_bin("ecsim").expect("the binary is built with its tests");
        command.current_dir(self.path()).env("NO_COLOR", "1").args(args).output().expect("it starts")
    }

    pub(crate) fn explain(&self, args: &[&str]) -> String {
        let output = self.ecsim(&[&["explain", "out"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn refusal(&self, args: &[&str]) -> String {
        let output = self.ecsim(&[&["explain", "out"], args].concat());
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    }
}
