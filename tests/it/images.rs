//! Worked examples of `spec/tasks-and-services.md`, section 10: image pulls, and what else a start waits for.
//!
//! One host, there from 50 s on; a manifest takes 1.5 s, the host pulls 50 MiB/s, containers start at once. Tasks come
//! at 600 s, and times are told since then.

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// The estate; `group` are keys of its group, `knobs` of `behaviour`.
pub(crate) fn estate(definitions: &[String], group: &str, knobs: &str, delays: &str, actions: &str) -> String {
    let definitions: String = definitions.iter().map(|definition| format!("  - {definition}\n")).collect();
    format!(
        "
name: lab
duration: 30h
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 65536, memory: 131072}}{group}}}
taskDefinitions:
{definitions}actions:
{actions}
delays: {{preset: constant, pullBase: 1.5s, pullThroughput: 50, taskStart: 0s, taskStop: 0s{delays}}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0{knobs}}}
"
    )
}

/// A definition of one container whose image is `image`, with this `behaviour`.
pub(crate) fn definition(family: &str, image: &str, behaviour: &str) -> String {
    format!(
        "{{family: {family}, containerDefinitions: [{{name: app, image: '{image}', cpu: 64, memory: 64, \
         behaviour: {{{behaviour}}}}}]}}"
    )
}

/// RunTask calls: (seconds since 600 s, family).
fn calls(calls: &[(f64, &str)]) -> String {
    let line = |(at, family): &(f64, &str)| {
        format!("  - {{at: {}s, call: 'ecs:RunTask', with: {{taskDefinition: {family}}}}}\n", 600.0 + at)
    };
    calls.iter().map(line).collect()
}

fn run(definitions: &[String], tasks: &[(f64, &str)]) -> Log {
    run_text(&estate(definitions, "", "", "", &calls(tasks)))
}

/// When tasks of a family reached a status, in seconds since 600 s, to the microsecond.
pub(crate) fn since(log: &Log, family: &str, status: &str) -> Vec<f64> {
    let times = log.times(&format!("family:{family}"), status);
    times.into_iter().map(|at| ((at - 600.0) * 1e6).round() / 1e6).collect()
}

fn running(log: &Log, family: &str) -> Vec<f64> {
    since(log, family, "RUNNING")
}

#[test]
fn ex_img_1_only_the_layers_that_are_missing_are_pulled() {
    let first = definition("first", "a:1", "image: {layers: {A: 100}}");
    let second = definition("second", "b:1", "image: {layers: {A: 100, B: 50}}");
    let log = run(&[first, second], &[(0.0, "first"), (100.0, "second")]);
    assert_eq!(running(&log, "first"), [3.5]);
    assert_eq!(running(&log, "second"), [102.5], "1.5 + 50 / 50");
}

#[test]
fn ex_img_2_the_second_pull_of_an_image_waits_for_the_first() {
    let log = run(&[definition("t", "a:1", "image: {sizeMiB: 100}")], &[(0.0, "t"), (0.0, "t"), (60.0, "t")]);
    assert_eq!(running(&log, "t"), [3.5, 5.0, 61.5], "and a tag that is up to date costs the base alone");
}

#[test]
fn img_2_pulls_of_a_host_share_its_rate() {
    let definitions =
        [definition("a", "a:1", "image: {sizeMiB: 100}"), definition("b", "b:1", "image: {sizeMiB: 100}")];
    let tasks = [(0.0, "a"), (1.0, "b")];
    let log = run(&definitions, &tasks);
    // 1.5 to 2.5 s: 50 MiB of a. Then half the rate each: a is done at 4.5, b has 50 MiB left, done at 5.5.
    assert_eq!((running(&log, "a"), running(&log, "b")), (vec![4.5], vec![5.5]));
    let log = run_text(&estate(&definitions, "", ", pull_sharing: none", "", &calls(&tasks)));
    assert_eq!((running(&log, "a"), running(&log, "b")), (vec![3.5], vec![4.5]));
}

#[test]
fn img_2_a_layer_under_way_is_not_pulled_twice() {
    let definitions = [
        definition("a", "a:1", "image: {layers: {base: 100}}"),
        definition("b", "b:1", "image: {sizeMiB: 110, layers: {base: 100}}"),
    ];
    let log = run(&definitions, &[(0.0, "a"), (0.0, "b")]);
    // b's own 10 MiB take 0.4 s at half the rate; the base, 90 MiB of it alone, is there at 1.5 + 2.2.
    assert_eq!((running(&log, "a"), running(&log, "b")), (vec![3.7], vec![3.7]));
}

