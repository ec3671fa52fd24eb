//! Requests and probes of a run on real containers: what the balancer would send is really sent.
//!
//! Which target gets a request, what a probe's answer means and when a target is let go are decided as in a simulated run
//! (see [`requests`](super::requests)). Only that nothing is computed here: a request that comes to a task becomes an
//! [`HttpCommand`], and its [`HttpAnswer`] comes back when the container has given it.
//!
//! Containers run by the wall clock. At a pace of P, when a simulated second takes 1/P of a real one, requests leave at the
//! workload's rate per *real* second, so that each container has the load that it would have; each counts P-fold, so that
//! totals are those of the simulated span. Latencies and time-outs are real seconds.

use std::collections::VecDeque;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::load::Load;
use crate::ecs::ids::{RequestKey, TaskKey, WorkloadId};
use crate::ecs::task_definition::Protocol;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpId {
    /// A try of a workload's request.
    Request {
        /// The workload.
        workload: WorkloadId,
        /// Its request.
        request: RequestKey,
    },
    /// A probe of a load balancer.
    Probe {
        /// The task that it goes to.
        task: TaskKey,
        /// Which of its target groups asks.
        group: u8,
        /// Which of the group's probes.
        number: u32,
    },
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSend {
    /// What to call it in the answer.
    pub id: HttpId,
    /// The task that it goes to.
    pub task: TaskKey,
    /// Which of its containers, in the order of the definition.
    pub container: usize,
    /// The port on which that listens, inside the container.
    pub port: u16,
    /// What to ask for; `None` for a probe that only wants a connection.
    pub path: Option<String>,
    /// When it was meant to leave.
    pub intended: SimTime,
    /// How long its answer is waited for, in real seconds.
    pub timeout: SimDuration,
}

/// What whoever sends HTTP has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpCommand {
    /// Send this.
    Send(HttpSend),
    /// Cut its connection: nobody waits for the answer any more.
    Cut(HttpId),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HttpOutcome {
    /// A whole answer; of a probe that only wants a connection, that connection, as status 200.
    Answered {
        /// Its status.
        status: u16,
        /// The CPU seconds that the server says it took, if it says so.
        cpu_s: Option<f64>,
    },
    /// No connection.
    Refused,
    /// The connection ended before the answer did.
    Broken,
    /// No answer in time.
    TimedOut,
}

/// An answer, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HttpAnswer {
    /// To what.
    pub id: HttpId,
    /// From the instant at which it was meant to leave to the end of the answer, in real seconds.
    pub took: SimDuration,
    /// What came.
    pub outcome: HttpOutcome,
}

/// Where a task listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) container: usize,
    pub(super) port: u16,
}

/// What a run on real containers keeps of its HTTP.
#[derive(Debug)]
pub(super) struct RealHttp {
    /// Simulated seconds in a real one.
    pub(super) pace: f64,
    pub(super) commands: Vec<HttpCommand>,
    answers: VecDeque<HttpAnswer>,
}

impl RealHttp {
    pub(super) fn new(pace: f64) -> Self {
        Self { pace, commands: Vec::new(), answers: VecDeque::new() }
    }
}

/// Whole counts that add up to a factor per item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fold {
    factor: f64,
    items: u64,
    told: u64,
}

impl Fold {
    pub(super) const fn new(factor: f64) -> Self {
        Self { factor, items: 0, told: 0 }
    }

    /// What the next item counts.
    pub(super) fn next(&mut self) -> u32 {
        // Products of a whole number of items may be a hair below one.
        const GUARD: f64 = 1e-9;
        self.items += 1;
        let due = (self.items as f64 * self.factor + GUARD).floor() as u64;
        let part = due.saturating_sub(self.told);
        self.told += part;
        u32::try_from(part).unwrap_or(u32::MAX)
    }
}

