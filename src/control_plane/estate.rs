//! The estate: everything one run simulates, checked and ready. The scenario loader makes it; the model only reads it.

mod event_rule;
mod fault;

use std::sync::Arc;

pub use event_rule::{EventRule, RuleTarget};
pub use fault::{
    FargateShortage, Fault, FaultKind, FaultTime, HostBoots, MetricNames, PullFailure, Pulls, Shortage, TaskVictims,
    Throttling, Victims,
};

use crate::behaviour::Behaviour;
use crate::catalog::{InstanceType, catalog};
use crate::control_plane::api::{
    ApiCall, CreateCluster, CreateLoadBalancer, CreateService, PutLifecycleHook, PutMetricAlarm, PutScalingPolicy,
    PutScheduledAction, RegisterScalableTarget, RegisterTaskDefinition, RunTask,
};
use crate::ec2::auto_scaling_group::CreateAutoScalingGroup;
use crate::ec2::warm_pool::PutWarmPool;
use crate::ecs::capacity_provider::CreateCapacityProvider;
use crate::ecs::ids::WorkloadId;
use crate::ecs::target_group::CreateTargetGroup;
use crate::engine::streams::fnv1a;
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::scheduler::CustomScheduler;
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::Unit;
use crate::workload::arrivals::ArrivalProcess;
use crate::workload::distribution::Distribution;
use crate::workload::per_request::PerRequest;
use crate::workload::queue::{CreateQueue, QueueAttributes};
use crate::workload::rate::Rate;

/// A scenario after all checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Estate {
    /// `name`; the output folder is called after it.
    pub name: String,
    /// `description`.
    pub description: String,
    /// `start`: the wall-clock instant of time zero.
    pub start: jiff::Timestamp,
    /// `duration`.
    pub duration: SimDuration,
    /// `warmup`, excluded from statistics.
    pub warmup: SimDuration,
    /// `seed`.
    pub seed: u64,
    /// `replications`.
    pub replications: u32,
    /// `region`.
    pub region: String,
    /// Availability Zones used anywhere in the scenario, sorted by name.
    pub availability_zones: Vec<String>,
    /// `clusters`; `default` is always there.
    pub clusters: Vec<CreateCluster>,
    /// `instanceTypes`: those that the catalogue lacks.
    pub instance_types: Vec<InstanceType>,
    /// `autoScalingGroups`.
    pub groups: Vec<CreateAutoScalingGroup>,
    /// `lifecycleHooks`.
    pub lifecycle_hooks: Vec<PutLifecycleHook>,
    /// `warmPools`.
    pub warm_pools: Vec<PutWarmPool>,
    /// `capacityProviders`.
    pub capacity_providers: Vec<CreateCapacityProvider>,
    /// `taskDefinitions`.
    pub task_definitions: Vec<RegisterTaskDefinition>,
    /// `loadBalancers`, those only named by a target group included.
    pub load_balancers: Vec<CreateLoadBalancer>,
    /// `targetGroups`.
    pub target_groups: Vec<CreateTargetGroup>,
    /// `services`.
    pub services: Vec<CreateService>,
    /// `scalableTargets`.
    pub scalable_targets: Vec<RegisterScalableTarget>,
    /// `scalingPolicies` and `asgPolicies`.
    pub policies: Vec<PutScalingPolicy>,
    /// `scheduledActions` and `asgScheduledActions`.
    pub scheduled_actions: Vec<PutScheduledAction>,
    /// `alarms`.
    pub alarms: Vec<PutMetricAlarm>,
    /// `metrics`: replayed series.
    pub metrics: Vec<ReplayedMetric>,
    /// `workloads`.
    pub workloads: Vec<Workload>,
    /// `eventRules`.
    pub event_rules: Vec<EventRule>,
    /// `actions`, in file order.
    pub actions: Vec<Action>,
    /// `faults`, in file order.
    pub faults: Vec<Fault>,
    /// `spotPools`, in file order.
    pub spot_pools: Vec<SpotPool>,
    /// Those of them that are Fargate's.
    pub fargate_spot: Vec<FargateSpotPool>,
    /// `scheduler`: who places tasks in place of ECS.
    pub scheduler: Option<CustomScheduler>,
    /// `delays`.
    pub delays: Delays,
    /// `behaviour`.
    pub behaviour: Behaviour,
    /// `prices`.
    pub prices: Prices,
    /// `slo`.
    pub slo: Vec<Slo>,
    /// What was accepted though it is not modelled, a sentence each.
    pub warnings: Vec<String>,
}