#[test]
fn img_3_a_pull_that_is_given_up_leaves_its_place_to_the_next() {
    let stop = "  - {at: 602s, call: 'ecs:StopTask', with: {task: 'family:t'}}\n";
    let actions = calls(&[(0.0, "t"), (0.0, "t")]) + stop;
    let log = run_text(&estate(&[definition("t", "a:1", "image: {sizeMiB: 100}")], "", "", "", &actions));
    assert_eq!(since(&log, "t", "STOPPED"), [2.0]);
    assert_eq!(running(&log, "t"), [5.5], "a pull of its own from 2 s on");
}

#[test]
fn img_4_dependents_pull_when_their_condition_holds_or_upfront() {
    let definition = "{family: t, containerDefinitions: [
        {name: init, image: 'i:1', cpu: 64, memory: 64, essential: false, behaviour: {runsFor: 10s}},
        {name: app, image: 'a:1', cpu: 64, memory: 64, dependsOn: [{containerName: init, condition: SUCCESS}],
         behaviour: {image: {sizeMiB: 200}}}]}"
        .to_owned();
    let definitions = [definition];
    let log = run(&definitions, &[(0.0, "t")]);
    assert_eq!(running(&log, "t"), [17.0], "1.5 + 10, then 1.5 + 4");
    let upfront = ", ecsPullDependentContainersUpfront: true";
    let log = run_text(&estate(&definitions, upfront, "", "", &calls(&[(0.0, "t")])));
    assert_eq!(running(&log, "t"), [11.5], "its image is there before");
}

#[test]
fn ex_task_7_and_img_5_a_missing_image_is_tried_five_times() {
    let log = run(&[definition("t", "repo/app:nope", "image: {missing: true}")], &[(0.0, "t")]);
    assert_eq!(log.statuses(0), ["PENDING", "STOPPED"], "no RUNNING, so no startedAt");
    // Five tries of 1.5 s, and 1.1 + 2.2 + 4.4 + 5 s between them.
    assert_eq!(since(&log, "t", "STOPPED"), [20.2]);
    let (code, reason) = &log.stops[&0];
    assert_eq!(code, "TaskFailedToStart");
    assert!(reason.starts_with("CannotPullContainerError: ") && reason.contains("repo/app:nope"), "{reason}");
}

#[test]
fn ex_img_3_the_registry_loses_an_image_that_the_host_has() {
    // The second revision's image is gone from the registry; the host still has it from the first.
    let definitions = [
        definition("t", "a:1", "image: {sizeMiB: 100}"),
        definition("t", "a:1", "image: {sizeMiB: 100, missing: true}"),
    ];
    for (behaviour, expected) in
        [("default", Some(120.2)), ("always", None), ("once", Some(100.0)), ("prefer-cached", Some(100.0))]
    {
        let group = format!(", ecsImagePullBehavior: {behaviour}");
        let log = run_text(&estate(&definitions, &group, "", "", &calls(&[(0.0, "t:1"), (100.0, "t:2")])));
        let mut runs = vec![3.5];
        runs.extend(expected);
        assert_eq!(running(&log, "t"), runs, "{behaviour}");
        let failed = log.stops.get(&1).map(|(code, _)| code.as_str());
        assert_eq!(failed, expected.is_none().then_some("TaskFailedToStart"), "{behaviour}");
    }
}

#[test]
fn img_1_once_and_prefer_cached_do_not_ask_the_registry_again() {
    let definitions = [definition("t", "a:1", "runsFor: 1m, image: {sizeMiB: 100}")];
    let day = 24.0 * 3600.0;
    for (behaviour, again, after_a_day) in [("once", 0.0, 3.5), ("prefer-cached", 0.0, 0.0), ("default", 1.5, 3.5)] {
        let group = format!(", ecsImagePullBehavior: {behaviour}");
        let log = run_text(&estate(&definitions, &group, "", "", &calls(&[(0.0, "t"), (100.0, "t"), (day, "t")])));
        // AGENT-8: nothing refers to the image a few hours after the second task.
        assert_eq!(running(&log, "t"), [3.5, 100.0 + again, day + after_a_day], "{behaviour}");
    }
}

#[test]
fn agent_8_image_cleanup_can_be_turned_off() {
    let definitions = [definition("t", "a:1", "runsFor: 1m, image: {sizeMiB: 100}")];
    let day = 24.0 * 3600.0;
    let group = ", ecsDisableImageCleanup: true";
    let log = run_text(&estate(&definitions, group, "", "", &calls(&[(0.0, "t"), (day, "t")])));
    assert_eq!(running(&log, "t"), [3.5, day + 1.5]);
}

