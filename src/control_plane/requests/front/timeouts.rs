//! Requests that nobody waits for any more, and how they leave their tasks before their end.

use super::{Front, Request, Role, Stage};
use crate::control_plane::event::Event;
use crate::ecs::ids::RequestKey;
use crate::engine::simulation::Schedule;
use crate::workload::failed::FailureCause;
use crate::workload::per_request::OnTimeout;

impl Front {
    /// The oldest requests may have waited long enough.
    pub(in crate::control_plane::requests) fn on_timeout(&mut self, schedule: &mut Schedule<Event>) {
        self.timeout_pending = false;
        while let Some((key, since)) = self.requests.oldest() {
            let due = since.saturating_add(self.patience);
            if due > schedule.now() {
                self.timeout_pending = true;
                schedule.at(due, Event::RequestTimeout(self.id));
                return;
            }
            self.time_out(key, schedule);
        }
    }

    fn time_out(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let Some(request) = self.requests.get(key).copied() else { return };
        self.let_go(key);
        let set = self.servers.get(request.task).map(|server| server.set);
        let in_work = matches!(request.stage, Stage::Floor(_) | Stage::Computes(_));
        if in_work && self.kind.spec.on_timeout == OnTimeout::Finish {
            // The task knows nothing; the client goes on under another number.
            if let Some(orphan) = self.requests.get_mut(key) {
                orphan.role = Role::Orphaned;
            }
            let key = self.requests.insert(request);
            self.fail(key, FailureCause::Timeout, set, schedule);
            return;
        }
        self.take_out(key, &request, schedule);
        self.fail(key, FailureCause::Timeout, set, schedule);
    }

    /// Takes a request or a probe out of its task before its end.
    pub(super) fn take_out(&mut self, key: RequestKey, request: &Request, schedule: &mut Schedule<Event>) {
        match request.stage {
            Stage::Waits => {
                if let Some(server) = self.servers.get_mut(request.task) {
                    server.slots.withdraw(key);
                }
            }
            Stage::Floor(event) => {
                schedule.cancel(event);
                self.leave_slot(request.task, schedule);
            }
            Stage::Computes(job) => {
                let slot = self.servers.get(request.task).map(|server| server.station);
                if let Some(station) = slot.and_then(|slot| self.stations.get_mut(slot)) {
                    station.cpu.remove(job, schedule.now());
                }
                self.leave_slot(request.task, schedule);
                if let Some(slot) = slot {
                    self.set_timer(slot, schedule);
                }
            }
            Stage::Asks => {
                self.cut(key);
                self.leave_slot(request.task, schedule);
            }
            Stage::Sent | Stage::Pauses => return,
        }
        self.gone(request);
    }
}
