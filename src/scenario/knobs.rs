//! `behaviour`: every knob of the specification, by the name it has there.
//!
//! Knobs of [`Behaviour`] are set; those whose latency has an entry in `delays` change the constant preset; those that
//! nothing looks at yet are accepted at their default and refused at any other value.

use super::decode::{Decode, Raw, Whole, expect_map, unknown_word};
use super::diagnostic::{Problem, Reading, code};
use super::source::Place;
use super::tree::{Node, Value};
use crate::behaviour::{Behaviour, HubLimit, TrackedSample};
use crate::control_plane::estate::Delays;
use crate::ec2::capacity_pool::InterruptionModel;
use crate::ecs::quota::{QUOTA_SETS, Quotas};
use crate::engine::time::SimDuration;
use crate::workload::distribution::Distribution;

/// How a knob is written and what it sets.
enum Knob {
    /// Bare seconds.
    Seconds(fn(&mut Behaviour, SimDuration)),
    /// Bare seconds after which something happens again: one or more.
    Period(fn(&mut Behaviour, SimDuration)),
    /// A duration with its unit.
    Duration(fn(&mut Behaviour, SimDuration)),
    /// A duration after which something happens again: a second or more.
    PeriodWithUnit(fn(&mut Behaviour, SimDuration)),
    /// true or false.
    Switch(fn(&mut Behaviour, bool)),
    /// One of these words; the setter gets its position.
    Word(&'static [&'static str], fn(&mut Behaviour, usize)),
    /// A whole number.
    Count(fn(&mut Behaviour, u32)),
    /// A whole number, one or more: with zero, nothing would ever happen.
    AtLeastOne(fn(&mut Behaviour, u32)),
    /// A whole number, one or more, or `none`, which may be written `unlimited`.
    OptionalCount(fn(&mut Behaviour, Option<u32>)),
    /// A number between 0 and 1.
    Fraction(fn(&mut Behaviour, f64)),
    /// How many times as large: a number between 1 and 100.
    Ratio(fn(&mut Behaviour, f64)),
    /// Bare seconds of a latency that `delays` has under another name.
    Delay(fn(&mut Delays, Distribution)),
}

