//! Scenario files: a full valid one, broken ones, and what is said about them.

use std::fs;

use ecsim::control_plane::api::ApiCall;
use ecsim::control_plane::estate::{Delays, Demand};
use ecsim::engine::time::SimDuration;
use ecsim::scenario::{Diagnostics, LoadOptions, Scenario, json_schema, load, load_str};
use ecsim::workload::distribution::Distribution;
use proptest::prelude::*;
use rstest::{Context, rstest};

/// A scenario that uses every section that is modelled.
const FULL: &str = include_str!("scenarios/full.yaml");

fn accepted(text: &str) -> Scenario {
    accepted_with(text, &LoadOptions::default())
}

fn accepted_with(text: &str, options: &LoadOptions) -> Scenario {
    load_str("full.yaml", text, options).unwrap_or_else(|refused| panic!("{}", refused.render(false)))
}

fn refused(text: &str) -> Diagnostics {
    load_str("broken.yaml", text, &LoadOptions::default()).expect_err("the scenario is broken")
}

fn with_set(set: &[&str]) -> LoadOptions {
    LoadOptions { set: set.iter().map(ToString::to_string).collect(), ..LoadOptions::default() }
}

#[test]
fn a_full_scenario_is_accepted_with_its_assumptions_named() {
    let scenario = accepted(FULL);
    let warnings: Vec<&str> = scenario.warnings.findings().iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        warnings,
        ["nothing takes Spot Instances back here, and there is always capacity for them (ASG-38, ASG-40)"]
    );
    let estate = &scenario.estate;
    assert_eq!((estate.services.len(), estate.task_definitions.len(), estate.actions.len()), (3, 3, 4));
    assert_eq!(estate.start.to_string(), "2026-01-05T00:00:00Z");
    assert_eq!((estate.seed, estate.replications, estate.warmup), (7, 3, SimDuration::HOUR));
    assert_eq!(scenario.variants, ["binpack", "more"]);
}

#[test]
fn an_empty_scenario_has_every_default() {
    let scenario = accepted("");
    let estate = &scenario.estate;
    assert_eq!((estate.name.as_str(), estate.region.as_str()), ("full", "us-east-1"));
    assert_eq!(estate.start.to_string(), "2026-01-05T00:00:00Z");
    assert_eq!(estate.availability_zones, ["us-east-1a", "us-east-1b", "us-east-1c"]);
    assert_eq!(estate.clusters[0].name, "default");
    assert_eq!(estate.delays, Delays::realistic());
}

#[test]
fn json_says_the_same_as_yaml() {
    let value: serde_json::Value = serde_saphyr::from_str(FULL).unwrap();
    assert_eq!(accepted(&value.to_string()).estate, accepted(FULL).estate);
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let mut value: serde_json::Value = serde_saphyr::from_str(FULL).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, [""; 0]);
    value["services"][0]["desiredCuont"] = 3.into();
    assert!(!validator.is_valid(&value), "the schema knows no desiredCuont");
}

#[test]
fn paths_walk_names() {
    let set = ["services.web.desiredCount=22", "autoScalingGroups.main-asg.MaxSize=50", "workloads.[2].tasks.count=3"];
    let estate = accepted_with(FULL, &with_set(&set)).estate;
    assert_eq!((estate.services[0].desired_count, estate.groups[0].max_size), (22, 50));
    assert!(matches!(&estate.workloads[2].demand, Demand::Tasks { run_task, .. } if run_task.count == 3));
    let prices = accepted_with(FULL, &with_set(&["prices.onDemand.m5.large=0.2"])).estate.prices;
    assert_eq!(prices.on_demand, [("m5.large".to_owned(), 0.2)]);
    let behaviour = accepted_with(FULL, &with_set(&["behaviour.metric_delay.alb=5s"])).estate.behaviour;
    assert_eq!(behaviour.metric_delay.alb, SimDuration::from_secs(5));
}

#[test]
fn variants_change_the_same_file() {
    let options = LoadOptions { variant: Some("more".to_owned()), ..with_set(&["services.api.desiredCount=1"]) };
    let estate = accepted_with(FULL, &options).estate;
    assert_eq!((estate.services[0].desired_count, estate.services[1].desired_count), (20, 1));
    let unknown = LoadOptions { variant: Some("mroe".to_owned()), ..LoadOptions::default() };
    let refused = load_str("full.yaml", FULL, &unknown).unwrap_err();
    assert!(refused.to_string().contains("did you mean `more`?"), "{refused}");
}

