//! Managed scaling of capacity providers: the metric and the reaction (CAS-*).
//!
//! [`reservation`] is the specification's normative pseudocode: how many instances the provider needs, M, against how
//! many it has, N. [`scale_out`] and [`scale_in`] move the group's desired capacity when the provider's two alarms go
//! off. All ratios are exact.

use crate::behaviour::Behaviour;
use crate::ecs::capacity_provider::ManagedScaling;
use crate::ecs::ids::uuid;
use crate::ecs::task_definition::Requirements;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::{AlarmDefinition, ComparisonOperator, MetricKey};
use crate::scaling::formula::{Counted, Formula};
use crate::scaling::policy::{Inputs, NotScaledReason, Verdict, clamp};
use crate::units::{CpuUnits, MiB, Ratio};

/// Datapoints below the target before scale-in starts, and minutes it waits after a scale-out (CAS-22, CAS-30).
const LOW_DATAPOINTS: u32 = 15;

/// How long scale-in waits after any scale-out (CAS-30).
pub const SCALE_IN_PAUSE: SimDuration = SimDuration::from_mins(LOW_DATAPOINTS as u64);

/// The host that a launch would give, as far as the estimate knows (CAS-11, CAS-17).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostShape {
    /// CPU units it registers.
    pub cpu: CpuUnits,
    /// Memory it registers.
    pub memory: MiB,
    /// GPUs.
    pub gpus: u32,
    /// awsvpc tasks it can hold (EC2-12).
    pub eni_slots: u32,
    /// TCP ports that the host keeps for itself, ascending (EC2-6).
    pub reserved_tcp_ports: Vec<u16>,
}

impl HostShape {
    /// The worst of both in each attribute: `Small` (CAS-11).
    pub fn smallest(&self, other: &Self) -> Self {
        let mut ports = self.reserved_tcp_ports.clone();
        ports.extend(other.reserved_tcp_ports.iter().filter(|port| !self.reserved_tcp_ports.contains(port)));
        ports.sort_unstable();
        Self {
            cpu: self.cpu.min(other.cpu),
            memory: self.memory.min(other.memory),
            gpus: self.gpus.min(other.gpus),
            eni_slots: self.eni_slots.min(other.eni_slots),
            reserved_tcp_ports: ports,
        }
    }

    /// The best of both in each attribute: `Large` (CAS-11).
    pub fn largest(&self, other: &Self) -> Self {
        let mut ports = self.reserved_tcp_ports.clone();
        ports.retain(|port| other.reserved_tcp_ports.contains(port));
        Self {
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
            gpus: self.gpus.max(other.gpus),
            eni_slots: self.eni_slots.max(other.eni_slots),
            reserved_tcp_ports: ports,
        }
    }

    /// How many tasks of a group one such empty host takes; zero when not even one fits (CAS-12, CAS-13, CAS-15).
    pub fn tasks_per_host(&self, needs: &Requirements, distinct_instance: bool) -> u32 {
        if needs.tcp_ports.iter().any(|port| self.reserved_tcp_ports.contains(port)) {
            return 0;
        }
        let exclusive = distinct_instance || !needs.tcp_ports.is_empty() || !needs.udp_ports.is_empty();
        let shares = [
            share(self.cpu.0, needs.cpu.0),
            share(self.memory.0, needs.memory.0),
            share(u64::from(self.gpus), u64::from(needs.gpus)),
            needs.eni.then_some(u64::from(self.eni_slots)),
            exclusive.then_some(1),
        ];
        let fewest = shares.into_iter().flatten().min().unwrap_or(u64::MAX);
        u32::try_from(fewest).unwrap_or(u32::MAX)
    }
}

/// `floor(available / needed)`; `None` for an attribute that the task does not use (CAS-13).
fn share(available: u64, needed: u64) -> Option<u64> {
    available.checked_div(needed)
}

/// `Small` and `Large` of the types that a group may launch (CAS-11); `None` without a type.
pub fn hypothetical_hosts(shapes: &[HostShape]) -> Option<(HostShape, HostShape)> {
    let (first, rest) = shapes.split_first()?;
    let small = rest.iter().fold(first.clone(), |small, shape| small.smallest(shape));
    let large = rest.iter().fold(first.clone(), |large, shape| large.largest(shape));
    Some((small, large))
}

/// Waiting tasks of one provider with identical requirements and constraints (CAS-9, CAS-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingGroup {
    /// How many wait.
    pub tasks: u32,
    /// What each needs.
    pub requirements: Requirements,
    /// Whether `distinctInstance` applies (CAS-15).
    pub distinct_instance: bool,
    /// Whether a host from the group's launch template would satisfy its `memberOf` constraints (CAS-16).
    pub template_matches: bool,
}

