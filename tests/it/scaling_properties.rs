//! Alarms and policies over random metrics with gaps, held against a reference: every change of every alarm's state, and
//! every change of the desired count.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use crate::lab::run_text;
use crate::scaling_reference::{
    ABOVE, AlarmCase, BELOW, Case, Cooldowns, Evaluated, LATENCY, MINUTES, Metric, PolicyCase, Seen, State, Treatment,
    asks, evaluate, millis,
};

const OPERATORS: [&str; 4] = [ABOVE, "GreaterThanOrEqualToThreshold", BELOW, "LessThanOrEqualToThreshold"];
const AGGREGATIONS: [&str; 3] = ["Average", "Minimum", "Maximum"];

fn metric() -> impl Strategy<Value = Metric> {
    // Spans of one level with noise and gaps: enough of the same for alarms to go off, enough change for them to end.
    let span = (1_usize..26, 0_i64..260, 0_i64..8, 0_u32..40);
    (prop::collection::vec(span, 4..14), prop::bool::weighted(0.2), any::<u64>()).prop_map(|(spans, fine, seed)| {
        let bucket = if fine { 20 } else { 60 };
        let mut chance = seed | 1;
        let mut next = move |below: i64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(chance >> 40).expect("24 bits") % below.max(1)
        };
        let mut values = Vec::new();
        for (minutes, level, noise, gaps) in spans {
            for _ in 0..minutes * usize::try_from(60 / bucket).expect("one or three") {
                let value = (next(100) >= i64::from(gaps)).then(|| level + next(noise + 1));
                values.push(value);
            }
        }
        values.truncate(usize::try_from(MINUTES * 60 / bucket).expect("a few hundred"));
        Metric { bucket, values }
    })
}

fn alarm(metrics: usize) -> impl Strategy<Value = AlarmCase> {
    let missing = prop::sample::select(vec![
        Treatment::Missing,
        Treatment::Ignore,
        Treatment::Breaching,
        Treatment::NotBreaching,
    ]);
    let period = prop::sample::select(vec![10_i64, 20, 30, 60, 60, 60, 120, 300]);
    (0..metrics, period, 1_usize..8, 0_usize..7, prop::sample::select(OPERATORS.to_vec()), 0_i64..260, missing)
        .prop_map(|(metric, period, n, less, operator, threshold, missing)| AlarmCase {
            metric,
            period,
            n,
            m: n.saturating_sub(less).max(1),
            operator,
            threshold: threshold * 10,
            missing,
        })
}

fn policy() -> impl Strategy<Value = PolicyCase> {
    let cooldown = || prop::sample::select(vec![0_i64, 45, 60, 300]);
    let tracking = (20_i64..220, prop::bool::weighted(0.2), cooldown(), cooldown())
        .prop_map(|(target, only_out, out, within)| PolicyCase::Tracking { target, only_out, out, within });
    let bounds = prop::collection::btree_set(-60_i64..60, 0..4);
    let amounts = prop::collection::vec(-40_i64..60, 5);
    let kind = prop::sample::select(vec!["ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity"]);
    let step = (bounds, amounts, kind, prop::option::of(1_i64..4), cooldown(), 0_usize..3).prop_map(
        |(bounds, amounts, kind, least, cooldown, of)| {
            let bounds: Vec<i64> = if bounds.is_empty() { vec![0] } else { bounds.into_iter().collect() };
            let amount = |place: usize| match kind {
                "ChangeInCapacity" => amounts[place] / 10,
                "ExactCapacity" => amounts[place].abs() / 4,
                _ => amounts[place],
            };
            let mut steps = vec![(None, Some(bounds[0]), amount(0))];
            steps.extend(bounds.windows(2).zip(1..).map(|(pair, place)| (Some(pair[0]), Some(pair[1]), amount(place))));
            steps.push((bounds.last().copied(), None, amount(bounds.len())));
            let least = least.filter(|_| kind == "PercentChangeInCapacity");
            PolicyCase::Step { kind, steps, least, cooldown, of }
        },
    );
    prop_oneof![3 => tracking, 2 => step]
}