#[test]
fn single_delays_win_over_the_preset_and_over_knobs() {
    let delays = accepted("delays: {preset: constant, healthy: 3s}\nbehaviour: {t_terminate_s: 7, healthy_wait_s: 9}")
        .estate
        .delays;
    assert_eq!(delays.healthy, Distribution::Constant(3.0));
    assert_eq!(delays.instance_terminate, Distribution::Constant(7.0));
    assert_eq!(delays.agent_register, Distribution::Constant(45.0));
}

#[test]
fn cas_28_scale_in_was_slower_before_2022_09_16() {
    let step = |text: &str| accepted(text).estate.behaviour.scale_in_step_thousandths;
    assert_eq!(step("behaviour: {asOf: 2022-09-15}"), 50);
    assert_eq!(step("behaviour: {asOf: 2022-09-16}"), 500);
    assert_eq!(step("behaviour: {asOf: 2022-09-15, scale_in_step_fraction: 0.5}"), 500);
}

#[test]
fn an_action_that_aws_refuses_does_not_refuse_the_scenario() {
    let estate = accepted(FULL).estate;
    let ApiCall::AlwaysRefused(refused) = &estate.actions[1].call else { panic!("{:?}", estate.actions[1]) };
    assert_eq!((refused.code, refused.rule), ("InvalidParameterException", "TASK-10"));
}

#[test]
fn included_files_are_merged_in_first() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("full.yaml"), FULL).unwrap();
    let main = folder.path().join("main.yaml");
    fs::write(&main, "include: [full.yaml]\nservices: [{serviceName: web, desiredCount: 9}]\nseed: 11\n").unwrap();
    let estate =
        load(&main, &LoadOptions::default()).unwrap_or_else(|refused| panic!("{}", refused.render(false))).estate;
    assert_eq!((estate.services[0].desired_count, estate.services.len(), estate.seed), (9, 3, 11));
    assert_eq!(estate.services[0].load_balancers.len(), 1, "what the second file leaves out stays");
}

#[test]
fn a_cycle_of_includes_is_shown_as_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    for (name, next) in [("a.yaml", "b.yaml"), ("b.yaml", "c.yaml"), ("c.yaml", "a.yaml")] {
        fs::write(folder.path().join(name), format!("include: {next}\n")).unwrap();
    }
    let refused = load(&folder.path().join("a.yaml"), &LoadOptions::default()).unwrap_err();
    let message = refused.findings()[0].message.replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(message, "files include each other: a.yaml → b.yaml → c.yaml → a.yaml");
}

#[rstest]
#[case::deep_nesting(&"[".repeat(1_000_000))]
#[case::deep_blocks(&(0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>())]
#[case::alias_bomb(&alias_bomb())]
#[case::binary("\u{0}\u{1}\u{2}: [")]
#[case::two_documents("a: 1\n---\nb: 2\n")]
fn nonsense_is_refused(#[case] text: &str) {
    assert_eq!(refused(text).findings()[0].code, ecsim::scenario::code::SYNTAX);
}

fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

#[test]
fn a_hundred_megabytes_are_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.yaml");
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let refused = load(&path, &LoadOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("100 MiB is too much"), "{refused}");
}

#[rstest]
#[case::missing("nothing.csv", None, "No such file")]
#[case::empty("empty.csv", Some("t,v\n"), "no rows")]
#[case::backwards("back.csv", Some("t,v\n0,1\n20,2\n10,3\n"), "line 4, column `t`")]
#[case::not_a_number("nan.csv", Some("t,v\n0,1\n20,NaN\n"), "line 3, column `v`")]
#[case::negative("negative.csv", Some("t,v\n0,1\n20,-5\n"), "line 3, column `v`")]
#[case::another_column("column.csv", Some("t,vlaue\n0,1\n"), "no column `v`")]
fn a_bad_trace_is_refused_with_its_line(#[case] name: &str, #[case] text: Option<&str>, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = text {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let main = folder.path().join("main.yaml");
    let scenario = format!(
        "taskDefinitions: [{{family: w, containerDefinitions: [{{name: a, memory: 64}}]}}]\n\
         services: [{{serviceName: w, taskDefinition: w, desiredCount: 0, launchType: FARGATE}}]\n\
         workloads:\n  - name: load\n    utilization: {{service: w, cpu: {{trace: {{file: {name}, time: t, value: v}}}}}}\n"
    );
    fs::write(&main, scenario).unwrap();
    let refused = load(&main, &LoadOptions::default()).unwrap_err();
    let finding = &refused.findings()[0];
    assert!(finding.message.contains(expected), "{finding}");
    assert_eq!((finding.code, finding.line), (ecsim::scenario::code::TRACE, 5));
}

