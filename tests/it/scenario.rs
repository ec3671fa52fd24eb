//! Scenario files: a full valid one, broken ones and what is said about them.

use ecsim::scenario::{LoadOptions, load_str};

/// A scenario that uses every section that is modelled.
pub(crate) const FULL: &str = include_str!("scenarios/full.yaml");

#[test]
fn a_full_scenario_is_accepted_without_a_warning() {
    let scenario =
        load_str("full.yaml", FULL, &LoadOptions::default()).unwrap_or_else(|error| panic!("{}", error.render(false)));
    assert_eq!(scenario.warnings.render(false), "");
    let estate = &scenario.estate;
    assert_eq!((estate.services.len(), estate.task_definitions.len(), estate.actions.len()), (3, 3, 4));
    assert_eq!(scenario.variants, ["binpack", "more"]);
}