/// What managed scaling sees of a capacity provider at a tick.
#[derive(Clone, Copy, Debug)]
pub struct ProviderView<'a> {
    /// N: container instances ACTIVE or DRAINING whose lifecycle state is InService (CAS-5).
    pub instances: u32,
    /// Those of them with a non-daemon task of this provider (CAS-6).
    pub busy: u32,
    /// Tasks waiting for capacity, by kind.
    pub waiting: &'a [WaitingGroup],
    /// The smallest host that the group might launch.
    pub small: &'a HostShape,
    /// The largest.
    pub large: &'a HostShape,
    /// The group may launch several types, or into several zones (C-3).
    pub mixed: bool,
    /// The provider's settings.
    pub settings: ManagedScaling,
}

/// A value of CapacityProviderReservation and how it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// M.
    pub needed: u32,
    /// N.
    pub instances: u32,
    /// The value published, in percent (CAS-2).
    pub percent: Ratio,
    /// Which case applied.
    pub basis: Basis,
}

/// The case of [`Reservation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// No task waits: M is the number of busy instances (CAS-7).
    Busy,
    /// Tasks wait: M is N plus the estimate within the step sizes (CAS-8).
    Waiting {
        /// k: the estimate before the step sizes (CAS-14).
        estimate: u32,
        /// After them.
        added: u32,
    },
    /// Tasks wait, and no launch could help any of them: the target itself is published (CAS-12).
    Incompatible,
    /// No instances and no tasks (CAS-4).
    Empty,
}

impl Reservation {
    /// The rule that gave the value.
    pub const fn rule(&self) -> &'static str {
        match self.basis {
            Basis::Incompatible => "CAS-12",
            Basis::Empty => "CAS-4",
            Basis::Waiting { .. } if self.instances == 0 => "CAS-3",
            Basis::Waiting { .. } => "CAS-8",
            Basis::Busy => "CAS-7",
        }
    }

    /// The numbers behind the value.
    pub fn inputs(&self) -> Inputs {
        let mut inputs = vec![
            ("needed", f64::from(self.needed)),
            ("instances", f64::from(self.instances)),
            ("reservation", self.percent.as_f64()),
        ];
        if let Basis::Waiting { estimate, added } = self.basis {
            inputs.extend([("estimate", f64::from(estimate)), ("added", f64::from(added))]);
        }
        inputs
    }
}

/// CapacityProviderReservation at a tick (CAS-2…17).
pub fn reservation(view: &ProviderView<'_>, behaviour: &Behaviour) -> Reservation {
    let target = Ratio::integer(u64::from(view.settings.target_capacity));
    let instances = view.instances;
    let waiting = view.waiting.iter().any(|group| group.tasks > 0);
    let estimate = view.waiting.iter().filter_map(|group| hosts_for(group, view)).max();
    let (needed, basis) = match estimate {
        Some(estimate) => {
            let ManagedScaling { minimum_step, maximum_step, .. } = view.settings;
            // Several types: for some years exactly the minimum step was asked for (C-3).
            let exact = behaviour.multi_type_exact_min_step && view.mixed;
            let added = if exact { minimum_step } else { estimate.max(minimum_step).min(maximum_step) };
            (instances.saturating_add(added), Basis::Waiting { estimate, added })
        }
        None if waiting => {
            return Reservation { needed: view.busy, instances, percent: target, basis: Basis::Incompatible };
        }
        None if instances == 0 => (0, Basis::Empty),
        None => (view.busy, Basis::Busy),
    };
    let percent = match basis {
        Basis::Empty => {
            if behaviour.empty_cpr_hundred {
                Ratio::integer(100)
            } else {
                target
            }
        }
        Basis::Busy if behaviour.metric_hundred_minus_empty => {
            // The guides of 2022 and 2023: a point less for each empty instance (C-2).
            Ratio::integer(100u64.saturating_sub(u64::from(instances.saturating_sub(needed))))
        }
        // Whatever is needed, from nothing it reads 200 (CAS-3).
        _ if instances == 0 => Ratio::integer(200),
        _ => Ratio::new(100 * u64::from(needed), u64::from(instances)),
    };
    Reservation { needed, instances, percent, basis }
}

/// Hosts that one group of waiting tasks needs, if a launch can help it (CAS-12, CAS-13, CAS-16).
fn hosts_for(group: &WaitingGroup, view: &ProviderView<'_>) -> Option<u32> {
    let per_host = |shape: &HostShape| shape.tasks_per_host(&group.requirements, group.distinct_instance);
    if group.tasks == 0 || !group.template_matches || per_host(view.small) == 0 {
        return None;
    }
    Some(group.tasks.div_ceil(per_host(view.large)))
}

