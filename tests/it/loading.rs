//! What the loader must catch before a run does, what it must not drop in silence, and how it says so.

use ecsim::control_plane::api::ApiCall;
use ecsim::control_plane::estate::Demand;
use ecsim::control_plane::{RunOptions, run};
use ecsim::report::recorder::Recorder;
use ecsim::scenario::{Diagnostics, LoadOptions, Scenario, code, load_str};
use rstest::rstest;

use crate::lab::run_text;

const QUICKSTART: &str = include_str!("../../scenarios/quickstart.yaml");
const FULL: &str = include_str!("scenarios/full.yaml");

/// A service on Fargate and what it takes.
const SERVICE: &str = "\
taskDefinitions: [{family: web, containerDefinitions: [{name: app, memory: 64}]}]
services: [{serviceName: web, taskDefinition: web, desiredCount: 1, launchType: FARGATE}]
";

fn loaded(text: &str) -> Result<Scenario, Diagnostics> {
    load_str("file.yaml", text, &LoadOptions::default())
}

fn accepted(text: &str) -> Scenario {
    loaded(text).unwrap_or_else(|refused| panic!("{}", refused.render(false)))
}

fn refused(text: &str) -> Diagnostics {
    loaded(text).expect_err("the scenario has a mistake")
}

/// The messages of errors, in order.
fn errors(found: &Diagnostics) -> Vec<&str> {
    found.findings().iter().filter(|finding| !finding.warning).map(|finding| finding.message.as_str()).collect()
}

fn warnings(text: &str) -> Vec<String> {
    accepted(text).warnings.findings().iter().map(|finding| finding.message.clone()).collect()
}

#[rstest]
#[case("cas_period_s: 0", "write 1 or more")]
#[case("activity_poll: 0s", "write 1s or more")]
#[case("activity_poll: 1ms", "write 1s or more")]
#[case("steady_repeat_s: 0", "write 1 or more")]
#[case("throttle_base_s: 0", "write 1 or more")]
#[case("throttle_max_s: 0", "write 1 or more")]
#[case("unplaced_max_s: 0.5", "write 1 or more")]
#[case("ice_retry_s: 0", "write 1 or more")]
fn what_repeats_does_so_after_some_time(#[case] knob: &str, #[case] hint: &str) {
    let found = refused(&format!("behaviour: {{{knob}}}"));
    let finding = &found.findings()[0];
    assert_eq!((finding.code, finding.hint.as_deref()), (code::OUT_OF_RANGE, Some(hint)));
    let value = knob.split(' ').nth(1).unwrap();
    assert_eq!(finding.column, format!("behaviour: {{{knob}").len() - value.len() + 1, "the caret is at the value");
}

#[rstest]
#[case("svc_rate_per_min: 0")]
#[case("svc_burst: 0")]
#[case("elb_initial_passes: 0")]
fn a_count_of_none_at_all_is_refused(#[case] knob: &str) {
    assert!(errors(&refused(&format!("behaviour: {{{knob}}}")))[0].contains("Minimum value of 1"));
}

#[rstest]
#[case("pull_state: ACTIVATING", "pull_state: PENDING")]
fn a_knob_that_nothing_reads_is_taken_at_its_default_only(#[case] other: &str, #[case] default: &str) {
    let found = refused(&format!("behaviour: {{{other}}}"));
    assert_eq!(found.findings()[0].code, code::NOT_MODELLED);
    accepted(&format!("behaviour: {{{default}}}"));
}

