//! Objectives while the run goes on: the minutes in which each was missed, the budget of errors they spent, and the worst
//! minute with what was going on then.

use std::collections::VecDeque;

use crate::control_plane::estate::{Estate, FaultTime, Slo};
use crate::control_plane::record::Decision;
use crate::control_plane::state::State;
use crate::ecs::ids::{QueueId, ServiceId};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::objective::{ObjectiveOutcome, WorstMinute};
use crate::report::summary::ReplicationSummary;
use crate::stats::WeightedHistogram;

use super::Recorder;
use super::service::Minute;

/// What of a minute an objective is about.
#[derive(Clone, Debug, PartialEq)]
enum Minutely {
    /// A quantile of a service's latency, or its mean.
    Latency(String, Option<f64>),
    /// The share of a service's requests that were answered.
    Availability(String),
    /// A quantile of how long the tasks that started in it had waited.
    Wait(f64),
    /// The age of a queue's oldest message.
    QueueAge(String),
    /// Messages visible in a queue.
    Backlog(String),
}

impl Minutely {
    /// What a metric of the summary is in one minute; `None` of one that has no minutes, like a cost.
    fn of(metric: &str) -> Option<Self> {
        let quantile = |name: &str| match name.strip_suffix("_s")?.rsplit_once("_p")?.1 {
            "50" => Some(0.5),
            "95" => Some(0.95),
            "99" => Some(0.99),
            _ => None,
        };
        let Some((resource, name)) = metric.rsplit_once(':') else {
            return metric.starts_with("task_wait_p").then(|| quantile(metric)).flatten().map(Self::Wait);
        };
        let resource = resource.to_owned();
        match name {
            "availability_ratio" => Some(Self::Availability(resource)),
            "age_max_s" => Some(Self::QueueAge(resource)),
            "backlog_max" => Some(Self::Backlog(resource)),
            _ if !resource.starts_with("service/") => None,
            "latency_mean_s" => Some(Self::Latency(resource, None)),
            _ if name.starts_with("latency_p") => quantile(name).map(|p| Self::Latency(resource, Some(p))),
            _ => None,
        }
    }

    fn is_of(&self, of: &str) -> bool {
        match self {
            Self::Latency(resource, _)
            | Self::Availability(resource)
            | Self::QueueAge(resource)
            | Self::Backlog(resource) => resource == of,
            Self::Wait(_) => false,
        }
    }
}

/// What is kept of an objective.
#[derive(Debug)]
struct ObjectiveBook {
    slo: Slo,
    minutely: Option<Minutely>,
    minutes: u64,
    missed: u64,
    worst: Option<WorstMinute>,
}

impl ObjectiveBook {
    /// Counts a minute, and says whether it is the worst so far.
    fn judge(&mut self, value: f64) -> bool {
        self.minutes += 1;
        if self.slo.holds(value) {
            return false;
        }
        self.missed += 1;
        self.worst.as_ref().is_none_or(|worst| self.slo.distance(value) > self.slo.distance(worst.value))
    }
}

/// Something that may explain a bad minute.
#[derive(Debug)]
struct Incident {
    from: SimTime,
    until: Option<SimTime>,
    what: String,
}

/// The objectives of the run, and what may explain that one is missed.
#[derive(Debug)]
pub(super) struct Objectives {
    books: Vec<ObjectiveBook>,
    faults: Vec<Incident>,
    /// The latest decisions about services and groups, oldest first, while somebody wants decisions.
    decisions: VecDeque<(SimTime, String, String)>,
    /// Largest task count that scaling may ask for, by service.
    ceilings: Vec<(String, u32)>,
    /// Waits of the tasks that started in this minute.
    waits: WeightedHistogram,
    /// When the minute began that is looked at from outside any service.
    minute: SimTime,
    watches_queues: bool,
    watches_waits: bool,
}

impl Objectives {
    /// How long what happened before a minute may explain it.
    const MEMORY: SimDuration = SimDuration::from_secs(900);
    /// Decisions kept at most.
    const KEPT: usize = 64;

    pub(super) fn of(estate: &Estate) -> Self {
        let book = |slo: &Slo| ObjectiveBook {
            minutely: Minutely::of(&slo.metric),
            slo: slo.clone(),
            minutes: 0,
            missed: 0,
            worst: None,
        };
        let books: Vec<ObjectiveBook> = estate.slo.iter().map(book).collect();
        let watches =
            |wanted: fn(&Minutely) -> bool| books.iter().filter_map(|book| book.minutely.as_ref()).any(wanted);
        let fault = |fault: &crate::control_plane::estate::Fault| match fault.when {
            FaultTime::At(from) => Some(Incident {
                from,
                until: fault.lasts.map(|lasts| from.saturating_add(lasts)),
                what: fault.kind.name().to_owned(),
            }),
            // Its strikes are decisions.
            FaultTime::Every(_) => None,
        };
        let ceiling = |target: &crate::control_plane::api::RegisterScalableTarget| {
            Some((format!("service/{}/{}", target.cluster, target.service), target.max_capacity?))
        };
        Self {
            faults: estate.faults.iter().filter_map(fault).collect(),
            decisions: VecDeque::new(),
            ceilings: estate.scalable_targets.iter().filter_map(ceiling).collect(),
            waits: WeightedHistogram::new(),
            minute: SimTime::ZERO,
            watches_queues: watches(|of| matches!(of, Minutely::QueueAge(_) | Minutely::Backlog(_))),
            watches_waits: watches(|of| matches!(of, Minutely::Wait(_))),
            books,
        }
    }

