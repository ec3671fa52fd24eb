//! The containers of a task: start order, stop order, health, restarts (TD-10…20).
//!
//! Everything here is a question about the containers of one task, in the order of its definition; the control plane
//! asks, and changes what follows.

use crate::ecs::image_store::PullNumber;
use crate::ecs::pace::Pace;
use crate::ecs::task_definition::{Condition, ContainerDefinition, ContainerHealthCheck, RestartPolicy};
use crate::engine::time::{SimDuration, SimTime};
use crate::units::CpuMilliUnits;

/// One container of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// What it is at.
    pub status: ContainerStatus,
    /// How often it has been told to start; what was foreseen of an earlier start no longer counts.
    pub starts: u16,
    /// When it last started.
    pub started: Option<SimTime>,
    /// From when on it answers its probes, known once it has been told to start.
    pub ready: SimTime,
    /// Its exit code, once it has ended.
    pub exit_code: Option<i32>,
    /// What its health check says; `None` without one, or before it has started.
    pub health: Option<HealthStatus>,
    /// Whether its stop signal has been sent.
    pub signalled: bool,
    /// How long it runs when it next starts, drawn when its task was created; for ever when absent.
    pub runs_for: Option<SimDuration>,
    /// What is left of its work since `work_since`, while it runs for a limited time.
    pub work_left: Option<SimDuration>,
    /// When what is left was last counted.
    pub work_since: SimTime,
    /// When it ends by itself at its present pace.
    pub exits_at: SimTime,
    /// CPU that it would use by itself.
    pub own_cpu: CpuMilliUnits,
    /// How fast it gets on with its work (TD-9).
    pub pace: Pace,
    /// Whether it takes more memory than its own hard limit allows (TD-7).
    pub over_limit: bool,
    /// How far its image is.
    pub image: ImageProgress,
    /// Creation, drawn with the pull; zero when it is part of the start.
    pub create_delay: SimDuration,
    /// Create and start, drawn with the pull.
    pub start_delay: SimDuration,
    /// From its start until it answers its probes, drawn with the pull.
    pub startup: SimDuration,
}

/// How far the image of a container is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageProgress {
    /// Nobody has asked for it.
    #[default]
    Absent,
    /// The pull of this number is under way.
    Pulling(PullNumber),
    /// The engine of real containers has been asked for it.
    Asked,
    /// It is there.
    Ready,
}

/// What a container is at. ECS reports the first two as PENDING (AGENT-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Its dependencies do not hold yet.
    #[default]
    Waiting,
    /// Image pull, create and start.
    Starting,
    /// It runs.
    Running,
    /// It has ended, or will never start.
    Stopped,
}

impl ContainerStatus {
    /// `lastStatus` of a container as the agent reports it (AGENT-7).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting | Self::Starting => "PENDING",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// `healthStatus` of a container or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// No verdict yet.
    Unknown,
    /// The last verdict was a pass.
    Healthy,
    /// So many probes in a row have failed.
    Unhealthy,
}

impl Container {
    /// TD-9: why it was killed when it took more memory than it may have.
    pub const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

    /// True when it has started once, whatever became of it.
    pub const fn has_started(&self) -> bool {
        self.started.is_some()
    }
}

/// Whether the dependencies of a container hold (TD-11, TD-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All hold: it may start.
    Ready,
    /// Not yet.
    Waits,
    /// One never will.
    Never,
}

/// TD-11, TD-12: whether the container at `place` may start.
pub fn readiness(definitions: &[ContainerDefinition], containers: &[Container], place: usize) -> Readiness {
    let mut verdict = Readiness::Ready;
    for dependency in &definitions[place].depends_on {
        let target = &containers[dependency.container];
        if !holds(dependency.condition, target) {
            if target.status == ContainerStatus::Stopped {
                return Readiness::Never;
            }
            verdict = Readiness::Waits;
        }
    }
    verdict
}

/// TD-11: whether a condition on a container holds.
fn holds(condition: Condition, target: &Container) -> bool {
    let ended = target.status == ContainerStatus::Stopped;
    match condition {
        Condition::Start => target.has_started(),
        Condition::Complete => target.exit_code.is_some() && ended,
        Condition::Success => target.exit_code == Some(0) && ended,
        Condition::Healthy => target.health == Some(HealthStatus::Healthy) && !ended,
    }
}

