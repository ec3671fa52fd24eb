//! What RegisterTaskDefinition refuses and what a definition asks of its hosts: `spec/tasks-and-services.md`, sections 1
//! and 12.

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// What is wrong with a scenario, in words.
fn refusals(text: &str) -> String {
    match load_str("lab.yaml", text, &LoadOptions::default()) {
        Ok(_) => String::new(),
        Err(diagnostics) => diagnostics.render(false),
    }
}

fn on_fargate(task: &str, container: &str) -> String {
    refusals(&format!(
        "taskDefinitions: [{{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512', \
         {task} containerDefinitions: [{{name: a, image: a, {container}}}]}}]\n"
    ))
}

#[test]
fn td_26_what_fargate_lacks_is_refused() {
    for (task, container, key) in [
        ("", "disableNetworking: true", "disableNetworking"),
        ("", "dnsServers: [10.0.0.2]", "dnsServers"),
        ("", "dnsSearchDomains: [corp]", "dnsSearchDomains"),
        ("", "dockerSecurityOptions: [no-new-privileges]", "dockerSecurityOptions"),
        ("", "extraHosts: [{hostname: a, ipAddress: 10.0.0.1}]", "extraHosts"),
        ("", "links: [b]", "links"),
        ("", "privileged: true", "privileged"),
        ("", "linuxParameters: {maxSwap: 100}", "maxSwap"),
        ("", "linuxParameters: {swappiness: 10}", "swappiness"),
        ("", "linuxParameters: {capabilities: {add: [NET_ADMIN]}}", "SYS_PTRACE"),
        ("", "resourceRequirements: [{type: GPU, value: '1'}]", "GPU"),
        ("", "logConfiguration: {logDriver: journald}", "journald"),
        ("ipcMode: host,", "", "ipcMode"),
        ("pidMode: host,", "", "pidMode"),
    ] {
        let said = on_fargate(task, container);
        assert!(said.contains(key) && said.contains("ClientException"), "{key}: {said}");
    }
    let fine = "linuxParameters: {capabilities: {add: [SYS_PTRACE]}}, logConfiguration: {logDriver: awslogs}";
    assert_eq!(on_fargate("pidMode: task,", fine), "");
}

#[test]
fn td_4_a_definition_has_limits() {
    let of = |rest: &str| {
        refusals(&format!(
            "taskDefinitions: [{{family: t, containerDefinitions: [{{name: a, image: a, memory: 64, {rest}}}]}}]\n"
        ))
    };
    let files = ["{value: 'arn:aws:s3:::b/e', type: s3}"; 11].join(", ");
    assert!(of(&format!("environmentFiles: [{files}]")).contains("at most 10 environment files"));
    let long = format!("environment: [{{name: A, value: {}}}]", "x".repeat(66_000));
    assert!(of(&long).contains("at most 64 KiB of JSON"));
    let silent = format!("behaviour: {{missingSecrets: [{}]}}", "x".repeat(66_000));
    assert!(!of(&silent).contains("64 KiB"), "how a task behaves is none of AWS's");
    // LIM-1: 32 KiB until 2021.
    let half = format!(
        "name: lab\nduration: 1m\nbehaviour: {{quota_set: 2018-01}}\ntaskDefinitions: [{{family: t, containerDefinitions: \
         [{{name: a, image: a, memory: 64, environment: [{{name: A, value: {}}}]}}]}}]\n",
        "x".repeat(40_000)
    );
    assert_eq!(run_text(&half).refused(), [(0.0, "LIM-1")]);
    let overrides = refusals(
        &("taskDefinitions: [{family: t, containerDefinitions: [{name: a, image: a, memory: 64}]}]\n\
           workloads: [{name: w, tasks: {taskDefinition: t, arrivals: {constant: 1/h}, overrides: {taskRoleArn: "
            .to_owned()
            + &"r".repeat(8200)
            + "}}}]\n"),
    );
    assert!(overrides.contains("at most 8192 characters"), "{overrides}");
}

#[test]
fn td_22_ranges_of_ports_have_rules_of_their_own() {
    let of = |mode: &str, mapping: &str| {
        refusals(&format!(
            "taskDefinitions: [{{family: t, networkMode: {mode}, containerDefinitions: [{{name: a, image: a, memory: 64, \
             portMappings: [{{{mapping}}}]}}]}}]\n"
        ))
    };
    assert_eq!(of("bridge", "containerPortRange: 80-85"), "");
    assert!(of("host", "containerPortRange: 80-85").contains("bridge or awsvpc"));
    assert!(of("bridge", "containerPortRange: 85-80").contains("Invalid 'containerPortRange'"));
    assert!(of("bridge", "containerPortRange: 80-85, hostPort: 8080").contains("takes no hostPort"));
}

