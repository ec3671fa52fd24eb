//! Queues and the services that drain them (SQS-*): deliveries, kills, dead letters, metrics, scaling from zero.

use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, run};
use ecsim::engine::time::SimTime;
use ecsim::report::recorder::Recorder;
use ecsim::report::summary::ReplicationSummary;
use ecsim::scenario::{LoadOptions, load_str};
use ecsim::stats::Estimate;
use ecsim::workload::fluid::waiting_factor;
use ecsim::workload::queue::{QueueEvent, Ways};
use proptest::prelude::*;

use crate::lab::{Log, run_text};

/// A service `w` of `tasks` Fargate tasks of one vCPU, each up after half a minute or so, and a workload `jobs`.
fn scenario(tasks: u32, behaviour: &str, messages: &str, more: &str) -> String {
    format!(
        "name: lab\nduration: 1h\nclusters: [{{clusterName: c}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', \
         memory: '2048', containerDefinitions: [{{name: app, image: app}}], behaviour: {{{behaviour}}}}}\n\
         services:\n  - {{serviceName: w, cluster: c, taskDefinition: t, desiredCount: {tasks}, launchType: FARGATE, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n\
         workloads:\n  - {{name: jobs, messages: {{service: w, {messages}}}}}\n{more}"
    )
}

/// The same on one host of two vCPUs.
fn on_a_host(definition: &str, messages: &str) -> String {
    format!(
        "name: lab\nduration: 30m\nautoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, \
         MaxSize: 1, AvailabilityZones: [us-east-1a]}}\n\
         taskDefinitions:\n  - {{family: t, networkMode: bridge, {definition}}}\n\
         services:\n  - {{serviceName: w, taskDefinition: t, desiredCount: 1, launchType: EC2}}\n\
         workloads:\n  - {{name: jobs, messages: {{service: w, {messages}}}}}\n"
    )
}

/// Messages in the order of what happened to them: (time in s, event), and the books at the end.
#[derive(Default)]
struct Deliveries {
    events: Vec<(f64, QueueEvent)>,
    ways: Vec<(String, Ways, u64)>,
}

impl Deliveries {
    fn times(&self, pick: fn(&QueueEvent) -> bool) -> Vec<f64> {
        self.events.iter().filter(|(_, event)| pick(event)).map(|(time, _)| (time * 1e3).round() / 1e3).collect()
    }

    fn received(&self) -> Vec<f64> {
        self.times(|event| matches!(event, QueueEvent::Received { .. }))
    }

    fn deleted(&self) -> Vec<f64> {
        self.times(|event| matches!(event, QueueEvent::Deleted { age: Some(_) }))
    }

    fn of(&self, queue: &str) -> Ways {
        self.ways.iter().find(|(name, ..)| name == queue).expect("there is a queue of that name").1
    }
}

impl Observer for Deliveries {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, _: &State) {
        if let Record::Queue { queue, event } = record
            && queue.0 == 0
        {
            self.events.push((now.as_secs_f64(), *event));
        }
    }

    fn finish(&mut self, _: SimTime, state: &State) {
        self.ways = state
            .queues
            .iter()
            .map(|entry| (entry.name.to_string(), entry.queue.ways(), entry.queue.visible() + entry.queue.in_flight()))
            .collect();
    }
}