/// One broken scenario each, and all that is said of it.
#[rstest]
#[case::unknown_keys("servces: []\nservices:\n  - serviceName: web\n    taskDefinition: web\n    desiredCuont: 2\n")]
#[case::wrong_types(
    "seed: many\nservices: {web: 1}\nautoScalingGroups:\n  - AutoScalingGroupName: a\n    MinSize: \"1\"\n    MaxSize: yes\n    InstanceType: m5.large\n"
)]
#[case::missing_units(
    "duration: 3600\nwarmup: 5 parsecs\ntaskDefinitions:\n  - family: a\n    containerDefinitions: [{name: a, memory: 64}]\n    behaviour: {memory: 200, runsFor: {uniform: {min: 10s, max: 5s}}}\n"
)]
#[case::unknown_instance_type(
    "autoScalingGroups:\n  - {AutoScalingGroupName: a, MinSize: 0, MaxSize: 1, InstanceType: m5.lrage}\n"
)]
#[case::unknown_names(
    "taskDefinitions: [{family: web, containerDefinitions: [{name: a, memory: 64}]}]\nservices:\n  - {serviceName: web, taskDefinition: wbe, desiredCount: 1}\n  - {serviceName: web, taskDefinition: \"web:2\", desiredCount: 1, cluster: prod}\ncapacityProviders:\n  - {name: main, autoScalingGroupProvider: {autoScalingGroupArn: main-asg}}\n"
)]
#[case::weights_all_zero(
    "taskDefinitions: [{family: web, containerDefinitions: [{name: a, memory: 64}]}]\nservices:\n  - serviceName: web\n    taskDefinition: web\n    desiredCount: 1\n    capacityProviderStrategy: [{capacityProvider: FARGATE}, {capacityProvider: FARGATE_SPOT, base: 1}]\n"
)]
#[case::min_above_max(
    "autoScalingGroups:\n  - {AutoScalingGroupName: a, MinSize: 5, MaxSize: 3, InstanceType: m5.large}\n  - {AutoScalingGroupName: b, MinSize: 1, MaxSize: 3, DesiredCapacity: 4, InstanceType: m5.large}\n"
)]
#[case::task_definitions_that_aws_refuses(
    "taskDefinitions:\n  - family: a\n    cpu: \"512\"\n    containerDefinitions:\n      - {name: a, cpu: 256, memory: 128, memoryReservation: 128, essential: false}\n      - {name: b, cpu: 512, essential: false}\n  - family: b\n    networkMode: host\n    containerDefinitions: [{name: a, memory: 64, portMappings: [{containerPort: 80, hostPort: 81}]}]\n  - family: c\n    requiresCompatibilities: [FARGATE]\n    networkMode: awsvpc\n    cpu: \"256\"\n    memory: \"4096\"\n    containerDefinitions: [{name: a, privileged: true, stopTimeout: 121, portMappings: [{containerPort: 80, hostPort: 8080}]}]\n"
)]
#[case::not_modelled(
    "faults: [{at: 1h, fault: slowBoot}]\ntaskDefinitions: [{family: web, containerDefinitions: [{name: a, memory: 64}]}]\nservices:\n  - serviceName: web\n    taskDefinition: web\n    desiredCount: 1\n    deploymentController: {type: CODE_DEPLOY}\n    deploymentConfiguration: {minimumHealthyPercent: 101}\nbehaviour: {pull_state: ACTIVATING, svc_tick: 3, svc_tick_s: 5s}\n"
)]
#[case::a_broken_expression(
    "taskDefinitions:\n  - family: web\n    containerDefinitions: [{name: a, memory: 64}]\n    placementConstraints: [{type: memberOf, expression: \"attribute:ecs.instance-type =~\"}]\n"
)]
#[case::steps_with_a_gap(
    "taskDefinitions: [{family: web, containerDefinitions: [{name: a, memory: 64}]}]\nservices: [{serviceName: web, taskDefinition: web, desiredCount: 1, launchType: FARGATE}]\nscalableTargets: [{ResourceId: service/default/web, MinCapacity: 5, MaxCapacity: 2}]\nscalingPolicies:\n  - PolicyName: p\n    ResourceId: service/default/wbe\n    StepScalingPolicyConfiguration:\n      AdjustmentType: ChangeInCapacity\n      StepAdjustments: [{MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 10, ScalingAdjustment: 1}, {MetricIntervalLowerBound: 15, ScalingAdjustment: 2}]\n"
)]
#[case::not_numbers(
    "workloads:\n  - {name: a, utilization: {service: web, cpu: .nan}}\n  - {name: b, utilization: {service: web, cpu: -1}}\n  - {name: c, utilization: {service: web, cpu: {steps: [[1h, 1], [0s, 2]]}}}\n  - {name: d, tasks: {taskDefinition: x, arrivals: {schedule: \"cron(99 * * * ? *)\"}}}\n"
)]
#[case::duplicates(
    "clusters: [{clusterName: prod}, {clusterName: prod}]\nalarms: []\nworkloads: [{name: a}, {name: a}]\n"
)]
#[case::a_key_twice("seed: 1\nname: a\nseed: 2\n")]
#[case::broken_yaml("services: [\n  {serviceName: web\nseed: 1\n")]
#[case::a_task_that_fits_nowhere(
    "seed: many\nautoScalingGroups: [{AutoScalingGroupName: a, MinSize: 1, MaxSize: 2, InstanceType: t3.micro}]\ntaskDefinitions: [{family: big, containerDefinitions: [{name: a, memory: 64000}]}]\nservices: [{serviceName: big, taskDefinition: big, desiredCount: 1, launchType: EC2}]\n"
)]
#[case::actions(
    "actions:\n  - {at: 10, call: \"ecs:UpdateService\", with: {service: web}}\n  - {at: 10s, call: \"ecs:UpdateServce\", with: {service: web}}\n  - {at: 20s, call: \"autoscaling:PutWarmPool\", with: {}}\n  - {at: 30s, call: UpdateService, with: {service: web, desiredCuont: 3}}\n"
)]
fn a_broken_scenario_is_explained(#[context] context: Context, #[case] text: &str) {
    let name = context.description.expect("every case is named");
    insta::with_settings!({ description => text, omit_expression => true }, {
        insta::assert_snapshot!(name, refused(text).render(false));
    });
}

