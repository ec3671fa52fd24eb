//! Requests that are really sent: what leaves for the containers, and what comes back.

use super::{Front, Request, Role, Stage};
use crate::control_plane::event::Event;
use crate::control_plane::real_http::{Fold, HttpAnswer, HttpCommand, HttpId, HttpOutcome, HttpSend};
use crate::ecs::ids::RequestKey;
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::workload::failed::FailureCause;

/// What is special about requests that are really sent.
#[derive(Debug)]
pub(super) struct RealRequests {
    path: String,
    pace: f64,
    counts: Fold,
    commands: Vec<HttpCommand>,
}

impl RealRequests {
    pub(super) const fn new(path: String, pace: f64) -> Self {
        Self { path, pace, counts: Fold::new(pace), commands: Vec::new() }
    }

    pub(super) const fn pace(&self) -> f64 {
        self.pace
    }

    /// What the next request counts.
    pub(super) fn count_next(&mut self) -> u32 {
        self.counts.next()
    }
}

impl Front {
    /// Sends a request that has come to a task.
    pub(super) fn ask(&mut self, key: RequestKey, now: SimTime) {
        let (Some(real), Some(request)) = (&mut self.real, self.requests.get_mut(key)) else { return };
        request.stage = Stage::Asks;
        let Some(door) = self.servers.get(request.task).and_then(|server| server.door) else { return };
        real.commands.push(HttpCommand::Send(HttpSend {
            id: HttpId::Request { workload: self.id, request: key },
            task: request.task,
            container: door.container,
            port: door.port,
            path: Some(real.path.clone()),
            intended: now,
            timeout: self.patience,
        }));
    }

    /// Cuts the connection of a request that was sent.
    pub(super) fn cut(&mut self, key: RequestKey) {
        if let Some(real) = &mut self.real {
            real.commands.push(HttpCommand::Cut(HttpId::Request { workload: self.id, request: key }));
        }
    }

    pub(in crate::control_plane::requests) fn take_commands(&mut self, commands: &mut Vec<HttpCommand>) {
        if let Some(real) = &mut self.real {
            commands.append(&mut real.commands);
        }
    }

    /// A request that was sent has come back.
    pub(in crate::control_plane::requests) fn on_answered(
        &mut self,
        key: RequestKey,
        answer: &HttpAnswer,
        schedule: &mut Schedule<Event>,
    ) {
        let Some(request) = self.requests.get(key).copied() else { return };
        if request.stage != Stage::Asks || request.role != Role::Asked {
            return;
        }
        let since = self.let_go(key).unwrap_or(request.asked);
        if matches!(answer.outcome, HttpOutcome::Answered { .. }) {
            self.set_cookie(&request, schedule.now());
        }
        self.leave_slot(request.task, schedule);
        self.gone(&request);
        let set = self.servers.get(request.task).map(|server| server.set);
        let took = answer.took.as_secs_f64();
        let failed = match answer.outcome {
            HttpOutcome::Answered { status, .. } => {
                self.count_answer(set, &request, took, status);
                (status >= 500).then_some(FailureCause::ApplicationError)
            }
            HttpOutcome::Refused => Some(FailureCause::ConnectionRefused),
            HttpOutcome::Broken => Some(FailureCause::TaskKilled),
            HttpOutcome::TimedOut => Some(FailureCause::Timeout),
        };
        if let Some(cause) = failed {
            return self.fail(key, cause, set, schedule);
        }
        // The tries before, and the pauses between them, went by on the simulated clock.
        let pace = self.real.as_ref().map_or(1.0, RealRequests::pace);
        let before = since.saturating_since(request.asked).as_secs_f64() / pace;
        self.serve(key, &request, before + took);
    }

    fn count_answer(&mut self, set: Option<usize>, request: &Request, took: f64, status: u16) {
        let counts = f64::from(request.counts);
        for group in set.map_or(&[][..], |set| &self.sets[set]) {
            let tally = &mut self.groups[*group].1;
            tally.response.record(took, counts);
            tally.target_2xx += if status < 300 { counts } else { 0.0 };
        }
    }
}
