//! Random task definitions and constraints: none makes the reader or a run panic, and what is wrong is said where it is.

use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, run};
use ecsim::engine::time::SimTime;
use ecsim::scenario::{Diagnostics, LoadOptions, load_str};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Every diagnostic of a text has a message, and a place in it.
pub(crate) fn inside(text: &str, said: &Diagnostics) -> Result<(), TestCaseError> {
    let lines: Vec<&str> = text.split('\n').collect();
    for finding in said.findings() {
        prop_assert!(!finding.message.is_empty());
        prop_assert!((1..=lines.len()).contains(&finding.line), "line {} of {}", finding.line, lines.len());
        let length = lines[finding.line - 1].chars().count();
        prop_assert!((1..=length + 1).contains(&finding.column), "column {} of {length}: {finding:?}", finding.column);
    }
    Ok(())
}

/// Values that fit nowhere, and some that do by chance.
fn odd() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(-1), Just(0), Just(6), Just(i64::MAX), Just(1 << 40), -5..70_000_i64].prop_map(Value::from),
        prop_oneof![Just(0.5), Just(-0.0), Just(1e300)].prop_map(Value::from),
        prop_oneof!["[a-z]{0,3}", Just("1 vCPU".to_owned()), Just("\u{1F4A5}: {".to_owned())].prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{ "name": [] }])),
    ]
    .boxed()
}

/// Mostly `likely`, now and then anything, often absent.
fn maybe(likely: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![8 => Just(None), 8 => likely.prop_map(Some), 1 => odd().prop_map(Some)].boxed()
}

fn some_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    prop::sample::select(values.to_vec())
}

