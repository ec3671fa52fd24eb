//! The knobs of `behaviour`: what the specification marks as assumed, with its defaults.

use crate::ec2::capacity_pool::InterruptionModel;
use crate::ecs::quota::QUOTA_SETS;
use crate::engine::time::SimDuration;

/// The knobs of `behaviour`, under the names the specification gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// `cas_period_s`: metric period and evaluation tick of managed scaling.
    pub cas_period: SimDuration,
    /// `cas_publish_delay_s`: sample time to datapoint visible.
    pub cas_publish_delay: SimDuration,
    /// `alarm_eval_delay_s`: datapoint visible to alarm action.
    pub alarm_eval_delay: SimDuration,
    /// `empty_cpr_mode: hundred` instead of `target` (C-1).
    pub empty_cpr_hundred: bool,
    /// `from_zero_mode: two` instead of `formula` (C-6).
    pub from_zero_two: bool,
    /// `warmup_mode: count_as_capacity` instead of `block` (C-7).
    pub warmup_counts_as_capacity: bool,
    /// `multi_type_exact_min_step` (C-3).
    pub multi_type_exact_min_step: bool,
    /// `metric_mode: hundred_minus_empty` instead of `ratio` (C-2).
    pub metric_hundred_minus_empty: bool,
    /// `scale_in_step_fraction`, in thousandths so that the floor of CAS-28 is exact.
    pub scale_in_step_thousandths: u32,
    /// `provisioning_quota` (PRV-2).
    pub provisioning_quota: u32,
    /// `provisioning_timeout_s` (PRV-4).
    pub provisioning_timeout: SimDuration,
    /// `provisioning_retry_s` (PRV-5).
    pub provisioning_retry: SimDuration,
    /// `launch_type_tasks_count` (C-9).
    pub launch_type_tasks_count: bool,
    /// `zero_weight_base` (CP-8).
    pub zero_weight_base: bool,
    /// `az_rebalance_threshold` (ASG-9).
    pub az_rebalance_threshold: u32,
    /// `health_check_period_s`: how often a group looks for unhealthy instances (ASG-16).
    pub health_check_period: SimDuration,
    /// `impaired_wait_s`: how long status checks fail before an instance counts as unhealthy (ASG-16).
    pub impaired_wait: SimDuration,
    /// `spot_interruptions`: how EC2 takes Spot instances back.
    pub spot_interruptions: InterruptionModel,
    /// `ec2_bad_boot_probability`: share of the boots of `preset: realistic` that take three times as long, which nobody has
    /// measured; EC2-21 knows none.
    pub ec2_bad_boot_probability: f64,
    /// `spot_wave_share`: the share of a pool that a wave of interruptions takes.
    pub spot_wave_share: f64,
    /// `ice_retry_s` (ASG-40).
    pub ice_retry: SimDuration,
    /// `asg_launch_batch`: instances that one RunInstances call of a group launches at most (ASG-44).
    pub asg_launch_batch: u32,
    /// `run_instances_bucket`: resource tokens of the account's RunInstances calls, an instance each (ASG-44).
    pub run_instances_bucket: u32,
    /// `run_instances_refill_per_s`: tokens that come back a second.
    pub run_instances_refill_per_s: u32,
    /// `trunk_attach_s`: how long a host with a trunk is REGISTERING (NET-3).
    pub trunk_attach: SimDuration,
    /// `metric_delay`, after the end of the bucket.
    pub metric_delay: MetricDelays,
    /// `partial_buckets`: samples of `put-metric-data` show while their bucket still fills (CW-4).
    pub partial_buckets: bool,
    /// `sqs_active_for`: how long a queue publishes its metrics after its last message or call (SQS-1).
    pub sqs_active_for: SimDuration,
    /// `sqs_wake_delay`: how late the metrics of a queue come that was inactive; AWS says up to 15 minutes (SQS-2).
    pub sqs_wake_delay: SimDuration,
    /// `alarm_eval_phase: aligned` instead of a hash of the alarm's name.
    pub alarm_eval_aligned: bool,
    /// `alarm_pending_keeps_state` (ALM-9).
    pub alarm_pending_keeps_state: bool,
    /// `tt_metric_sample` (TT-9).
    pub tt_metric_sample: TrackedSample,
    /// `tt_low_factor` (TT-3).
    pub tt_low_factor: f64,
    /// `tt_scale_in_cap`: at most this many tasks fewer an activity (TT-13).
    pub tt_scale_in_cap: Option<u32>,
    /// `tt_zero_capacity_step` (TT-16).
    pub tt_zero_capacity_step: u32,
    /// `activity_poll` (AAS-14).
    pub activity_poll: SimDuration,
    /// `action_latency`: alarm action to scaling activity.
    pub action_latency: SimDuration,
    /// `ecs_update_latency`: how long a scaling activity is Pending before it calls UpdateService (AAS-12).
    pub ecs_update_latency: SimDuration,
    /// `scheduled_collision`: a scheduled action that comes so soon after another one of its target, or earlier, fails with a
    /// ConcurrentUpdateException (SCH-9); never at zero.
    pub scheduled_collision: SimDuration,
    /// `scheduled_delay`: how late a scheduled action runs, of a service or a group (SCH-9, ASG-32).
    pub scheduled_delay: SimDuration,
    /// `predicted_capacity_is_floor`: within its hour a forecast capacity keeps policies from scaling in below it
    /// (PRED-8).
    pub predicted_capacity_is_floor: bool,
    /// `svc_update_lag_s`: from a new desired count to the round of the scheduler that acts on it (EX-AAS-6, EX-AAS-7).
    pub svc_update_lag: SimDuration,
    /// `reserve_51680`: the agent's third port is reserved on hosts, as the API's text says and the agent does not (EC2-6,
    /// C-8, C-11).
    pub reserve_51680: bool,
    /// `svc_tick_s`: time between two rounds of a service's scheduler that no event causes (SVC-5).
    pub svc_tick: SimDuration,
    /// `steady_repeat_s` (SVC-6).
    pub steady_repeat: SimDuration,
    /// `throttle_base_s` (SVC-11).
    pub throttle_base: SimDuration,
    /// `throttle_max_s`.
    pub throttle_max: SimDuration,
    /// `unplaced_max_s` (SVC-12).
    pub unplaced_max: SimDuration,
    /// `unplaced_wake`.
    pub unplaced_wake: bool,
    /// `svc_rate_per_min` (SVC-14); that of the quotas when absent.
    pub svc_rate_per_min: Option<u32>,
    /// `svc_burst`; rate / 6 when absent.
    pub svc_burst: Option<u32>,
    /// `unhealthy_mode: stop_first` instead of `replace_first` (SVC-8).
    pub unhealthy_stop_first: bool,
    /// `unhealthy_min_slack`: so many sick tasks may be stopped whatever the lower limit says (SVC-8).
    pub unhealthy_min_slack: u32,
    /// Whether new services are rebalanced over zones unless they say no: since 2025-09-05 (SVC-20, C-11).
    pub rebalances_by_default: bool,
    /// `rebalance_delay_s` (SVC-22).
    pub rebalance_delay: SimDuration,
    /// `quota_set`: which of [`QUOTA_SETS`](crate::ecs::quota::QUOTA_SETS) calls are checked against (LIM-1).
    pub quota_set: Option<usize>,
    /// `cb_min`: the smallest bounded threshold of the circuit breaker (DEP-10).
    pub cb_min: u32,
    /// `alarm_bake_s` (DEP-16).
    pub alarm_bake: SimDuration,
    /// `hi_counts_stopping` (DEP-2).
    pub hi_counts_stopping: bool,
    /// `health_ignores_unchecked` (TD-18).
    pub health_ignores_unchecked: bool,
    /// `cpu_period_s` (TD-9): the agent's `ECS_CGROUP_CPU_PERIOD`. The hard cap of a task is a quota of CPU for each such
    /// period, as requests one by one meet it; zero is a steady rate.
    pub cpu_period: SimDuration,
    /// `health_report_delay_s` (TD-19).
    pub health_report_delay: SimDuration,
    /// `hook_repeat_s`: how long after IN_PROGRESS a lifecycle hook is asked again (DEP-22).
    pub hook_repeat: SimDuration,
    /// `alb_hc_timeout_s`: how long a probe of an Application Load Balancer may take unless said (ELB-3, C-9).
    pub alb_hc_timeout: SimDuration,
    /// `elb_first_probe_s` (ELB-5).
    pub elb_first_probe: SimDuration,
    /// `elb_initial_passes` (ELB-4).
    pub elb_initial_passes: u32,
    /// `alb_register_s`.
    pub alb_register: SimDuration,
    /// `nlb_register_s`.
    pub nlb_register: SimDuration,
    /// `stop_waits_drain` (ELB-9).
    pub stop_waits_drain: bool,
    /// `release_point: stopped` instead of `stop_requested` (AGENT-5).
    pub release_when_stopped: bool,
    /// `ec2_eni_detach_s` (TASK-21).
    pub ec2_eni_detach: SimDuration,
    /// `stop_report_s`.
    pub stop_report: SimDuration,
    /// `fargate_deprovision_s`.
    pub fargate_deprovision: SimDuration,
    /// `fargate_spot_ratio` (FG-4).
    pub fargate_spot_ratio: f64,
    /// `fargate_vcpu_quota`: vCPUs at once, on-demand and Spot apart (FG-8).
    pub fargate_vcpu_quota: Option<u32>,
    /// `api_throttle: on`: calls draw on token buckets (LIM-3).
    pub api_throttle: bool,
    /// `place_tie: random` instead of `lowest_id` (PLACE-12).
    pub place_tie_random: bool,
    /// `cp_nomanaged_failure: stopped` instead of `failures`.
    pub cp_nomanaged_stopped: bool,
    /// `pull_sharing: fair`: the pulls of a host share its rate; with `none` each has it to itself (IMG-2).
    pub pull_sharing_fair: bool,
    /// `hub_limit` (IMG-6).
    pub hub_limit: HubLimit,
    /// `image_uncompressed_ratio`: an image on a disk, times its compressed size (FG-9).
    pub image_uncompressed_ratio: f64,
    /// `soci_pull_factor` (FG-11).
    pub soci_pull_factor: f64,
    /// `schedule_jitter_s`: a schedule fires within so long after the instant it names (TASK-17).
    pub schedule_jitter: SimDuration,
    /// `schedule_retry_failures`: EventBridge asks again for tasks that found no place (TASK-17).
    pub schedule_retry_failures: bool,
    /// `event_retry_base_s`: the first wait before EventBridge calls a target again (TASK-17).
    pub event_retry_base: SimDuration,
    /// `event_retry_max_s`: the longest of these waits, which double (TASK-17).
    pub event_retry_max: SimDuration,
    /// `agent_queue: legacy`: agents let new tasks wait for any stopping one, as before 1.73 (AGENT-6).
    pub agent_queue_legacy: bool,
    /// `deregister_grace_s`: how long a deregistered task definition still takes new work (TD-2).
    pub deregister_grace: SimDuration,
    /// `stopped_retention_s`: how long a stopped task can be described (TASK-5).
    pub stopped_retention: SimDuration,
    /// `subnet_ips`: addresses that the subnet of a zone has for tasks (NET-4).
    pub subnet_ips: Option<u32>,
    /// `ebs_attach_s` (VOL-3).
    pub ebs_attach: SimDuration,
    /// `efs_mount_s` (VOL-4).
    pub efs_mount: SimDuration,
}

