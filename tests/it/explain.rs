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
    let first = story.split("\n\n").find(|told| told.contains("scaled out")).expect("a chapter of it");
    for told in [
        "2 → 3 tasks: scaled out  [TT-10]",
        "AlarmHigh",
        ", above 60 in 3 of 3 periods of 1m, saw 90 at 00:10:00, 90 at 00:11:00, 90 at 00:12:00",
        "policy cpu (target-tracking, target 60)",
        "ceil(2 x 90.00 / 60) = 3, within 1 to 3",
        "where 2 tasks run, the metric reads 90, the target is 60",
        "1 task started: 1 of them waited up to 2m 10s for room; all RUNNING at 00:17:13",
        "TT-10: ",
    ] {
        assert!(first.contains(told), "{told}: {story}");
    }
    assert!(story.contains("stayed at 3 tasks: already at maximum capacity  [TT-15]"), "{story}");
    assert!(story.contains("15 datapoints of") && story.contains("2 tasks told to stop"), "{story}");
}

#[test]
fn a_run_is_told_at_three_depths() {
    let run = Run::new(SCENARIO, &[]);
    let headline = run.explain(&["--depth", "headline"]);
    for told in ["story ran for 2h and cost $", "It had 2 hosts at most; tasks reserved ", "4 tasks started"] {
        assert!(headline.contains(told), "{told}: {headline}");
    }
    assert!(!headline.contains("00:"), "{headline}");

    let chapters = run.explain(&[]);
    assert!(chapters.starts_with(&headline), "{chapters}");
    let titles: Vec<&str> =
        chapters.lines().filter(|line| line.starts_with("00:") || line.starts_with("01:")).collect();
    let [begin, grow, tasks, hosts] = titles[..] else { panic!("{titles:?}") };
    assert_eq!(begin, "00:00:00 – 00:01:38  the run begins");
    assert_eq!(grow, "00:15:00 – 00:16:15  cp and web grow");
    assert!(tasks.ends_with("  web shrinks") && hosts.ends_with("  cp shrinks"), "{titles:?}");
    for told in [
        "service/default/web: 2 → 3 tasks in 1 step; first at 00:15:00, as its metric",
        "as its metric read 90 and the target is 60: ceil(2 x 90.00 / 60) = 3 [TT-10]",
        "capacity-provider/cp: 1 → 2 hosts in 1 step",
        "1 host launched",
        "1 task became RUNNING, the slowest after 2m ",
        "ServiceSchedulerInitiated",
        "Ask about one with --subject",
    ] {
        assert!(chapters.contains(told), "{told}: {chapters}");
    }

    // Each decision is told once, and nothing else.
    let told: serde_json::Value = serde_json::from_str(&run.explain(&["--depth", "decisions", "--json"])).unwrap();
    let all: Vec<&serde_json::Value> =
        told["chapters"].as_array().unwrap().iter().flat_map(|one| one["decisions"].as_array().unwrap()).collect();
    assert_eq!(all.len(), std::fs::read_to_string(run.path().join("out/decisions.jsonl")).unwrap().lines().count());
    assert!(all.iter().any(|line| line.as_str().unwrap().contains(" placement place ")), "{all:?}");
    assert_eq!(run.ecsim(&["explain", "out", "--depth", "headline", "--subject", "web"]).status.code(), Some(2));
}

#[test]
fn a_comparison_is_explained_by_variant_and_a_warm_up_is_named() {
    let variants =
        "variants: {small: {set: {services.web.desiredCount: 1}}, large: {set: {services.web.desiredCount: 3}}}\n";
    let run = Run::new(&format!("{SCENARIO}{variants}warmup: 20m\n"), &["--until", "30m"]);
    assert!(run.explain(&["--depth", "headline"]).contains("leave out the first 20m, the warm-up"));
    let compared =
        run.ecsim(&["compare", "story.yaml", "--out", "both", "--quiet", "--until", "30m", "--replications", "2"]);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    let told = run.ecsim(&["explain", "both"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("holds a comparison: name the folder of one of its variants, for example `both/"), "{told}");
}

#[test]
fn a_service_tells_who_stood_in_the_way_and_what_a_schedule_did() {
    let schedule = "scheduledActions:
  - {ScheduledActionName: noon, ResourceId: service/default/web, Schedule: 'at(2026-01-05T01:30:00)',
     ScalableTargetAction: {MinCapacity: 2}}
";
    let story = Run::new(&format!("{SCENARIO}{schedule}"), &[]).explain(&["--subject", "web"]);
    for told in [
        "bounds 1 to 3 → 2 to 3 tasks  [SCH-2]",
        "scheduled action noon: ",
        "→ 2 tasks: scaled out  [SCH-2]",
        "into the bounds 2 to 3",
        "stayed at 3 tasks: already at maximum capacity  [TT-15]",
    ] {
        assert!(story.contains(told), "{told}: {story}");
    }
    assert!(!story.contains("set-bounds"), "{story}");
    let two = include_str!("../../scenarios/two-policies-disagree.yaml");
    let story = Run::new(two, &["--until", "5h"]).explain(&["--subject", "web"]);
    for told in [
        ": another target tracking policy is not ready to scale in  [TT-25]",
        "not ready: policy requests-1200: its alarm TargetTracking-service/default/web-AlarmLow-",
        " is OK",
        "ceil(11 x 8",
        "tasks run, the metric reads",
    ] {
        assert!(story.contains(told), "{told}: {story}");
    }
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
    let chapters = json["chapters"].as_array().expect("chapters");
    let scaled = chapters.iter().find(|chapter| chapter["rule"] == "TT-10").expect("it was scaled out");
    assert_eq!(scaled["time_s"].as_f64().map(|time| time < 1200.0), Some(true));
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

/// A new revision of four tasks between 50 and 100 %, then one that never starts; a job that needs a host of its own.
const ROLLS: &str = "
name: rolls
duration: 1h
capacityProviders:
  - {name: cp, autoScalingGroupProvider: {autoScalingGroupArn: hosts, managedScaling: {status: ENABLED}}}
clusters: [{clusterName: default, capacityProviders: [cp]}]
autoScalingGroups:
  - {AutoScalingGroupName: hosts, InstanceType: m5.large, MinSize: 2, MaxSize: 4, DesiredCapacity: 2,
     AvailabilityZones: [us-east-1a]}
targetGroups: [{Name: tg, HealthCheckIntervalSeconds: 5, Attributes: [{Key: deregistration_delay.timeout_seconds, Value: '0'}]}]
taskDefinitions:
  - {family: web, containerDefinitions: [{name: app, image: app, cpu: 512, memory: 512, portMappings: [{containerPort: 80}]}]}
  - {family: bad, containerDefinitions: [{name: app, image: bad, cpu: 512, memory: 512, portMappings: [{containerPort: 80}]}],
     behaviour: {runsFor: 0s, exitCode: 1}}
  - {family: job, containerDefinitions: [{name: app, image: job, cpu: 2048, memory: 512}]}
services:
  - {serviceName: web, taskDefinition: web, desiredCount: 4,
     capacityProviderStrategy: [{capacityProvider: cp, weight: 1}],
     loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}],
     deploymentConfiguration: {minimumHealthyPercent: 50, maximumPercent: 100,
       deploymentCircuitBreaker: {enable: true, rollback: true}}}