const KNOBS: &[(&str, Knob)] = &[
    // cluster-autoscaling.md, section 0.2
    ("cas_period_s", Knob::Period(|b, v| b.cas_period = v)),
    ("cas_publish_delay_s", Knob::Seconds(|b, v| b.cas_publish_delay = v)),
    ("alarm_eval_delay_s", Knob::Seconds(|b, v| b.alarm_eval_delay = v)),
    ("empty_cpr_mode", Knob::Word(&["target", "hundred"], |b, v| b.empty_cpr_hundred = v == 1)),
    ("from_zero_mode", Knob::Word(&["formula", "two"], |b, v| b.from_zero_two = v == 1)),
    ("warmup_mode", Knob::Word(&["block", "count_as_capacity"], |b, v| b.warmup_counts_as_capacity = v == 1)),
    ("multi_type_exact_min_step", Knob::Switch(|b, v| b.multi_type_exact_min_step = v)),
    ("metric_mode", Knob::Word(&["ratio", "hundred_minus_empty"], |b, v| b.metric_hundred_minus_empty = v == 1)),
    ("scale_in_step_fraction", Knob::Fraction(|b, v| b.scale_in_step_thousandths = (v * 1000.0).round() as u32)),
    ("provisioning_quota", Knob::Count(|b, v| b.provisioning_quota = v)),
    ("provisioning_timeout_s", Knob::Seconds(|b, v| b.provisioning_timeout = v)),
    ("provisioning_retry_s", Knob::Seconds(|b, v| b.provisioning_retry = v)),
    ("launch_type_tasks_count", Knob::Switch(|b, v| b.launch_type_tasks_count = v)),
    ("zero_weight_base", Knob::Switch(|b, v| b.zero_weight_base = v)),
    ("az_rebalance_threshold", Knob::Count(|b, v| b.az_rebalance_threshold = v)),
    ("health_check_period_s", Knob::Period(|b, v| b.health_check_period = v)),
    ("impaired_wait_s", Knob::Seconds(|b, v| b.impaired_wait = v)),
    (
        "spot_interruptions",
        Knob::Word(&["correlated", "independent", "none"], |b, v| {
            b.spot_interruptions =
                [InterruptionModel::Correlated, InterruptionModel::Independent, InterruptionModel::None][v];
        }),
    ),
    ("ec2_bad_boot_probability", Knob::Fraction(|b, v| b.ec2_bad_boot_probability = v)),
    ("spot_wave_share", Knob::Fraction(|b, v| b.spot_wave_share = v)),
    ("ice_retry_s", Knob::Period(|b, v| b.ice_retry = v)),
    ("asg_launch_batch", Knob::AtLeastOne(|b, v| b.asg_launch_batch = v)),
    ("run_instances_bucket", Knob::AtLeastOne(|b, v| b.run_instances_bucket = v)),
    ("run_instances_refill_per_s", Knob::AtLeastOne(|b, v| b.run_instances_refill_per_s = v)),
    ("trunk_attach_s", Knob::Seconds(|b, v| b.trunk_attach = v)),
    ("reserve_51680", Knob::Switch(|b, v| b.reserve_51680 = v)),
    ("t_warm_start_s", Knob::Delay(|d, v| d.warm_start = v)),
    ("asg_reconcile_s", Knob::Delay(|d, v| d.asg_reaction = v)),
    ("t_pending_running_s", Knob::Delay(|d, v| d.instance_launch = v)),
    ("t_running_inservice_s", Knob::Delay(|d, v| d.instance_in_service = v)),
    ("t_launch_to_agent_s", Knob::Delay(|d, v| d.agent_register = v)),
    ("t_terminate_s", Knob::Delay(|d, v| d.instance_terminate = v)),
    // service-autoscaling.md, section 1
    ("metric_delay.ecs60", Knob::Duration(|b, v| b.metric_delay.ecs60 = v)),
    ("metric_delay.ecs20", Knob::Duration(|b, v| b.metric_delay.ecs20 = v)),
    ("metric_delay.ec2", Knob::Duration(|b, v| b.metric_delay.ec2 = v)),
    ("metric_delay.alb", Knob::Duration(|b, v| b.metric_delay.alb = v)),
    ("metric_delay.container_insights", Knob::Duration(|b, v| b.metric_delay.container_insights = v)),
    ("metric_delay.sqs", Knob::Duration(|b, v| b.metric_delay.sqs = v)),
    ("metric_delay.custom", Knob::Duration(|b, v| b.metric_delay.custom = v)),
    ("partial_buckets", Knob::Switch(|b, v| b.partial_buckets = v)),
    ("sqs_active_for", Knob::Duration(|b, v| b.sqs_active_for = v)),
    ("sqs_wake_delay", Knob::Duration(|b, v| b.sqs_wake_delay = v)),
    ("alarm_eval_phase", Knob::Word(&["hash", "aligned"], |b, v| b.alarm_eval_aligned = v == 1)),
    ("alarm_pending_keeps_state", Knob::Switch(|b, v| b.alarm_pending_keeps_state = v)),
    (
        "tt_metric_sample",
        Knob::Word(&["latest", "mean_of_window", "min_of_window"], |b, v| {
            b.tt_metric_sample = [TrackedSample::Latest, TrackedSample::MeanOfWindow, TrackedSample::MinOfWindow][v];
        }),
    ),
    ("tt_low_factor", Knob::Fraction(|b, v| b.tt_low_factor = v)),
    ("tt_scale_in_cap", Knob::OptionalCount(|b, v| b.tt_scale_in_cap = v)),
    ("tt_zero_capacity_step", Knob::Count(|b, v| b.tt_zero_capacity_step = v)),
    ("activity_poll", Knob::PeriodWithUnit(|b, v| b.activity_poll = v)),
    ("action_latency", Knob::Duration(|b, v| b.action_latency = v)),
    ("ecs_update_latency", Knob::Duration(|b, v| b.ecs_update_latency = v)),
    ("scheduled_collision", Knob::Duration(|b, v| b.scheduled_collision = v)),
    ("scheduled_delay", Knob::Duration(|b, v| b.scheduled_delay = v)),
    ("predicted_capacity_is_floor", Knob::Switch(|b, v| b.predicted_capacity_is_floor = v)),
    // tasks-and-services.md, section 15
    ("svc_update_lag_s", Knob::Seconds(|b, v| b.svc_update_lag = v)),
    ("svc_tick_s", Knob::Seconds(|b, v| b.svc_tick = v)),
    ("healthy_wait_s", Knob::Delay(|d, v| d.healthy = v)),
    ("steady_repeat_s", Knob::Period(|b, v| b.steady_repeat = v)),
    ("throttle_base_s", Knob::Period(|b, v| b.throttle_base = v)),
    ("throttle_max_s", Knob::Period(|b, v| b.throttle_max = v)),
    ("unplaced_max_s", Knob::Period(|b, v| b.unplaced_max = v)),
    ("unplaced_wake", Knob::Switch(|b, v| b.unplaced_wake = v)),
    ("svc_rate_per_min", Knob::AtLeastOne(|b, v| b.svc_rate_per_min = Some(v))),
    ("svc_burst", Knob::OptionalCount(|b, v| b.svc_burst = v)),
    ("unhealthy_mode", Knob::Word(&["replace_first", "stop_first"], |b, v| b.unhealthy_stop_first = v == 1)),
    ("unhealthy_min_slack", Knob::Count(|b, v| b.unhealthy_min_slack = v)),
    ("rebalance_delay_s", Knob::Seconds(|b, v| b.rebalance_delay = v)),
    (
        "quota_set",
        Knob::Word(&["2018-01", "2019-02", "2020-06", "2021-01", "2021-06", "2022-04", "2026", "none"], |b, v| {
            b.quota_set = (v < QUOTA_SETS.len()).then_some(v);
        }),
    ),
    ("cb_min", Knob::Count(|b, v| b.cb_min = v)),
    ("alarm_bake_s", Knob::Seconds(|b, v| b.alarm_bake = v)),
    ("hi_counts_stopping", Knob::Switch(|b, v| b.hi_counts_stopping = v)),
    ("health_ignores_unchecked", Knob::Switch(|b, v| b.health_ignores_unchecked = v)),
    ("cpu_period_s", Knob::Seconds(|b, v| b.cpu_period = v)),
    ("health_report_delay_s", Knob::Seconds(|b, v| b.health_report_delay = v)),
    ("hook_repeat_s", Knob::Period(|b, v| b.hook_repeat = v)),
    ("alb_hc_timeout_s", Knob::Period(|b, v| b.alb_hc_timeout = v)),
    ("elb_first_probe_s", Knob::Seconds(|b, v| b.elb_first_probe = v)),
    ("elb_initial_passes", Knob::AtLeastOne(|b, v| b.elb_initial_passes = v)),
    ("alb_register_s", Knob::Seconds(|b, v| b.alb_register = v)),
    ("nlb_register_s", Knob::Seconds(|b, v| b.nlb_register = v)),
    ("stop_waits_drain", Knob::Switch(|b, v| b.stop_waits_drain = v)),
    ("release_point", Knob::Word(&["stop_requested", "stopped"], |b, v| b.release_when_stopped = v == 1)),
    ("ec2_eni_detach_s", Knob::Seconds(|b, v| b.ec2_eni_detach = v)),
    ("stop_report_s", Knob::Seconds(|b, v| b.stop_report = v)),
    ("fargate_deprovision_s", Knob::Seconds(|b, v| b.fargate_deprovision = v)),
    ("fargate_spot_ratio", Knob::Fraction(|b, v| b.fargate_spot_ratio = v)),
    ("fargate_vcpu_quota", Knob::OptionalCount(|b, v| b.fargate_vcpu_quota = v)),
    ("api_throttle", Knob::Word(&["off", "on"], |b, v| b.api_throttle = v == 1)),
    ("place_tie", Knob::Word(&["lowest_id", "random"], |b, v| b.place_tie_random = v == 1)),
    ("cp_nomanaged_failure", Knob::Word(&["failures", "stopped"], |b, v| b.cp_nomanaged_stopped = v == 1)),
    ("pull_base_s", Knob::Delay(|d, v| d.pull_base = v)),
    ("pull_sharing", Knob::Word(&["fair", "none"], |b, v| b.pull_sharing_fair = v == 0)),
    (
        "hub_limit",
        Knob::Word(&["off", "per_host", "nat", "personal"], |b, v| {
            b.hub_limit = [HubLimit::Off, HubLimit::PerHost, HubLimit::Nat, HubLimit::Personal][v];
        }),
    ),
    ("image_uncompressed_ratio", Knob::Ratio(|b, v| b.image_uncompressed_ratio = v)),
    ("soci_pull_factor", Knob::Fraction(|b, v| b.soci_pull_factor = v)),
    ("schedule_jitter_s", Knob::Seconds(|b, v| b.schedule_jitter = v)),
    ("schedule_retry_failures", Knob::Switch(|b, v| b.schedule_retry_failures = v)),
    ("event_retry_base_s", Knob::Period(|b, v| b.event_retry_base = v)),
    ("event_retry_max_s", Knob::Period(|b, v| b.event_retry_max = v)),
    ("agent_queue", Knob::Word(&["fifo", "legacy"], |b, v| b.agent_queue_legacy = v == 1)),
    ("deregister_grace_s", Knob::Seconds(|b, v| b.deregister_grace = v)),
    ("stopped_retention_s", Knob::Seconds(|b, v| b.stopped_retention = v)),
    ("subnet_ips", Knob::OptionalCount(|b, v| b.subnet_ips = v)),
    ("ebs_attach_s", Knob::Seconds(|b, v| b.ebs_attach = v)),
    ("efs_mount_s", Knob::Seconds(|b, v| b.efs_mount = v)),
];