impl Estate {
    /// What identifies a replication of this estate: 16 hexadecimal digits of every input that its figures depend on,
    /// traces and seed included, and of the version of the program and its catalogue. Comments do not matter. Of a custom
    /// scheduler that is a program only its command counts: what the program does is not known here.
    pub fn fingerprint(&self) -> String {
        let told =
            Self { replications: 0, description: String::new(), slo: Vec::new(), warnings: Vec::new(), ..self.clone() };
        let text = format!("{} {} {told:?}", env!("CARGO_PKG_VERSION"), catalog().as_of());
        format!("{:016x}", fnv1a(text.bytes()))
    }
}

/// An operator's call at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// When.
    pub at: SimTime,
    /// What.
    pub call: ApiCall,
    /// The call's name as written, for example `ecs:UpdateService`.
    pub name: String,
}

impl Estate {
    /// An instance type: of the scenario's own, else of the catalogue (EC2-5).
    pub fn instance_type(&self, name: &str) -> Option<&InstanceType> {
        self.instance_types.iter().find(|known| known.name == name).or_else(|| catalog().instance_type(name))
    }

    /// What `spotPools` says of a type in a zone; an entry that names the zone goes before one that does not.
    pub fn spot_pool(&self, instance_type: &str, zone: &str) -> Option<&SpotPool> {
        SpotPool::find(&self.spot_pools, instance_type, zone)
    }

    /// Every queue, with the workload it comes from: those of `workloads`, then dead-letter queues that are only named.
    pub fn queues(&self) -> Vec<(CreateQueue, Option<WorkloadId>)> {
        let mut queues: Vec<(CreateQueue, Option<WorkloadId>)> = Vec::new();
        for (place, workload) in self.workloads.iter().enumerate() {
            if let Demand::Messages(messages) = &workload.demand {
                queues.push((messages.queue.clone(), Some(WorkloadId(place as u32))));
            }
        }
        for place in 0..queues.len() {
            let Some(target) = queues[place].0.redrive.as_ref().map(|redrive| redrive.target.clone()) else { continue };
            if !queues.iter().any(|(call, _)| call.name == target) {
                let attributes = QueueAttributes::default();
                queues.push((CreateQueue { name: target, attributes, redrive: None }, None));
            }
        }
        queues
    }

    /// How often a task on Fargate Spot is taken back in a zone, per hour; an entry that names the zone goes before one
    /// that does not. Never without an entry: the process is the scenario's (FG-5).
    pub fn fargate_spot_hazard(&self, zone: &str) -> f64 {
        let named = self.fargate_spot.iter().find(|pool| pool.zone.as_deref() == Some(zone));
        let pool = named.or_else(|| self.fargate_spot.iter().find(|pool| pool.zone.is_none()));
        pool.map_or(0.0, |pool| pool.interruptions_per_hour)
    }

    /// Dollars per hour on demand: `prices`, else the catalogue's.
    pub fn on_demand_price(&self, instance_type: &str) -> Option<f64> {
        let given = self.prices.on_demand.iter().find(|(name, _)| name == instance_type).map(|(_, usd)| *usd);
        given.or_else(|| catalog().on_demand(instance_type, &self.region).map(|price| price.usd_per_hour.0))
    }

    /// Dollars per hour of a Spot pool, over time and piecewise constant: `spotPools`, else `prices`, else the catalogue's.
    pub fn spot_price(&self, instance_type: &str, zone: &str) -> Option<Rate> {
        let pool = self.spot_pool(instance_type, zone).and_then(|pool| pool.price_per_hour.clone());
        let given = || self.prices.spot.iter().find(|(name, _)| name == instance_type).map(|(_, usd)| *usd);
        let published = || catalog().spot(instance_type, &self.region).map(|market| market.usd_per_hour.0);
        pool.or_else(|| given().or_else(published).map(Rate::Constant))
    }
}

/// An entry of `spotPools` with `capacityProvider: FARGATE_SPOT`.
#[derive(Clone, Debug, PartialEq)]
pub struct FargateSpotPool {
    /// `AvailabilityZone`; every zone when absent.
    pub zone: Option<String>,
    /// Rate at which one task is taken back.
    pub interruptions_per_hour: f64,
}

/// An entry of `spotPools`: Spot capacity of a type in a zone, or in every zone.
#[derive(Clone, Debug, PartialEq)]
pub struct SpotPool {
    /// `InstanceType`.
    pub instance_type: String,
    /// `AvailabilityZone`; every zone when absent.
    pub zone: Option<String>,
    /// Dollars per hour, over time and piecewise constant; the catalogue's estimate when absent.
    pub price_per_hour: Option<Rate>,
    /// Instances it holds, over time and piecewise constant; without limit when absent.
    pub capacity: Option<Rate>,
    /// Rate at which one instance is taken back; the catalogue's when absent.
    pub interruptions_per_hour: Option<f64>,
}