#[rstest]
#[case(
    "{taskDefinition: t, launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1d]}}}"
)]
fn zones_of_calls_are_zones_of_the_estate(#[case] run_task: &str) {
    let definition = "taskDefinitions: [{family: t, networkMode: awsvpc, cpu: '256', memory: '512', requiresCompatibilities: [FARGATE], containerDefinitions: [{name: a}]}]\n";
    let of_workload = run_task.replacen('{', "{arrivals: {schedule: 'at(2026-01-05T00:01:00)'}, ", 1);
    let service = run_task.replacen('{', "{serviceName: s, desiredCount: 1, ", 1);
    for text in [
        format!("{definition}workloads: [{{name: w, tasks: {of_workload}}}]\n"),
        format!("{definition}actions: [{{at: 1m, call: 'ecs:RunTask', with: {run_task}}}]\n"),
        format!("{definition}actions: [{{at: 1m, call: 'ecs:CreateService', with: {service}}}]\n"),
    ] {
        assert!(accepted(&text).estate.availability_zones.contains(&"us-east-1d".to_owned()), "{text}");
        let log = run_text(&format!("duration: 10m\n{text}"));
        let zones: Vec<&String> = log.task_zones.values().collect();
        assert_eq!(zones, ["us-east-1d"], "{text}");
        assert_eq!(errors(&refused(&text.replace("1d", "1z"))), ["`us-east-1z` is no Availability Zone of us-east-1"]);
    }
    let group = "actions: [{at: 1m, call: 'autoscaling:CreateAutoScalingGroup', with: {AutoScalingGroupName: g, \
                 MinSize: 1, MaxSize: 1, InstanceType: m5.large, AvailabilityZones: [us-east-1e]}}]";
    assert!(accepted(group).estate.availability_zones.contains(&"us-east-1e".to_owned()));
    assert_eq!(run_text(&format!("duration: 10m\n{group}")).zones[&0], "us-east-1e");
}

#[test]
fn numbers_that_add_up_to_too_much_are_refused() {
    let gpus = "{type: GPU, value: '4294967295'}";
    let one = format!("{{name: a, memory: 64, resourceRequirements: [{gpus}, {gpus}]}}");
    let two = format!(
        "{{name: a, memory: 64, resourceRequirements: [{gpus}]}}, {{name: b, memory: 64, resourceRequirements: [{gpus}]}}"
    );
    for containers in [one, two] {
        let found = refused(&format!("taskDefinitions: [{{family: a, containerDefinitions: [{containers}]}}]"));
        assert_eq!(errors(&found), ["these are more GPUs than any host has"]);
    }
}

#[rstest]
#[case("delays: {instanceLaunch: 30000w}")]
#[case("warmup: 36526d")]
#[case(
    "taskDefinitions: [{family: a, containerDefinitions: [{name: a, memory: 64}], behaviour: {runsFor: {exponential: {mean: 200000w}}}}]"
)]
fn no_duration_is_longer_than_a_century(#[case] text: &str) {
    let found = refused(text);
    assert!(errors(&found)[0].ends_with("is longer than a hundred years"), "{found}");
}

#[test]
fn delays_beyond_the_end_of_time_happen_never() {
    // A pull of 634 years, and two delays that add up to 200.
    let text = "duration: 1h\n\
                autoScalingGroups: [{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1}]\n\
                taskDefinitions: [{family: t, containerDefinitions: [{name: a, memory: 64}], behaviour: {image: {sizeMiB: 2e7}}}]\n\
                services: [{serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2}]\n";
    let log = run_text(&format!("{text}delays: {{preset: constant, pullThroughput: 0}}\n"));
    assert!(log.times("service:s", "RUNNING").is_empty());
    let log = run_text(&format!(
        "{text}delays: {{preset: constant, instanceLaunch: 36000d, instanceInService: 36000d, imagePull: 36000d, taskStart: 36000d}}\n"
    ));
    assert!(log.times("service:s", "RUNNING").is_empty());
}

#[test]
fn a_revision_without_behaviour_behaves_as_the_one_before() {
    let register =
        "call: 'ecs:RegisterTaskDefinition', with: {family: job, containerDefinitions: [{name: a, memory: 64";
    let text = format!(
        "taskDefinitions:\n\
         \x20 - {{family: job, containerDefinitions: [{{name: a, memory: 64}}], behaviour: {{runsFor: 7s}}}}\n\
         \x20 - {{family: job, containerDefinitions: [{{name: a, memory: 64}}]}}\n\
         actions:\n\
         \x20 - {{at: 3m, {register}}}]}}}}\n\
         \x20 - {{at: 2m, {register}, behaviour: {{runsFor: 9s}}}}]}}}}\n\
         \x20 - {{at: 1m, {register}}}]}}}}\n\
         \x20 - {{at: 4m, {register}}}], behaviour: {{}}}}}}\n"
    );
    let estate = accepted(&text).estate;
    let runs_for = |call: &ecsim::control_plane::api::RegisterTaskDefinition| {
        call.behaviours[0].runs_for.as_ref().map(ecsim::workload::distribution::Distribution::mean)
    };
    assert_eq!(estate.task_definitions.iter().map(runs_for).collect::<Vec<_>>(), [Some(7.0), Some(7.0)]);
    let of_actions = estate.actions.iter().map(|action| match &action.call {
        ApiCall::RegisterTaskDefinition(call) => runs_for(call),
        other => panic!("{other:?}"),
    });
    assert_eq!(of_actions.collect::<Vec<_>>(), [Some(9.0), Some(9.0), Some(7.0), None]);
}