impl ControlPlane<'_> {
    /// Before time zero: requests and probes are really sent, `pace` simulated seconds in a real one.
    pub(super) fn send_http(&mut self, pace: f64) {
        self.load = Load::new(self.estate, &self.streams, true);
        self.real_http = Some(RealHttp::new(pace));
    }

    /// What is to be sent since the last call, in order.
    pub(super) fn take_http_commands(&mut self) -> Vec<HttpCommand> {
        let mut commands = self.real_http.as_mut().map(|http| std::mem::take(&mut http.commands)).unwrap_or_default();
        self.take_front_commands(&mut commands);
        commands
    }

    /// An answer has come; it is looked at in the turn of its event.
    pub(super) fn hear_http(&mut self, answer: HttpAnswer) {
        if let Some(http) = &mut self.real_http {
            http.answers.push_back(answer);
        }
    }

    pub(super) fn on_http_answered(&mut self, schedule: &mut Schedule<Event>) {
        let Some(answer) = self.real_http.as_mut().and_then(|http| http.answers.pop_front()) else { return };
        match answer.id {
            HttpId::Request { workload, request } => {
                self.on_request_answered(workload, request, &answer, schedule);
            }
            HttpId::Probe { task, group, number } => {
                if self.state.tasks.contains_key(task) {
                    let answered = self.probe_passes(task, group, answer.outcome);
                    let step = TaskStep::ProbeOver { group, number, answered };
                    schedule.after(SimDuration::ZERO, Event::Task { task, step });
                }
            }
        }
    }

    /// ELB-3: whether what came satisfies a target group.
    fn probe_passes(&self, task: TaskKey, group: u8, outcome: HttpOutcome) -> bool {
        let HttpOutcome::Answered { status, .. } = outcome else { return false };
        let Some(owner) = self.state.tasks[task].owner else { return false };
        let balancers = self.state.services[owner.service.index()].load_balancers_of(owner.deployment);
        balancers.get(usize::from(group)).is_some_and(|(id, _)| {
            let group = &self.state.target_groups[id.index()];
            !group.asks_over_http() || group.accepts(status)
        })
    }

    /// Sends the probe of a target group to a task.
    pub(super) fn send_probe(&mut self, task: TaskKey, group: u8, number: u32, now: SimTime) {
        let Some(owner) = self.state.tasks[task].owner else { return };
        let balancers = self.state.services[owner.service.index()].load_balancers_of(owner.deployment);
        let Some((id, balancer)) = balancers.get(usize::from(group)) else { return };
        let definition = &self.state.definitions[self.state.tasks[task].definition.index()].definition;
        let (container, port) = (definition.container_named(&balancer.container), balancer.container_port);
        let target_group = &self.state.target_groups[id.index()];
        let path = target_group.asks_over_http().then(|| target_group.definition.check_path.clone());
        let send = HttpSend {
            id: HttpId::Probe { task, group, number },
            task,
            container,
            port,
            path,
            intended: now,
            timeout: target_group.timeout,
        };
        if let Some(http) = &mut self.real_http {
            http.commands.push(HttpCommand::Send(send));
        }
    }

    /// Where a task of a service listens: at the port that its load balancer has, else the first of its main container.
    pub(super) fn door_of(&self, key: TaskKey) -> Option<Door> {
        let task = &self.state.tasks[key];
        let owner = task.owner?;
        let definition = &self.state.definitions[task.definition.index()].definition;
        let balancers = self.state.services[owner.service.index()].load_balancers_of(owner.deployment);
        if let Some((_, balancer)) = balancers.first() {
            let container = definition.container_named(&balancer.container);
            return Some(Door { container, port: balancer.container_port });
        }
        let container = definition.main_container();
        let mappings = &definition.containers[container].port_mappings;
        let mapping = mappings.iter().find(|mapping| mapping.protocol == Protocol::Tcp)?;
        Some(Door { container, port: mapping.container_port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_to_the_pace() {
        let counts = |factor, items| {
            let mut fold = Fold::new(factor);
            (0..items).map(|_| fold.next()).collect::<Vec<_>>()
        };
        assert_eq!(counts(1.0, 3), [1, 1, 1]);
        assert_eq!(counts(2.5, 4), [2, 3, 2, 3]);
        assert_eq!(counts(0.5, 4), [0, 1, 0, 1]);
        assert_eq!(counts(0.1, 1000).iter().sum::<u32>(), 100);
    }
}