impl SpotPool {
    /// What a list says of a type in a zone; an entry that names the zone goes before one that does not.
    pub fn find<'a>(pools: &'a [Self], instance_type: &str, zone: &str) -> Option<&'a Self> {
        let of_type = || pools.iter().filter(|pool| pool.instance_type == instance_type);
        let of_zone = of_type().find(|pool| pool.zone.as_deref() == Some(zone));
        of_zone.or_else(|| of_type().find(|pool| pool.zone.is_none()))
    }
}

/// A replayed `CloudWatch` series: bucket `i` starts at `i * period`; `None` is a missing datapoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedMetric {
    /// Which series.
    pub key: MetricKey,
    /// `Unit`; without one the values count as of any (CW-1).
    pub unit: Option<Unit>,
    /// Width of a bucket (CW-2).
    pub period: SimDuration,
    /// One value a bucket.
    pub values: Arc<[Option<f64>]>,
}

/// One entry of `workloads`.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// `name`; names its streams too.
    pub name: String,
    /// What it asks for.
    pub demand: Demand,
}

/// What a workload asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// Requests to a service.
    Requests {
        /// Cluster and service.
        service: (String, String),
        /// Requests per second.
        rate: Rate,
        /// CPU seconds (of one vCPU) a request takes.
        cpu_per_request: Distribution,
        /// Latency that does not depend on load, in seconds.
        latency_floor: Distribution,
        /// A request that would wait longer fails.
        timeout: SimDuration,
        /// What real ones ask for.
        path: String,
        /// How they are simulated.
        model: RequestModel,
    },
    /// `RunTask` calls.
    Tasks {
        /// The call.
        run_task: Box<RunTask>,
        /// When it is made.
        arrivals: ArrivalProcess,
    },
    /// Messages of a queue.
    Messages(Box<Messages>),
    /// Demand of all tasks of a service together.
    Utilization {
        /// Cluster and service.
        service: (String, String),
        /// vCPUs.
        cpu: Option<Rate>,
        /// MiB.
        memory: Option<Rate>,
    },
}

/// How the requests of a workload are simulated.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestModel {
    /// As a flow (see [`fluid`](crate::workload::fluid)).
    Fluid,
    /// One by one (see [`per_request`](crate::workload::per_request)).
    PerRequest(Box<PerRequest>),
}

/// A `messages` workload: an SQS queue, what is sent to it, and who drains it.
#[derive(Clone, Debug, PartialEq)]
pub struct Messages {
    /// The queue.
    pub queue: CreateQueue,
    /// When messages are sent; a queue that only gets dead letters has none.
    pub arrivals: Option<ArrivalProcess>,
    /// Messages at each arrival.
    pub count: u64,
    /// The service whose tasks drain it, if there is one.
    pub consumer: Option<Consumer>,
}

/// How the tasks of a service drain a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    /// Cluster and service.
    pub service: (String, String),
    /// CPU seconds (of one vCPU) a message takes.
    pub cpu_per_message: Distribution,
    /// Seconds a message waits for others, without CPU.
    pub wait_per_message: Distribution,
    /// Messages a task works on at once.
    pub concurrency: u32,
    /// `MaxNumberOfMessages` of a receive.
    pub max_messages: usize,
    /// From an empty receive to the next, by short polling.
    pub poll_interval: SimDuration,
    /// Share of the attempts that fail.
    pub failure_ratio: f64,
    /// Share of the messages of which every attempt fails.
    pub poison_ratio: f64,
    /// What becomes of messages in work when their task is told to stop.
    pub on_stop: OnStop,
}

/// What a task does with the messages it works on when it is told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStop {
    /// It drops them.
    #[default]
    Abandon,
    /// It finishes them, as far as its stop timeout allows.
    Finish,
}