/// One mistake in the quickstart, and the one thing that is said of it.
#[rstest]
#[case("InstanceType: m5.large", "InstanceType: m5.lage", "the catalogue has no instance type `m5.lage`")]
#[case("targetCapacity: 100", "targetCapacity: 0", "0 is out of range. Valid Range: Minimum value of 1.")]
#[case("[us-east-1a, ", "[us-west-2a, ", "`us-west-2a` is no Availability Zone of us-east-1")]
#[case("desiredCount: 20", "desiredCount: abc", "expected a whole number, found the text \"abc\"")]
#[case("desiredCount: 20", "desiredCont: 20", "a service has no key `desiredCont`")]
#[case("MinSize: 2", "MinSiz: 2", "an Auto Scaling group has no key `MinSiz`")]
#[case("family: web", "famly: web", "a task definition has no key `famly`")]
#[case("MinCapacity: 4", "MinCapcity: 4", "a scalable target has no key `MinCapcity`")]
#[case("    requests:", "    request:", "a workload has no key `request`")]
#[case(
    "capacityProviders: [web-hosts]",
    "capacityProviders: web-hosts",
    "expected a list, found the text \"web-hosts\""
)]
#[case("TargetValue: 60", "TargetValue: sixty", "expected a number, found the text \"sixty\"")]
#[case("timeout: 5s", "timeout: 0s", "no request is answered in no time at all")]
#[case("latency_p99_s", "latency_p9_s", "a run has no figure `service/shop/web:latency_p9_s`")]
fn one_mistake_is_one_error(#[case] right: &str, #[case] wrong: &str, #[case] expected: &str) {
    assert!(QUICKSTART.contains(right), "the quickstart has changed");
    let found = refused(&QUICKSTART.replace(right, wrong));
    assert_eq!(errors(&found), [expected], "{found}");
    assert_eq!(found.findings().len(), 1, "nor is a warning drawn from it: {found}");
}

#[test]
fn an_override_with_a_mistake_is_one_error_too() {
    let options = LoadOptions { set: vec!["services.web.desiredCount=abc".to_owned()], ..LoadOptions::default() };
    let found = load_str("quickstart.yaml", QUICKSTART, &options).unwrap_err();
    assert_eq!(errors(&found), ["expected a whole number, found the text \"abc\""]);
}

#[test]
fn slips_of_the_keyboard_come_first() {
    let found = refused(&format!(
        "seed: many\n{SERVICE}workloads: [{{name: w, utilisation: {{service: web}}}}]\nslo: [{{metric: x}}]\n"
    ));
    let codes: Vec<&str> = found.findings().iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [code::UNKNOWN_KEY, code::WRONG_TYPE, code::MISSING_KEY, code::UNKNOWN_NAME], "{found}");
}

#[test]
fn subnets_as_they_are_in_aws_are_taken() {
    let text = "autoScalingGroups:\n  - {AutoScalingGroupName: g, MinSize: 0, MaxSize: 1, InstanceType: m5.large, VPCZoneIdentifier: \"subnet-0ab1,subnet-0ab2\"}\n\
                taskDefinitions: [{family: t, networkMode: awsvpc, containerDefinitions: [{name: a, memory: 64}]}]\n\
                services: [{serviceName: s, taskDefinition: t, desiredCount: 0, networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a]}}}]\n";
    let scenario = accepted(text);
    assert_eq!(scenario.estate.groups[0].availability_zones, ["us-east-1a", "us-east-1b", "us-east-1c"]);
    assert!(scenario.estate.services[0].availability_zones.is_empty(), "which stands for all");
    assert_eq!(warnings(text), ["`subnet-0ab1` says no Availability Zone, so it stands for all of them"]);
    let with_zone = text.replace("subnet-a]", "subnet-0abc-us-east-1b]");
    assert_eq!(accepted(&with_zone).estate.services[0].availability_zones, ["us-east-1b"]);
}