#[test]
fn img_6_docker_hub_answers_a_hundred_pulls() {
    let definitions = [definition("t", "nginx:1", "runsFor: 1s"), definition("own", "repo.example/app:1", "")];
    let many: String =
        (0..11).map(|_| "  - {at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t, count: 10}}\n").collect();
    let actions = many + &calls(&[(1.0, "own")]);
    let log = run_text(&estate(&definitions, "", ", hub_limit: nat", "", &actions));
    assert_eq!(running(&log, "t").len(), 110, "the agent falls back on the image that is there");
    let always = ", ecsImagePullBehavior: always";
    let log = run_text(&estate(&definitions, always, ", hub_limit: nat", "", &actions));
    assert_eq!(running(&log, "t").len(), 100);
    assert_eq!(running(&log, "own"), [2.5], "other registries have no limit");
    assert!(log.stops.values().any(|(_, reason)| reason.contains("toomanyrequests")));
}

#[test]
fn img_8_zstd_shortens_the_transfer() {
    let log = run(&[definition("t", "a:1", "image: {sizeMiB: 100, compression: zstd}")], &[(0.0, "t")]);
    assert_eq!(running(&log, "t"), [1.5 + 1.6]);
}

#[test]
fn task_22_a_pull_ends_after_two_hours_and_a_start_after_three_minutes() {
    let log = run(&[definition("t", "a:1", "image: {sizeMiB: 500000}")], &[(0.0, "t")]);
    assert_eq!(since(&log, "t", "STOPPED"), [7200.0]);
    assert!(log.stops[&0].1.contains("timed out after waiting 2h0m0s"), "{:?}", log.stops);
    let slow = estate(&[definition("t", "a:1", "")], "", "", "", &calls(&[(0.0, "t")]))
        .replace("taskStart: 0s", "taskStart: 200s");
    let log = run_text(&slow);
    assert_eq!(since(&log, "t", "STOPPED"), [181.5]);
    assert_eq!(log.stops[&0].0, "TaskFailedToStart");
}

#[test]
fn task_22_a_creation_ends_after_four_minutes_and_a_pull_that_stalls_after_one() {
    let of = |delays: &str| run_text(&estate(&[definition("t", "a:1", "")], "", "", delays, &calls(&[(0.0, "t")])));
    assert_eq!(running(&of(", containerCreate: 240s"), "t"), [241.5]);
    let log = of(", containerCreate: 241s");
    assert_eq!(since(&log, "t", "STOPPED"), [241.5]);
    let reason = "ContainerRuntimeTimeoutError: Could not transition to created; timed out after waiting 4m0s";
    assert_eq!(log.stops[&0], ("TaskFailedToStart".to_owned(), reason.to_owned()));
    let stalls = estate(&[definition("t", "a:1", "")], "", "", "", &calls(&[(0.0, "t")]))
        + "faults: [{at: 1m, for: 1h, fault: imagePullFailure, with: {stalls: true}}]\n";
    let log = run_text(&stalls);
    // Five minutes, and 1.1 + 2.2 + 4.4 + 5 s between the tries.
    assert_eq!(since(&log, "t", "STOPPED"), [312.7]);
    assert!(log.stops[&0].1.contains("inactivity time exceeded timeout"), "{:?}", log.stops);
}

#[test]
fn fg_9_images_that_do_not_fit_the_storage_fail_the_task() {
    let task = |storage: &str, app: &str, side: &str, knobs: &str| {
        let log = run_text(&format!(
            "
name: lab
duration: 2h
taskDefinitions:
  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512'{storage},
     containerDefinitions: [{{name: app, image: app, behaviour: {{image: {{{app}}}}}}},
       {{name: side, image: side, behaviour: {{image: {{{side}}}}}}}]}}
actions:
  - {{at: 1m, call: 'ecs:RunTask', with: {{taskDefinition: t, launchType: FARGATE,
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}}}
delays: {{preset: constant, imagePull: 60s}}
behaviour: {{alarm_eval_phase: aligned{knobs}}}
"
        ));
        (log.statuses(0).last().copied().unwrap_or_default(), log.stops.get(&0).cloned().unwrap_or_default())
    };
    // 2.5 times 8192 MiB are the 20 GiB included.
    let full = "sizeMiB: 8192";
    assert_eq!(task("", full, "", "").0, "RUNNING");
    let (status, (code, reason)) = task("", full, "sizeMiB: 1", "");
    assert_eq!((status, code.as_str()), ("STOPPED", "TaskFailedToStart"));
    assert!(
        reason.starts_with("CannotPullContainerError: ") && reason.ends_with("no space left on device"),
        "{reason}"
    );
    assert_eq!(task(", ephemeralStorage: {sizeInGiB: 21}", full, "sizeMiB: 1", "").0, "RUNNING");
    assert_eq!(task("", full, "sizeMiB: 1", ", image_uncompressed_ratio: 2").0, "RUNNING");
    assert_eq!(task("", full, "sizeMiB: 1, uncompressedMiB: 0", "").0, "RUNNING");
    let layers = "layers: {base: 8192}";
    assert_eq!(task("", layers, layers, "").0, "RUNNING", "a layer of both is there once");
}

