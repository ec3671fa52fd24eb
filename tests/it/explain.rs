//! The story of a run: `ecsim explain` on what `ecsim run` wrote.

use crate::finished::Run;

/// Two tasks at 90 % of their CPU from the tenth minute on, on hosts that hold two each: one target tracking policy, one
/// capacity provider.
const SCENARIO: &str = "
name: story
duration: 2h
autoScalingGroups: [{AutoScalingGroupName: hosts, InstanceType: m5.large, MinSize: 1, MaxSize: 4}]
capacityProviders:
  - {name: cp, autoScalingGroupProvider: {autoScalingGroupArn: hosts, managedScaling: {status: ENABLED}}}
clusters: [{clusterName: default, capacityProviders: [cp]}]
taskDefinitions:
  - {family: web, cpu: '1024', memory: '1024', containerDefinitions: [{name: app, image: app, cpu: 1024, memory: 1024}]}
services:
  - {serviceName: web, taskDefinition: web, desiredCount: 2, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}
scalableTargets: [{ResourceId: service/default/web, MinCapacity: 1, MaxCapacity: 3}]
scalingPolicies:
  - {PolicyName: cpu, ResourceId: service/default/web, PolicyType: TargetTrackingScaling,
     TargetTrackingScalingPolicyConfiguration:
       {TargetValue: 60, PredefinedMetricSpecification: {PredefinedMetricType: ECSServiceAverageCPUUtilization}}}
workloads:
  - {name: load, utilization: {service: web, cpu: {steps: [[0s, 1.0], [10m, 1.8], [40m, 0.3]]}}}
delays: {preset: constant}
behaviour: {alarm_eval_phase: aligned}
";

#[test]
fn a_service_tells_what_was_seen_what_was_computed_and_what_came_of_it() {
    let story = Run::new(SCENARIO, &[]).explain(&["--subject", "web"]);
    let first = story.split("\n\n").nth(1).expect("a first chapter");
    for told in [
        "2 → 3 tasks: scaled out  [TT-10]",
        "AlarmHigh",
        "(threshold 60): 90 at 00:10:00, 90 at 00:11:00, 90 at 00:12:00",
        "policy cpu (target-tracking, target 60)",
        "ceil(2 x 90.00 / 60) = 3, within 1 to 3",
        "1 task started: 1 of them waited up to 2m 10s for room; all RUNNING at 00:17:13",
        "TT-10: ",
    ] {
        assert!(first.contains(told), "{told}: {story}");
    }
    assert!(story.contains("stayed at 3 tasks: already at maximum capacity  [TT-15]"), "{story}");
    assert!(story.contains("15 datapoints of") && story.contains("2 tasks told to stop"), "{story}");
}

#[test]
fn a_provider_tells_how_many_hosts_were_needed_and_which_came() {
    let story = Run::new(SCENARIO, &[]).explain(&["--subject", "capacity-provider/cp"]);
    assert!(story.contains("CapacityProviderReservation 200 = 100 x 2 hosts needed / 1 there"), "{story}");
    assert!(story.contains("1 → 2 hosts: scaled out  [CAS-24]"), "{story}");
    assert!(story.contains("1 host launched: i-") && story.contains("all registered by"), "{story}");
    assert!(story.contains("2 → 1 hosts: scaled in  [CAS-28]"), "{story}");
}

#[test]
fn a_moment_shows_the_last_change_and_the_next_one() {
    let run = Run::new(SCENARIO, &[]);
    let story = run.explain(&["--subject", "web", "--at", "30m"]);
    assert!(story.contains("At 00:30:00 it wanted 3 tasks, since 00:1"), "{story}");
    assert!(
        story.contains("AlarmHigh-") && story.contains("was OK since") && story.contains("the next change came at"),
        "{story}"
    );
    assert!(!story.contains("scaled in  ["), "what comes later is not told: {story}");
    let last = run.explain(&["--subject", "web", "--last"]);
    assert_eq!(last.matches("  [").count(), 1, "{last}");
}

#[test]
fn hosts_and_tasks_have_lives_of_their_own() {
    let run = Run::new(SCENARIO, &[]);
    let column = |file: &str, place: usize| -> Vec<String> {
        let text = std::fs::read_to_string(run.path().join("out").join(file)).expect("it is written");
        text.lines().skip(1).map(|line| line.split(',').nth(place).unwrap_or_default().to_owned()).collect()
    };
    let host = run.explain(&["--subject", &column("instances.csv", 0)[1]]);
    assert!(host.contains("launched in us-east-1") && host.contains("[ASG-2]"), "{host}");
    assert!(
        host.contains("DRAINING: 1 task to leave it") && host.contains("chosen to go: scale-in  [ASG-4]"),
        "{host}"
    );
    let task = run.explain(&["--subject", &column("tasks.csv", 0)[0][..8]]);
    assert!(task.contains("created by service:web") && task.contains("RUNNING"), "{task}");
}

#[test]
fn the_overview_counts_and_the_machine_gets_json() {
    let run = Run::new(SCENARIO, &[]);
    let overview = run.explain(&[]);
    assert!(overview.contains("service/default/web") && overview.contains("--subject"), "{overview}");
    let json: serde_json::Value =
        serde_json::from_str(&run.explain(&["--subject", "service/default/web", "--json"])).expect("JSON");
    assert_eq!(json["chapters"][0]["rule"], "TT-10");
    assert_eq!(json["chapters"][0]["time_s"].as_f64().map(|time| time < 1200.0), Some(true));
}

#[test]
fn who_asks_for_something_unknown_learns_what_there_is() {
    let run = Run::new(SCENARIO, &[]);
    let refusal = run.refusal(&["--subject", "wbe"]);
    assert!(refusal.contains("`wbe`") && refusal.contains("service/default/web"), "{refusal}");
    let summary = Run::new(SCENARIO, &["--detail", "summary"]).refusal(&["--subject", "web"]);
    assert!(summary.contains("--detail full"), "{summary}");
    let nowhere = run.ecsim(&["explain", "nowhere"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("no output folder"));
}