/// Every latency of the control plane, in seconds (`delays`). `preset: realistic` or `constant` fills what is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Delays {
    /// A change of desired capacity to the launch call (`asgReaction`; constant preset: `asg_reconcile_s`).
    pub asg_reaction: Distribution,
    /// Launch call to EC2 state `running` (`instanceLaunch`; constant preset: `t_pending_running_s`).
    pub instance_launch: Distribution,
    /// `running` to `InService` without a hook (`instanceInService`; constant preset: `t_running_inservice_s`).
    pub instance_in_service: Distribution,
    /// Launch call to ECS agent registered (`agentRegister`; constant preset: `t_launch_to_agent_s`).
    pub agent_register: Distribution,
    /// A stopped instance of a warm pool is started to ECS agent registered (`warmStart`; constant preset:
    /// `t_warm_start_s`, EC2-21).
    pub warm_start: Distribution,
    /// Terminate call to `terminated` (`instanceTerminate`; constant preset: `t_terminate_s`).
    pub instance_terminate: Distribution,
    /// Image pull; by rule IMG-2 from the image's size when absent.
    pub image_pull: Option<Distribution>,
    /// Pull throughput of an EC2 host, MiB/s (`pullThroughput`).
    pub pull_throughput: Distribution,
    /// Fixed part of a pull (`pullBase`; constant preset: `pull_base_s`).
    pub pull_base: Distribution,
    /// Creation of a container (`containerCreate`); part of its start when absent.
    pub container_create: Option<Distribution>,
    /// Container create and start on EC2 (`taskStart`).
    pub task_start: Distribution,
    /// ENI attachment on EC2 (`eniAttach`).
    pub eni_attach: Distribution,
    /// Fargate: accepted to start of pull (`fargateProvision`).
    pub fargate_provision: Distribution,
    /// Fargate pull rate up to 1 vCPU, MiB/s (`fargatePullThroughputSmall`).
    pub fargate_pull_throughput_small: Distribution,
    /// Fargate pull rate above 1 vCPU, MiB/s (`fargatePullThroughputLarge`).
    pub fargate_pull_throughput_large: Distribution,
    /// Fargate: end of pull to RUNNING (`fargateStart`).
    pub fargate_start: Distribution,
    /// The wait of SVC-7 for tasks without checks (`healthy`; constant preset: `healthy_wait_s`).
    pub healthy: Distribution,
    /// SIGTERM to exit (`taskStop`); zero in the constant preset.
    pub task_stop: Distribution,
}

impl Delays {
    /// `preset: constant`: the constants of the specification (cluster-autoscaling, section 0.2; SVC-7), and the medians
    /// of the fitted distributions where it has none. No chance at all.
    pub fn constant() -> Self {
        let always = Distribution::Constant;
        Self {
            asg_reaction: always(5.0),
            instance_launch: always(10.0),
            instance_in_service: always(10.0),
            agent_register: always(45.0),
            warm_start: always(25.0),
            instance_terminate: always(45.0),
            image_pull: None,
            pull_throughput: always(60.0),
            pull_base: always(1.5),
            container_create: None,
            task_start: always(1.5),
            eni_attach: always(6.0),
            fargate_provision: always(15.0),
            fargate_pull_throughput_small: always(12.0),
            fargate_pull_throughput_large: always(50.0),
            fargate_start: always(3.0),
            healthy: always(40.0),
            task_stop: always(0.0),
        }
    }

    /// `preset: realistic`, the default: the catalogue's fitted distributions.
    ///
    /// The fit gives one figure for launch call to `InService`; it is halved here into two independent spans whose sum
    /// has its mean and variance. Nothing was measured of termination and of the wait of SVC-7, which stay constant, nor of
    /// how soon containers stop: a mean of one second, exponential, is our guess for programs that heed SIGTERM.
    ///
    /// # Panics
    /// Never: the names asked for are in the built-in catalogue, as the test shows.
    pub fn realistic() -> Self {
        let fitted = |name: &str| {
            let default =
                catalog().delay_default(name).expect("the catalogue is built in, and a test asks for every name here");
            default.distribution.clone()
        };
        let whole = fitted("ec2_inservice_after_launch_s");
        let half = Distribution::lognormal_mean_cv(whole.mean() / 2.0, whole.cv() * std::f64::consts::SQRT_2);
        Self {
            asg_reaction: fitted("asg_reaction_s"),
            instance_launch: half.clone(),
            instance_in_service: half,
            // EC2-21.
            agent_register: Distribution::Triangular { min: 30.0, mode: 45.0, max: 90.0 },
            // Nothing was measured of starts from a warm pool: the constant, as uneven as a boot.
            warm_start: Distribution::lognormal_mean_cv(25.0, fitted("ec2_launch_to_registered_s").cv()),
            pull_throughput: fitted("ec2_pull_throughput_mib_s"),
            pull_base: fitted("fargate_pull_base_s"),
            task_start: fitted("ec2_task_start_s"),
            eni_attach: fitted("ec2_task_eni_s"),
            fargate_provision: fitted("fargate_provision_s"),
            fargate_pull_throughput_small: fitted("fargate_pull_throughput_small_mib_s"),
            fargate_pull_throughput_large: fitted("fargate_pull_throughput_large_mib_s"),
            fargate_start: fitted("fargate_start_s"),
            task_stop: Distribution::Exponential { mean: 1.0 },
            ..Self::constant()
        }
    }