impl Default for Behaviour {
    fn default() -> Self {
        let secs = SimDuration::from_secs;
        Self {
            cas_period: secs(60),
            cas_publish_delay: secs(5),
            alarm_eval_delay: secs(10),
            empty_cpr_hundred: false,
            from_zero_two: false,
            warmup_counts_as_capacity: false,
            multi_type_exact_min_step: false,
            metric_hundred_minus_empty: false,
            scale_in_step_thousandths: 500,
            provisioning_quota: 500,
            provisioning_timeout: secs(1800),
            provisioning_retry: secs(5),
            launch_type_tasks_count: false,
            zero_weight_base: true,
            az_rebalance_threshold: 2,
            health_check_period: secs(60),
            impaired_wait: secs(180),
            spot_interruptions: InterruptionModel::Correlated,
            ec2_bad_boot_probability: 0.0,
            spot_wave_share: 0.5,
            ice_retry: secs(60),
            asg_launch_batch: 100,
            run_instances_bucket: 1000,
            run_instances_refill_per_s: 2,
            trunk_attach: secs(10),
            metric_delay: MetricDelays {
                ecs60: secs(120),
                ecs20: secs(12),
                ec2: secs(60),
                alb: secs(60),
                container_insights: secs(60),
                sqs: secs(60),
                custom: SimDuration::ZERO,
            },
            partial_buckets: false,
            sqs_active_for: secs(6 * 3600),
            sqs_wake_delay: SimDuration::ZERO,
            alarm_eval_aligned: false,
            alarm_pending_keeps_state: true,
            tt_metric_sample: TrackedSample::Latest,
            tt_low_factor: 0.9,
            tt_scale_in_cap: None,
            tt_zero_capacity_step: 1,
            activity_poll: secs(30),
            action_latency: SimDuration::from_millis(200),
            ecs_update_latency: SimDuration::ZERO,
            scheduled_collision: SimDuration::ZERO,
            scheduled_delay: SimDuration::ZERO,
            predicted_capacity_is_floor: true,
            svc_update_lag: SimDuration::ZERO,
            reserve_51680: false,
            svc_tick: secs(5),
            steady_repeat: secs(21_600),
            throttle_base: secs(5),
            throttle_max: secs(1620),
            unplaced_max: secs(1620),
            unplaced_wake: true,
            svc_rate_per_min: None,
            svc_burst: None,
            unhealthy_stop_first: false,
            unhealthy_min_slack: 1,
            rebalances_by_default: true,
            rebalance_delay: secs(60),
            quota_set: Some(QUOTA_SETS.len() - 1),
            cb_min: 3,
            alarm_bake: secs(300),
            hi_counts_stopping: true,
            health_ignores_unchecked: true,
            cpu_period: SimDuration::ZERO,
            health_report_delay: SimDuration::ZERO,
            hook_repeat: secs(30),
            alb_hc_timeout: secs(5),
            elb_first_probe: SimDuration::ZERO,
            elb_initial_passes: 1,
            alb_register: secs(5),
            nlb_register: secs(90),
            stop_waits_drain: true,
            release_when_stopped: false,
            ec2_eni_detach: secs(5),
            stop_report: SimDuration::from_millis(500),
            fargate_deprovision: secs(34),
            fargate_spot_ratio: 0.3358,
            fargate_vcpu_quota: None,
            api_throttle: false,
            place_tie_random: false,
            cp_nomanaged_stopped: false,
            pull_sharing_fair: true,
            hub_limit: HubLimit::Off,
            image_uncompressed_ratio: 2.5,
            soci_pull_factor: 0.4,
            schedule_jitter: SimDuration::ZERO,
            schedule_retry_failures: false,
            event_retry_base: secs(1),
            event_retry_max: secs(480),
            agent_queue_legacy: false,
            deregister_grace: SimDuration::ZERO,
            stopped_retention: secs(3600),
            subnet_ips: None,
            ebs_attach: secs(10),
            efs_mount: secs(1),
        }
    }
}