#[test]
fn task_22_an_interface_is_attached_within_three_minutes() {
    let definition =
        "{family: t, networkMode: awsvpc, containerDefinitions: [{name: app, cpu: 64, memory: 64}]}".to_owned();
    let call = "  - {at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: EC2,
      networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}\n";
    let log = run_text(&estate(std::slice::from_ref(&definition), "", "", ", eniAttach: 180s", call));
    assert_eq!(running(&log, "t"), [181.5]);
    let log = run_text(&estate(&[definition], "", ", ec2_eni_detach_s: 0", ", eniAttach: 181s", call));
    assert_eq!(since(&log, "t", "STOPPED"), [180.0]);
    assert_eq!(log.stops[&0].1, "Timeout waiting for network interface provisioning to complete.");
}

#[test]
fn vol_3_and_4_an_ebs_volume_takes_ten_seconds_an_efs_volume_one() {
    let with = |volume: &str| {
        format!(
            "{{family: t, volumes: [{{name: data, {volume}}}], containerDefinitions: [{{name: app, cpu: 64, memory: 64, mountPoints: [{{sourceVolume: data, containerPath: /data}}]}}]}}"
        )
    };
    for (volume, expected) in [
        ("host: {sourcePath: /srv}", 1.5),
        ("efsVolumeConfiguration: {fileSystemId: fs-1}", 2.5),
        ("configuredAtLaunch: true", 11.5),
    ] {
        let log = run(&[with(volume)], &[(0.0, "t")]);
        assert_eq!(running(&log, "t"), [expected], "{volume}");
    }
}

#[test]
fn fg_11_an_index_shortens_the_pull_of_a_large_image_on_fargate() {
    let fargate = |image: &str, size: u32| {
        let text = format!(
            "{{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', memory: '2048',
      containerDefinitions: [{{name: app, image: '{image}', behaviour: {{image: {{sizeMiB: {size}, sociIndex: true}}}}}}]}}"
        );
        let call = "  - {at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: FARGATE,
      networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}\n";
        running(&run_text(&estate(&[text], "", "", "", call)), "t")[0]
    };
    let ecr = "111122223333.dkr.ecr.us-east-1.amazonaws.com/app:1";
    // 15 s to provision, 1.5 s base, 12 MiB/s, 3 s to start.
    assert_eq!(fargate(ecr, 300), 19.5 + 10.0, "300 MiB in 25 s, times 0.4");
    assert_eq!(fargate("app:1", 300), 19.5 + 25.0, "not in a private repository of ECR");
    assert_eq!(fargate(ecr, 240), 19.5 + 20.0, "too small to help");
}

#[test]
fn ex_task_10_a_token_is_answered_once() {
    let call = |at: u32, count: u32| {
        format!("  - {{at: {at}s, call: 'ecs:RunTask', with: {{taskDefinition: t, count: {count}, clientToken: a}}}}\n")
    };
    let actions = call(600, 1) + &call(601, 1) + &call(602, 2);
    let log = run_text(&estate(&[definition("t", "a:1", "")], "", "", "", &actions));
    assert_eq!(running(&log, "t"), [1.5], "one task for the first two calls");
    assert_eq!(log.refused(), [(602.0, "TASK-12")]);
    let said = &log.reasons("operator", "refuse")[0].1;
    assert!(said.starts_with("ConflictException: ") && said.contains(":task/default/"), "{said}");
}

#[test]
fn svc_4_a_service_is_created_once_for_a_token() {
    let call = |at: u32, desired: u32, token: &str| {
        format!(
            "  - {{at: {at}s, call: 'ecs:CreateService', with: {{serviceName: web, taskDefinition: t, launchType: EC2, \
             desiredCount: {desired}{token}}}}}\n"
        )
    };
    let token = ", clientToken: a";
    let actions = call(600, 1, token) + &call(601, 1, token) + &call(602, 2, token) + &call(603, 1, "");
    let log = run_text(&estate(&[definition("t", "a:1", "")], "", "", "", &actions));
    assert_eq!(log.refused(), [(602.0, "SVC-4"), (603.0, "SVC-4")]);
}

