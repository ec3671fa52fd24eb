//! The rules of the specification: what each demands, how it is modelled, and the test that shows it.
//!
//! The table is `rules.csv`, embedded in the binary: a row per rule ID and per worked example (`EX-…`), in the order of
//! the specification's files. `where` is the one place in `src/` that keeps the rule; `test` is a test function by name.
//! A test reads the sources and fails when one of them does not exist (design, promise 5).

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The embedded table.
const TABLE: &str = include_str!("rules.csv");

/// How far a rule is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modelled {
    /// In full, or there is nothing in it to model.
    Yes,
    /// In part; the note says what is missing.
    Partly,
    /// Not at all: a scenario that asks for it is refused or warned.
    No,
}

impl fmt::Display for Modelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
        })
    }
}

/// One rule, or one worked example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// For example `TT-10` or `EX-CAS-6`.
    pub id: String,
    /// The file of the specification, without its ending.
    pub spec: String,
    /// What it demands, in a line.
    pub title: String,
    /// How far.
    pub modelled: Modelled,
    /// The file below `src/` that keeps it; empty when none does.
    #[serde(rename = "where")]
    pub place: String,
    /// A test that shows it; empty when none is its own.
    pub test: String,
    /// What is missing.
    pub note: String,
}

impl Rule {
    /// Whether it is a worked example.
    pub fn is_example(&self) -> bool {
        self.id.starts_with("EX-")
    }

    /// The letters before the number: `TT` of `TT-10`, `EX-CAS` of `EX-CAS-6`.
    pub fn block(&self) -> &str {
        self.id.rsplit_once('-').map_or(&self.id, |(block, _)| block)
    }
}

/// Every rule, in the order of the specification.
pub fn rules() -> &'static [Rule] {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let mut reader = csv::Reader::from_reader(TABLE.as_bytes());
        reader.deserialize().collect::<Result<_, _>>().expect("the embedded table is tested to be well formed")
    });
    &RULES
}

/// The first rule with this ID, in any case of letters; conflicts between sources (`C-…`) are numbered anew in each file.
pub fn find(id: &str) -> Option<&'static Rule> {
    rules().iter().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn sources(folder: &Path, into: &mut Vec<(String, String)>) {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                into.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }

    fn test_functions() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        sources(&root.join("src"), &mut files);
        sources(&root.join("tests"), &mut files);
        let name = regex::Regex::new(r"fn ([a-z0-9_]+)\s*[(<]").unwrap();
        files.iter().flat_map(|(_, text)| name.captures_iter(text).map(|found| found[1].to_owned())).collect()
    }

    #[test]
    fn every_id_is_there_once() {
        let mut seen = BTreeSet::new();
        for rule in rules() {
            assert!(seen.insert((&rule.id, &rule.spec)), "{} is there twice", rule.id);
            assert!(!rule.title.is_empty() && rule.title.chars().count() <= 100, "{}: {}", rule.id, rule.title);
        }
        assert!(seen.len() > 400, "{}", seen.len());
    }

    #[test]
    fn every_test_and_every_place_named_exists() {
        let functions = test_functions();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for rule in rules() {
            assert!(rule.test.is_empty() || functions.contains(&rule.test), "{}: no test {}", rule.id, rule.test);
            assert!(rule.place.is_empty() || source.join(&rule.place).exists(), "{}: no {}", rule.id, rule.place);
        }
    }

    #[test]
    fn what_is_modelled_has_a_place_and_what_is_not_says_why() {
        for rule in rules().iter().filter(|rule| !rule.is_example()) {
            match rule.modelled {
                Modelled::Yes => {
                    assert!(!rule.place.is_empty() || !rule.note.is_empty(), "{} is kept nowhere", rule.id);
                }
                Modelled::Partly | Modelled::No => assert!(!rule.note.is_empty(), "{}: what is missing?", rule.id),
            }
        }
    }

    #[test]
    #[ignore = "needs ../shared"]
    fn no_rule_of_the_specification_is_missing() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let spec = ["../shared", "../../shared", "../../../shared"]
            .iter()
            .map(|folder| root.join(folder).join("spec"))
            .find(|folder| folder.is_dir())
            .expect("the specification beside the project");
        // An ID stands at the beginning of a table row or of a line.
        let id = regex::Regex::new(r"(?m)^(?:\| )?((?:EX-)?[A-Z][A-Z0-9]*-[0-9]+)\b").unwrap();
        for name in ["service-autoscaling", "cluster-autoscaling", "tasks-and-services"] {
            let text = fs::read_to_string(spec.join(name).with_extension("md")).unwrap();
            let missing: BTreeSet<&str> = id
                .captures_iter(&text)
                .map(|found| found.get(1).unwrap().as_str())
                .filter(|id| find(id).is_none())
                .collect();
            assert!(missing.is_empty(), "{name}: {missing:?}");
        }
    }
}
