//! Tags that move, and deployments that hold on to what they found (TD-29).

use ecsim::scenario::{LoadOptions, load_str};

use crate::images::{definition, estate, since};
use crate::lab::{Log, run_text};

const PUSH: &str = "{repositoryName: shop/web, imageTag: stable, behaviour: {runsFor: 5s, exitCode: 3}}";

/// A service of three Fargate tasks; container, service and timeline as given.
fn service(container: &str, service: &str, actions: &[(&str, &str, &str)]) -> String {
    let line = |(at, call, with): &(&str, &str, &str)| format!("  - {{at: {at}, call: '{call}', with: {with}}}\n");
    let actions: String = actions.iter().map(line).collect();
    format!(
        "
name: software
duration: 90m
taskDefinitions:
  - {{family: web, requiresCompatibilities: [FARGATE], networkMode: awsvpc, cpu: '256', memory: '512',
     behaviour: {{image: {{sizeMiB: 100}}}}, containerDefinitions: [{{name: app, image: 'shop/web:stable'{container}}}]}}
services:
  - {{serviceName: web, taskDefinition: web, desiredCount: 3, launchType: FARGATE,
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}{service}}}
actions:
{actions}"
    )
}

const STOP: (&str, &str, &str) = ("20m", "ecs:StopTask", "{task: 'service:web'}");
const FORCE: (&str, &str, &str) = ("40m", "ecs:UpdateService", "{service: web, forceNewDeployment: true}");
const BREAKER: &str = ", deploymentConfiguration: {deploymentCircuitBreaker: {enable: true, rollback: true}}";

/// Tasks whose application ended by itself, after `from` minutes and before `to`.
fn crashed(log: &Log, from: f64, to: f64) -> usize {
    let bad = |task: &u64| log.containers[task].iter().any(|container| container.exit_code == Some(3));
    let at = |task: &u64| log.tasks.iter().find(|(_, number, _, status)| number == task && *status == "STOPPED");
    let within = |task: &u64| at(task).is_some_and(|(time, ..)| (from * 60.0..to * 60.0).contains(time));
    log.stops.keys().filter(|task| bad(task) && within(task)).count()
}

#[test]
fn td_29_tasks_of_a_deployment_run_what_the_first_one_found() {
    // The new image never answers its health check.
    let push = "{repositoryName: shop/web, imageTag: stable, behaviour: {unresponsive: [[0s, 10h]]}}";
    let check = ", healthCheck: {command: [CMD, 'true'], interval: 5, retries: 2}";
    let log = run_text(&service(check, BREAKER, &[("10m", "ecr:PutImage", push), STOP, FORCE]));
    let digest = |task: u64| log.digests[&task][0].as_str();
    assert!(digest(0).starts_with("sha256:") && digest(0).len() == 71);
    // The tag has moved when the fourth replaces the one stopped by hand.
    assert_eq!([digest(1), digest(2), digest(3)], [digest(0); 3]);
    let stopped = |from: f64, to: f64| {
        log.times("service:web", "STOPPED").into_iter().filter(|at| (from * 60.0..to * 60.0).contains(at)).count()
    };
    assert_eq!(stopped(0.0, 40.0), 1);
    // The new deployment finds the new image, fails, and goes back to the digest of the old one.
    let newer: Vec<&str> = log.digests.range(4..).map(|(_, digests)| digests[0].as_str()).collect();
    assert!(newer.iter().filter(|new| **new != digest(0)).count() >= 3, "{newer:?}");
    assert_eq!(log.events("SERVICE_DEPLOYMENT_FAILED").len(), 1);
    let last = log.events("SERVICE_DEPLOYMENT_COMPLETED").pop().unwrap();
    assert!(last > 2400.0 && stopped(last / 60.0 + 2.0, 90.0) == 0, "{last}");
    assert_eq!(log.level_at("service/default/web", "RunningCount", 5399.0), 3.0);
}

#[test]
fn td_29_without_version_consistency_each_task_takes_what_the_tag_names() {
    let container = ", versionConsistency: disabled";
    let log = run_text(&service(container, "", &[("10m", "ecr:PutImage", PUSH), STOP]));
    assert_eq!(crashed(&log, 0.0, 20.0), 0, "who runs already goes on");
    assert!(crashed(&log, 20.0, 90.0) >= 3);
    assert_ne!(log.digests[&3], log.digests[&0]);
    // A reference by digest does not move, whatever is pushed.
    let fixed = service("", "", &[("10m", "ecr:PutImage", PUSH), STOP, FORCE])
        .replace("shop/web:stable'", "shop/web:stable@sha256:0123'");
    let log = run_text(&fixed);
    assert_eq!((crashed(&log, 0.0, 90.0), log.digests[&3][0].as_str()), (0, "sha256:0123"));
}

