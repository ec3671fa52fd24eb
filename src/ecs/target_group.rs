//! Target groups: registered and healthy targets, and when health checks decide (ELB-3…9).

use crate::ecs::task_definition::NetworkMode;
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::behaviour::ContainerBehaviour;

/// A target group, or the instances of a Classic Load Balancer.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    /// Its settings.
    pub definition: CreateTargetGroup,
    /// What routes to it.
    pub kind: BalancerKind,
    /// Whether traffic is spread over the targets of all zones evenly (ELB-12).
    pub cross_zone: bool,
    /// How long a probe may take (ELB-3).
    pub timeout: SimDuration,
    /// How long its balancer waits for the answer to a request (`idle_timeout.timeout_seconds`).
    pub idle_timeout: SimDuration,
    /// Registered targets: initial, healthy or unhealthy.
    pub registered: u32,
    /// Healthy targets.
    pub healthy: u32,
    /// Unhealthy targets.
    pub unhealthy: u32,
}

impl TargetGroup {
    /// A group without targets, behind a balancer of this kind; `alb_timeout` is `alb_hc_timeout_s` (C-9).
    ///
    /// `balancer_crosses_zones` is what the balancer says; an Application Load Balancer always does (ELB-12).
    pub fn new(
        definition: CreateTargetGroup,
        kind: BalancerKind,
        balancer_crosses_zones: bool,
        alb_timeout: SimDuration,
    ) -> Self {
        let default = match (kind, definition.check_protocol) {
            (BalancerKind::Application, _) => alb_timeout,
            (BalancerKind::Network, CheckProtocol::Http) => SimDuration::from_secs(6),
            (BalancerKind::Network, CheckProtocol::Tcp | CheckProtocol::Https) => SimDuration::from_secs(10),
            (BalancerKind::Classic, _) => SimDuration::from_secs(5),
        };
        // AWS wants a time-out below the interval; a default that is not gives way.
        let timeout = definition.timeout.unwrap_or(default).min(definition.health_check_interval);
        let cross_zone = definition.cross_zone.unwrap_or(kind == BalancerKind::Application || balancer_crosses_zones);
        let idle_timeout = kind.idle_timeout();
        Self { definition, kind, cross_zone, timeout, idle_timeout, registered: 0, healthy: 0, unhealthy: 0 }
    }

    /// ELB-6: no target is healthy, but some are unhealthy: traffic goes to these.
    pub const fn fails_open(&self) -> bool {
        self.healthy == 0 && self.unhealthy > 0
    }

    /// ELB-3: the status that a container answers probes with, when that is not one the group takes for healthy.
    ///
    /// Only probes over HTTP look at it; those of an Application Load Balancer always are.
    pub fn refused_status(&self, behaviour: &ContainerBehaviour) -> Option<u16> {
        let status = behaviour.probe_status(&self.definition.check_path);
        (self.asks_over_http() && !self.accepts(status)).then_some(status)
    }

    /// Whether its probes are HTTP requests, and no mere connections.
    pub fn asks_over_http(&self) -> bool {
        self.kind == BalancerKind::Application || self.definition.check_protocol != CheckProtocol::Tcp
    }

    /// ELB-3: whether a probe that is answered with this status has passed.
    pub fn accepts(&self, status: u16) -> bool {
        let default = [if self.kind == BalancerKind::Network { (200, 399) } else { (200, 200) }];
        let accepted = self.definition.matcher.as_deref().unwrap_or(&default);
        accepted.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// ELB-7: how long after an answer a client's requests go to the same target; `None` when each goes where the algorithm
    /// says.
    ///
    /// Each answer of an Application Load Balancer brings the cookie anew. By the address of the source a client sticks for
    /// as long as the target is there.
    pub fn sticks_for(&self) -> Option<SimDuration> {
        let stickiness = self.definition.stickiness?;
        let default = match self.kind {
            BalancerKind::Network => StickinessType::SourceIp,
            BalancerKind::Application | BalancerKind::Classic => StickinessType::LbCookie,
        };
        Some(match stickiness.kind.unwrap_or(default) {
            StickinessType::LbCookie => stickiness.lb_cookie,
            StickinessType::AppCookie => stickiness.app_cookie,
            StickinessType::SourceIp => SimDuration::CENTURY,
        })
    }

    /// Whether each target gets as many requests as any other, whatever it can do (ELB-7).
    pub const fn spreads_evenly(&self) -> bool {
        !matches!(self.definition.algorithm, RoutingAlgorithm::LeastOutstandingRequests)
    }
}

/// `Type` of a load balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BalancerKind {
    /// `application`.
    #[default]
    Application,
    /// `network`.
    Network,
    /// A Classic Load Balancer (ELB-13).
    Classic,
}