/// Hosts of these groups, and RunTask calls of definition `t` at 10 min.
fn run_on(groups: &str, definition: &str, calls: usize) -> Log {
    let call = "  - {at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: EC2}}\n".repeat(calls);
    run_text(&format!(
        "
name: lab
duration: 20m
autoScalingGroups:
{groups}
taskDefinitions:
  - {{family: t, {definition}}}
actions:
{call}
"
    ))
}

fn group(name: &str, instance_type: &str, rest: &str) -> String {
    format!(
        "  - {{AutoScalingGroupName: {name}, InstanceType: {instance_type}, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a]{rest}}}\n"
    )
}

#[test]
fn td_25_a_windows_task_runs_on_a_host_of_its_family() {
    let groups = group("linux", "m5.large", "")
        + &group("old", "m5.large", ", operatingSystemFamily: WINDOWS_SERVER_2019_CORE")
        + &group("new", "m5.large", ", operatingSystemFamily: WINDOWS_SERVER_2022_CORE");
    // TD-5: the size of a task is ignored; TD-21: `default` is the mode of Windows.
    let windows = "runtimePlatform: {operatingSystemFamily: WINDOWS_SERVER_2022_CORE}, cpu: '999999', memory: '999999',
     containerDefinitions: [{name: a, image: a, cpu: 256, memory: 256, portMappings: [{containerPort: 80}]}]";
    let log = run_on(&groups, windows, 1);
    assert_eq!(log.hosts(), [2]);
    let unknown = refusals(
        "taskDefinitions: [{family: t, runtimePlatform: {operatingSystemFamily: WINDOWS_95}, \
         containerDefinitions: [{name: a, image: a, memory: 64}]}]\n",
    );
    assert!(unknown.contains("no operating system family"), "{unknown}");
    let host = refusals(
        "taskDefinitions: [{family: t, networkMode: host, runtimePlatform: {operatingSystemFamily: \
         WINDOWS_SERVER_2022_CORE}, containerDefinitions: [{name: a, image: a, memory: 64}]}]\n",
    );
    assert!(host.contains("Windows does not support the network mode 'host'"), "TD-21: {host}");
}

#[test]
fn td_28_a_task_needs_a_host_whose_agent_can_do_what_it_says() {
    let groups = group("old", "m5.large", ", ecsAgentVersion: 1.25.0");
    let ordered = "containerDefinitions: [{name: a, image: a, cpu: 64, memory: 64, stopTimeout: 10}]";
    let log = run_on(&groups, ordered, 1);
    assert!(log.placed.is_empty());
    let (_, reason) = log.reasons("run-task", "refuse")[0];
    assert!(reason.starts_with("ATTRIBUTE on 1"), "{reason}");
    assert_eq!(run_on(&groups, "containerDefinitions: [{name: a, image: a, cpu: 64, memory: 64}]", 1).hosts(), [0]);
}

#[test]
fn td_24_all_takes_every_gpu_of_a_host() {
    let groups = group("g", "g4dn.12xlarge", "");
    let of = |value: &str| {
        format!(
            "containerDefinitions: [{{name: a, image: a, cpu: 64, memory: 64, resourceRequirements: [{{type: GPU, value: {value}}}]}}]"
        )
    };
    let log = run_on(&groups, &of("ALL"), 2);
    assert_eq!(log.hosts(), [0], "the second finds none");
    assert!(log.reasons("run-task", "refuse")[0].1.starts_with("RESOURCE:GPU on 1"));
    assert_eq!(run_on(&groups, &of("'2'"), 3).hosts(), [0, 0], "four GPUs");
}

#[test]
fn td_30_a_missing_secret_fails_the_start_before_any_pull() {
    let groups = group("g", "m5.large", "");
    let secret = "containerDefinitions: [{name: a, image: a, cpu: 64, memory: 64,
     secrets: [{name: DB, valueFrom: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:db'}],
     behaviour: {missingSecrets: [DB], image: {sizeMiB: 500}}}]";
    let log = run_on(&groups, secret, 1);
    assert_eq!(log.statuses(0), ["PENDING", "STOPPED"]);
    let (code, reason) = &log.stops[&0];
    assert_eq!(code, "TaskFailedToStart");
    assert!(reason.starts_with("ResourceInitializationError: unable to pull secrets") && reason.contains("secret:db"));
    assert_eq!(log.times("family:t", "STOPPED"), [600.5], "only the report takes time");
    let unknown = refusals(
        "taskDefinitions: [{family: t, containerDefinitions: [{name: a, image: a, memory: 64, \
         behaviour: {missingSecrets: [DB]}}]}]\n",
    );
    assert!(unknown.contains("no container here has a secret called `DB`"), "{unknown}");
}

