//! Laws that hold in every estate, shown on small random ones.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::lab::{Log, run_text};

/// A group with a capacity provider.
#[derive(Clone, Debug)]
struct Group {
    size: u32,
    target: u32,
    protected: bool,
    draining: bool,
    zones: usize,
}

/// What the operator does to the service or the groups.
#[derive(Clone, Debug)]
enum Act {
    RunTask { provider: usize, count: u32, family: usize },
    SetDesiredCount(u32),
    Redeploy,
    SetDesiredCapacity { group: usize, size: u32 },
    Terminate(u32),
    Drain(u32),
}

const MAX_SIZE: u32 = 6;
/// What tasks with an ENI of their own need (NET-4).
const SUBNETS: &str = ", networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a, us-east-1b, us-east-1c]}}";
const FAMILIES: [&str; 3] = ["small", "large", "port"];

fn group() -> impl Strategy<Value = Group> {
    (0..=3u32, 50..=100u32, any::<bool>(), any::<bool>(), 1..=3usize)
        .prop_map(|(size, target, protected, draining, zones)| Group { size, target, protected, draining, zones })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..2usize, 1..=6u32, 0..3usize)
            .prop_map(|(provider, count, family)| Act::RunTask { provider, count, family }),
        2 => (0..=12u32).prop_map(Act::SetDesiredCount),
        1 => Just(Act::Redeploy),
        1 => (0..2usize, 0..=MAX_SIZE).prop_map(|(group, size)| Act::SetDesiredCapacity { group, size }),
        1 => (0..6u32).prop_map(Act::Terminate),
        1 => (0..6u32).prop_map(Act::Drain),
    ]
}

/// The scenario as a user would write it; names that do not exist are refused by the run.
fn scenario(seed: u64, groups: &[Group], acts: &[(u32, Act)], (desired, calls): (u32, u32), preset: &str) -> String {
    let mut text = format!("name: random\nduration: 2h\nseed: {seed}\ndelays: {{preset: {preset}}}\n");
    let names: Vec<String> = (0..groups.len()).map(|place| format!("cp{place}")).collect();
    text.push_str(&format!("clusters:\n  - {{clusterName: c, capacityProviders: [{}]}}\n", names.join(", ")));
    text.push_str("autoScalingGroups:\n");
    for (place, group) in groups.iter().enumerate() {
        let zones = ["us-east-1a", "us-east-1b", "us-east-1c"][..group.zones].join(", ");
        text.push_str(&format!(
            "  - {{AutoScalingGroupName: g{place}, InstanceType: m5.large, MinSize: 0, MaxSize: {MAX_SIZE}, \
             DesiredCapacity: {}, AvailabilityZones: [{zones}], NewInstancesProtectedFromScaleIn: {}}}\n",
            group.size, group.protected
        ));
    }
    text.push_str("capacityProviders:\n");
    for (place, group) in groups.iter().enumerate() {
        let word = |on| if on { "ENABLED" } else { "DISABLED" };
        text.push_str(&format!(
            "  - {{name: cp{place}, autoScalingGroupProvider: {{autoScalingGroupArn: g{place}, managedDraining: {}, \
             managedTerminationProtection: {}, managedScaling: {{status: ENABLED, targetCapacity: {}}}}}}}\n",
            word(group.draining),
            word(group.protected),
            group.target
        ));
    }
    text.push_str(
        "taskDefinitions:\n\
         \x20 - {family: small, networkMode: bridge, behaviour: {runsFor: {exponential: {mean: 8m}}, \
         cpu: {uniform: {min: 0, max: 4}}}, \
         containerDefinitions: [{name: app, image: app, cpu: 256, memory: 512}]}\n\
         \x20 - {family: large, networkMode: awsvpc, behaviour: {runsFor: {uniform: {min: 1m, max: 30m}}}, \
         containerDefinitions: [{name: app, image: app, cpu: 2048, memory: 2048}]}\n\
         \x20 - {family: port, networkMode: bridge, behaviour: {runsFor: 5m}, \
         containerDefinitions: [{name: app, image: app, cpu: 128, memory: 128, portMappings: [{containerPort: 80, hostPort: 8080}]}]}\n\
         \x20 - {family: web, networkMode: bridge, containerDefinitions: [{name: app, image: app, cpu: 512, memory: 900}]}\n",
    );
    let items: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(place, name)| format!("{{capacityProvider: {name}, weight: {}}}", place + 1))
        .collect();
    text.push_str(&format!(
        "services:\n  - {{serviceName: web, cluster: c, taskDefinition: web, desiredCount: {desired}, \
         capacityProviderStrategy: [{}]}}\nactions:\n",
        items.join(", ")
    ));
    if calls > 0 {
        let load = format!("requests: {{service: c/web, rate: {calls}, cpuPerRequest: 10ms}}");
        text = text.replace("actions:\n", &format!("workloads: [{{name: calls, {load}}}]\nactions:\n"));
    }
    for (at, act) in acts {
        let (call, with) = match act {
            Act::RunTask { provider, count, family } => (
                "ecs:RunTask",
                format!(
                    "cluster: c, taskDefinition: {}, count: {count}, capacityProviderStrategy: \
                     [{{capacityProvider: cp{}, weight: 1}}]{}",
                    FAMILIES[*family],
                    provider % groups.len(),
                    if FAMILIES[*family] == "large" { SUBNETS } else { "" }
                ),
            ),
            Act::SetDesiredCount(count) => {
                ("ecs:UpdateService", format!("cluster: c, service: web, desiredCount: {count}"))
            }
            Act::Redeploy => ("ecs:UpdateService", "cluster: c, service: web, forceNewDeployment: true".to_owned()),
            Act::SetDesiredCapacity { group, size } => (
                "autoscaling:SetDesiredCapacity",
                format!("AutoScalingGroupName: g{}, DesiredCapacity: {size}", group % groups.len()),
            ),
            Act::Terminate(host) => (
                "autoscaling:TerminateInstanceInAutoScalingGroup",
                format!("InstanceId: '#{host}', ShouldDecrementDesiredCapacity: false"),
            ),
            Act::Drain(host) => (
                "ecs:UpdateContainerInstancesState",
                format!("cluster: c, containerInstances: ['#{host}'], status: DRAINING"),
            ),
        };
        text.push_str(&format!("  - {{at: {at}s, call: '{call}', with: {{{with}}}}}\n"));
    }
    text
}