impl BalancerKind {
    /// How long a connection may be silent unless a balancer's attributes say otherwise: 60 s, of a Network Load Balancer
    /// 350 s (Elastic Load Balancing user guides, "Connection idle timeout").
    pub const fn idle_timeout(self) -> SimDuration {
        match self {
            Self::Application | Self::Classic => SimDuration::from_secs(60),
            Self::Network => SimDuration::from_secs(350),
        }
    }
}

/// `load_balancing.algorithm.type` (ELB-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoutingAlgorithm {
    /// In turn; of a Network Load Balancer, by the hash of a flow, which is as even in the long run.
    #[default]
    RoundRobin,
    /// To whoever has fewest in flight: the more a target can do, the more it gets.
    LeastOutstandingRequests,
    /// At random: even in the long run too.
    WeightedRandom,
}

/// `stickiness.*` of a target group, where it is enabled (ELB-7; Elastic Load Balancing, "Sticky sessions for your
/// Application Load Balancer").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stickiness {
    /// `stickiness.type`; by the kind of balancer unless said.
    pub kind: Option<StickinessType>,
    /// `stickiness.lb_cookie.duration_seconds`, default a day.
    pub lb_cookie: SimDuration,
    /// `stickiness.app_cookie.duration_seconds`, default a day.
    pub app_cookie: SimDuration,
}

impl Default for Stickiness {
    fn default() -> Self {
        let day = SimDuration::from_secs(86_400);
        Self { kind: None, lb_cookie: day, app_cookie: day }
    }
}

/// What a balancer knows a client by (ELB-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickinessType {
    /// `lb_cookie`: a cookie of the Application Load Balancer's own.
    LbCookie,
    /// `app_cookie`: a cookie that the application sets with each answer.
    AppCookie,
    /// `source_ip`: the address it comes from, at a Network Load Balancer.
    SourceIp,
}

impl StickinessType {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LbCookie => "lb_cookie",
            Self::AppCookie => "app_cookie",
            Self::SourceIp => "source_ip",
        }
    }

    /// Whether a balancer of this kind knows clients by it.
    pub const fn is_of(self, kind: BalancerKind) -> bool {
        matches!(self, Self::SourceIp) == matches!(kind, BalancerKind::Network)
    }
}

/// `TargetType` of a target group (ELB-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetType {
    /// Addresses of tasks with an interface of their own.
    Ip,
    /// Ports of instances.
    Instance,
}

impl TargetType {
    /// What tasks of a network mode are to a load balancer.
    pub const fn of(mode: NetworkMode) -> Self {
        match mode {
            NetworkMode::Awsvpc => Self::Ip,
            NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None | NetworkMode::WindowsDefault => Self::Instance,
        }
    }

    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Instance => "instance",
        }
    }
}

/// `HealthCheckProtocol`, as far as it decides a default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckProtocol {
    /// TCP and the like.
    #[default]
    Tcp,
    /// HTTP.
    Http,
    /// HTTPS.
    Https,
}

/// The settings of a health check that decide a new target's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Time between probes.
    pub interval: SimDuration,
    /// How long one may take; shorter than the interval.
    pub timeout: SimDuration,
    /// Passes in a row that make an unhealthy target healthy.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy.
    pub unhealthy_threshold: u32,
    /// Passes that make a new target healthy: one (ELB-4, C-5).
    pub initial_passes: u32,
}