/// An object with these keys, as far as they have values.
fn object(entries: Vec<(&'static str, Option<Value>)>) -> Value {
    let given = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn behaviour() -> BoxedStrategy<Value> {
    let image = (
        maybe(some_of(&[json!(10), json!(400.5)])),
        maybe(some_of(&[json!({ "base": 100 }), json!(3), json!({ "base": 100, "app": 7 })])),
        maybe(some_of(&[json!(true)])),
        maybe(some_of(&[json!("zstd"), json!("lz4")])),
    )
        .prop_map(|(size, layers, missing, compression)| {
            object(vec![("sizeMiB", size), ("layers", layers), ("missing", missing), ("compression", compression)])
        });
    let times = || some_of(&[json!("5s"), json!({ "uniform": { "min": "1s", "max": "2m" } }), json!("5")]);
    (maybe(image), maybe(times()), maybe(times()), maybe(some_of(&[json!(1), json!(300)])))
        .prop_map(|(image, runs_for, startup, exit_code)| {
            object(vec![("image", image), ("runsFor", runs_for), ("startup", startup), ("exitCode", exit_code)])
        })
        .boxed()
}

fn container() -> BoxedStrategy<Value> {
    let names = || some_of(&[json!("a"), json!("b"), json!("c")]);
    let depends = (names(), some_of(&[json!("START"), json!("SUCCESS"), json!("HEALTHY"), json!("LATER")]))
        .prop_map(|(name, condition)| json!([{ "containerName": name, "condition": condition }]));
    let ports = (0..3_u32, 0..3_u32)
        .prop_map(|(container, host)| json!([{ "containerPort": 80 + container, "hostPort": host * 80 }]));
    let mounts = names().prop_map(|name| json!([{ "sourceVolume": name, "containerPath": "/x" }]));
    let check = json!({ "command": ["CMD", "true"], "interval": 10, "retries": 2 });
    (
        (names(), maybe(some_of(&[json!(64), json!(6), json!(5)])), maybe(some_of(&[json!(32), json!(64)]))),
        (maybe(some_of(&[json!(256), json!("256")])), maybe(some_of(&[json!(false)])), maybe(depends)),
        (maybe(ports), maybe(mounts), maybe(some_of(&[check]))),
        (maybe(some_of(&[json!(2), json!(1), json!(200)])), maybe(behaviour()), maybe(odd())),
    )
        .prop_map(
            |((name, hard, soft), (cpu, essential, depends), (ports, mounts, check), (stop, behaviour, other))| {
                object(vec![
                    ("name", Some(name)),
                    ("image", Some(json!("repo.example/app:1"))),
                    ("memory", hard),
                    ("memoryReservation", soft),
                    ("cpu", cpu),
                    ("essential", essential),
                    ("dependsOn", depends),
                    ("portMappings", ports),
                    ("mountPoints", mounts),
                    ("healthCheck", check),
                    ("stopTimeout", stop),
                    ("behaviour", behaviour),
                    ("restartPolicy", other),
                ])
            },
        )
        .boxed()
}

fn task_definition() -> BoxedStrategy<Value> {
    let volume = some_of(&[
        json!([{ "name": "a" }]),
        json!([{ "name": "a", "efsVolumeConfiguration": { "fileSystemId": "fs-1" } }]),
        json!([{ "name": "b", "configuredAtLaunch": true }, { "name": "a", "configuredAtLaunch": true }]),
        json!([{ "name": "c", "host": { "sourcePath": "/srv" } }]),
    ]);
    (
        prop_oneof![9 => Just(json!("t")), 1 => odd()],
        prop_oneof![9 => prop::collection::vec(container(), 0..4).prop_map(Value::from), 1 => odd()],
        maybe(some_of(&[json!("awsvpc"), json!("host"), json!("none"), json!("nat")])),
        maybe(some_of(&[json!("1024"), json!("1 vCPU"), json!("64")])),
        maybe(some_of(&[json!("2048"), json!("2 GB"), json!("x")])),
        maybe(some_of(&[json!(["FARGATE"]), json!(["EC2"]), json!(["EC2", "FARGATE"])])),
        maybe(volume),
        maybe(constraint()),
    )
        .prop_map(|(family, containers, mode, cpu, memory, compatibilities, volumes, constraints)| {
            object(vec![
                ("family", Some(family)),
                ("containerDefinitions", Some(containers)),
                ("networkMode", mode),
                ("cpu", cpu),
                ("memory", memory),
                ("requiresCompatibilities", compatibilities),
                ("volumes", volumes),
                ("placementConstraints", constraints),
            ])
        })
        .boxed()
}

/// Words of the cluster query language, in any order.
fn constraint() -> BoxedStrategy<Value> {
    let words = prop::sample::select(vec![
        "attribute:ecs.instance-type",
        "runningTasksCount",
        "task:group",
        "==",
        "=~",
        "!in",
        "exists",
        "[m5.large]",
        "m5.*",
        "m5.large",
        "(",
        ")",
        "and",
        "not",
        "'a",
        "größe",
        "1",
    ]);
    prop::collection::vec(words, 0..6)
        .prop_map(|words| json!([{ "type": "memberOf", "expression": words.join(" ") }]))
        .boxed()
}

struct Nobody;

impl Observer for Nobody {
    fn wants(&self) -> Wants {
        Wants { decisions: true, activities: true, series: true, events: true }
    }

    fn observe(&mut self, _: SimTime, _: &Record<'_>, _: &State) {}

    fn finish(&mut self, _: SimTime, _: &State) {}
}

const REST: &str = r#"
duration: 15m
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, AvailabilityZones: [us-east-1a]}
actions:
  - {at: 5m, call: "ecs:RunTask", with: {taskDefinition: t, count: 2, launchType: EC2, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}
  - {at: 10m, call: "ecs:StopTask", with: {task: "family:t"}}
"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_task_definition_is_run_or_refused_in_its_place(definition in task_definition(), pretty in any::<bool>()) {
        let json = if pretty {
            serde_json::to_string_pretty(&definition).unwrap().replace('\n', "\n    ")
        } else {
            definition.to_string()
        };
        let text = format!("name: fuzz\ntaskDefinitions:\n  - {json}\n{REST}");
        match load_str("fuzz.yaml", &text, &LoadOptions::default()) {
            Ok(scenario) => {
                inside(&text, &scenario.warnings)?;
                run(&scenario.estate, RunOptions { replication: 0, paranoid: true }, &mut Nobody, |_| {});
            }
            Err(refused) => {
                prop_assert!(refused.error_count() > 0);
                inside(&text, &refused)?;
            }
        }
    }

    #[test]
    fn an_expression_is_refused_inside_it(words in constraint()) {
        let expression = words[0]["expression"].as_str().unwrap().to_owned();
        let head = "name: fuzz\ntaskDefinitions:\n  - family: t\n    containerDefinitions: [{name: a, memory: 64}]\n    placementConstraints:\n      - type: memberOf\n        expression: ";
        let text = format!("{head}{}\n{REST}", serde_json::to_string(&expression).unwrap());
        if let Err(refused) = load_str("fuzz.yaml", &text, &LoadOptions::default()) {
            inside(&text, &refused)?;
            let of_query = refused.findings().iter().filter(|finding| finding.line == 7).count();
            prop_assert_eq!(of_query, refused.error_count(), "only the expression is wrong: {}", refused);
        }
    }
}