/// Knobs that nothing looks at yet, with the defaults they are accepted at.
const UNMODELLED: &[(&str, &str)] = &[
    ("n_counts", "active_and_draining_in_service"),
    ("estimate_subtracts_daemons", "false"),
    ("asg_launch_batch", "100"),
    ("alarm_range_extra", "default"),
    ("cooldown_base", "default"),
    ("cron_dow_base", "1"),
    ("count_lag_s", "0"),
    ("pull_state", "PENDING"),
    ("report_stopping", "true"),
    ("host_loss_detect_s", "0"),
    ("spread_missing", "group"),
    ("scalein_tie", "oldest"),
    ("rebalance_batch", "1"),
    ("rolling_batch", "snapshot"),
    ("alb_dereg_propagation_s", "0"),
    ("fargate_windows_min_s", "300"),
    ("fargate_capacity", "unlimited"),
    ("disk_gib", "unlimited"),
    ("max_tasks_per_instance", "none"),
];

/// What `behaviour` sets.
pub(crate) struct Settings {
    pub(crate) behaviour: Behaviour,
    /// The constant preset of the delays, with the knobs that name a latency.
    pub(crate) constants: Delays,
}

/// Reads `behaviour`; without one, everything is at its default.
pub(crate) fn settings(input: Option<&Raw>, reading: &mut Reading) -> Settings {
    let mut settings = Settings { behaviour: Behaviour::default(), constants: Delays::constant() };
    let Some(Raw(node)) = input else { return settings };
    if node.is_empty() {
        return settings;
    }
    // A date sets the knobs of its day; single knobs win over it.
    if let Some(date) = node.get("asOf") {
        as_of(date, &mut settings.behaviour, reading);
    }
    each_knob(node, "", reading, &mut |name, place, value, reading| set(name, place, value, &mut settings, reading));
    settings
}