/// When an application answers its probes.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// When its containers started.
    pub started: SimTime,
    /// From here on it answers.
    pub ready: SimTime,
    /// Spans since the start of the containers in which it does not.
    pub silent: &'a [(SimDuration, SimDuration)],
}

impl Answers<'_> {
    /// The first instant from `time` on at which it answers.
    pub fn next(&self, time: SimTime) -> SimTime {
        let mut next = time.max(self.ready);
        let ends = |at: SimTime| {
            let spans = self.silent.iter().map(|(from, to)| self.started + *from..self.started + *to);
            spans.filter(|span| span.contains(&at)).map(|span| span.end).max()
        };
        while let Some(end) = ends(next) {
            next = end;
        }
        next
    }

    /// What a probe sent at `at` finds, and when that is known (ELB-6).
    ///
    /// Where nothing listens yet the connection is refused at once; an application that hangs lets it wait for its
    /// time-out, or for its answer if that comes first.
    pub fn probe(&self, at: SimTime, timeout: SimDuration) -> (bool, SimTime) {
        if at < self.ready {
            return (false, at);
        }
        let answer = self.next(at);
        if answer <= at + timeout { (true, answer) } else { (false, at + timeout) }
    }

    /// From here on every probe is answered.
    fn settled(&self) -> SimTime {
        self.silent.iter().map(|(_, to)| self.started + *to).fold(self.ready, SimTime::max)
    }
}

/// What the checks of one target group have said of a target, and are about to say (ELB-4, ELB-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Healthy or not, once they have said so.
    pub said: Option<bool>,
    passes: u32,
    failures: u32,
}

impl Verdict {
    /// Checks that have said `known` so far.
    pub const fn new(known: Option<bool>) -> Self {
        Self { said: known, passes: 0, failures: 0 }
    }

    /// One more probe has passed or failed; what that makes them say, if it is something new.
    ///
    /// It takes `initial_passes` to become healthy, and the healthy threshold in a row once the target has been unhealthy.
    pub fn count(&mut self, answered: bool, check: &HealthCheck) -> Option<bool> {
        (self.passes, self.failures) = if answered { (self.passes + 1, 0) } else { (0, self.failures + 1) };
        let needed = if self.said.is_none() { check.initial_passes } else { check.healthy_threshold };
        let says = if self.said != Some(true) && self.passes >= needed.max(1) {
            true
        } else if self.said != Some(false) && self.failures >= check.unhealthy_threshold.max(1) {
            false
        } else {
            return None;
        };
        self.said = Some(says);
        self.said
    }
}

/// What the target groups of a task say together: healthy while all of them say so, unhealthy once one has said so.
pub fn agreed(opinions: impl Iterator<Item = Option<bool>> + Clone) -> Option<bool> {
    if opinions.clone().any(|opinion| opinion == Some(false)) {
        return Some(false);
    }
    let mut opinions = opinions;
    opinions.all(|opinion| opinion == Some(true)).then_some(true)
}

/// One target group's view of a task.
#[derive(Clone, Copy, Debug)]
pub struct Probed<'a> {
    /// How it checks.
    pub check: HealthCheck,
    /// Its next probe.
    pub first_probe: SimTime,
    /// What its probes meet.
    pub answers: Answers<'a>,
}

/// A change of a target's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// When.
    pub at: SimTime,
    /// Healthy from then on, or unhealthy.
    pub healthy: bool,
}