/// Every task moves forward only, and has a stop code exactly when it has been told to stop.
fn check_tasks(log: &Log) {
    const ORDER: [&str; 8] =
        ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"];
    let numbers: BTreeSet<u64> = log.tasks.iter().map(|(_, number, ..)| *number).collect();
    for number in numbers {
        let statuses = log.statuses(number);
        let places: Vec<usize> =
            statuses.iter().filter_map(|status| ORDER.iter().position(|known| known == status)).collect();
        assert_eq!(places.len(), statuses.len(), "task {number}: {statuses:?}");
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "task {number}: {statuses:?}");
        if statuses.last() == Some(&"STOPPED") {
            let (code, reason) = &log.stops[&number];
            assert!(!code.is_empty() && !reason.is_empty(), "task {number} stopped without a reason");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// The books balance after every event (`run_text` is paranoid), the same scenario gives the same log, groups stay
    /// within their sizes, no cluster uses more CPU than it has, and tasks go one way.
    #[test]
    fn random_estates_keep_their_books_and_repeat_themselves(
        seed in 0..1000u64,
        groups in prop::collection::vec(group(), 1..=2),
        acts in prop::collection::vec((0..6600u32, act()), 0..14),
        desired in 0..=6u32,
        calls in prop_oneof![2 => Just(0u32), 1 => 1..600u32],
        realistic in any::<bool>(),
    ) {
        let preset = if realistic { "realistic" } else { "constant" };
        let text = scenario(seed, &groups, &acts, (desired, calls), preset);
        let log = run_text(&text);
        check_tasks(&log);
        for place in 0..groups.len() {
            let sizes = log.level(&format!("asg/g{place}"), "GroupDesiredCapacity");
            prop_assert!(sizes.iter().all(|(_, size)| *size <= f64::from(MAX_SIZE)), "{sizes:?}");
        }
        let busy = log.metric("cluster/c", "CPUUtilization");
        prop_assert!(busy.iter().all(|(_, percent)| (0.0..=100.0 + 1e-9).contains(percent)), "{busy:?}");
        prop_assert!(log == run_text(&text), "two runs of one scenario differ:\n{text}");
    }
}