/// TD-14: whether a container still waits for the one at `place` to become more than started.
pub fn is_waited_for(definitions: &[ContainerDefinition], containers: &[Container], place: usize) -> bool {
    definitions.iter().zip(containers).any(|(definition, container)| {
        container.status == ContainerStatus::Waiting
            && definition.depends_on.iter().any(|on| on.container == place && !holds(on.condition, &containers[place]))
    })
}

/// TD-13: whether the container at `place` may get its stop signal, all that depend on it having ended.
pub fn may_stop(definitions: &[ContainerDefinition], containers: &[Container], place: usize) -> bool {
    let depends = |definition: &ContainerDefinition| definition.depends_on.iter().any(|on| on.container == place);
    let alive = |container: &Container| container.status == ContainerStatus::Running;
    !definitions.iter().zip(containers).any(|(definition, container)| depends(definition) && alive(container))
}

/// TASK-2: whether the task is up: every container has started, or has ended without being essential.
pub fn all_started(containers: &[Container]) -> bool {
    containers.iter().all(Container::has_started)
}

/// TD-14: whether some other container waits for this one to become more than started.
pub fn start_timeout_matters(definitions: &[ContainerDefinition], place: usize) -> bool {
    let mut dependencies = definitions.iter().flat_map(|definition| &definition.depends_on);
    dependencies.any(|on| on.container == place && on.condition != Condition::Start)
}

/// TD-18: the health of a task; `None` when no essential container has a health check, which ECS shows as UNKNOWN.
///
/// Essential containers without a check are left out of the rule, or are UNKNOWN for ever when `ignores_unchecked` is
/// false (C-3).
pub fn task_health(
    definitions: &[ContainerDefinition],
    containers: &[Container],
    ignores_unchecked: bool,
) -> Option<HealthStatus> {
    let mut verdict = None;
    let mut unchecked = false;
    for (definition, container) in definitions.iter().zip(containers).filter(|(definition, _)| definition.essential) {
        if definition.health_check.is_none() {
            unchecked = true;
            continue;
        }
        let said = container.health.unwrap_or(HealthStatus::Unknown);
        verdict = Some(match (verdict.unwrap_or(HealthStatus::Healthy), said) {
            (HealthStatus::Unhealthy, _) | (_, HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
            (HealthStatus::Unknown, _) | (_, HealthStatus::Unknown) => HealthStatus::Unknown,
            (HealthStatus::Healthy, HealthStatus::Healthy) => HealthStatus::Healthy,
        });
    }
    match verdict {
        Some(HealthStatus::Healthy) if unchecked && !ignores_unchecked => Some(HealthStatus::Unknown),
        verdict => verdict,
    }
}

/// TD-20: whether a container that has ended with `exit_code` at `now` is started again in place.
pub fn restarts(policy: Option<&RestartPolicy>, container: &Container, exit_code: i32, now: SimTime) -> bool {
    policy.is_some_and(|policy| {
        let long_enough =
            container.started.is_some_and(|started| now.saturating_since(started) >= policy.attempt_period);
        long_enough && !policy.ignored_exit_codes.contains(&exit_code)
    })
}

/// When an application answers the probes of its container.
#[derive(Clone, Copy, Debug)]
pub struct ProbeAnswers<'a> {
    /// When the container started.
    pub started: SimTime,
    /// Until here a probe fails at once: nothing listens yet.
    pub ready: SimTime,
    /// Spans since the start in which a probe gets no answer, and fails when its time is out.
    pub silent: &'a [(SimDuration, SimDuration)],
}

impl ProbeAnswers<'_> {
    fn spans(&self) -> impl Iterator<Item = std::ops::Range<SimTime>> {
        self.silent.iter().map(|(from, to)| self.started.saturating_add(*from)..self.started.saturating_add(*to))
    }

    /// Until when probes that begin from `begin` on fail, and how long each of them takes; `None` when one passes.
    fn failing(&self, begin: SimTime, timeout: SimDuration) -> Option<(SimTime, SimDuration)> {
        if let Some(end) = self.spans().filter(|span| span.contains(&begin)).map(|span| span.end).max() {
            return Some((end, timeout));
        }
        let next_span = self.spans().map(|span| span.start).filter(|start| *start > begin).min();
        (begin < self.ready).then(|| (next_span.map_or(self.ready, |start| start.min(self.ready)), SimDuration::ZERO))
    }

    /// From here on every probe passes.
    fn settled(&self) -> SimTime {
        self.spans().map(|span| span.end).fold(self.ready, SimTime::max)
    }
}