/// ELB-4…6: what the checks will say of a target of which they have said `known` so far.
///
/// Probes follow each other by the interval, and what they meet is known, so the whole fate of a target can be computed at
/// once: see [`Verdict::count`] for one target group and [`agreed`] for several.
pub fn health_changes(probed: &[Probed<'_>], known: Option<bool>) -> Vec<HealthChange> {
    let mut verdicts: Vec<(HealthChange, usize)> = Vec::new();
    for (place, group) in probed.iter().enumerate() {
        verdicts.extend(one_verdicts(group, known).into_iter().map(|change| (change, place)));
    }
    verdicts.sort_by_key(|(change, place)| (change.at, *place));
    let mut opinions: Vec<Option<bool>> = vec![known; probed.len()];
    let mut now = known;
    let mut changes = Vec::new();
    for (change, place) in verdicts {
        opinions[place] = Some(change.healthy);
        let said = agreed(opinions.iter().copied());
        if said.is_some() && said != now {
            now = said;
            changes.push(HealthChange { at: change.at, healthy: said == Some(true) });
        }
    }
    changes
}

/// The changes that one target group sees.
fn one_verdicts(group: &Probed<'_>, known: Option<bool>) -> Vec<HealthChange> {
    let Probed { check, first_probe, answers } = group;
    let interval = check.interval.max(SimDuration::from_nanos(1));
    let settled = answers.settled();
    let mut verdict = Verdict::new(known);
    let mut changes = Vec::new();
    let mut probe = *first_probe;
    loop {
        let (answered, known) = answers.probe(probe, check.timeout);
        if let Some(healthy) = verdict.count(answered, check) {
            changes.push(HealthChange { at: known, healthy });
        }
        if probe >= settled && verdict.said == Some(true) {
            return changes;
        }
        // Once it is unhealthy, nothing changes before a probe meets an answer within its time-out.
        let soon = probe + interval;
        let met = || SimTime::from_nanos(answers.next(soon).as_nanos().saturating_sub(check.timeout.as_nanos()));
        let next = if verdict.said == Some(false) { soon.max(met()) } else { soon };
        let probes = next.saturating_since(probe).as_nanos().div_ceil(interval.as_nanos());
        probe += interval * probes;
    }
}

/// `elbv2 create-target-group`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTargetGroup {
    /// `Name`.
    pub name: String,
    /// The load balancer that routes to it.
    pub load_balancer: Option<String>,
    /// `HealthCheckIntervalSeconds`, default 30 s (ELB-3).
    pub health_check_interval: SimDuration,
    /// `HealthyThresholdCount`, default 5.
    pub healthy_threshold: u32,
    /// `UnhealthyThresholdCount`, default 2.
    pub unhealthy_threshold: u32,
    /// `HealthCheckTimeoutSeconds`; by the kind of balancer unless said.
    pub timeout: Option<SimDuration>,
    /// `HealthCheckProtocol`.
    pub check_protocol: CheckProtocol,
    /// `HealthCheckPath`: what HTTP probes ask for, `/` unless said.
    pub check_path: String,
    /// `Matcher.HttpCode`: the statuses that pass, first and last of each range; by the kind of balancer unless said.
    pub matcher: Option<Vec<(u16, u16)>>,
    /// `TargetType`, when it says so: tasks have to be of that kind (ELB-2).
    pub target_type: Option<TargetType>,
    /// `deregistration_delay.timeout_seconds`, default 300 s (ELB-9).
    pub deregistration_delay: SimDuration,
    /// `slow_start.duration_seconds`, zero for none (ELB-8).
    pub slow_start: SimDuration,
    /// `load_balancing.algorithm.type`.
    pub algorithm: RoutingAlgorithm,
    /// `load_balancing.cross_zone.enabled`, unless the balancer decides (ELB-12).
    pub cross_zone: Option<bool>,
    /// `stickiness.*`, where `stickiness.enabled` is true.
    pub stickiness: Option<Stickiness>,
}