/// `metric_delay.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDelays {
    /// `ecs60`
    pub ecs60: SimDuration,
    /// `ecs20`
    pub ecs20: SimDuration,
    /// `ec2`: metrics of groups and of their hosts.
    pub ec2: SimDuration,
    /// `alb`
    pub alb: SimDuration,
    /// `container_insights`
    pub container_insights: SimDuration,
    /// `sqs`
    pub sqs: SimDuration,
    /// `custom`
    pub custom: SimDuration,
}

/// `tt_metric_sample`: which datapoint of its alarm's window target tracking uses (TT-9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackedSample {
    /// The newest.
    #[default]
    Latest,
    /// The mean of the window.
    MeanOfWindow,
    /// The smallest of the window.
    MinOfWindow,
}

/// `hub_limit`: how Docker Hub limits pulls (IMG-6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HubLimit {
    /// Not at all: a paid account, or none of the images is there.
    #[default]
    Off,
    /// Without login, each host with an address of its own.
    PerHost,
    /// Without login, all behind one NAT gateway.
    Nat,
    /// With the login of a Personal user, wherever the pulls come from.
    Personal,
}

impl HubLimit {
    /// Pulls in six hours.
    pub const fn pulls(self) -> Option<usize> {
        match self {
            Self::Off => None,
            Self::PerHost | Self::Nat => Some(100),
            Self::Personal => Some(200),
        }
    }
}