/// Size at which a provider comes to rest: `ceil(100 * M / T)` (CAS-19).
pub fn steady_size(needed: u32, target_capacity: u32) -> u32 {
    let size = Ratio::integer(u64::from(needed)).scaled_ceil(100, u64::from(target_capacity.max(1)));
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// The two alarms of a provider (CAS-22). They compare with the target itself, exactly.
pub fn reservation_alarms(
    group: &str,
    cluster: &str,
    provider: &str,
    settings: &ManagedScaling,
    chance: [u64; 4],
) -> (AlarmDefinition, AlarmDefinition) {
    let [a, b, c, d] = chance;
    let alarm = |kind: &str, id: String, operator, datapoints| {
        let metric = MetricKey::capacity_provider_reservation(cluster, provider);
        let name = format!("TargetTracking-{group}-{kind}-{id}");
        AlarmDefinition::new(name, metric, operator, f64::from(settings.target_capacity), datapoints)
    };
    (
        alarm("AlarmHigh", uuid(a, b), ComparisonOperator::GreaterThanThreshold, 1),
        alarm("AlarmLow", uuid(c, d), ComparisonOperator::LessThanThreshold, LOW_DATAPOINTS),
    )
}

/// What managed scaling sees of the Auto Scaling group when an alarm goes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedGroupView {
    /// D: `DesiredCapacity`.
    pub desired: u32,
    /// `MinSize`.
    pub min: u32,
    /// `MaxSize`.
    pub max: u32,
    /// Instances younger than the warm-up period.
    pub warming: u32,
    /// Launch of the youngest instance alive.
    pub youngest_launch: Option<SimTime>,
    /// When the desired capacity was last raised, by whomever (CAS-30).
    pub last_scale_out: Option<SimTime>,
}

impl ManagedGroupView {
    /// When the youngest instance is warm, if it is not yet: counted from its launch (CAS-26).
    fn warm_at(&self, settings: &ManagedScaling, now: SimTime) -> Option<SimTime> {
        self.youngest_launch.map(|launch| launch.saturating_add(settings.instance_warmup)).filter(|warm| now < *warm)
    }

    fn inputs(&self, percent: Ratio, settings: &ManagedScaling) -> Inputs {
        vec![
            ("desired", f64::from(self.desired)),
            ("min", f64::from(self.min)),
            ("max", f64::from(self.max)),
            ("warming", f64::from(self.warming)),
            ("reservation", percent.as_f64()),
            ("target", f64::from(settings.target_capacity)),
        ]
    }
}

/// The high alarm went off, or is still in ALARM a minute later (CAS-24…27).
pub fn scale_out(
    percent: Ratio,
    group: &ManagedGroupView,
    settings: &ManagedScaling,
    behaviour: &Behaviour,
    now: SimTime,
) -> Verdict {
    let mut inputs = group.inputs(percent, settings);
    if !behaviour.warmup_counts_as_capacity
        && let Some(warm) = group.warm_at(settings, now)
    {
        return Verdict::blocked((NotScaledReason::WarmingUp, Some(warm), "CAS-26"), inputs);
    }
    let target = u64::from(settings.target_capacity.max(1));
    let (base, rule) = if group.desired == 0 {
        (1, "CAS-25")
    } else if behaviour.warmup_counts_as_capacity {
        // The metric is held against the warmed ones; those that warm up count as already added (ASG-31).
        (group.desired.saturating_sub(group.warming).max(1), "ASG-31")
    } else {
        (group.desired, "CAS-24")
    };
    let from_zero_two = group.desired == 0 && behaviour.from_zero_two;
    let computed = if from_zero_two { 2 } else { percent.scaled_ceil(u64::from(base), target) };
    inputs.extend([("base", f64::from(base)), ("computed", computed as f64)]);
    let formula = if from_zero_two {
        Formula::FromZero { result: computed }
    } else {
        let counts = if behaviour.warmup_counts_as_capacity { Counted::Warm } else { Counted::Desired };
        proportion((base, counts), percent, settings, computed, None)
    };
    let new = clamp(i64::try_from(computed).unwrap_or(i64::MAX), 0, group.max);
    if group.desired >= group.max {
        Verdict::computed(NotScaledReason::AlreadyAtMaxCapacity, "CAS-24", inputs, formula)
    } else if new <= group.desired {
        Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, rule, inputs, formula)
    } else {
        Verdict::set(new, rule, inputs, formula)
    }
}

/// What the metric asks for: `ceil(D * CPR / T)` (CAS-24, CAS-28).
pub fn wanted_size(percent: Ratio, desired: u32, target_capacity: u32) -> u64 {
    percent.scaled_ceil(u64::from(desired), u64::from(target_capacity.max(1)))
}

