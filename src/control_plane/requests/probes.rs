//! Probes of a task that has requests: an overloaded one answers late or not at all (ELB-3, ELB-4, ELB-6).
//!
//! Where nothing but the clock decides what a probe finds, its whole fate is foreseen (see [`super::super::health`]). Here
//! each probe is an event: it takes a slot of the task or waits for one, and shares its CPU, as any request.

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::requests::front::ProbeSent;
use crate::ecs::ids::{RequestKey, TaskKey, WorkloadId};
use crate::ecs::target_group::{HealthCheck, Probed, Verdict, agreed};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};

/// The checks of a task's target groups.
#[derive(Clone, Debug)]
pub(super) struct Probing {
    groups: Vec<GroupProbes>,
}

/// The checks of one of them.
#[derive(Clone, Debug)]
struct GroupProbes {
    check: HealthCheck,
    verdict: Verdict,
    /// Number of the next probe.
    next: u32,
    /// The probe that is out, and where it waits for its answer.
    out: Option<(u32, Option<(WorkloadId, RequestKey)>)>,
}

impl ControlPlane<'_> {
    /// Whether requests come to a task one by one, so that what a probe finds depends on them.
    pub(in crate::control_plane) fn probes_meet_requests(&self, key: TaskKey) -> bool {
        let owner = self.state.tasks[key].owner;
        owner.is_some_and(|owner| self.real_http.is_some() || !self.fronts_of(owner.service).is_empty())
    }

    /// The probes of a task begin, or begin anew: its targets have said `known` so far.
    pub(in crate::control_plane) fn begin_probes(
        &mut self,
        key: TaskKey,
        checks: &[(HealthCheck, SimTime)],
        schedule: &mut Schedule<Event>,
    ) {
        let known = self.state.tasks[key].target_health;
        // What is out from before is told in vain.
        let before = self.requests.probing.get(key).map_or(&[][..], |probing| &probing.groups[..]);
        let next = before.iter().map(|group| group.next.wrapping_add(1)).max().unwrap_or(0);
        let groups = checks
            .iter()
            .map(|(check, _)| GroupProbes { check: *check, verdict: Verdict::new(known), next, out: None })
            .collect();
        self.requests.probing.insert(key, Probing { groups });
        for (place, (_, first)) in checks.iter().enumerate() {
            // A service has at most five target groups (ELB-1).
            let step = TaskStep::Probe { group: place as u8, number: next };
            schedule.at((*first).max(schedule.now()), Event::Task { task: key, step });
        }
    }

    fn probes_of(&mut self, key: TaskKey, group: u8) -> Option<&mut GroupProbes> {
        self.requests.probing.get_mut(key)?.groups.get_mut(usize::from(group))
    }

    /// A probe of a target group is sent, and the next is due after the interval.
    pub(in crate::control_plane) fn on_probe(
        &mut self,
        key: TaskKey,
        group: u8,
        number: u32,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let Some(probes) = self.probes_of(key, group).filter(|probes| probes.next == number) else { return };
        let HealthCheck { timeout, interval, .. } = probes.check;
        probes.out = Some((number, None));
        probes.next = number.wrapping_add(1);
        let after = TaskStep::Probe { group, number: probes.next };
        if self.real_http.is_some() {
            self.send_probe(key, group, number, now);
            schedule.after(interval.max(SimDuration::from_nanos(1)), Event::Task { task: key, step: after });
            return;
        }
        let met = self.with_probed(key, now, |probed: &[Probed<'_>]| {
            probed.get(usize::from(group)).map(|probed| probed.answers.probe(now, timeout))
        });
        let Some(Some((answers, known))) = met else { return };
        let over = |answered| Event::Task { task: key, step: TaskStep::ProbeOver { group, number, answered } };
        if !answers || known > now {
            schedule.at(known, over(answers));
        } else {
            // The application is up: what it has to do decides, of several workloads the one that has most there.
            let owner = self.state.tasks[key].owner;
            let fronts = owner.map(|owner| self.fronts_of(owner.service)).unwrap_or_default();
            let present = |id: &WorkloadId| self.requests.fronts[id.index()].as_ref().map(|front| front.present(key));
            let id = fronts.into_iter().rev().max_by_key(present);
            let sent = id.and_then(|id| Some((id, self.front(id)?.probe(key, group, number, schedule))));
            match sent {
                Some((id, ProbeSent::Waits(request))) => {
                    schedule.after(timeout, over(false));
                    if let Some(probes) = self.probes_of(key, group) {
                        probes.out = Some((number, Some((id, request))));
                    }
                }
                Some((_, ProbeSent::Refused)) => self.on_probe_over(key, group, number, false, schedule),
                Some((_, ProbeSent::Answered)) | None => self.on_probe_over(key, group, number, true, schedule),
            }
        }
        schedule.after(interval.max(SimDuration::from_nanos(1)), Event::Task { task: key, step: after });
    }

    /// A probe was answered, or not within its time-out.
    pub(in crate::control_plane) fn on_probe_over(
        &mut self,
        key: TaskKey,
        group: u8,
        number: u32,
        answered: bool,
        schedule: &mut Schedule<Event>,
    ) {
        let Some(probes) = self.probes_of(key, group) else { return };
        let Some((_, waits)) = probes.out.filter(|(out, _)| *out == number) else { return };
        probes.out = None;
        let check = probes.check;
        let changed = probes.verdict.count(answered, &check).is_some();
        if let (false, Some((id, request))) = (answered, waits)
            && let Some(front) = self.front(id)
        {
            front.drop_probe(request, schedule);
        }
        if changed
            && let Some(said) = self
                .requests
                .probing
                .get(key)
                .and_then(|probing| agreed(probing.groups.iter().map(|group| group.verdict.said)))
        {
            self.on_targets_say(key, said, schedule);
        }
    }
}