#[test]
fn a_workload_s_own_overrides_hold_for_its_tasks() {
    let text = estate(&[definition("t", "a:1", "")], "", "", "", "  []")
        + "workloads:\n  - {name: w, tasks: {taskDefinition: t, launchType: EC2, overrides: {memory: '100000'}, arrivals: {steps: [[10m, 1], [10m3s, 0]]}}}\n";
    let log = run_text(&text);
    assert_eq!(log.times("family:t", "RUNNING").len(), 1, "the second finds no room beside the first");
    assert_eq!(log.failures.len(), 1);
}

#[test]
fn td_15_the_agent_s_stop_timeout_is_the_default_on_its_hosts() {
    let actions = calls(&[(0.0, "t")]) + "  - {at: 700s, call: 'ecs:StopTask', with: {task: 'family:t'}}\n";
    for (group, expected) in [("", 130.0), (", ecsContainerStopTimeout: 5s", 105.0)] {
        let definitions = [definition("t", "a:1", "shutdown: 1h")];
        let log = run_text(&estate(&definitions, group, "", "", &actions));
        assert_eq!(since(&log, "t", "STOPPED"), [expected]);
    }
}

/// What is said of a scenario that is refused.
fn refused(text: &str) -> Vec<String> {
    let refused = load_str("broken.yaml", text, &LoadOptions::default()).expect_err("the scenario is broken");
    refused.findings().iter().filter(|finding| !finding.warning).map(|finding| finding.message.clone()).collect()
}

#[test]
fn vol_1_and_2_volumes_are_checked_as_aws_checks_them() {
    let text = "
taskDefinitions:
  - family: t
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: '256'
    memory: '512'
    volumes: [{name: a, host: {sourcePath: /srv}}, {name: b, dockerVolumeConfiguration: {scope: task}},
      {name: c, configuredAtLaunch: true}, {name: d, configuredAtLaunch: true}]
    containerDefinitions: [{name: app, mountPoints: [{sourceVolume: e, containerPath: /e}]}]
services:
  - {serviceName: s, taskDefinition: t, desiredCount: 1, launchType: FARGATE,
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}},
     volumeConfigurations: [{name: c, managedEBSVolume: {sizeInGiB: 100, volumeType: st1}}]}
";
    let said = refused(text);
    let expected = ["host.sourcePath", "dockerVolumeConfiguration", "Only one volume", "'e'", "A st1 volume has 125"];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for part in expected {
        assert!(said.iter().any(|message| message.contains(part)), "{part}: {said:?}");
    }
}

#[test]
fn task_11_and_12_texts_of_a_call_have_longest_lengths() {
    let call = |at: u32, key: &str, length: usize| {
        let text = "x".repeat(length);
        format!("  - {{at: {at}s, call: 'ecs:RunTask', with: {{taskDefinition: t, {key}: {text}}}}}\n")
    };
    for (key, most, rule) in [("group", 255, "TASK-11"), ("startedBy", 128, "TASK-11"), ("clientToken", 64, "TASK-12")]
    {
        let actions = call(600, key, most) + &call(601, key, most + 1);
        let log = run_text(&estate(&[definition("t", "a:1", "")], "", "", "", &actions));
        assert_eq!(log.refused(), [(601.0, rule)], "{key}");
    }
}

#[test]
fn net_4_sixteen_subnets_and_five_security_groups_at_most() {
    let call = |at: u32, subnets: usize, groups: usize, public: &str| {
        let names = |name: &str, count: usize| vec![name; count].join(", ");
        format!(
            "  - {{at: {at}s, call: 'ecs:RunTask', with: {{taskDefinition: t, launchType: EC2, networkConfiguration:
      {{awsvpcConfiguration: {{subnets: [{}], securityGroups: [{}], assignPublicIp: {public}}}}}}}}}\n",
            names("us-east-1a", subnets),
            names("sg-1", groups)
        )
    };
    let actions = call(600, 16, 5, "DISABLED")
        + &call(601, 17, 5, "DISABLED")
        + &call(602, 16, 6, "DISABLED")
        + &call(603, 16, 5, "ENABLED");
    let definition = "{family: t, networkMode: awsvpc, containerDefinitions: [{name: a, memory: 64}]}".to_owned();
    let log = run_text(&estate(&[definition], "", "", "", &actions));
    assert_eq!(log.refused(), [(601.0, "NET-4"), (602.0, "NET-4"), (603.0, "NET-4")]);
    assert_eq!(running(&log, "t").len(), 1);
}