/// Every knob below `node`, dots standing for nesting.
fn each_knob(
    node: &Node,
    prefix: &str,
    reading: &mut Reading,
    visit: &mut dyn FnMut(&str, Place, &Node, &mut Reading),
) {
    let Some(entries) = expect_map(node, "a map of knobs", reading) else { return };
    for entry in entries {
        let name = format!("{prefix}{}", entry.key);
        let nests = KNOBS.iter().any(|(knob, _)| knob.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.')));
        if nests && matches!(entry.value.value, Value::Map(_)) {
            each_knob(&entry.value, &format!("{name}."), reading, visit);
        } else if name != "asOf" {
            visit(&name, entry.key_place, &entry.value, reading);
        }
    }
}

fn set(name: &str, place: Place, node: &Node, settings: &mut Settings, reading: &mut Reading) {
    if let Some((_, knob)) = KNOBS.iter().find(|(known, _)| *known == name) {
        // Whatever is wrong with the value has been reported; the knob then keeps its default.
        let _ = apply(knob, node, settings, reading);
    } else if let Some((_, default)) = UNMODELLED.iter().find(|(known, _)| *known == name) {
        if reading.sources.text(node.place).trim_matches(['"', '\'']) != *default {
            let message = format!("`{name}` is not modelled yet at any value but its default, {default}");
            reading.report(Problem::new(code::NOT_MODELLED, node.place, message).label("would change the result"));
        }
    } else {
        let known = KNOBS.iter().map(|(name, _)| *name).chain(UNMODELLED.iter().map(|(name, _)| *name)).chain(["asOf"]);
        let problem = Problem::new(code::UNKNOWN_KEY, place, format!("the specification has no knob `{name}`"));
        reading.report(problem.label("unknown knob").nearest(name, known).help_if_none("`ecsim rules` lists them"));
    }
}

fn apply(knob: &Knob, node: &Node, settings: &mut Settings, reading: &mut Reading) -> Option<()> {
    let behaviour = &mut settings.behaviour;
    match knob {
        Knob::Seconds(set) => set(behaviour, SimDuration::from_secs_f64(bare_seconds(node, reading)?)),
        Knob::Period(set) => {
            set(behaviour, period(SimDuration::from_secs_f64(bare_seconds(node, reading)?), "1", node, reading)?);
        }
        Knob::Delay(set) => set(&mut settings.constants, Distribution::Constant(bare_seconds(node, reading)?)),
        Knob::Duration(set) => set(behaviour, SimDuration::decode(node, reading)?),
        Knob::PeriodWithUnit(set) => set(behaviour, period(SimDuration::decode(node, reading)?, "1s", node, reading)?),
        Knob::Switch(set) => set(behaviour, bool::decode(node, reading)?),
        Knob::Word(words, set) => match words.iter().position(|word| node.as_text() == Some(word)) {
            Some(position) => set(behaviour, position),
            None => return unknown_word(node, words, reading),
        },
        Knob::Count(set) => set(behaviour, Whole::<0, 1_000_000_000>::decode(node, reading)?.get()),
        Knob::AtLeastOne(set) => set(behaviour, Whole::<1, 1_000_000_000>::decode(node, reading)?.get()),
        Knob::OptionalCount(set) => match node.as_text() {
            Some("none" | "unlimited") => set(behaviour, None),
            _ => set(behaviour, Some(Whole::<1, 1_000_000_000>::decode(node, reading)?.get())),
        },
        Knob::Fraction(set) => {
            let value = f64::decode(node, reading)?;
            if !(0.0..=1.0).contains(&value) {
                let message = format!("{value} is no fraction: between 0 and 1");
                reading.report(Problem::new(code::OUT_OF_RANGE, node.place, message));
                return None;
            }
            set(behaviour, value);
        }
        Knob::Ratio(set) => {
            let value = f64::decode(node, reading)?;
            if !(1.0..=100.0).contains(&value) {
                let message = format!("{value} is out of range: between 1 and 100");
                reading.report(Problem::new(code::OUT_OF_RANGE, node.place, message));
                return None;
            }
            set(behaviour, value);
        }
    }
    Some(())
}

/// The time from one to the next, when it is long enough for the clock to go on between them.
fn period(span: SimDuration, least: &str, node: &Node, reading: &mut Reading) -> Option<SimDuration> {
    if span >= SimDuration::from_secs(1) {
        return Some(span);
    }
    let message = format!("{span} is too short: what repeats does so after a second at the earliest");
    reading.report(
        Problem::new(code::OUT_OF_RANGE, node.place, message).label("too short").help(format!("write {least} or more")),
    );
    None
}

/// A knob whose name ends in `_s` takes a bare number of seconds.
fn bare_seconds(node: &Node, reading: &mut Reading) -> Option<f64> {
    if let Some(text) = node.as_text()
        && let Ok(duration) = text.parse::<SimDuration>()
    {
        let seconds = duration.as_secs_f64();
        let problem = Problem::new(code::WRONG_TYPE, node.place, "a knob whose name ends in _s takes bare seconds");
        reading.report(problem.help(format!("write {seconds}")));
        return None;
    }
    let seconds = f64::decode(node, reading)?;
    if !(0.0..=1e9).contains(&seconds) {
        reading.report(Problem::new(code::OUT_OF_RANGE, node.place, format!("{seconds} s is out of range")));
        return None;
    }
    Some(seconds)
}

/// Sets the knobs to how AWS behaved.
type Past = fn(&mut Behaviour);

/// Changes that the specification dates, newest first: before this day, this is how AWS behaved.
const DATED: &[(&str, Past)] = &[
    // SVC-20: DISABLED unless asked for, before.
    ("2025-09-05", |b| b.rebalances_by_default = false),
    // PRV-2: 500 since 2024, 300 in 2021 to 2023, 100 before.
    // DEP-10 and SVC-10: a floor of 10 failures and a cap of 15 min until 2023/24.
    ("2024-01-01", |b| {
        b.provisioning_quota = 300;
        b.cb_min = 10;
        b.throttle_max = SimDuration::from_secs(900);
        b.unplaced_max = SimDuration::from_secs(900);
    }),
    // SVC-8: stop first, then start, until then.
    ("2023-10-23", |b| b.unhealthy_stop_first = true),
    // CAS-28: half of the group a minute since then, one in twenty before.
    ("2022-09-16", |b| b.scale_in_step_thousandths = 50),
    ("2021-01-01", |b| b.provisioning_quota = 100),
];

fn as_of(node: &Node, behaviour: &mut Behaviour, reading: &mut Reading) {
    let text = node.as_text().unwrap_or_default();
    let Ok(date) = text.parse::<jiff::civil::Date>() else {
        let problem = Problem::new(code::INVALID, node.place, format!("{} is no date", node.describe()));
        reading.report(problem.help("asOf: 2026-01-05"));
        return;
    };
    behaviour.quota_set = Some(Quotas::on(text));
    let mut older = behaviour.quota_set < Behaviour::default().quota_set;
    for (day, set) in DATED {
        if text < *day {
            set(behaviour);
            older = true;
        }
    }
    if date < jiff::civil::date(2019, 12, 3) {
        let message = "capacity providers and managed scaling do not exist before 2019-12-03";
        reading.report(Problem::new(code::NOT_MODELLED, node.place, message));
    } else if older {
        let message = "only the quotas (LIM-1, PRV-2), the scale-in step (CAS-28), the circuit breaker's floor (DEP-10), the throttle's cap (SVC-10), the replacement of sick tasks (SVC-8) and the default of rebalancing (SVC-20) follow `asOf`; everything else behaves as of 2026";
        reading.warn_once("asOf", Problem::new(code::IGNORED, node.place, message));
    }
}