impl CreateTargetGroup {
    /// A group of this name with the defaults of a new one (ELB-3, ELB-9).
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            load_balancer: None,
            health_check_interval: SimDuration::from_secs(30),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            timeout: None,
            check_protocol: CheckProtocol::default(),
            check_path: "/".to_owned(),
            matcher: None,
            target_type: None,
            deregistration_delay: SimDuration::from_secs(300),
            slow_start: SimDuration::ZERO,
            algorithm: RoutingAlgorithm::default(),
            cross_zone: None,
            stickiness: None,
        }
    }

    /// The instances of a Classic Load Balancer: ten passes make one healthy (ELB-3).
    pub fn of_classic(balancer: &str) -> Self {
        Self { load_balancer: Some(balancer.to_owned()), healthy_threshold: 10, ..Self::named(balancer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: HealthCheck = HealthCheck {
        interval: SimDuration::from_secs(10),
        timeout: SimDuration::from_secs(5),
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        initial_passes: 1,
    };

    fn changes(ready: u64, silent: &[(u64, u64)], checks: &[HealthCheck]) -> Vec<(u64, bool)> {
        let silent: Vec<(SimDuration, SimDuration)> =
            silent.iter().map(|(from, to)| (SimDuration::from_secs(*from), SimDuration::from_secs(*to))).collect();
        let answers = Answers { started: SimTime::ZERO, ready: SimTime::from_secs(ready), silent: &silent };
        let probed: Vec<Probed<'_>> =
            checks.iter().map(|check| Probed { check: *check, first_probe: SimTime::ZERO, answers }).collect();
        let changes = health_changes(&probed, None);
        changes.iter().map(|change| (change.at.as_nanos() / 1_000_000_000, change.healthy)).collect()
    }

    #[test]
    fn ex_elb_1_two_failures_make_a_slow_target_unhealthy() {
        assert_eq!(changes(12, &[], &[CHECK])[0], (10, false));
    }

    #[test]
    fn ex_elb_2_an_unhealthy_target_needs_five_passes() {
        // Passes at 20, 30, 40, 50, 60.
        assert_eq!(changes(12, &[], &[CHECK]), [(10, false), (60, true)]);
    }

    #[test]
    fn ex_elb_3_one_pass_is_enough_for_a_new_target() {
        assert_eq!(changes(5, &[], &[CHECK]), [(10, true)]);
        assert_eq!(changes(0, &[], &[CHECK]), [(0, true)]);
    }

    #[test]
    fn elb_6_a_silent_target_turns_unhealthy_and_recovers() {
        // Probes of 100 and 110 wait five seconds each in vain; those from 130 on pass, the fifth at 170.
        assert_eq!(changes(0, &[(95, 130)], &[CHECK]), [(0, true), (115, false), (170, true)]);
        assert_eq!(changes(0, &[(95, 109)], &[CHECK]), [(0, true)], "one failure is not enough");
        assert_eq!(changes(0, &[(95, 105), (106, 115)], &[CHECK]), [(0, true)], "answers come within the time-out");
    }

    #[test]
    fn elb_3_time_outs_go_by_the_kind_of_balancer_and_its_checks() {
        let secs = SimDuration::from_secs;
        let timeout = |kind, check_protocol, timeout| {
            let definition = CreateTargetGroup { timeout, check_protocol, ..CreateTargetGroup::named("tg") };
            TargetGroup::new(definition, kind, false, secs(5)).timeout
        };
        assert_eq!(timeout(BalancerKind::Application, CheckProtocol::Https, None), secs(5));
        assert_eq!(timeout(BalancerKind::Network, CheckProtocol::Http, None), secs(6));
        assert_eq!(timeout(BalancerKind::Network, CheckProtocol::Tcp, None), secs(10));
        assert_eq!(timeout(BalancerKind::Classic, CheckProtocol::Http, None), secs(5));
        assert_eq!(timeout(BalancerKind::Network, CheckProtocol::Tcp, Some(secs(3))), secs(3));
    }

    #[test]
    fn svc_7_every_target_group_has_to_agree() {
        let slow = HealthCheck { interval: SimDuration::from_secs(30), unhealthy_threshold: 10, ..CHECK };
        assert_eq!(changes(5, &[], &[CHECK, slow]), [(30, true)]);
        assert_eq!(changes(12, &[], &[CHECK, slow]), [(10, false), (60, true)]);
    }
}