fn load(text: &str) -> ecsim::scenario::Scenario {
    let mut text = text.to_owned();
    if !text.contains("\ndelays:") {
        text.push_str("\ndelays: {preset: constant}\n");
    }
    load_str("lab.yaml", &text, &LoadOptions::default()).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

fn deliveries(text: &str) -> Deliveries {
    let mut seen = Deliveries::default();
    run(&load(text).estate, RunOptions { replication: 0, paranoid: true }, &mut seen, |_| {});
    seen
}

fn summary(text: &str, replication: u64) -> ReplicationSummary {
    let estate = load(text).estate;
    let mut recorder = Recorder::new(&estate);
    run(&estate, RunOptions { replication, paranoid: false }, &mut recorder, |_| {});
    recorder.into_summary(None).unwrap()
}

const BURST: &str = "arrivals: {spikes: {height: 1, at: 5m, for: 4500ms}}";

#[test]
fn messages_wait_then_compute_and_leave() {
    // Four messages, a second apart. One task works on two at once: 2 s of waiting, then one CPU for both.
    let text = scenario(
        1,
        "",
        &format!(
            "{BURST}, waitPerMessage: 2s, cpuPerMessage: 1s, concurrency: 2, \
                  Attributes: {{ReceiveMessageWaitTimeSeconds: 20}}"
        ),
        "",
    );
    let seen = deliveries(&text);
    // Sent at 301, 302, 303, 304; the first computes alone from 303 to 304, the second from 304 to 305.
    assert_eq!(seen.received(), [301.0, 302.0, 304.0, 305.0]);
    assert_eq!(seen.deleted(), [304.0, 305.0, 307.0, 308.0]);
}

#[test]
fn by_short_polling_a_message_waits_for_the_next_question() {
    let messages = format!("{BURST}, waitPerMessage: 100ms, pollInterval: 7s");
    let seen = deliveries(&scenario(1, "startup: 2500ms", &messages, ""));
    let received = seen.received();
    assert_eq!(received.len(), 4);
    // From the first question on it asks every 7 s, and at once after each message.
    assert!(received[0] > 301.0 && received[0] <= 308.0, "{received:?}");
    assert_eq!(seen.of("jobs").deleted, 4);
}

#[test]
fn what_a_stopped_task_works_on_comes_back_after_the_visibility_timeout() {
    let text = scenario(
        2,
        "",
        "arrivals: {spikes: {height: 1, at: 5m, for: 1500ms}}, waitPerMessage: 100s, \
         Attributes: {VisibilityTimeout: 120, ReceiveMessageWaitTimeSeconds: 20}",
        "actions:\n  - {at: 310s, call: 'ecs:UpdateService', with: {service: w, cluster: c, desiredCount: 0}}\n\
         \x20 - {at: 330s, call: 'ecs:UpdateService', with: {service: w, cluster: c, desiredCount: 1}}\n",
    );
    let seen = deliveries(&text);
    assert_eq!(seen.received(), [301.0, 421.0], "120 s after the first delivery, not when the task stopped");
    assert_eq!(seen.deleted(), [521.0]);
}

#[test]
fn a_task_may_finish_what_it_works_on_within_its_stop_timeout() {
    let text = |work: u32| {
        scenario(
            1,
            "",
            &format!(
                "arrivals: {{spikes: {{height: 1, at: 5m, for: 1500ms}}}}, waitPerMessage: {work}s, onStop: finish, \
                      Attributes: {{VisibilityTimeout: 120, ReceiveMessageWaitTimeSeconds: 20}}"
            ),
            "actions:\n  - {at: 310s, call: 'ecs:UpdateService', with: {service: w, cluster: c, desiredCount: 0}}\n",
        )
    };
    // Stop signal at 310 s; without a stopTimeout of its own the container has 30 s.
    let finished = deliveries(&text(35));
    assert_eq!((finished.received(), finished.deleted()), (vec![301.0], vec![336.0]));
    let log = run_text(&text(35));
    assert_eq!(log.level("service/c/w", "RunningCount").last(), Some(&(310.0, 0.0)));
    let stopped = |log: &Log| log.times("service:w", "DEPROVISIONING");
    assert_eq!(stopped(&log), [336.0], "it ends with its last message");
    let killed = run_text(&text(60));
    assert_eq!(stopped(&killed), [340.0], "no longer than its stop timeout");
    assert_eq!(deliveries(&text(60)).deleted(), [0.0; 0]);
}

#[test]
fn a_restarted_container_loses_its_messages_and_asks_again_when_it_is_ready() {
    let text = scenario(
        1,
        "startup: 10s, runsFor: 400s",
        "arrivals: {spikes: {height: 1, at: 390s, for: 1500ms}}, waitPerMessage: 50s, \
         Attributes: {VisibilityTimeout: 60, ReceiveMessageWaitTimeSeconds: 20}",
        "",
    )
    .replace("image: app}", "image: app, restartPolicy: {enabled: true}}");
    let seen = deliveries(&text);
    let received = seen.received();
    // The container ends 400 s after its start; its message is back after its timeout, and by then it is ready again.
    assert_eq!(received, [391.0, 451.0]);
    assert_eq!(seen.deleted(), [501.0]);
}

#[test]
fn a_message_that_always_fails_ends_in_the_dead_letter_queue() {
    let policy = r#"'{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:jobs-dlq","maxReceiveCount":"3"}'"#;
    let messages = format!(
        "arrivals: {{spikes: {{height: 1, at: 5m, for: 2500ms}}}}, waitPerMessage: 5s, poisonRatio: 1, \
         Attributes: {{VisibilityTimeout: '30', ReceiveMessageWaitTimeSeconds: '20', RedrivePolicy: {policy}}}"
    );
    let text = scenario(1, "", &messages, "");
    let seen = deliveries(&text);
    assert_eq!(seen.received(), [301.0, 306.0, 331.0, 336.0, 361.0, 366.0]);
    assert_eq!(seen.times(|event| matches!(event, QueueEvent::DeadLettered { .. })), [391.0, 396.0]);
    assert_eq!((seen.of("jobs").dead_lettered, seen.of("jobs-dlq").moved_in, seen.of("jobs-dlq").sent), (2, 2, 0));
    let figures = summary(&text, 0);
    assert_eq!(figures.get("queue/jobs:messages_dead_lettered"), Some(2.0));
    assert_eq!(figures.get("queue/jobs-dlq:messages_left"), Some(2.0));
    assert_eq!(figures.get("queue/jobs:age_max_s"), Some(94.0), "the second, from 302 s until it goes to the back");
    assert_eq!(figures.get("queue/jobs:messages_redelivered"), Some(4.0));
}

#[test]
fn a_batch_of_receives_waits_in_the_task_with_its_timeout_running() {
    // Ten at once to one of two tasks, which handles them one after the other: the later ones do not begin within their
    // 30 s, and the other task gets them as well.
    let text = scenario(
        2,
        "",
        "count: 10, arrivals: {spikes: {height: 1, at: 5m, for: 1500ms}}, waitPerMessage: 12s, MaxNumberOfMessages: 10, \
         Attributes: {ReceiveMessageWaitTimeSeconds: 20}",
        "",
    );
    let figures = summary(&text, 0);
    assert!(figures.get("queue/jobs:messages_redelivered").unwrap() >= 7.0);
    let one_by_one = summary(&text.replace("MaxNumberOfMessages: 10", "MaxNumberOfMessages: 1"), 0);
    let of = |metric: &str| one_by_one.get(&format!("queue/jobs:{metric}")).unwrap();
    assert_eq!((of("messages_redelivered"), of("messages_deleted")), (0.0, 10.0));
    assert_eq!((of("backlog_max"), of("in_flight_max")), (8.0, 2.0));
    assert_eq!((of("drain_max_s"), of("age_max_s")), (48.0, 60.0));
    assert_eq!((of("time_in_queue_mean_s"), of("latency_mean_s")), (24.0, 36.0));
}

#[test]
fn messages_feed_the_cpu_metric_and_the_sharing_of_the_host() {
    let cpu = |definition: &str, messages: &str| {
        let log = run_text(&on_a_host(definition, messages));
        let points = log.metric("service/default/w", "CPUUtilization");
        let settled: Vec<f64> =
            points.into_iter().filter(|(start, _)| (600.0..1700.0).contains(start)).map(|(_, value)| value).collect();
        settled.iter().sum::<f64>() / settled.len() as f64
    };
    let free = "containerDefinitions: [{name: app, image: app, cpu: 512, memory: 128}]";
    let wait = "Attributes: {ReceiveMessageWaitTimeSeconds: 20}, concurrency: 8";
    // One message a second of 0.4 CPU seconds, of a reservation of half a vCPU.
    let light = cpu(free, &format!("arrivals: 1, cpuPerMessage: 400ms, {wait}"));
    assert!((light - 80.0).abs() < 0.5, "{light}");
    // More than the host has: its two vCPUs are four times the reservation.
    let flood = cpu(free, &format!("arrivals: 10, cpuPerMessage: 400ms, {wait}"));
    assert!((flood - 400.0).abs() < 0.5, "{flood}");
    // One message at a time uses one CPU.
    let single = cpu(free, "arrivals: 10, cpuPerMessage: 400ms, Attributes: {ReceiveMessageWaitTimeSeconds: 20}");
    assert!((single - 200.0).abs() < 0.5, "{single}");
    // A task-level size is a hard cap (TD-9).
    let capped = "cpu: '512', memory: '512', containerDefinitions: [{name: app, image: app}]";
    let held = cpu(capped, &format!("arrivals: 10, cpuPerMessage: 400ms, {wait}"));
    assert!((held - 100.0).abs() < 0.5, "{held}");
}

#[test]
fn sqs_1_an_active_queue_publishes_each_minute_and_a_quiet_one_nothing() {
    let text = scenario(
        0,
        "",
        "arrivals: {spikes: {height: 1, at: 30m, for: 1500ms}}, waitPerMessage: 5s",
        "behaviour: {alarm_eval_phase: aligned, sqs_active_for: 10m}\n",
    );
    let log = run_text(&text);
    let points = log.metric("queue/jobs", "ApproximateNumberOfMessagesVisible");
    let quiet: Vec<f64> = points.iter().map(|(start, _)| *start).filter(|start| *start < 1800.0).collect();
    assert_eq!(quiet.len(), 10, "{quiet:?}");
    assert!(points.iter().all(|(start, value)| *value == f64::from(u8::from(*start >= 1800.0))));
    // A message keeps it active; nobody drains it.
    assert_eq!(
        points.iter().filter(|(start, _)| *start >= 1800.0).count(),
        29,
        "the minute that ends with the run is not seen"
    );
    let age = log.metric("queue/jobs", "ApproximateAgeOfOldestMessage");
    assert_eq!(age.last(), Some(&(3480.0, 1739.0)));
    let sent = log.metric("queue/jobs", "NumberOfMessagesSent");
    assert_eq!(sent.iter().filter(|(_, value)| *value > 0.0).collect::<Vec<_>>(), [&(1800.0, 1.0)]);
}

#[test]
fn sqs_1_tasks_that_poll_keep_an_empty_queue_active() {
    let text = scenario(
        1,
        "",
        "waitPerMessage: 5s, Attributes: {ReceiveMessageWaitTimeSeconds: 20}",
        "behaviour: {alarm_eval_phase: aligned, sqs_active_for: 10m}\n",
    );
    let log = run_text(&text);
    assert_eq!(log.metric("queue/jobs", "ApproximateNumberOfMessagesVisible").len(), 59);
    let empty = log.metric("queue/jobs", "NumberOfEmptyReceives");
    assert_eq!(empty.last(), Some(&(3480.0, 3.0)), "a receive of 20 s three times a minute");
}

#[test]
fn sqs_2_metrics_of_a_queue_that_wakes_up_come_late() {
    let alarm = "alarms:\n  - {AlarmName: waits, Namespace: AWS/SQS, MetricName: ApproximateNumberOfMessagesVisible, \
                 Dimensions: [{Name: QueueName, Value: jobs}], Statistic: Maximum, Period: 60, EvaluationPeriods: 3, \
                 Threshold: 1, ComparisonOperator: GreaterThanOrEqualToThreshold}\n";
    let raised = |delay: &str| {
        let behaviour =
            format!("behaviour: {{alarm_eval_phase: aligned, sqs_active_for: 10m, sqs_wake_delay: {delay}}}\n{alarm}");
        let messages = "arrivals: {spikes: {height: 1, at: 30m, for: 1500ms}}, waitPerMessage: 5s";
        let log = run_text(&scenario(0, "", messages, &behaviour));
        log.alarms.iter().find(|(_, name, state, _)| name == "waits" && state == "ALARM").map(|(time, ..)| *time)
    };
    // Three minutes from 1800 s on, and the minute until the last of them shows.
    assert_eq!(raised("0s"), Some(2040.0));
    // At 1801 + 900 s everything since is there at once.
    assert_eq!(raised("15m"), Some(2760.0));
}

#[test]
fn ex_sqs_2() {
    // 30 s that a message may wait, 0.25 s of work: 120 messages a task. With 120 waiting, the last has waited 30 s.
    let text = scenario(
        1,
        "",
        "count: 120, arrivals: {spikes: {height: 1, at: 5m, for: 1500ms}}, waitPerMessage: 250ms, \
         Attributes: {ReceiveMessageWaitTimeSeconds: 20}",
        "",
    );
    assert_eq!(summary(&text, 0).get("queue/jobs:age_max_s"), Some(30.0));
}

/// A policy on the backlog per task, AWS's form (SQS-5) or with an IF around it (EX-SQS-3).
fn tracked(expression: &str, messages: &str) -> String {
    let stat = |id: &str, namespace: &str, name: &str, dimensions: &str, stat: &str| {
        format!(
            "{{Id: {id}, ReturnData: false, MetricStat: {{Metric: {{Namespace: {namespace}, MetricName: {name}, Dimensions: \
             [{dimensions}]}}, Stat: {stat}}}}}"
        )
    };
    let visible = "ApproximateNumberOfMessagesVisible";
    let m1 = stat("m1", "AWS/SQS", visible, "{Name: QueueName, Value: jobs}", "Sum");
    let service = "{Name: ClusterName, Value: c}, {Name: ServiceName, Value: w}";
    let m2 = stat("m2", "ECS/ContainerInsights", "RunningTaskCount", service, "Average");
    scenario(
        0,
        "",
        messages,
        &format!(
            "scalableTargets:\n  - {{ResourceId: service/c/w, MinCapacity: 0, MaxCapacity: 20}}\n\
             scalingPolicies:\n  - {{PolicyName: backlog, PolicyType: TargetTrackingScaling, ResourceId: service/c/w, \
             TargetTrackingScalingPolicyConfiguration: {{TargetValue: 100, CustomizedMetricSpecification: \
             {{Metrics: [{m1}, {m2}, {{Id: e1, Expression: '{expression}'}}]}}}}}}\n"
        ),
    )
}

#[test]
fn sqs_5_a_policy_over_a_modelled_queue_wakes_only_if_it_has_a_value_at_zero() {
    let messages = "count: 500, arrivals: {spikes: {height: 1, at: 10m, for: 1500ms}}, waitPerMessage: 2s, \
                    Attributes: {ReceiveMessageWaitTimeSeconds: 20}";
    let plain = run_text(&tracked("m1 / m2", messages));
    assert_eq!(plain.level("service/c/w", "DesiredCount"), [(0.0, 0.0)]);
    let guarded = run_text(&tracked("IF(m2 > 0, m1 / m2, m1)", messages));
    let desired = guarded.level("service/c/w", "DesiredCount");
    // Three minutes from 600 s on, the last visible at 840 s. From zero, one task (TT-16); then ceil(1 x 460 / 100) or so.
    assert_eq!(desired[..2], [(0.0, 0.0), (840.2, 1.0)]);
    assert!((4.0..=5.0).contains(&desired[2].1), "{desired:?}");
    assert_eq!(desired.last().unwrap().1, 0.0, "an empty queue needs no task");
    let waiting = guarded.metric("queue/jobs", "ApproximateNumberOfMessagesVisible");
    assert!(waiting.contains(&(600.0, 500.0)), "{waiting:?}");
}

#[test]
fn step_scaling_wakes_a_worker_from_zero_and_sends_it_to_sleep() {
    let alarm = |name: &str, policy: &str, periods: u32, operator: &str, threshold: u32| {
        format!(
            "  - {{AlarmName: {name}, AlarmActions: [{policy}], Namespace: AWS/SQS, \
             MetricName: ApproximateNumberOfMessagesVisible, Dimensions: [{{Name: QueueName, Value: jobs}}], \
             Statistic: Maximum, Period: 60, EvaluationPeriods: {periods}, Threshold: {threshold}, \
             ComparisonOperator: {operator}}}\n"
        )
    };
    let policy = |name: &str, bound: &str, tasks: u32| {
        format!(
            "  - {{PolicyName: {name}, PolicyType: StepScaling, ResourceId: service/c/w, \
             StepScalingPolicyConfiguration: {{AdjustmentType: ExactCapacity, Cooldown: 60, \
             StepAdjustments: [{{{bound}: 0, ScalingAdjustment: {tasks}}}]}}}}\n"
        )
    };
    let more = format!(
        "scalableTargets:\n  - {{ResourceId: service/c/w, MinCapacity: 0, MaxCapacity: 20}}\nscalingPolicies:\n{}{}alarms:\n{}{}",
        policy("wake", "MetricIntervalLowerBound", 3),
        policy("sleep", "MetricIntervalUpperBound", 0),
        alarm("full", "wake", 1, "GreaterThanOrEqualToThreshold", 1),
        alarm("empty", "sleep", 5, "LessThanOrEqualToThreshold", 0),
    );
    let messages = "count: 90, arrivals: {spikes: {height: 1, at: 10m, for: 1500ms}}, waitPerMessage: 4s, \
                    Attributes: {ReceiveMessageWaitTimeSeconds: 20}";
    let log = run_text(&scenario(0, "", messages, &more));
    let desired = log.level("service/c/w", "DesiredCount");
    assert_eq!(desired[..2], [(0.0, 0.0), (720.2, 3.0)], "the minute of 601 s ends at 660 s and shows at 720 s");
    let done = deliveries(&scenario(0, "", messages, &more)).deleted();
    assert_eq!(done.len(), 90);
    let asleep = desired[2];
    assert!(asleep.1 == 0.0 && asleep.0 > done[89] + 240.0 && asleep.0 < done[89] + 480.0, "{asleep:?} {}", done[89]);
}

#[test]
fn m_m_c_time_in_queue_agrees_with_erlang() {
    // Four tasks that work on one message each, by long polling: M/M/4 with a load of 0.8.
    let text = scenario(
        4,
        "",
        "arrivals: {poisson: 3.2}, waitPerMessage: {exponential: {mean: 1s}}, \
         Attributes: {ReceiveMessageWaitTimeSeconds: 20}",
        "warmup: 10m\n",
    )
    .replace("duration: 1h", "duration: 2h");
    let means: Vec<f64> = (0..12).map(|n| summary(&text, n).get("queue/jobs:time_in_queue_mean_s").unwrap()).collect();
    // Mean wait in M/M/c: Erlang C / (c (1 - rho)), in service times.
    let expected = waiting_factor(4.0, 0.8);
    let estimate = Estimate::from_samples(&means).unwrap();
    assert!(estimate.contains(expected), "{estimate:?}, expected {expected}");
    assert!(estimate.half_width.unwrap() < 0.15 * expected, "{estimate:?}");
}

#[test]
fn two_loads_of_a_service_share_its_cpu() {
    // Each wants a CPU; the task has one.
    let text =
        scenario(1, "", "arrivals: 2, cpuPerMessage: 500ms, Attributes: {ReceiveMessageWaitTimeSeconds: 20}", "")
            + "  - {name: load, utilization: {service: w, cpu: 1}}\n";
    let log = run_text(&text);
    let cpu = log.metric("service/c/w", "CPUUtilization");
    assert!(cpu.iter().filter(|(start, _)| *start > 600.0).all(|(_, value)| (value - 100.0).abs() < 1.0), "{cpu:?}");
    let figures = summary(&text, 0);
    let (came, done) =
        (figures.get("queue/jobs:messages").unwrap(), figures.get("queue/jobs:messages_deleted").unwrap());
    assert!((0.4..0.6).contains(&(done / came)), "half the CPU is for messages: {done} of {came}");
}

#[test]
fn mistakes_in_messages_are_told_with_their_place() {
    let service = "service: w, waitPerMessage: 1s";
    for (messages, expect) in [
        ("service: w", "`messages` needs `cpuPerMessage`, `waitPerMessage` or both"),
        ("service: ghost, waitPerMessage: 1s", "there is no service `ghost`"),
        (&format!("{service}, Attributes: {{VisibilityTimeout: 43201}}"), "43201 is not between 0 and 43200"),
        (&format!("{service}, Attributes: {{VisibilityTimeout: soon}}"), "expected a whole number"),
        (&format!("{service}, Attributes: {{VisibilityTimeout: 0}}"), "not modelled yet: messages that everybody may"),
        (&format!("{service}, Attributes: {{FifoQueue: 'true'}}"), "`FifoQueue` is not modelled yet"),
        (&format!("{service}, Attributes: {{VisibilityTimout: 3}}"), "did you mean `VisibilityTimeout`?"),
        (&format!("{service}, Attributes: {{RedrivePolicy: 'x'}}"), "a map, or a JSON object as a text"),
        (
            &format!("{service}, Attributes: {{RedrivePolicy: {{deadLetterTargetArn: jobs, maxReceiveCount: 3}}}}"),
            "a queue cannot be its own dead-letter queue",
        ),
        (
            &format!("{service}, Attributes: {{RedrivePolicy: {{deadLetterTargetArn: dlq, maxReceiveCount: 0}}}}"),
            "0 is not between 1 and 1000",
        ),
        (&format!("{service}, failureRatio: 1.5"), "1.5 is no share of the messages"),
        (&format!("{service}, pollInterval: 0s"), "asks again at once asks without end"),
        (&format!("{service}, QueueName: 'jobs!'"), "Can only include alphanumeric characters"),
        (&format!("{service}, MaxNumberOfMessages: 11"), "11 is out of range"),
        (&format!("{service}, arrivals: {{poison: 3}}"), "there is no arrival process `poison`"),
    ] {
        let text = scenario(1, "", "", "").replace("service: w, }", &format!("{messages}}}"));
        let found = load_str("lab.yaml", &text, &LoadOptions::default()).unwrap_err();
        let message = found.to_string();
        assert!(message.contains(expect) && message.starts_with("lab.yaml:"), "{messages}: {message}");
    }
    let twice = scenario(1, "", service.trim_start_matches("service: w, "), "")
        + "  - {name: other, messages: {QueueName: jobs}}\n";
    let message = load_str("lab.yaml", &twice, &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("`jobs` is there already"), "{message}");
}

#[test]
fn a_visibility_timeout_shorter_than_the_work_is_told() {
    let text = scenario(1, "", "arrivals: 1, waitPerMessage: 40s", "");
    let loaded = load(&text);
    assert!(loaded.estate.warnings.iter().any(|warning| warning.contains("visible again after 30 s")));
    let figures = summary(&scenario(1, "", "arrivals: 1, waitPerMessage: 40s, concurrency: 100", ""), 0);
    assert!(figures.get("queue/jobs:messages_redelivered").unwrap() > 1000.0);
}

#[test]
fn an_objective_may_be_about_a_queue() {
    let text = scenario(
        1,
        "",
        "arrivals: 1/min, waitPerMessage: 1s, Attributes: {ReceiveMessageWaitTimeSeconds: 20}",
        "slo: [{metric: 'queue/jobs:age_max_s', max: 0.5}]\n",
    );
    let estate = load(&text).estate;
    let verdicts = ecsim::report::summary::Summary::of(&[summary(&text, 0)]).judge(&estate.slo);
    assert!(!verdicts[0].held, "each takes a second: {verdicts:?}");
    let wrong = text.replace("age_max_s", "age_max");
    let message = load_str("lab.yaml", &wrong, &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("did you mean `queue/jobs:age_max_s`?"), "{message}");
}

/// What happens to the tasks of a queue's service.
#[derive(Clone, Debug)]
enum Blow {
    Scale(u32),
    StopTask,
    Terminate(u32),
    Redeploy,
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        (0_u32..5).prop_map(Blow::Scale),
        Just(Blow::StopTask),
        (0_u32..3).prop_map(Blow::Terminate),
        Just(Blow::Redeploy)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Under random kills, failures and timeouts every message is in one place at any time (checked after every event by
    /// `--paranoid`), and those that can be handled are, once nobody disturbs any more.
    #[test]
    fn messages_survive_random_kills(
        blows in prop::collection::vec((60_u32..1500, blow()), 0..12),
        on_hosts in any::<bool>(),
        finish in any::<bool>(),
        crashes in any::<bool>(),
        (concurrency, most, wait, long) in (1_u32..5, 1_u32..11, 0_u32..20, any::<bool>()),
        (failures, receives, delay) in (prop::sample::select(vec![0.0, 0.2]), 2_u32..8, 0_u32..3),
        seed in 0_u64..1000,
    ) {
        let mut text = String::from("name: random\nduration: 90m\n");
        text.push_str(&format!("seed: {seed}\n"));
        let (definition, launch) = if on_hosts {
            text.push_str("autoScalingGroups:\n  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 2, \
                           AvailabilityZones: [us-east-1a]}\n");
            ("networkMode: bridge, containerDefinitions: [{name: app, image: app, cpu: 256, memory: 128}]", "launchType: EC2")
        } else {
            (
                "networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '512', memory: '1024', \
                 containerDefinitions: [{name: app, image: app}]",
                "launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}",
            )
        };
        let crash = if crashes { "crashes: {mtbf: {exponential: {mean: 5m}}}" } else { "shutdown: 3s" };
        text.push_str(&format!(
            "taskDefinitions:\n  - {{family: t, {definition}, behaviour: {{{crash}}}}}\n\
             services:\n  - {{serviceName: w, taskDefinition: t, desiredCount: 2, {launch}}}\n\
             workloads:\n  - {{name: jobs, messages: {{service: w, count: 3, arrivals: {{poisson: {{steps: [[0s, 0.1], [30m, 0]]}}}}, \
             cpuPerMessage: {{exponential: {{mean: 1s}}}}, waitPerMessage: {{uniform: {{min: 0s, max: {wait}s}}}}, \
             concurrency: {concurrency}, MaxNumberOfMessages: {most}, failureRatio: {failures}, onStop: {}, \
             Attributes: {{VisibilityTimeout: 45, DelaySeconds: {}, ReceiveMessageWaitTimeSeconds: {}, \
             RedrivePolicy: {{deadLetterTargetArn: dlq, maxReceiveCount: {receives}}}}}}}}}\n",
            if finish { "finish" } else { "abandon" }, delay * 10, if long { 20 } else { 0 },
        ));
        text.push_str("actions:\n");
        for (at, blow) in &blows {
            let (call, with) = match blow {
                Blow::Terminate(_) if !on_hosts => continue,
                Blow::Terminate(host) => (
                    "autoscaling:TerminateInstanceInAutoScalingGroup",
                    format!("InstanceId: '#{host}', ShouldDecrementDesiredCapacity: false"),
                ),
                Blow::Scale(count) => ("ecs:UpdateService", format!("service: w, desiredCount: {count}")),
                Blow::StopTask => ("ecs:StopTask", "task: 'service:w'".to_owned()),
                Blow::Redeploy => ("ecs:UpdateService", "service: w, forceNewDeployment: true".to_owned()),
            };
            text.push_str(&format!("  - {{at: {at}s, call: '{call}', with: {{{with}}}}}\n"));
        }
        text.push_str("  - {at: 31m, call: 'ecs:UpdateService', with: {service: w, desiredCount: 6}}\n");
        let seen = deliveries(&text);
        let (jobs, dead) = (seen.of("jobs"), seen.of("dlq"));
        prop_assert_eq!(jobs.sent, jobs.deleted + jobs.dead_lettered, "an hour after the last one was sent nothing is left");
        prop_assert_eq!(jobs.dead_lettered, dead.moved_in);
        let left = &seen.ways[1];
        prop_assert_eq!(left.2, dead.moved_in);
    }
}