/// A verdict of a container health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// When.
    pub at: SimTime,
    /// HEALTHY from then on, or UNHEALTHY.
    pub healthy: bool,
}

/// TD-17: every change that a container's health check will see.
///
/// The first probe begins one interval after the start, each next one an interval after the one before has ended. A
/// failure that begins inside the start period does not count unless a probe has passed before.
pub fn verdicts(check: &ContainerHealthCheck, answers: &ProbeAnswers<'_>) -> Vec<Verdict> {
    let interval = check.interval.max(SimDuration::from_nanos(1));
    let settled = answers.settled();
    let counts_from = answers.started.saturating_add(check.start_period);
    let mut verdicts = Vec::new();
    let (mut healthy, mut passed, mut failures) = (None, false, 0);
    let mut begin = answers.started.saturating_add(interval);
    loop {
        let Some((until, lasts)) = answers.failing(begin, check.timeout) else {
            (passed, failures) = (true, 0);
            if healthy != Some(true) {
                healthy = Some(true);
                verdicts.push(Verdict { at: begin, healthy: true });
            }
            if begin >= settled {
                return verdicts;
            }
            begin = begin.saturating_add(interval);
            continue;
        };
        let mut end = begin.saturating_add(lasts);
        if passed || begin >= counts_from {
            failures += 1;
        }
        if failures >= check.retries.max(1) && healthy != Some(false) {
            healthy = Some(false);
            verdicts.push(Verdict { at: end, healthy: false });
        }
        if healthy == Some(false) {
            // Nothing changes before a probe passes: those that begin before `until` and cannot are passed over.
            let period = interval + lasts;
            let more = until.saturating_since(begin).as_nanos().saturating_sub(1) / period.as_nanos();
            end += period * more;
        }
        begin = end.saturating_add(interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::task_definition::Dependency;

    const CHECK: ContainerHealthCheck = ContainerHealthCheck {
        interval: SimDuration::from_secs(30),
        timeout: SimDuration::from_secs(5),
        retries: 3,
        start_period: SimDuration::ZERO,
    };

    fn definition(essential: bool, checked: bool, depends_on: &[(usize, Condition)]) -> ContainerDefinition {
        ContainerDefinition {
            essential,
            health_check: checked.then_some(CHECK),
            depends_on: depends_on.iter().map(|&(container, condition)| Dependency { container, condition }).collect(),
            ..ContainerDefinition::default()
        }
    }

    fn container(status: ContainerStatus, exit_code: Option<i32>, health: Option<HealthStatus>) -> Container {
        let started = matches!(status, ContainerStatus::Running) || exit_code.is_some();
        Container { status, exit_code, health, started: started.then_some(SimTime::ZERO), ..Container::default() }
    }

    fn seconds(check: &ContainerHealthCheck, ready: u64, silent: &[(u64, u64)]) -> Vec<(u64, bool)> {
        let silent: Vec<(SimDuration, SimDuration)> =
            silent.iter().map(|(from, to)| (SimDuration::from_secs(*from), SimDuration::from_secs(*to))).collect();
        let answers = ProbeAnswers { started: SimTime::ZERO, ready: SimTime::from_secs(ready), silent: &silent };
        let verdicts = verdicts(check, &answers);
        verdicts.iter().map(|verdict| (verdict.at.as_nanos() / 1_000_000_000, verdict.healthy)).collect()
    }

    #[test]
    fn ex_td_6_three_failures_in_a_row_are_unhealthy() {
        assert_eq!(seconds(&CHECK, 86_400, &[]), [(90, false), (86_400, true)]);
    }

    #[test]
    fn td_17_a_pass_resets_and_a_silent_probe_lasts_its_timeout() {
        assert_eq!(seconds(&CHECK, 0, &[]), [(30, true)]);
        assert_eq!(seconds(&CHECK, 61, &[]), [(90, true)], "two failures before are forgotten");
        // Silent from 31 s on: probes at 60, 95 and 130 end 5 s later; the next begins 30 s after that.
        assert_eq!(seconds(&CHECK, 0, &[(31, 140)]), [(30, true), (135, false), (165, true)]);
    }

    #[test]
    fn td_17_failures_in_the_start_period_count_only_after_a_pass() {
        let patient = ContainerHealthCheck { start_period: SimDuration::from_secs(120), ..CHECK };
        // Failures at 120, 150 and 180 count; those at 30, 60 and 90 do not.
        assert_eq!(seconds(&patient, 86_400, &[])[0], (180, false));
        // A pass at 30, then silence inside the start period: 60, 95 and 130 count.
        assert_eq!(seconds(&patient, 0, &[(31, 140)])[1], (135, false));
    }

    #[test]
    fn ex_td_5_only_essential_containers_decide() {
        use HealthStatus::{Healthy, Unhealthy, Unknown};
        let running = |health| container(ContainerStatus::Running, None, Some(health));
        let both = [definition(true, true, &[]), definition(true, true, &[])];
        assert_eq!(task_health(&both, &[running(Healthy), running(Unknown)], true), Some(Unknown));
        assert_eq!(task_health(&both, &[running(Unhealthy), running(Unknown)], true), Some(Unhealthy));
        let sidecar = [definition(true, true, &[]), definition(false, true, &[])];
        assert_eq!(task_health(&sidecar, &[running(Healthy), running(Unhealthy)], true), Some(Healthy));
    }

    #[test]
    fn td_18_a_container_without_a_check_is_left_out_unless_the_knob_says_else() {
        let definitions = [definition(true, true, &[]), definition(true, false, &[])];
        let healthy = container(ContainerStatus::Running, None, Some(HealthStatus::Healthy));
        let containers = [healthy, container(ContainerStatus::Running, None, None)];
        assert_eq!(task_health(&definitions, &containers, true), Some(HealthStatus::Healthy));
        assert_eq!(task_health(&definitions, &containers, false), Some(HealthStatus::Unknown));
        assert_eq!(task_health(&definitions[1..], &containers[1..], true), None);
    }

    #[test]
    fn td_11_conditions_hold_when_they_say() {
        use Condition::{Complete, Healthy, Start, Success};
        use ContainerStatus::{Running, Starting, Stopped, Waiting};
        use Readiness::{Never, Ready, Waits};
        let table = [
            (Start, Starting, None, None, Waits),
            (Start, Running, None, None, Ready),
            (Start, Stopped, Some(1), None, Ready),
            (Start, Stopped, None, None, Never),
            (Complete, Running, None, None, Waits),
            (Complete, Stopped, Some(1), None, Ready),
            (Success, Stopped, Some(0), None, Ready),
            (Success, Stopped, Some(1), None, Never),
            (Success, Waiting, None, None, Waits),
            (Healthy, Running, None, Some(HealthStatus::Unknown), Waits),
            (Healthy, Running, None, Some(HealthStatus::Unhealthy), Waits),
            (Healthy, Running, None, Some(HealthStatus::Healthy), Ready),
            (Healthy, Stopped, Some(0), Some(HealthStatus::Healthy), Never),
        ];
        for (condition, status, exit_code, health, expected) in table {
            let definitions = [definition(false, true, &[]), definition(true, false, &[(0, condition)])];
            let containers = [container(status, exit_code, health), Container::default()];
            assert_eq!(readiness(&definitions, &containers, 1), expected, "{condition:?} on {status:?} {exit_code:?}");
        }
    }

    #[test]
    fn td_13_a_container_stops_after_those_that_depend_on_it() {
        let definitions = [definition(true, false, &[]), definition(true, false, &[(0, Condition::Start)])];
        let running = container(ContainerStatus::Running, None, None);
        let stopped = container(ContainerStatus::Stopped, Some(0), None);
        assert!(!may_stop(&definitions, &[running, running], 0));
        assert!(may_stop(&definitions, &[running, running], 1));
        assert!(may_stop(&definitions, &[running, stopped], 0));
    }

    #[test]
    fn td_20_restarts_after_the_attempt_period_and_for_codes_not_ignored() {
        let policy = RestartPolicy { attempt_period: SimDuration::from_secs(300), ignored_exit_codes: vec![0] };
        let running = container(ContainerStatus::Running, None, None);
        let at = SimTime::from_secs;
        assert!(restarts(Some(&policy), &running, 1, at(300)));
        assert!(!restarts(Some(&policy), &running, 1, at(299)), "too soon");
        assert!(!restarts(Some(&policy), &running, 0, at(300)), "ignored");
        assert!(!restarts(None, &running, 1, at(300)));
    }
}