actions:
  - {at: 10m, call: 'ecs:UpdateService', with: {service: web, forceNewDeployment: true}}
  - {at: 20m, call: 'ecs:UpdateService', with: {service: web, taskDefinition: bad}}
  - {at: 40m, call: 'ecs:RunTask', with: {taskDefinition: job, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}}
delays: {preset: constant}
";

#[test]
fn a_deployment_is_a_table_of_batches_with_what_held_them() {
    let run = Run::new(ROLLS, &[]);
    let story = run.explain(&["--subject", "web"]);
    for told in [
        "of web:1: ",
        "limits: 2 to 4 tasks around 4 wanted",
        "at        started  stopped    new    old  healthy  stopping  held by",
        "00:10:00        0        2      0      4        4         0  4 more may not start: at most 4 at once; 2 old ones stay: at least 2 healthy",
        "circuit breaker: failure 3 of 3 [DEP-12]",
        "DEP-14",
    ] {
        assert!(story.contains(told), "{told}: {story}");
    }
    let json: serde_json::Value = serde_json::from_str(&run.explain(&["--subject", "web", "--json"])).expect("JSON");
    let rows = json["chapters"].as_array().expect("chapters").iter().map(|chapter| &chapter["rows"]);
    let batch =
        rows.filter_map(|rows| rows.get(0)).find(|row| row["time_s"] == 600.0).expect("the batch of 10 minutes");
    assert_eq!((batch["stopped"].as_u64(), batch["upper"].as_u64()), (Some(2), Some(4)));
}

#[test]
fn a_task_says_whom_it_was_compared_with_and_what_each_host_lacked() {
    let run = Run::new(ROLLS, &[]);
    let tasks = run.rows("tasks.csv");
    let task = |group: &str| tasks.iter().find(|row| row["group"] == group).expect("a task")["task"].clone();
    let placed = run.explain(&["--subject", &task("service:web")]);
    for told in ["2 hosts looked at, 2 could take it", "spread(instanceId): 2 left, at 0", "tie: lowest instance id"] {
        assert!(placed.contains(told), "{told}: {placed}");
    }
    let job = task("family:job");
    let waited = run.explain(&["--subject", &job]);
    assert!(waited.contains("waits in PROVISIONING") && waited.contains("it needs 2048 CPU units"), "{waited}");
    assert_eq!(waited.matches(": RESOURCE:CPU (free: 1024 CPU units, ").count(), 2, "{waited}");
    let host = tasks.iter().find(|row| row["task"] == job).expect("it")["instance"].clone();
    let life = run.explain(&["--subject", &host]);
    for told in [
        "tasks that waited for capacity: 1 of family:job (job:1)",
        "without work for",
        "[EC2-20]",
        "ran 1 task of family:job",
    ] {
        assert!(life.contains(told), "{told}: {life}");
    }
}

#[test]
fn a_host_says_why_it_stayed_and_why_it_went() {
    let run = Run::new(SCENARIO, &[]);
    let idle = run.rows("idle.csv");
    let gone = run.rows("instances.csv").into_iter().find(|row| row["reason"] == "scale-in").expect("one goes");
    let waited = idle.iter().find(|row| row["cause"] == "alarm_window").expect("one waits for the low alarm");
    let life = run.explain(&["--subject", &waited["instance"]]);
    assert!(life.contains("the low alarm had not seen its 15 datapoints below the target [CAS-22]"), "{life}");
    let life = run.explain(&["--subject", &gone["instance"]]);
    for told in ["chosen to go: scale-in", "without it the group has", "by policy Default", "1 task still wanted on it"]
    {
        assert!(life.contains(told), "{told}: {life}");
    }
}