    /// A task that had waited so long has started.
    pub(super) fn task_started(&mut self, waited: SimDuration) {
        if self.watches_waits {
            self.waits.record(waited.as_secs_f64(), 1.0);
        }
    }

    /// A decision that may explain what comes.
    pub(super) fn decided(&mut self, now: SimTime, decision: &Decision) {
        const TELLING: [&str; 9] = [
            "scale-out",
            "scale-in",
            "not-scaled",
            "refuse",
            "terminate",
            "fail",
            "status",
            "not-launched",
            "not-placed",
        ];
        if self.books.is_empty() || !(decision.actor == "fault" || TELLING.contains(&decision.action)) {
            return;
        }
        if self.decisions.len() == Self::KEPT {
            self.decisions.pop_front();
        }
        let what = match (decision.from.as_u64(), decision.to.as_u64()) {
            (Some(from), Some(to)) => format!("{} {} → {to}", decision.action, from),
            _ => format!("{} ({})", decision.action, decision.actor),
        };
        self.decisions.push_back((now, decision.subject.clone(), what));
    }

    /// What went on in the quarter of an hour up to `until`: faults first, then the last decision about `subject`.
    fn incidents(&self, from: SimTime, until: SimTime, subject: &str) -> Vec<String> {
        let since = SimTime::ZERO + from.saturating_since(SimTime::ZERO + Self::MEMORY);
        let mut reasons: Vec<String> = self
            .faults
            .iter()
            .filter(|fault| fault.from < until && fault.until.is_none_or(|end| end > since))
            .map(|fault| match fault.until.filter(|end| *end <= from) {
                Some(end) => format!("fault {} from {} to {end}", fault.what, fault.from),
                None => format!("fault {} since {}", fault.what, fault.from),
            })
            .collect();
        let struck = self.decisions.iter().rev().find(|(at, _, what)| *at >= since && what.starts_with("strike"));
        if let Some((at, subject, _)) = struck.filter(|_| reasons.is_empty()) {
            reasons.push(format!("fault {subject} at {at}"));
        }
        let last = self.decisions.iter().rev().find(|(at, of, what)| {
            *at >= since && *at < until && !what.starts_with("strike") && (of == subject || of.ends_with(subject))
        });
        if let Some((at, _, what)) = last {
            reasons.push(format!("last decision {what} at {at}"));
        }
        reasons
    }

    fn judge(&mut self, place: usize, at: SimTime, until: SimTime, value: f64, subject: &str, told: Vec<String>) {
        if self.books[place].judge(value) {
            let mut reasons = self.incidents(at, until, subject);
            let faults = reasons.iter().take_while(|reason| reason.starts_with("fault")).count();
            reasons.splice(faults..faults, told);
            let why = if reasons.is_empty() { "nothing else happened then".to_owned() } else { reasons.join("; ") };
            self.books[place].worst = Some(WorstMinute { at_s: at.as_secs_f64(), value, why });
        }
    }
}

impl Recorder {
    /// A minute of a service's load is over, and its objectives are judged by it.
    pub(super) fn judge_service_minute(&mut self, id: ServiceId, minute: &Minute, until: SimTime, state: &State) {
        let book = &self.services[id.index()];
        let resource = &book.resource;
        let mine = |book: &ObjectiveBook| book.minutely.as_ref().is_some_and(|of| of.is_of(resource));
        if !self.objectives.books.iter().any(mine) {
            return;
        }
        let mut told: Vec<String> = Vec::new();
        if book.running < book.desired {
            told.push(format!("{} of {} desired tasks run", book.running, book.desired));
        }
        if minute.arrived > 0.0 && book.usual_arrivals > 0.0 && minute.arrived > 1.3 * book.usual_arrivals {
            told.push(format!(
                "requests are {:.1} times those of the minutes before",
                minute.arrived / book.usual_arrivals
            ));
        }
        if let Some((_, most)) = self.objectives.ceilings.iter().find(|(name, _)| name == resource)
            && book.desired >= *most
        {
            told.push(format!("scaling is at its MaxCapacity of {most}"));
        }
        if state.service(id).deployments.len() > 1 {
            told.push("a deployment is in progress".to_owned());
        }
        let needs = minute.vcpu_seconds / (minute.task_seconds * book.task_vcpus);
        if needs.is_finite() && needs > 0.9 {
            told.push(format!("the load needs {:.0} % of the CPU its tasks reserve", 100.0 * needs));
        }
        let (resource, began) = (resource.clone(), minute.began);
        for place in 0..self.objectives.books.len() {
            let value = match &self.objectives.books[place].minutely {
                Some(Minutely::Latency(of, p)) if *of == resource => match p {
                    Some(p) => minute.latency.quantile(*p),
                    None => minute.latency.mean(),
                },
                Some(Minutely::Availability(of)) if *of == resource && minute.arrived > 0.0 => {
                    Some((1.0 - minute.failed.total() / minute.arrived).max(0.0))
                }
                _ => None,
            };
            if let Some(value) = value {
                self.objectives.judge(place, began, until, value, &resource, told.clone());
            }
        }
    }