/// The low alarm went off, or is still in ALARM a minute later (CAS-28…30).
pub fn scale_in(
    percent: Ratio,
    group: &ManagedGroupView,
    settings: &ManagedScaling,
    behaviour: &Behaviour,
    now: SimTime,
) -> Verdict {
    let mut inputs = group.inputs(percent, settings);
    let recent = group.last_scale_out.map(|out| out.saturating_add(SCALE_IN_PAUSE)).filter(|end| now < *end);
    if recent.is_some() {
        return Verdict::blocked((NotScaledReason::RecentScaleOut, recent, "CAS-30"), inputs);
    }
    if let Some(warm) = group.warm_at(settings, now) {
        return Verdict::blocked((NotScaledReason::WarmingUp, Some(warm), "CAS-30"), inputs);
    }
    let desired = u64::from(group.desired);
    let want = wanted_size(percent, group.desired, settings.target_capacity);
    let step = (desired * u64::from(behaviour.scale_in_step_thousandths) / 1000).max(1);
    let remove = desired.saturating_sub(want).min(step);
    inputs.extend([("want", want as f64), ("step", step as f64)]);
    let new = u32::try_from(desired - remove).unwrap_or(group.desired).max(group.min);
    let formula = proportion((group.desired, Counted::Desired), percent, settings, want, Some(step));
    if group.desired <= group.min {
        Verdict::computed(NotScaledReason::AlreadyAtMinCapacity, "CAS-28", inputs, formula)
    } else if remove == 0 {
        Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "CAS-28", inputs, formula)
    } else {
        Verdict::set(new, "CAS-28", inputs, formula)
    }
}