#[test]
fn td_30_a_missing_role_fails_the_start_before_any_pull() {
    let groups = group("g", "m5.large", "");
    let of = |missing: &str| {
        format!(
            "taskRoleArn: 'arn:aws:iam::111122223333:role/app', executionRoleArn: 'arn:aws:iam::111122223333:role/pull',
     containerDefinitions: [{{name: a, image: a, cpu: 64, memory: 64,
     behaviour: {{missingRoles: [{missing}], image: {{sizeMiB: 500}}}}}}]"
        )
    };
    for (missing, role) in [("pull", "role/pull"), ("'arn:aws:iam::111122223333:role/app'", "role/app")] {
        let log = run_on(&groups, &of(missing), 1);
        assert_eq!(log.statuses(0), ["PENDING", "STOPPED"]);
        let (code, reason) = &log.stops[&0];
        assert_eq!(code, "TaskFailedToStart");
        assert!(reason.starts_with("ResourceInitializationError: ") && reason.contains(role), "{reason}");
        assert_eq!(log.times("family:t", "STOPPED"), [600.5], "only the report takes time");
    }
    assert_eq!(run_on(&groups, &of(""), 1).statuses(0), ["PENDING", "RUNNING"], "both are there");
    let unknown = refusals(&format!("taskDefinitions: [{{family: t, {}}}]\n", of("pul")));
    assert!(unknown.contains("neither `taskRoleArn` nor `executionRoleArn` is `pul`"), "{unknown}");
}

#[test]
fn lim_1_quotas_of_the_day_hold_for_hosts_and_tasks_on_fargate() {
    let log = run_text(
        "
name: lab
duration: 10m
taskDefinitions:
  - {family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{name: app, image: app}]}
services:
  - {serviceName: web, taskDefinition: t, desiredCount: 25, launchType: FARGATE,
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}
behaviour: {quota_set: 2018-01, alarm_eval_phase: aligned}
",
    );
    assert_eq!(log.level_at("service/default/web", "RunningCount", 590.0), 20.0, "twenty tasks in 2018");
    assert!(log.messages.iter().any(|(_, text)| text.contains("limit on the number of tasks you can run")));
}

#[test]
fn fg_7_an_account_makes_so_many_runtask_calls_on_fargate_a_second() {
    let call = "  - {at: 1m, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: FARGATE,
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}\n";
    let log = run_text(&format!(
        "
name: lab
duration: 2m
taskDefinitions:
  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{{name: app, image: app}}]}}
actions:
{}
",
        call.repeat(25)
    ));
    assert_eq!(log.refused(), [(60.0, "FG-7"); 5], "twenty calls a second");
}