#[test]
fn every_figure_of_a_run_may_have_an_objective() {
    for text in [FULL, QUICKSTART] {
        let options =
            LoadOptions { until: Some(ecsim::engine::time::SimDuration::from_secs(7200)), ..LoadOptions::default() };
        let scenario =
            load_str("file.yaml", text, &options).unwrap_or_else(|refused| panic!("{}", refused.render(false)));
        let mut recorder = Recorder::new(&scenario.estate);
        run(&scenario.estate, RunOptions::default(), &mut recorder, |_| {});
        let summary = recorder.into_summary(None).unwrap();
        let (head, _) = text.split_once("\nslo:").unwrap();
        let objectives: String =
            summary.iter().map(|(key, ..)| format!("  - {{metric: \"{key}\", min: 0}}\n")).collect();
        let objectives = format!("{head}\nslo:\n{objectives}");
        assert!(summary.iter().count() > 20);
        accepted(&objectives);
    }
}

#[test]
fn an_objective_on_requests_needs_requests() {
    let found = refused(&format!("{SERVICE}slo: [{{metric: \"service/default/web:latency_p99_s\", max: 1}}]\n"));
    assert_eq!(
        errors(&found),
        ["a run has no `service/default/web:latency_p99_s`: no workload sends requests to this service"]
    );
    accepted(&format!("{SERVICE}slo: [{{metric: \"service/default/web:under_capacity_s\", max: 1}}]\n"));
}

#[rstest]
#[case("")]
#[case("# nothing\n")]
#[case("name: x\nduration: 1h\nservices:\n")]
fn a_scenario_in_which_nothing_runs_is_suspicious(#[case] text: &str) {
    let found = accepted(text).warnings;
    assert_eq!(found.findings()[0].code, code::SUSPICIOUS);
    assert!(found.render(false).contains("nothing runs in this scenario"), "{found}");
}

#[test]
fn a_long_line_is_not_shown_whole() {
    let workloads: Vec<String> = (0..400)
        .map(|n| format!("{{\"name\": \"w{n}\", \"utilization\": {{\"service\": \"web\", \"cpuu\": 1}}}}"))
        .collect();
    let text = format!("{{\"workloads\": [{}]}}", workloads.join(","));
    let found = refused(&text);
    assert_eq!(found.findings().len(), 1200);
    let shown = found.render(false);
    assert!(shown.lines().all(|line| line.chars().count() < 200), "no line is long");
    // Where it is in the whole text is still said.
    let last = found.findings().iter().rfind(|finding| finding.code == code::UNKNOWN_KEY).unwrap();
    assert_eq!(last.column, text.rfind("\"cpuu\"").unwrap() + 1);
    assert!(shown.contains(&format!("[file.yaml:1:{}]", last.column)));
}

#[test]
fn optimistic_assumptions_are_named() {
    let group = |keys: &str| {
        format!("{SERVICE}autoScalingGroups: [{{AutoScalingGroupName: g, MinSize: 0, MaxSize: 1, {keys}}}]\n")
    };
    let said = |text: &str, part: &str| warnings(text).iter().filter(|warning| warning.contains(part)).count();
    assert_eq!(warnings(&group("InstanceType: m5.large")), [""; 0]);
    assert_eq!(said(&group("InstanceType: t4g.small"), "CPU credits are not modelled"), 1);
    let mixed = "InstanceType: m5.large, MixedInstancesPolicy: {InstancesDistribution: {OnDemandPercentageAboveBaseCapacity: 50}}";
    assert_eq!(said(&group(mixed), "nothing takes Spot Instances back"), 1);
    let spot = SERVICE
        .replace("launchType: FARGATE", "capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT, weight: 1}]");
    assert_eq!(said(&spot, "nothing takes tasks on Fargate Spot back"), 1);
}