fn case() -> impl Strategy<Value = Case> {
    (1_usize..4)
        .prop_flat_map(|policies| {
            let metrics = prop::collection::vec(metric(), policies);
            let alarms = prop::collection::vec(alarm(policies), policies..policies + 4);
            let numbers = (0_i64..4, 1_i64..30, 0_i64..30, prop::option::weighted(0.3, 10_i64..80));
            let delay = prop::sample::select(vec![0_i64, 0, 20, 60, 90]);
            (metrics, prop::collection::vec(policy(), policies), alarms, numbers, delay)
        })
        .prop_map(|(metrics, policies, mut alarms, (min, room, desired, redeploy), delay)| {
            let steps = policies.iter().enumerate().filter(|(_, policy)| matches!(policy, PolicyCase::Step { .. }));
            for ((place, _), alarm) in steps.zip(&mut alarms) {
                alarm.metric = place;
            }
            let max = min + room;
            Case { metrics, policies, alarms, min, max, desired: desired.clamp(min, max), redeploy, delay }
        })
}

fn halves(value: i64) -> String {
    format!("{}.{}", value / 2, if value % 2 == 0 { 0 } else { 5 })
}

fn signed_halves(value: i64) -> String {
    format!("{}{}", if value < 0 { "-" } else { "" }, halves(value.abs()))
}

fn scenario(case: &Case) -> String {
    let mut text = format!(
        "name: random\nduration: {MINUTES}m\nclusters: [{{clusterName: c}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512', \
         containerDefinitions: [{{name: app, image: app}}]}}\n\
         services:\n  - {{serviceName: web, cluster: c, taskDefinition: t, desiredCount: {}, launchType: FARGATE, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n\
         scalableTargets:\n  - {{ResourceId: service/c/web, MinCapacity: {}, MaxCapacity: {}}}\nscalingPolicies:\n",
        case.desired, case.min, case.max
    );
    let mut owners = Vec::new();
    for (place, policy) in case.policies.iter().enumerate() {
        let (kind, body) = match policy {
            PolicyCase::Tracking { target, only_out, out, within } => (
                "TargetTrackingScaling",
                format!(
                    "TargetTrackingScalingPolicyConfiguration: {{TargetValue: {}, DisableScaleIn: {only_out}, ScaleOutCooldown: {out}, \
                     ScaleInCooldown: {within}, CustomizedMetricSpecification: {{Namespace: Test, MetricName: m{place}, Statistic: Average}}}}",
                    halves(*target)
                ),
            ),
            PolicyCase::Step { kind, steps, least, cooldown, of } => {
                owners.push(place);
                let mut list = String::new();
                for (lower, upper, amount) in steps {
                    let bound = |name: &str, bound: &Option<i64>| {
                        bound.map_or_else(String::new, |bound| format!("{name}: {}, ", signed_halves(bound)))
                    };
                    let bounds = bound("MetricIntervalLowerBound", lower) + &bound("MetricIntervalUpperBound", upper);
                    write!(list, "{{{bounds}ScalingAdjustment: {amount}}}, ").unwrap();
                }
                let least = least.map_or_else(String::new, |least| format!("MinAdjustmentMagnitude: {least}, "));
                (
                    "StepScaling",
                    format!(
                        "StepScalingPolicyConfiguration: {{AdjustmentType: {kind}, Cooldown: {cooldown}, {least}\
                         MetricAggregationType: {}, StepAdjustments: [{list}]}}",
                        AGGREGATIONS[*of]
                    ),
                )
            }
        };
        writeln!(text, "  - {{PolicyName: p{place}, PolicyType: {kind}, ResourceId: service/c/web, {body}}}").unwrap();
    }
    text.push_str("alarms:\n");
    for (place, alarm) in case.alarms.iter().enumerate() {
        let missing = match alarm.missing {
            Treatment::Missing => "missing",
            Treatment::Ignore => "ignore",
            Treatment::Breaching => "breaching",
            Treatment::NotBreaching => "notBreaching",
        };
        let actions = owners.get(place).map_or_else(String::new, |owner| format!("p{owner}"));
        writeln!(
            text,
            "  - {{AlarmName: a{place}, Namespace: Test, MetricName: m{}, Statistic: Average, Period: {}, EvaluationPeriods: {}, \
             DatapointsToAlarm: {}, Threshold: {}, ComparisonOperator: {}, TreatMissingData: {missing}, AlarmActions: [{actions}]}}",
            alarm.metric, alarm.period, alarm.n, alarm.m, halves(alarm.threshold / 10), alarm.operator
        )
        .unwrap();
    }
    text.push_str("metrics:\n");
    for (place, metric) in case.metrics.iter().enumerate() {
        let values: Vec<String> =
            metric.values.iter().map(|value| value.map_or_else(|| "null".to_owned(), halves)).collect();
        let values = values.join(", ");
        writeln!(text, "  - {{Namespace: Test, MetricName: m{place}, Period: {}, values: [{values}]}}", metric.bucket)
            .unwrap();
    }
    if let Some(minute) = case.redeploy {
        writeln!(
            text,
            "actions:\n  - {{at: {minute}m, call: 'ecs:UpdateService', with: {{cluster: c, service: web, forceNewDeployment: true}}}}"
        )
        .unwrap();
    }
    // A poll, or the end of a task's start, that fell on the instant of an action would leave their order to chance.
    writeln!(
        text,
        "delays: {{preset: constant, fargateProvision: 7.3s}}\n\
         behaviour: {{alarm_eval_phase: aligned, activity_poll: 30.7s, metric_delay: {{custom: {}s}}}}",
        case.delay
    )
    .unwrap();
    text
}