#[test]
fn td_29_a_tag_moves_back_to_a_digest_that_is_there() {
    let of = |digit: char| format!("sha256:{}", String::from(digit).repeat(64));
    let put = |digest: &str, behaviour: &str| {
        format!("{{repositoryName: shop/web, imageTag: stable, imageDigest: '{digest}'{behaviour}}}")
    };
    let (good, bad) = (put(&of('a'), ""), put(&of('b'), ", behaviour: {runsFor: 5s, exitCode: 3}"));
    let actions = [
        ("1s", "ecr:PutImage", &*good),
        ("10m", "ecr:PutImage", &*bad),
        ("11m", "ecr:PutImage", &*bad),
        ("12m", "ecr:PutImage", &*good),
        FORCE,
    ];
    let log = run_text(&service("", "", &actions));
    assert_eq!(log.refused(), [(660.0, "TD-29")], "it is there already");
    assert_eq!(crashed(&log, 0.0, 90.0), 0);
    let last = log.digests.last_key_value().unwrap().1;
    assert_eq!((&last[0], log.digests.len()), (&of('a'), 6));
}

#[test]
fn td_29_tags_that_cannot_be_resolved_are_given_up_after_three_tries() {
    let outage = "faults: [{at: 0s, for: 30m, fault: imagePullFailure, with: {image: 'shop/web:stable'}}]\n";
    let given_up = |service_keys: &str, actions: &[(&str, &str, &str)]| {
        let log = run_text(&(service("", service_keys, actions) + outage));
        let tried = log.stops.values().filter(|(_, reason)| reason.starts_with("CannotPullContainerError")).count();
        let decisions = log.decided("service-scheduler");
        let without = decisions.iter().filter(|(_, action, rule)| (*action, *rule) == ("do-without-digests", "TD-29"));
        (tried >= 3, without.count(), log)
    };
    let (tried, without, log) =
        given_up("", &[("40m", "ecr:PutImage", PUSH), ("50m", "ecs:StopTask", "{task: 'service:web'}")]);
    assert_eq!((tried, without), (true, 1));
    // It has nothing to hold on to: what replaces the task stopped by hand is the new image.
    assert!(crashed(&log, 50.0, 90.0) >= 1);
    let (tried, without, log) = given_up(BREAKER, &[]);
    assert_eq!((tried, without), (true, 1));
    assert_eq!(log.events("SERVICE_DEPLOYMENT_FAILED").len(), 1, "with a circuit breaker it fails");
}

#[test]
fn td_29_a_new_digest_is_pulled_and_a_task_by_itself_takes_it() {
    let run = |group: &str| {
        let push = "{repositoryName: a, imageTag: '1', behaviour: {runsFor: 100s}}";
        let actions = format!(
            "  - {{at: 600s, call: 'ecs:RunTask', with: {{taskDefinition: t}}}}\n  \
             - {{at: 700s, call: 'ecr:PutImage', with: {push}}}\n  \
             - {{at: 800s, call: 'ecs:RunTask', with: {{taskDefinition: t}}}}\n"
        );
        let image = definition("t", "a:1", "image: {sizeMiB: 100, layers: {base: 50}}");
        let log = run_text(&estate(&[image], group, "", "", &actions));
        let ended = log.stops.len();
        (since(&log, "t", "RUNNING"), ended)
    };
    // 1.5 s for the manifest, and what is new of the image at 50 MiB/s: the layer with a name is there already.
    assert_eq!(run(""), (vec![3.5, 202.5], 1));
    // A host that does without the registry has a copy under this tag, and goes on with it.
    assert_eq!(run(", ecsImagePullBehavior: prefer-cached"), (vec![3.5, 200.0], 0));
}

#[test]
fn td_29_pushes_are_checked() {
    let told = |with: &str| match load_str(
        "software.yaml",
        &service("", "", &[("10m", "ecr:PutImage", with)]),
        &LoadOptions::default(),
    ) {
        Ok(scenario) => scenario.warnings.render(false),
        Err(found) => found.render(false),
    };
    assert_eq!(told(PUSH), "");
    let nobody = told("{repositoryName: shop/wbe, imageTag: stable}");
    assert!(
        nobody.contains("no container runs the tag `shop/wbe:stable`") && nobody.contains("shop/web:stable"),
        "{nobody}"
    );
    // What AWS refuses is refused when the call is made.
    let digest = "{repositoryName: shop/web, imageTag: stable, imageDigest: 'sha256:12'}";
    assert_eq!(run_text(&service("", "", &[("10m", "ecr:PutImage", digest)])).refused(), [(600.0, "TD-29")]);
    for unknown in ["missingRoles: [x]", "missingSecrets: [x]"] {
        let told = told(&format!("{{repositoryName: shop/web, imageTag: stable, behaviour: {{{unknown}}}}}"));
        assert!(told.contains("are the task definition's") && told.contains("software.yaml:11"), "{told}");
    }
}