#[test]
fn a_service_needs_no_cluster_when_one_cluster_has_it() {
    let text = |services: &str, named: &str| {
        format!(
            "clusters: [{{clusterName: shop}}, {{clusterName: blog}}]\n\
             taskDefinitions: [{{family: web, containerDefinitions: [{{name: app, memory: 64}}]}}]\n\
             services:\n{services}workloads: [{{name: w, utilization: {{service: {named}, cpu: 1}}}}]\n"
        )
    };
    let service = |cluster: &str| {
        format!(
            "  - {{serviceName: web, cluster: {cluster}, taskDefinition: web, desiredCount: 1, launchType: FARGATE}}\n"
        )
    };
    let (shop, blog, default) = (service("shop"), service("blog"), service("default"));
    let of = |text: &str| match &accepted(text).estate.workloads[0].demand {
        Demand::Utilization { service, .. } => service.clone(),
        other => panic!("{other:?}"),
    };
    let arn = "'arn:aws:ecs:us-east-1:123456789012:service/shop/web'";
    for named in ["web", "shop/web", "service/shop/web", arn] {
        assert_eq!(of(&text(&shop, named)), ("shop".to_owned(), "web".to_owned()), "{named}");
    }
    assert_eq!(of(&text(&(shop.clone() + &default), "web")).0, "default");
    let found = refused(&text(&(shop + &blog), "web"));
    assert_eq!(errors(&found), ["more than one cluster has a service `web`: which is meant?"]);
    assert_eq!(found.findings()[0].hint.as_deref(), Some("shop/web or blog/web"));
}

#[test]
fn managed_scaling_works_whatever_its_period() {
    for period in [7, 30, 45, 60, 90, 120] {
        let log = run_text(&format!(
            "duration: 30m\nclusters: [{{clusterName: default, capacityProviders: [cp]}}]\n\
             autoScalingGroups: [{{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 4}}]\n\
             capacityProviders: [{{name: cp, autoScalingGroupProvider: {{autoScalingGroupArn: g, managedScaling: {{status: ENABLED}}}}}}]\n\
             taskDefinitions: [{{family: t, containerDefinitions: [{{name: a, cpu: 1024, memory: 64}}]}}]\n\
             services: [{{serviceName: s, taskDefinition: t, desiredCount: 4, capacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}]}}]\n\
             behaviour: {{alarm_eval_phase: aligned, cas_period_s: {period}}}\n"
        ));
        assert_eq!(log.level_at("service/default/s", "RunningCount", 1800.0), 4.0, "cas_period_s: {period}");
    }
}

#[test]
fn a_file_laid_over_a_scenario_changes_it_and_a_family_without_containers_is_no_new_revision() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let base = file(
        "base.yaml",
        "name: base\ntaskDefinitions:\n  - {family: web, containerDefinitions: [{name: app, memory: 64}]}\n  \
         - {family: web, containerDefinitions: [{name: app, memory: 128}]}\nseed: 1\n",
    );
    let first = file("first.yaml", "seed: 2\ntaskDefinitions: [{family: web, behaviour: {startup: 7s}}]\n");
    let second = file("second.yaml", "seed: 3\n");
    let with = |with: &[&std::path::PathBuf]| LoadOptions {
        with: with.iter().map(|path| (*path).clone()).collect(),
        ..LoadOptions::default()
    };
    let changed = ecsim::scenario::load(&base, &with(&[&first, &second])).unwrap();
    let definitions = &changed.estate.task_definitions;
    assert_eq!((changed.estate.seed, definitions.len()), (3, 2));
    let startups: Vec<bool> = definitions.iter().map(|entry| entry.behaviours[0].startup.is_some()).collect();
    assert_eq!(startups, [false, true], "the newest is changed");
    let plain = ecsim::scenario::load(&base, &LoadOptions::default()).unwrap();
    assert_ne!(plain.hash, changed.hash);
    let missing = folder.path().join("missing.yaml");
    let refused = ecsim::scenario::load(&base, &with(&[&missing])).unwrap_err().render(false);
    assert!(refused.contains("missing.yaml"), "{refused}");
}