    /// Every distribution under its name in the scenario file.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &Distribution)> {
        [
            ("asgReaction", Some(&self.asg_reaction)),
            ("instanceLaunch", Some(&self.instance_launch)),
            ("instanceInService", Some(&self.instance_in_service)),
            ("agentRegister", Some(&self.agent_register)),
            ("warmStart", Some(&self.warm_start)),
            ("instanceTerminate", Some(&self.instance_terminate)),
            ("imagePull", self.image_pull.as_ref()),
            ("pullThroughput", Some(&self.pull_throughput)),
            ("pullBase", Some(&self.pull_base)),
            ("containerCreate", self.container_create.as_ref()),
            ("taskStart", Some(&self.task_start)),
            ("eniAttach", Some(&self.eni_attach)),
            ("fargateProvision", Some(&self.fargate_provision)),
            ("fargatePullThroughputSmall", Some(&self.fargate_pull_throughput_small)),
            ("fargatePullThroughputLarge", Some(&self.fargate_pull_throughput_large)),
            ("fargateStart", Some(&self.fargate_start)),
            ("healthy", Some(&self.healthy)),
            ("taskStop", Some(&self.task_stop)),
        ]
        .into_iter()
        .filter_map(|(name, distribution)| Some((name, distribution?)))
    }
}

impl Default for Delays {
    fn default() -> Self {
        Self::realistic()
    }
}

/// `prices`: what differs from the catalogue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// Dollars per hour by instance type, on demand.
    pub on_demand: Vec<(String, f64)>,
    /// Dollars per hour by instance type, Spot.
    pub spot: Vec<(String, f64)>,
    /// Fargate: dollars per vCPU-hour.
    pub fargate_vcpu_hour: Option<f64>,
    /// Fargate: dollars per GB-hour.
    pub fargate_gb_hour: Option<f64>,
    /// Gigabytes of gp3 root volume billed per host; 30 unless said, 0 leaves EBS out.
    pub root_volume_gib: Option<f64>,
    /// Whether each host has a billed public IPv4 address.
    pub public_ipv4: bool,
    /// Whether image pulls pass a NAT gateway, which charges for them.
    pub nat_gateway: bool,
    /// Discount on on-demand instance prices, 0..1 (savings plan).
    pub savings_plan_discount: f64,
}

/// `slo`: a bound on a summary metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// Key of the summary metric.
    pub metric: String,
    /// Largest value that holds.
    pub max: Option<f64>,
    /// Smallest value that holds.
    pub min: Option<f64>,
    /// Share of the minutes in which it may be missed.
    pub budget: Option<f64>,
}

impl Slo {
    /// Whether a value is within the bounds.
    pub fn holds(&self, value: f64) -> bool {
        self.distance(value) <= 0.0
    }

    /// How far a value is beyond the bounds; zero within them.
    pub fn distance(&self, value: f64) -> f64 {
        let above = self.max.map_or(0.0, |max| value - max);
        let below = self.min.map_or(0.0, |min| min - value);
        above.max(below).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_delays_leave_nothing_to_chance() {
        for (name, delay) in Delays::constant().entries() {
            assert!(matches!(delay, Distribution::Constant(_)), "{name}: {delay:?}");
        }
    }

    #[test]
    fn the_realistic_delays_are_near_the_constants() {
        let (realistic, constant) = (Delays::realistic(), Delays::constant());
        for ((name, fitted), (_, constant)) in realistic.entries().zip(constant.entries()) {
            fitted.validate().unwrap();
            let ratio = fitted.mean() / constant.mean();
            assert!(name == "taskStop" || (0.9..1.5).contains(&ratio), "{name}: {ratio}");
        }
        let in_service = realistic.instance_launch.variance() + realistic.instance_in_service.variance();
        let whole = &catalog().delay_default("ec2_inservice_after_launch_s").unwrap().distribution;
        assert!((in_service / whole.variance() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn ec2_21_a_boot_takes_45_seconds_or_a_triangular_time_around_them() {
        let ordinary = Distribution::Triangular { min: 30.0, mode: 45.0, max: 90.0 };
        assert_eq!(Delays::realistic().agent_register, ordinary);
        assert_eq!(Delays::constant().agent_register, Distribution::Constant(45.0));
        assert_eq!(Delays::constant().warm_start, Distribution::Constant(25.0));
    }
}