/// An alarm, whose policy it invokes and whether as the low one, and all its evaluations.
type Watched = (Option<(usize, bool)>, AlarmCase, Vec<Evaluated>);

fn check(case: &Case) -> Result<(usize, usize), TestCaseError> {
    let log = run_text(&scenario(case));
    let seen = Seen::new(&log, case);
    // 1. States of alarms.
    let told = |name: &dyn Fn(&str) -> bool| -> Vec<(i64, String)> {
        log.alarms
            .iter()
            .filter(|(_, alarm, ..)| name(alarm))
            .map(|(t, _, state, _)| (millis(*t), state.clone()))
            .collect()
    };
    let expected = |evaluated: &[Evaluated]| -> Vec<(i64, String)> {
        let mut states = vec![(0, State::InsufficientData.name().to_owned())];
        for one in evaluated {
            if states.last().is_some_and(|(_, last)| last != one.state.name()) {
                states.push((one.at * 1000, one.state.name().to_owned()));
            }
        }
        states
    };
    let mut transitions = 0;
    let mut alarms: Vec<Watched> = Vec::new();
    let mut steps = case.policies.iter().enumerate().filter(|(_, policy)| matches!(policy, PolicyCase::Step { .. }));
    for (place, alarm) in case.alarms.iter().enumerate() {
        let evaluated = evaluate(alarm, &case.metrics[alarm.metric], case.delay);
        let name = format!("a{place}");
        let states = expected(&evaluated);
        transitions += states.len() - 1;
        prop_assert_eq!(told(&|alarm| alarm == name), states, "alarm {}: {:?}", place, alarm);
        alarms.push((steps.next().map(|(owner, _)| (owner, false)), alarm.clone(), evaluated));
    }
    // Managed alarms come in the order of their policies: the high one, then the low one if there is one.
    let mut names: Vec<&str> = Vec::new();
    for (_, name, ..) in &log.alarms {
        if name.starts_with("TargetTracking") && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut names = names.into_iter();
    for (place, policy) in case.policies.iter().enumerate() {
        let PolicyCase::Tracking { target, only_out, .. } = policy else { continue };
        let high = AlarmCase {
            metric: place,
            period: 60,
            n: 3,
            m: 3,
            operator: ABOVE,
            threshold: target * 10,
            missing: Treatment::Missing,
        };
        let low = AlarmCase { n: 15, m: 15, operator: BELOW, threshold: target * 9, ..high.clone() };
        for (low, alarm) in [(false, high), (true, low)].into_iter().take(if *only_out { 1 } else { 2 }) {
            let name = names.next().expect("each managed alarm is told of");
            prop_assert!(name.contains(if low { "AlarmLow" } else { "AlarmHigh" }), "{}", name);
            let evaluated = evaluate(&alarm, &case.metrics[place], case.delay);
            let states = expected(&evaluated);
            transitions += states.len() - 1;
            prop_assert_eq!(told(&|alarm| alarm == name), states, "{} of policy {}", name, place);
            alarms.push((Some((place, low)), alarm, evaluated));
        }
    }
    prop_assert_eq!(names.next(), None);
    // 2. Bounds.
    for (time, desired) in &seen.desired {
        prop_assert!((case.min..=case.max).contains(desired), "{} at {} ms", desired, time);
    }
    // 3. Every change of the desired count, and none besides.
    let mut instants: BTreeSet<i64> = BTreeSet::new();
    for (owner, _, evaluated) in &alarms {
        let acting = evaluated.iter().filter(|one| one.acts && one.state == State::Alarm && owner.is_some());
        instants.extend(acting.map(|one| one.at));
    }
    let mut state = Cooldowns::default();
    let mut completed = seen.completed.iter().copied().peekable();
    let mut changes = vec![(0, case.desired)];
    for tick in instants {
        let at = tick * 1000 + LATENCY;
        if at >= MINUTES * 60_000 {
            continue;
        }
        while let Some(end) = completed.next_if(|end| *end < at) {
            match state.activity.take() {
                Some((true, cooldown)) => state.out_until = end + cooldown,
                Some((false, cooldown)) => state.in_until = end + cooldown,
                None => {
                    prop_assert!(false, "an activity ended at {end} ms; expected {changes:?}, seen {:?}", seen.desired);
                }
            }
        }
        let counts = (Seen::before(&seen.running, at), Seen::before(&seen.desired, at));
        let deploying = seen.deploying.iter().any(|(from, to)| *from < at && at <= *to);
        // What each low alarm said at its newest evaluation; each is evaluated at every whole minute.
        let lows: Vec<(usize, &Evaluated)> = alarms
            .iter()
            .filter_map(|(owner, _, evaluated)| {
                let (policy, _) = (*owner).filter(|(_, low)| *low)?;
                Some((policy, evaluated.iter().rfind(|one| one.at <= tick)?))
            })
            .collect();
        // Of two policies that ask for the same, the one put first scales.
        let mut best: Option<(i64, i64)> = None;
        let mut owned: Vec<_> =
            alarms.iter().filter_map(|(owner, alarm, seen)| Some(((*owner)?, alarm, seen))).collect();
        owned.sort_by_key(|((place, _), ..)| *place);
        for ((place, low), alarm, evaluated) in owned {
            let Some(one) = evaluated.iter().find(|one| one.at == tick && one.acts && one.state == State::Alarm) else {
                continue;
            };
            if let Some(asked) = asks(case, place, low, one, counts, &state, &lows, deploying, alarm, at)
                && best.is_none_or(|(most, _)| asked.0 > most)
            {
                best = Some(asked);
            }
        }
        let Some((to, cooldown)) = best else { continue };
        let out = to > counts.1;
        if out {
            state.in_until = 0;
            state.chain = state.base(counts.0, at);
        }
        state.activity = Some((out, cooldown));
        changes.push((at, to));
    }
    prop_assert_eq!(&seen.desired, &changes);
    Ok((transitions, changes.len() - 1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn alarms_and_policies_do_what_the_rules_say(case in case()) {
        check(&case)?;
    }
}

#[test]
fn the_reference_is_put_to_work() {
    // A check that nothing ever happens in would hold of anything: count what random cases do.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestRunner};
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let (mut transitions, mut changes) = (0, 0);
    for _ in 0..12 {
        let case = case().new_tree(&mut runner).expect("a case").current();
        let (alarms, counts) = check(&case).unwrap_or_else(|error| panic!("{error}\n{}", scenario(&case)));
        transitions += alarms;
        changes += counts;
    }
    assert!(transitions > 100 && changes > 40, "{transitions} changes of state, {changes} of the desired count");
}