#[test]
fn task_10_failures_are_listed_with_the_instances_that_refused() {
    let groups = group("g", "m5.large", "");
    let definition = "containerDefinitions: [{name: a, image: a, cpu: 64, memory: 3000}]";
    let log = run_on(&groups, definition, 1);
    assert_eq!(log.hosts(), [0]);
    let text = format!(
        "
name: lab
duration: 20m
autoScalingGroups:
{groups}
taskDefinitions:
  - {{family: t, {definition}}}
actions:
  - {{at: 10m, call: 'ecs:RunTask', with: {{taskDefinition: t, launchType: EC2, count: 4}}}}
"
    );
    let log = run_text(&text);
    assert_eq!(log.failures, [(600.0, 2)], "two fit the host");
    let inputs = &log.inputs.iter().find(|(_, actor, _)| actor == "run-task").unwrap().2;
    let list: Vec<(&str, &str)> = inputs["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| (failure["arn"].as_str().unwrap(), failure["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(list.len(), 2, "EX-TASK-2: one for each task and instance");
    assert!(
        list.iter().all(|(arn, reason)| arn.contains(":container-instance/default/") && *reason == "RESOURCE:MEMORY")
    );
}

/// A task with a volume of its own, started at 10 min and stopped an hour later.
fn with_volume(behaviour: &str) -> Log {
    run_text(&format!(
        "
name: lab
duration: 2h
autoScalingGroups:
{}
taskDefinitions:
  - {{family: t, volumes: [{{name: data, configuredAtLaunch: true}}],
     containerDefinitions: [{{name: a, image: a, cpu: 64, memory: 64}}]}}
actions:
  - {{at: 10m, call: 'ecs:RunTask', with: {{taskDefinition: t, launchType: EC2,
     volumeConfigurations: [{{name: data, managedEBSVolume: {{sizeInGiB: 100, volumeType: gp2}}}}]}}}}
behaviour: {{alarm_eval_phase: aligned{behaviour}}}
",
        group("g", "m5.large", "")
    ))
}

#[test]
fn vol_3_a_volume_that_takes_too_long_fails_the_task() {
    assert_eq!(with_volume(", ebs_attach_s: 300").statuses(0), ["PROVISIONING", "PENDING", "RUNNING"]);
    let log = with_volume(", ebs_attach_s: 301");
    assert_eq!(log.statuses(0), ["PROVISIONING", "STOPPED"]);
    assert_eq!(log.stops[&0].1, "Timeout waiting for EBS volume attachment to complete.");
}

#[test]
fn fg_10_a_task_shows_the_platform_it_was_started_on() {
    let run = |version: &str| {
        let log = run_text(&format!(
            "
name: lab
duration: 10m
taskDefinitions:
  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{{name: app, image: app}}]}}
actions:
  - {{at: 1m, call: 'ecs:RunTask', with: {{taskDefinition: t, launchType: FARGATE{version},
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}}}
  - {{at: 5m, call: 'ecs:DescribeTasks', with: {{tasks: ['family:t']}}}}
"
        ));
        log.answers[0].2["tasks"][0]["platformVersion"].as_str().unwrap().to_owned()
    };
    assert_eq!([run(""), run(", platformVersion: 1.3.0")], ["1.4.0", "1.3.0"]);
}

/// A service of two tasks on Fargate, and one task besides, from which AWS takes the platform at ten minutes.
fn retirement(wait: &str, deployment: &str) -> String {
    format!(
        "
name: lab
duration: 30m
taskDefinitions:
  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{{name: app, image: app}}]}}
services:
  - {{serviceName: web, taskDefinition: t, desiredCount: 2, launchType: FARGATE,
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}{deployment}}}
actions:
  - {{at: 1m, call: 'ecs:PutAccountSettingDefault', with: {{name: fargateTaskRetirementWaitPeriod, value: {wait}}}}}
  - {{at: 1m, call: 'ecs:RunTask', with: {{taskDefinition: t, launchType: FARGATE,
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}}}
faults: [{{at: 10m, fault: platformRetirement}}]
delays: {{preset: constant}}
behaviour: {{alarm_eval_phase: aligned}}
"
    )
}

#[test]
fn fg_10_a_service_replaces_the_tasks_of_a_retired_platform_within_its_limits() {
    let log = run_text(&retirement("'0'", ""));
    let stopped = |log: &crate::lab::Log, group: &str| log.times(group, "STOPPED").len();
    assert_eq!([stopped(&log, "service:web"), stopped(&log, "family:t")], [2, 1]);
    let running = |log: &crate::lab::Log, at: f64| log.level_at("service/default/web", "RunningCount", at);
    let least = (600..1800).map(|at| running(&log, f64::from(at)) as u32).min();
    assert_eq!(least, Some(2), "the new ones run before the old ones go");
    assert_eq!(running(&log, 1790.0), 2.0);
    let reasons: Vec<&str> = log.stops.values().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["ECS is performing maintenance on the underlying infrastructure hosting the task"; 3]);
    assert!(log.stops.values().all(|(code, _)| code == "TerminationNotice"), "{:?}", log.stops);
    let stop_first = ", deploymentConfiguration: {maximumPercent: 100, minimumHealthyPercent: 50}";
    let log = run_text(&retirement("'0'", stop_first));
    let least = (600..1800).map(|at| running(&log, f64::from(at)) as u32).min();
    assert_eq!((least, stopped(&log, "service:web")), (Some(1), 2), "one after the other");
}

#[test]
fn fg_10_the_account_says_how_long_aws_waits() {
    let log = run_text(&retirement("'7'", ""));
    assert!(log.stops.is_empty(), "a week has not passed");
    let refused = refusals(&retirement("'3'", ""));
    assert!(refused.contains("`fargateTaskRetirementWaitPeriod` is 0 or 7 or 14, not 3"), "{refused}");
}
