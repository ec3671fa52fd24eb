//! Rules that a scenario of a few lines shows.

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// A definition for Fargate, and what else there is.
fn fargate(rest: &str) -> String {
    format!(
        "
name: plain
duration: 30m
taskDefinitions:
  - {{family: web, requiresCompatibilities: [FARGATE], networkMode: awsvpc, cpu: '256', memory: '512',
     containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}]}}]}}
{rest}"
    )
}

const SERVICE: &str = "services:\n  - {serviceName: web, taskDefinition: web, desiredCount: 2, launchType: FARGATE, \
                       networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}KEYS}\n";

fn served(keys: &str, rest: &str) -> Log {
    run_text(&fargate(&format!("{}{rest}", SERVICE.replace("KEYS", keys))))
}

/// What is wrong with a scenario.
fn refused(text: &str) -> String {
    load_str("plain.yaml", text, &LoadOptions::default()).map_or_else(|found| found.render(false), |_| String::new())
}

#[test]
fn albm_2_an_idle_target_group_has_zeros() {
    let balancer = ", loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}]";
    let log = served(balancer, "targetGroups: [{Name: tg, loadBalancer: front, TargetType: ip}]\n");
    for metric in ["RequestCount", "RequestCountPerTarget"] {
        let zeros = log.metric("target-group/tg", metric);
        assert!(zeros.len() >= 25 && zeros.iter().all(|(_, value)| *value == 0.0), "{metric}: {zeros:?}");
    }
}

#[test]
fn leg_3_and_cp_13_without_hosts_nothing_is_reserved() {
    let log = served("", "");
    assert_eq!(log.metric("cluster/default", "CPUReservation"), []);
    let of_providers = log.datapoints.iter().filter(|(_, _, metric, _)| *metric == "CapacityProviderReservation");
    assert_eq!(of_providers.count(), 0, "FARGATE has neither hosts nor managed scaling");
}

#[test]
fn c_6_another_provider_strategy_is_no_deployment() {
    let strategy =
        SERVICE.replace("launchType: FARGATE", "capacityProviderStrategy: [{capacityProvider: FARGATE, weight: 1}]");
    let update = |more: &str| {
        let call = format!(
            "actions: [{{at: 10m, call: 'ecs:UpdateService', with: {{service: web{more}, \
             capacityProviderStrategy: [{{capacityProvider: FARGATE_SPOT, weight: 1}}]}}}}]\n"
        );
        run_text(&fargate(&format!("{}{call}", strategy.replace("KEYS", ""))))
            .events("SERVICE_DEPLOYMENT_IN_PROGRESS")
            .len()
    };
    assert_eq!((update(""), update(", forceNewDeployment: true")), (1, 2));
}

#[test]
fn svc_1_a_replica_service_needs_a_desired_count() {
    let without = SERVICE.replace("KEYS", "").replace(" desiredCount: 2,", "");
    assert!(refused(&fargate(&without)).contains("SVC-1"));
    let negative = SERVICE.replace("KEYS", "").replace("desiredCount: 2", "desiredCount: -1");
    assert!(refused(&fargate(&negative)).contains("desiredCount"));
    let none = SERVICE.replace("KEYS", "").replace("desiredCount: 2", "desiredCount: 0");
    assert_eq!(refused(&fargate(&none)), "");
}

#[test]
fn place_4_five_strategies_and_ten_constraints_at_most() {
    let service = |strategies: usize, constraints: usize| {
        let strategy = vec!["{type: binpack, field: cpu}"; strategies].join(", ");
        let constraint = vec!["{type: distinctInstance}"; constraints].join(", ");
        let keys = format!(", placementStrategy: [{strategy}], placementConstraints: [{constraint}]");
        let on_hosts = fargate(&SERVICE.replace("KEYS", &keys))
            .replace("requiresCompatibilities: [FARGATE], networkMode: awsvpc, ", "networkMode: bridge, ")
            .replace(
                "launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}",
                "launchType: EC2",
            );
        refused(&on_hosts)
    };
    assert!(!service(5, 10).contains("PLACE-4"));
    assert!(service(6, 0).contains("PLACE-4") && service(0, 11).contains("PLACE-4"));
}

#[test]
fn td_16_links_are_of_bridge_mode() {
    let linked = |mode: &str| {
        refused(&format!(
            "name: plain\nduration: 1h\nautoScalingGroups: [{{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, \
             MaxSize: 1}}]\ntaskDefinitions:\n  - {{family: t, networkMode: {mode}, containerDefinitions: [{{name: a, image: a, \
             memory: 64, links: [b]}}, {{name: b, image: b, memory: 64}}]}}\n"
        ))
    };
    assert!(!linked("bridge").contains("TD-16") && linked("host").contains("TD-16"), "{}", linked("host"));
}

#[test]
fn td_7_containers_have_no_more_memory_than_their_task() {
    let with = |keys: &str| {
        refused(&fargate(&SERVICE.replace("KEYS", "")).replace("image: app,", &format!("image: app, {keys},")))
    };
    assert_eq!((with("memory: 512"), with("memoryReservation: 512")), (String::new(), String::new()));
    for more in ["memory: 513", "memoryReservation: 513"] {
        let told = with(more);
        assert!(told.contains("its containers ask for 513 MiB, the task has 512"), "{told}");
    }
}

/// One host, and tasks that are run on it.
fn on_host(keys: &str, rest: &str) -> Log {
    run_text(&format!(
        "
name: plain
duration: 30m
autoScalingGroups: [{{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, AvailabilityZones: [us-east-1a]}}]
taskDefinitions:
  - {{family: t, containerDefinitions: [{{name: app, image: app, memory: 64{keys}}}]}}
{rest}"
    ))
}