#[test]
fn overrides_are_explained_where_they_are_written() {
    let set = ["services.wbe.desiredCount=1", "services.web.desiredCuont=1", "duration=90", "nonsense", "seed=[1"];
    let refused = load_str("full.yaml", FULL, &with_set(&set)).unwrap_err();
    insta::assert_snapshot!(refused.to_string());
}

/// Pieces that are likely to confuse a reader of scenarios.
const PIECES: [&str; 24] = [
    "",
    "[",
    "]",
    "{",
    "}",
    ":",
    "\n",
    "- ",
    "\n  - ",
    "&a ",
    "*a",
    "null",
    "-1",
    "1e400",
    ".nan",
    "99999999999999999999",
    "\"",
    "'",
    "%",
    "\u{1F4A5}",
    "{constant: 1}",
    "service/a/b/c",
    "#",
    "\t",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_scenario_makes_the_reader_panic(
        cuts in prop::collection::vec((0.0..1.0, 0usize..40, 0..PIECES.len()), 1..4),
    ) {
        let mut text = FULL.to_owned();
        for (at, len, piece) in cuts {
            let floor = |mut index: usize| { while !text.is_char_boundary(index) { index -= 1 } index };
            let start = floor((text.len() as f64 * at) as usize);
            let end = floor((start + len).min(text.len())).max(start);
            text.replace_range(start..end, PIECES[piece]);
        }
        if let Err(refused) = load_str("mutated.yaml", &text, &LoadOptions::default()) {
            prop_assert!(refused.error_count() > 0);
            prop_assert!(!refused.render(true).is_empty());
        }
    }
}