    /// Objectives on queues and waits, each minute; called whenever time has passed.
    pub(super) fn judge_outside_services(&mut self, now: SimTime, state: &State) {
        let began = self.objectives.minute;
        if now.saturating_since(began) < SimDuration::MINUTE {
            return;
        }
        self.objectives.minute = now.previous_multiple_of(SimDuration::MINUTE);
        let waits = std::mem::take(&mut self.objectives.waits);
        if began < self.warmup || !(self.objectives.watches_queues || self.objectives.watches_waits) {
            return;
        }
        for place in 0..self.objectives.books.len() {
            let found = match &self.objectives.books[place].minutely {
                Some(Minutely::Wait(p)) => waits.quantile(*p).map(|value| (value, String::new(), Vec::new())),
                Some(of @ (Minutely::QueueAge(name) | Minutely::Backlog(name))) => {
                    let queue = self.queues.iter().position(|book| book.resource == *name);
                    queue.map(|place| {
                        let queue = &state.queues[QueueId(place as u32).index()].queue;
                        let (visible, in_flight) = (queue.visible(), queue.in_flight());
                        let value = match of {
                            Minutely::Backlog(_) => visible as f64,
                            _ => queue.age_of_oldest(now).unwrap_or_default().as_secs_f64(),
                        };
                        let mut told = vec![format!("{visible} messages are visible, {in_flight} in flight")];
                        let drains = self.queues[place].service.clone().unwrap_or_default();
                        if let Some(book) = self.services.iter().find(|book| book.resource == drains) {
                            told.push(format!("{} of {} desired tasks run", book.running, book.desired));
                        }
                        (value, drains, told)
                    })
                }
                _ => None,
            };
            if let Some((value, subject, told)) = found {
                self.objectives.judge(place, began, now, value, &subject, told);
            }
        }
    }

    /// The run is over: what each objective has cost.
    pub(super) fn close_objectives(&self, summary: &ReplicationSummary) -> Vec<ObjectiveOutcome> {
        let service = |name: &str| self.services.iter().find(|book| book.resource == name);
        self.objectives
            .books
            .iter()
            .map(|book| {
                let slo = &book.slo;
                let share =
                    |missed: f64, all: f64, budget: f64| (all > 0.0 && budget > 0.0).then(|| missed / all / budget);
                let slow = |times: &WeightedHistogram, p: f64| {
                    let max = slo.max?;
                    share(times.weight_above(max), times.weight(), 1.0 - p)
                };
                let spent = match (slo.budget, &book.minutely) {
                    (Some(budget), Some(_)) => share(book.missed as f64, book.minutes as f64, budget),
                    (None, Some(Minutely::Latency(of, Some(p)))) => service(of).and_then(|its| slow(&its.latency, *p)),
                    (None, Some(Minutely::Availability(of))) => {
                        service(of).and_then(|its| share(its.failed.total(), its.requests, 1.0 - slo.min?))
                    }
                    (None, Some(Minutely::Wait(p))) => slow(&self.waits, *p),
                    _ => None,
                };
                ObjectiveOutcome {
                    held: summary.get(&slo.metric).is_some_and(|value| slo.holds(value)),
                    minutes: book.minutely.is_some().then_some(book.minutes),
                    minutes_missed: book.missed,
                    budget_spent: spent,
                    worst: book.worst.clone(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_have_minutes_are_known() {
        let web = || "service/default/web".to_owned();
        for (metric, expected) in [
            ("service/default/web:latency_p99_s", Some(Minutely::Latency(web(), Some(0.99)))),
            ("service/default/web:latency_mean_s", Some(Minutely::Latency(web(), None))),
            ("service/default/web:availability_ratio", Some(Minutely::Availability(web()))),
            ("task_wait_p50_s", Some(Minutely::Wait(0.5))),
            ("queue/jobs:age_max_s", Some(Minutely::QueueAge("queue/jobs".to_owned()))),
            ("queue/jobs:backlog_max", Some(Minutely::Backlog("queue/jobs".to_owned()))),
            ("queue/jobs:latency_p99_s", None),
            ("service/default/web:scaling_actions", None),
            ("cost_usd", None),
        ] {
            assert_eq!(Minutely::of(metric), expected, "{metric}");
        }
    }
}