fn proportion(
    (capacity, counts): (u32, Counted),
    percent: Ratio,
    settings: &ManagedScaling,
    result: u64,
    at_most_fewer: Option<u64>,
) -> Formula {
    let target = f64::from(settings.target_capacity);
    Formula::Proportion { capacity, counts, metric: percent.as_f64(), target, result, at_most_fewer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::alarm::{Alarm, AlarmState};
    use crate::scaling::metric::{MetricStore, Publication, StatisticSet};
    use NotScaledReason as Reason;
    use rstest::rstest;

    const NOW: SimTime = SimTime::from_secs(100_000);

    /// "I2" of the specification.
    fn i2() -> HostShape {
        HostShape { cpu: CpuUnits(2048), memory: MiB(7600), ..HostShape::default() }
    }

    /// "I4".
    fn i4() -> HostShape {
        HostShape { cpu: CpuUnits(4096), memory: MiB(15_600), ..HostShape::default() }
    }

    fn needs(cpu: u64, memory: u64) -> Requirements {
        Requirements { cpu: CpuUnits(cpu), memory: MiB(memory), ..Requirements::default() }
    }

    fn waiting(tasks: u32, requirements: Requirements) -> WaitingGroup {
        WaitingGroup { tasks, requirements, distinct_instance: false, template_matches: true }
    }

    /// Waiting tasks "t1".
    fn t1(tasks: u32) -> WaitingGroup {
        waiting(tasks, needs(1024, 2048))
    }

    fn target(target_capacity: u32) -> ManagedScaling {
        ManagedScaling { target_capacity, ..ManagedScaling::default() }
    }

    /// A provider on hosts of the given types, and what its group would do.
    struct Case {
        instances: u32,
        busy: u32,
        waiting: Vec<WaitingGroup>,
        types: Vec<HostShape>,
        settings: ManagedScaling,
        behaviour: Behaviour,
        max: u32,
    }

    impl Case {
        fn new(instances: u32, busy: u32, waiting: Vec<WaitingGroup>) -> Self {
            Self {
                instances,
                busy,
                waiting,
                types: vec![i2()],
                settings: ManagedScaling::default(),
                behaviour: Behaviour::default(),
                max: 10_000,
            }
        }

        fn at_target(mut self, target_capacity: u32) -> Self {
            self.settings.target_capacity = target_capacity;
            self
        }

        fn reservation(&self) -> Reservation {
            let (small, large) = hypothetical_hosts(&self.types).expect("a case has a type");
            let view = ProviderView {
                instances: self.instances,
                busy: self.busy,
                waiting: &self.waiting,
                small: &small,
                large: &large,
                mixed: self.types.len() > 1,
                settings: self.settings,
            };
            reservation(&view, &self.behaviour)
        }

        fn percent(&self) -> Ratio {
            self.reservation().percent
        }

        /// The desired capacity after the high alarm, which sees only values above the target.
        fn grown(&self) -> u32 {
            let percent = self.percent();
            let group = group(self.instances, self.max);
            if percent <= Ratio::integer(u64::from(self.settings.target_capacity)) {
                return group.desired;
            }
            scale_out(percent, &group, &self.settings, &self.behaviour, NOW).to().unwrap_or(group.desired)
        }
    }

    fn group(desired: u32, max: u32) -> ManagedGroupView {
        ManagedGroupView { desired, min: 0, max, warming: 0, youngest_launch: None, last_scale_out: None }
    }

    fn reason(verdict: &Verdict) -> Option<Reason> {
        match verdict {
            Verdict::SetDesired { .. } => None,
            Verdict::NotScaled { reason, .. } => Some(*reason),
        }
    }

    fn percent(value: u64) -> Ratio {
        Ratio::integer(value)
    }

    #[test]
    fn ex_cas_1() {
        let case = Case::new(0, 0, vec![]);
        assert_eq!((case.percent(), case.grown()), (percent(100), 0));
    }

    #[test]
    fn ex_cas_2() {
        let case = Case::new(0, 0, vec![t1(1)]);
        assert_eq!((case.percent(), case.grown()), (percent(200), 2));
        assert_eq!(case.reservation().rule(), "CAS-3");
    }

    #[test]
    fn ex_cas_3() {
        let case = Case::new(3, 3, vec![]);
        assert_eq!((case.percent(), case.grown()), (percent(100), 3));
    }

    #[test]
    fn ex_cas_4() {
        let case = Case::new(3, 2, vec![]);
        assert_eq!(case.percent(), Ratio::new(200, 3));
        assert_eq!(case.percent().to_string(), "66.67");
        assert_eq!(shrink(&case.settings, 3, 2, 0), [2]);
    }

    #[test]
    fn ex_cas_5() {
        assert_eq!(Case::new(3, 2, vec![]).at_target(50).grown(), 4);
    }

    fn ex_cas_6_case() -> Case {
        Case::new(4, 4, vec![t1(10)])
    }

    #[test]
    fn ex_cas_6() {
        let case = ex_cas_6_case();
        let found = case.reservation();
        assert_eq!(i2().tasks_per_host(&needs(1024, 2048), false), 2);
        assert_eq!(found.basis, Basis::Waiting { estimate: 5, added: 5 });
        assert_eq!((found.needed, found.percent, case.grown()), (9, percent(225), 9));
    }

    #[test]
    fn ex_cas_7() {
        let mut case = ex_cas_6_case();
        case.settings.maximum_step = 2;
        let found = case.reservation();
        assert_eq!((found.needed, found.percent, case.grown()), (6, percent(150), 6));
    }

    #[test]
    fn ex_cas_8() {
        let mut case = ex_cas_6_case();
        case.settings.minimum_step = 8;
        let found = case.reservation();
        assert_eq!((found.needed, found.percent, case.grown()), (12, percent(300), 12));
    }

    #[test]
    fn ex_cas_9() {
        let case = Case::new(5, 5, vec![waiting(3, needs(2048, 100)), waiting(2, needs(2048, 200))]);
        let found = case.reservation();
        assert_eq!(found.basis, Basis::Waiting { estimate: 3, added: 3 });
        assert_eq!((found.needed, found.percent, case.grown()), (8, percent(160), 8));
    }

    #[test]
    fn ex_cas_10() {
        let mut case = Case::new(1, 1, vec![waiting(4, needs(3000, 100))]);
        case.types = vec![i2(), i4()];
        let found = case.reservation();
        assert_eq!((found.basis, found.percent, case.grown()), (Basis::Incompatible, percent(100), 1));
        assert_eq!(case.at_target(80).percent(), percent(80));
    }

    #[test]
    fn ex_cas_11() {
        let round = |instances, tasks| {
            let mut case = Case::new(instances, instances, vec![t1(tasks)]);
            case.types = vec![i2(), i4()];
            let Basis::Waiting { estimate, .. } = case.reservation().basis else { panic!("tasks wait") };
            (estimate, case.percent(), case.grown())
        };
        assert_eq!(round(1, 8), (2, percent(300), 3));
        assert_eq!(round(3, 4), (1, Ratio::new(400, 3), 4));
        assert_eq!(round(4, 2), (1, percent(125), 5));
    }

    #[test]
    fn ex_cas_12() {
        let apart = WaitingGroup { distinct_instance: true, ..waiting(3, needs(128, 128)) };
        let case = Case::new(2, 2, vec![apart]);
        let found = case.reservation();
        assert_eq!((found.needed, found.percent, case.grown()), (5, percent(250), 5));
    }

    #[test]
    fn ex_cas_13() {
        let port = Requirements { tcp_ports: vec![8080], ..needs(128, 128) };
        let case = Case::new(2, 2, vec![waiting(4, port)]);
        assert_eq!((case.percent(), case.grown()), (percent(300), 6));
    }

    #[rstest]
    #[case(2, 4, 5)]
    #[case(10, 1, 2)]
    fn ex_cas_14(#[case] eni_slots: u32, #[case] hosts: u32, #[case] desired: u32) {
        let eni = Requirements { eni: true, ..needs(128, 128) };
        let mut case = Case::new(1, 1, vec![waiting(7, eni)]);
        case.types = vec![HostShape { eni_slots, ..i2() }];
        assert_eq!(case.reservation().basis, Basis::Waiting { estimate: hosts, added: hosts });
        assert_eq!(case.grown(), desired);
    }

    #[test]
    fn ex_cas_15() {
        // The instance with a daemon task only is not among the busy ones (CAS-6).
        let found = Case::new(4, 3, vec![]).reservation();
        assert_eq!((found.needed, found.percent), (3, percent(75)));
    }

    #[rstest]
    #[case(10, 90, 12)]
    #[case(10, 80, 13)]
    #[case(10, 50, 20)]
    #[case(5, 90, 6)]
    #[case(7, 75, 10)]
    #[case(1, 90, 2)]
    fn ex_cas_16(#[case] needed: u32, #[case] target_capacity: u32, #[case] size: u32) {
        assert_eq!(steady_size(needed, target_capacity), size);
        // From one instance per need the group grows to that size and rests there.
        let case = Case::new(needed, needed, vec![]).at_target(target_capacity);
        assert_eq!(case.grown(), size);
        assert_eq!(Case::new(size, needed, vec![]).at_target(target_capacity).grown(), size);
        assert_eq!(shrink(&target(target_capacity), size, needed, 0), [] as [u32; 0]);
    }

    #[test]
    fn ex_cas_17() {
        let case = Case::new(10, 10, vec![t1(4)]).at_target(80);
        assert_eq!((case.reservation().needed, case.percent(), case.grown()), (12, percent(120), 15));
    }

    #[test]
    fn ex_cas_18() {
        let mut case = ex_cas_6_case();
        case.max = 6;
        assert_eq!(case.grown(), 6);
        case.instances = 6;
        let verdict = scale_out(case.percent(), &group(6, 6), &case.settings, &case.behaviour, NOW);
        assert_eq!(reason(&verdict), Some(Reason::AlreadyAtMaxCapacity));
    }

    #[rstest]
    #[case(false, 3)]
    #[case(true, 2)]
    fn ex_cas_19(#[case] from_zero_two: bool, #[case] desired: u32) {
        let mut case = Case::new(0, 0, vec![t1(1)]).at_target(80);
        case.behaviour.from_zero_two = from_zero_two;
        assert_eq!(case.grown(), desired);
    }

    #[rstest]
    #[case(true, 100, 2)]
    #[case(false, 90, 0)]
    fn ex_cas_20(#[case] empty_cpr_hundred: bool, #[case] value: u64, #[case] desired: u32) {
        let mut case = Case::new(0, 0, vec![]).at_target(90);
        case.behaviour.empty_cpr_hundred = empty_cpr_hundred;
        assert_eq!((case.percent(), case.grown()), (percent(value), desired));
        // Two empty instances go again after 15 minutes: the endless loop of 2019.
        assert_eq!(Case::new(2, 0, vec![]).at_target(90).percent(), percent(0));
        assert_eq!(shrink(&target(90), 2, 0, 0), [1, 0]);
    }

    #[test]
    fn ex_cas_24() {
        assert_eq!(Case::new(1, 0, vec![]).percent(), percent(0));
        assert_eq!(shrink(&ManagedScaling::default(), 1, 0, 0), [0]);
    }

    /// The desired capacities of one scale-in, a step a minute: N follows D, `busy` instances stay busy.
    fn shrink(settings: &ManagedScaling, desired: u32, busy: u32, min: u32) -> Vec<u32> {
        let mut steps = Vec::new();
        let mut size = desired;
        loop {
            let case = Case { settings: *settings, ..Case::new(size, busy, vec![]) };
            let group = ManagedGroupView { min, ..group(size, 10_000) };
            if case.percent() >= percent(u64::from(settings.target_capacity)) {
                return steps;
            }
            match scale_in(case.percent(), &group, settings, &case.behaviour, NOW).to() {
                Some(to) => {
                    steps.push(to);
                    size = to;
                }
                None => return steps,
            }
        }
    }

    /// The low alarm's state after each of these values, a datapoint a minute from minute 0.
    fn low_alarm(values: &[f64]) -> Vec<AlarmState> {
        let mut store = MetricStore::new();
        let behaviour = Behaviour::default();
        let settings = ManagedScaling::default();
        let (_, low) = reservation_alarms("group", "default", "cp", &settings, [1, 2, 3, 4]);
        let publish = behaviour.cas_publish_delay;
        let mut alarm =
            Alarm::new(low, &mut store, &behaviour, SimTime::ZERO).with_phase(publish + behaviour.alarm_eval_delay);
        store.publish(alarm.series[0], Publication::after_start(SimDuration::MINUTE, publish));
        let mut states = Vec::new();
        for (minute, value) in (0..).zip(values) {
            let tick = SimTime::from_secs(60 * minute);
            store.push(alarm.series[0], tick, &StatisticSet::of(*value)).unwrap();
            let at = alarm.next_evaluation(tick);
            assert_eq!(at, tick + SimDuration::from_secs(15));
            let evaluation = alarm.evaluate(&store, at);
            alarm.apply(&evaluation);
            states.push(alarm.state);
        }
        states
    }

    fn first_alarm(states: &[AlarmState]) -> Option<usize> {
        states.iter().position(|state| *state == AlarmState::Alarm)
    }

    #[test]
    fn ex_in_1() {
        assert_eq!(first_alarm(&low_alarm(&[50.0; 20])), Some(14));
    }

    #[test]
    fn ex_in_2() {
        let values = [vec![50.0; 10], vec![100.0], vec![50.0; 20]].concat();
        assert_eq!(first_alarm(&low_alarm(&values)), Some(25), "15 further datapoints after the one at minute 10");
    }

    #[test]
    fn ex_in_3() {
        assert_eq!(shrink(&ManagedScaling::default(), 100, 40, 0), [50, 40]);
    }

    #[test]
    fn ex_in_4() {
        assert_eq!(shrink(&ManagedScaling::default(), 8, 0, 0), [4, 2, 1, 0]);
    }

    #[test]
    fn ex_in_5() {
        assert_eq!(shrink(&ManagedScaling::default(), 3, 0, 0), [2, 1, 0]);
    }

    #[test]
    fn ex_in_6() {
        assert_eq!(shrink(&target(80), 20, 8, 0), [10]);
    }

    #[test]
    fn ex_in_7() {
        assert_eq!(shrink(&target(90), 6, 5, 0), [] as [u32; 0]);
        assert!(Case::new(6, 5, vec![]).percent() < percent(90));
    }

    #[test]
    fn ex_in_10() {
        let scaled_out = SimTime::from_secs(80);
        let settings = ManagedScaling { instance_warmup: SimDuration::ZERO, ..ManagedScaling::default() };
        let group = ManagedGroupView { last_scale_out: Some(scaled_out), ..group(2, 10) };
        let case = Case::new(2, 1, vec![]);
        let at = |now| scale_in(case.percent(), &group, &settings, &case.behaviour, now);
        assert_eq!(reason(&at(SimTime::from_secs(979))), Some(Reason::RecentScaleOut));
        assert_eq!(at(SimTime::from_secs(980)).to(), Some(1));
    }

    #[test]
    fn ex_in_12() {
        assert_eq!(Case::new(6, 4, vec![]).percent(), Ratio::new(200, 3));
        assert_eq!(shrink(&ManagedScaling::default(), 6, 4, 0), [4]);
    }

    #[test]
    fn cas_8_empty_instances_do_not_reduce_the_estimate() {
        let found = Case::new(5, 3, vec![t1(2)]).reservation();
        assert_eq!((found.needed, found.percent), (6, percent(120)), "CAS-8: N + k, not busy + k");
    }

    #[test]
    fn cas_12_a_compatible_group_counts_beside_an_incompatible_one() {
        let case = Case::new(2, 2, vec![waiting(50, needs(9000, 1)), t1(2)]);
        assert_eq!((case.reservation().needed, case.grown()), (3, 3));
    }

    #[test]
    fn cas_15_reserved_ports_fit_nowhere() {
        let mut host = i2();
        host.reserved_tcp_ports = vec![22, 51_678];
        let ssh = Requirements { tcp_ports: vec![22], ..needs(1, 1) };
        assert_eq!(host.tasks_per_host(&ssh, false), 0);
        let udp = Requirements { udp_ports: vec![22], ..needs(1, 1) };
        assert_eq!(host.tasks_per_host(&udp, false), 1);
    }

    #[test]
    fn cas_13_unused_attributes_are_skipped() {
        let gpu = Requirements { gpus: 1, ..Requirements::default() };
        assert_eq!(HostShape { gpus: 4, ..i2() }.tasks_per_host(&gpu, false), 4);
        assert_eq!(i2().tasks_per_host(&gpu, false), 0);
        assert_eq!(i2().tasks_per_host(&needs(0, 0), false), u32::MAX);
    }

    #[test]
    fn cas_16_a_constraint_that_no_launch_satisfies_stalls_scale_out() {
        let elsewhere = WaitingGroup { template_matches: false, ..t1(3) };
        let case = Case::new(2, 2, vec![elsewhere]);
        assert_eq!((case.reservation().basis, case.grown()), (Basis::Incompatible, 2));
    }

    #[test]
    fn cas_22_the_alarms_compare_with_the_target_itself() {
        let (high, low) = reservation_alarms("g", "prod", "cp", &target(80), [0; 4]);
        assert_eq!((high.threshold, high.evaluation_periods, high.period), (80.0, 1, SimDuration::MINUTE));
        assert_eq!((low.threshold, low.evaluation_periods, low.datapoints_to_alarm), (80.0, 15, 15));
        assert_eq!(high.operator, ComparisonOperator::GreaterThanThreshold);
        assert_eq!(low.operator, ComparisonOperator::LessThanThreshold);
        assert_eq!(high.watched, low.watched);
    }

    #[test]
    fn cas_22_a_ratio_on_the_target_is_exactly_the_target_as_a_datapoint() {
        for instances in 1..500 {
            for target in 1..=100 {
                if (target * instances) % 100 == 0 {
                    let value = Ratio::new(100 * (target * instances / 100), instances).as_f64();
                    assert_eq!(value, target as f64, "{instances} at {target}");
                }
            }
        }
    }

    #[test]
    fn cas_26_a_young_instance_blocks_scale_out() {
        let launch = SimTime::from_secs(75);
        let young = ManagedGroupView { youngest_launch: Some(launch), warming: 5, ..group(9, 100) };
        let settings = ManagedScaling::default();
        let at = |secs| scale_out(percent(150), &young, &settings, &Behaviour::default(), SimTime::from_secs(secs));
        let Verdict::NotScaled { reason, until, rule, .. } = at(374) else { panic!("blocked") };
        assert_eq!((reason, until, rule), (Reason::WarmingUp, Some(SimTime::from_secs(375)), "CAS-26"));
        assert_eq!(at(375).to(), Some(14));
    }

    #[test]
    fn cas_26_or_warming_instances_count_as_capacity() {
        let behaviour = Behaviour { warmup_counts_as_capacity: true, ..Behaviour::default() };
        let young = ManagedGroupView { youngest_launch: Some(NOW), warming: 5, ..group(9, 100) };
        let ask = |value| scale_out(percent(value), &young, &ManagedScaling::default(), &behaviour, NOW);
        assert_eq!(ask(225).to(), None, "the five that launch are what four at 225 % need");
        assert_eq!(ask(300).to(), Some(12));
    }

    #[test]
    fn cas_28_the_step_was_smaller_before_september_2022() {
        let behaviour = Behaviour { scale_in_step_thousandths: 50, ..Behaviour::default() };
        let settings = ManagedScaling::default();
        let mut size = 1000;
        let mut steps = 0;
        while size > 0 {
            size = scale_in(percent(0), &group(size, 10_000), &settings, &behaviour, NOW).to().unwrap();
            steps += 1;
        }
        assert!(steps > 60, "{steps}");
        let first = scale_in(percent(0), &group(1000, 10_000), &settings, &behaviour, NOW).to();
        assert_eq!(first, Some(950));
    }

    #[test]
    fn cas_28_never_below_the_minimum() {
        assert_eq!(shrink(&ManagedScaling::default(), 8, 0, 3), [4, 3]);
    }

    #[test]
    fn cas_30_scale_in_waits_for_warm_instances() {
        let young = ManagedGroupView { youngest_launch: Some(NOW), ..group(4, 10) };
        let settings = ManagedScaling::default();
        let verdict = scale_in(percent(50), &young, &settings, &Behaviour::default(), NOW);
        assert_eq!((reason(&verdict), verdict.rule()), (Some(Reason::WarmingUp), "CAS-30"));
    }

    #[test]
    fn c_2_the_older_metric_takes_a_point_per_empty_instance() {
        let mut case = Case::new(100, 40, vec![]);
        case.behaviour.metric_hundred_minus_empty = true;
        assert_eq!(case.percent(), percent(40));
        case.instances = 300;
        assert_eq!(case.percent(), percent(0));
    }

    #[test]
    fn c_3_several_types_once_grew_by_the_minimum_step() {
        let mut case = Case::new(2, 2, vec![t1(40)]);
        case.types = vec![i2(), i4()];
        case.settings.minimum_step = 3;
        assert_eq!(case.reservation().needed, 12);
        case.behaviour.multi_type_exact_min_step = true;
        assert_eq!(case.reservation().needed, 5);
        case.types.truncate(1);
        assert_eq!(case.reservation().needed, 22);
    }
}