#[test]
fn task_7_images_are_pulled_while_a_task_is_pending() {
    let log = on_host(
        "",
        "actions: [{at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t}}]\n\
         delays: {preset: constant, imagePull: 50s, taskStart: 2s}\n",
    );
    let [pending, running] = ["PENDING", "RUNNING"].map(|status| log.times("family:t", status)[0]);
    assert_eq!((pending, running), (600.0, 652.0));
}

#[test]
fn ex_td_10_revisions_are_never_used_again() {
    let register = "{family: t, containerDefinitions: [{name: app, image: app, memory: 64}]}";
    let run = |at: u32| format!("  - {{at: {at}m, call: 'ecs:RunTask', with: {{taskDefinition: t}}}}\n");
    let call = |at: u32, name: &str, with: &str| format!("  - {{at: {at}m, call: 'ecs:{name}', with: {with}}}\n");
    let log = on_host(
        "",
        &format!(
            "actions:\n{}{}{}{}{}{}",
            call(5, "RegisterTaskDefinition", register),
            call(6, "RegisterTaskDefinition", register),
            call(7, "DeregisterTaskDefinition", "{taskDefinition: 't:3'}"),
            run(10),
            call(11, "RegisterTaskDefinition", register),
            run(12)
        ),
    );
    assert_eq!(log.revisions.values().collect::<Vec<_>>(), ["t:2", "t:4"]);
}

#[test]
fn ecsm_13_what_reserves_no_cpu_has_no_utilisation_of_it() {
    let service = "services: [{serviceName: t, taskDefinition: t, desiredCount: 1, launchType: EC2}]\n\
                   workloads: [{name: load, utilization: {service: t, cpu: 0.5, memory: 32}}]\n";
    let points = |log: &Log, metric: &str| log.metric("service/default/t", metric).len();
    let without = on_host("", service);
    assert_eq!(points(&without, "CPUUtilization"), 0);
    assert!(points(&without, "MemoryUtilization") > 20);
    assert!(points(&on_host(", cpu: 256", service), "CPUUtilization") > 20);
}

#[test]
fn ex_cw_1_ten_tasks_on_two_hosts() {
    let group = |name: &str, cpu: u32, memory: u32| {
        format!(
            "  - {{AutoScalingGroupName: {name}, InstanceType: m5.large, MinSize: 1, MaxSize: 1, AvailabilityZones: [us-east-1a], \
             registeredResources: {{cpu: {cpu}, memory: {memory}}}}}\n"
        )
    };
    let log = run_text(&format!(
        "name: plain\nduration: 30m\nautoScalingGroups:\n{}{}taskDefinitions:\n  - {{family: t, containerDefinitions: \
         [{{name: app, image: app, cpu: 1024, memory: 2048}}]}}\n\
         actions: [{{at: 10m, call: 'ecs:RunTask', with: {{taskDefinition: t, count: 10}}}}]\n",
        group("large", 16_384, 30_158),
        group("small", 2048, 3768)
    ));
    let last = |metric: &str| log.metric("cluster/default", metric).last().unwrap().1;
    let tenths = |metric: &str| (10.0 * last(metric)).round() / 10.0;
    assert_eq!((tenths("CPUReservation"), tenths("MemoryReservation")), (55.6, 60.4));
}

#[test]
fn what_the_run_does_not_reach_is_told_of() {
    let told = |rest: &str| {
        let text = fargate(&format!("{}{rest}", SERVICE.replace("KEYS", "")));
        load_str("plain.yaml", &text, &LoadOptions::default()).unwrap().warnings.render(false)
    };
    let fault = told("faults: [{at: 2h, fault: taskCrash, with: {service: web}}]\n");
    assert!(fault.contains("the run ends at 30m, before this fault"), "{fault}");
    let rule = |schedule: &str| {
        told(&format!(
            "start: 2026-01-05T00:00:00Z\neventRules: [{{Name: r, ScheduleExpression: '{schedule}', Targets: [{{Id: a, Arn: default, \
             EcsParameters: {{TaskDefinitionArn: web, LaunchType: FARGATE, NetworkConfiguration: {{awsvpcConfiguration: \
             {{Subnets: [us-east-1a]}}}}}}}}]}}]\n"
        ))
    };
    assert!(rule("cron(0 3 * * ? *)").contains("this rule never runs in it"), "{}", rule("cron(0 3 * * ? *)"));
    assert!(!rule("rate(10 minutes)").contains("never runs"));
    let action = |schedule: &str| {
        told(&format!(
            "start: 2026-01-05T00:00:00Z\nscalableTargets: [{{ResourceId: service/default/web, MinCapacity: 1, MaxCapacity: 4}}]\n\
             scheduledActions: [{{ScheduledActionName: s, ResourceId: service/default/web, Schedule: '{schedule}', \
             ScalableTargetAction: {{MinCapacity: 2}}}}]\n"
        ))
    };
    assert!(action("cron(0 3 * * ? *)").contains("this scheduled action never runs in it"));
    assert!(!action("cron(0/5 * * * ? *)").contains("never runs"));
    let patient =
        told("workloads: [{name: load, requests: {service: web, rate: 1, cpuPerRequest: 3s, timeout: 2s}}]\n");
    assert!(
        patient.contains("a request takes 3 s of CPU in the mean") && patient.contains("cpuPerRequest: 3s"),
        "{patient}"
    );
}

#[test]
fn services_are_listed_without_a_status() {
    let list = |call: &str| {
        refused(&fargate(&format!(
            "{}actions: [{{at: 1m, call: 'ecs:{call}', with: {{status: ACTIVE}}}}]\n",
            SERVICE.replace("KEYS", "")
        )))
    };
    assert!(list("ListServices").contains("status"), "{}", list("ListServices"));
    assert_eq!(list("ListContainerInstances"), "");
}
