//! Idle time by cause: which hosts are idle, since when, why, and what that costs.

use std::collections::BTreeSet;

use crate::control_plane::state::State;
use crate::ecs::ids::{GroupId, InstanceId};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::bill::NanoUsd;
use crate::report::format::{Seconds, number};
use crate::scaling::idle::{GroupView, HostView, IdleCause, cause};

use super::Recorder;
use super::host::machine_hour;

const CAUSES: usize = IdleCause::ALL.len();

/// A host that is idle now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    id: InstanceId,
    /// Its idle time is booked up to here.
    pub(super) since: SimTime,
    /// What it is idle for, and since when.
    span: Option<(IdleCause, SimTime)>,
    host: HostView,
}

/// The idle hosts of a group, and what keeps them there as far as the group goes.
#[derive(Clone, Debug, Default)]
pub(super) struct IdleGroup {
    hosts: BTreeSet<InstanceId>,
    view: GroupView,
}

/// A span of one host's idle time with one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdleSpan {
    id: InstanceId,
    cause: IdleCause,
    from: SimTime,
    to: SimTime,
}

/// How long a host has been idle, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Idled {
    total: SimDuration,
    causes: [SimDuration; CAUSES],
}

/// What idle hosts cost, and why they were there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IdleCost {
    pub(super) total: NanoUsd,
    causes: [NanoUsd; CAUSES],
}

impl Idle {
    /// Books the time up to `until`; causes that end by themselves end where they should.
    pub(super) fn settle(&mut self, until: SimTime, group: &GroupView, idled: &mut Idled, spans: &mut Vec<IdleSpan>) {
        idled.total += until.saturating_since(self.since);
        while self.since < until {
            let (cause, ends) = cause(&self.host, group, self.since);
            let end = ends.map_or(until, |ends| ends.min(until));
            match self.span {
                Some((known, _)) if known == cause => {}
                _ => {
                    self.end(spans);
                    self.span = Some((cause, self.since));
                }
            }
            idled.causes[cause as usize] += end.saturating_since(self.since);
            self.since = end;
        }
    }

    /// The span that is under way is over.
    pub(super) fn end(&self, spans: &mut Vec<IdleSpan>) {
        if let Some((cause, from)) = self.span {
            spans.push(IdleSpan { id: self.id, cause, from, to: self.since });
        }
    }
}

impl Idled {
    /// The idle share of a machine's bill for the time it `ran`.
    ///
    /// Parts are shares of running sums, so that they add up to the whole exactly.
    pub(super) fn cost(&self, machine: NanoUsd, ran: SimDuration) -> IdleCost {
        let mut cost = IdleCost { total: machine.share(self.total.min(ran), ran), ..IdleCost::default() };
        let (mut so_far, mut shared) = (SimDuration::ZERO, NanoUsd::default());
        for (part, idled) in cost.causes.iter_mut().zip(self.causes) {
            so_far += idled;
            let share = machine.share(so_far.min(ran), ran);
            *part = share + -shared;
            shared = share;
        }
        cost
    }

    fn balances(&self) -> bool {
        let mut causes = SimDuration::ZERO;
        for part in self.causes {
            causes += part;
        }
        causes == self.total
    }
}

impl IdleCost {
    /// Each cause with what it costs.
    pub(super) fn causes(&self) -> impl Iterator<Item = (IdleCause, NanoUsd)> + '_ {
        IdleCause::ALL.into_iter().zip(self.causes)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.total += other.total;
        for (part, more) in self.causes.iter_mut().zip(other.causes) {
            *part += more;
        }
    }

    fn balances(&self) -> bool {
        self.causes.iter().copied().sum::<NanoUsd>() == self.total
    }
}

impl Recorder {
    /// Books a host's idle time up to `now`.
    pub(super) fn settle_idle(&mut self, id: InstanceId, now: SimTime) {
        let Some(host) = self.hosts.get_mut(id).filter(|host| host.idle.is_some()) else { return };
        let view = self.idle_groups.get(&host.group).map_or_else(GroupView::default, |group| group.view);
        self.idle_cpu_seconds += host.settle(now, self.warmup, &view, &mut self.idle_spans);
    }

    /// A host may have become idle or busy, or stay idle for another reason.
    pub(super) fn follow_idle(&mut self, id: InstanceId, now: SimTime, state: &State) {
        self.settle_idle(id, now);
        let Some(host) = self.hosts.get_mut(id) else { return };
        let group = host.group;
        let Some(instance) = state.instance(id).filter(|_| host.is_idle(id, state)) else {
            if let Some(idle) = host.idle.take() {
                idle.end(&mut self.idle_spans);
                self.forget_idle(group, id);
            }
            return;
        };
        let view = state.idle_host(instance);
        if let Some(idle) = &mut host.idle {
            idle.host = view;
        } else {
            host.idle = Some(Idle { id, since: now, span: None, host: view });
            self.idle_groups.entry(group).or_default().hosts.insert(id);
        }
        self.follow_outlook(group, now, state);
    }

    pub(super) fn forget_idle(&mut self, group: GroupId, id: InstanceId) {
        if let Some(group) = self.idle_groups.get_mut(&group) {
            group.hosts.remove(&id);
        }
    }

    /// What keeps the idle hosts of a group may have changed: O(1) unless it has, then O(idle hosts).
    pub(super) fn follow_outlook(&mut self, group: GroupId, now: SimTime, state: &State) {
        let Some(idle) = self.idle_groups.get_mut(&group).filter(|idle| !idle.hosts.is_empty()) else { return };
        let (before, view) = (idle.view, state.idle_group(group));
        if before == view {
            return;
        }
        idle.view = view;
        for id in &idle.hosts {
            if let Some(host) = self.hosts.get_mut(*id) {
                self.idle_cpu_seconds += host.settle(now, self.warmup, &before, &mut self.idle_spans);
            }
        }
    }

    /// Writes the spans that are over.
    pub(super) fn write_idle_spans(&mut self, state: &State) {
        let Some(files) = &mut self.files else {
            self.idle_spans.clear();
            return;
        };
        for span in self.idle_spans.drain(..) {
            let Some(group) = state.group_of(span.id) else { continue };
            let instance = state.instance(span.id);
            let price = instance
                .map_or(0.0, |instance| machine_hour(&mut self.prices, instance, (span.from, span.to), state).0);
            files.idle(&[
                span.id.ec2_id().to_string(),
                state.groups[group.index()].definition.name.clone(),
                span.cause.to_string(),
                span.cause.rule().to_owned(),
                Seconds(span.from).to_string(),
                Seconds(span.to).to_string(),
                number(price),
            ]);
        }
    }

    /// Whether each idle second has one cause, and the hosts that are idle are those without work.
    pub(super) fn audit_idle(&self, state: &State) -> Result<(), String> {
        if !self.idle_cost.balances() || !self.group_idle_cost.values().all(IdleCost::balances) {
            return Err("the causes of idle cost do not add up to it".to_owned());
        }
        for (id, host) in self.hosts.iter() {
            let name = id.ec2_id();
            if !host.idled.balances() {
                return Err(format!("{name}: the causes of its idle time do not add up to it"));
            }
            if state.instance(id).is_none() {
                continue;
            }
            if host.is_idle(id, state) != host.idle.is_some() {
                return Err(format!("{name}: it is idle and not taken for it, or the other way round"));
            }
        }
        Ok(())
    }
}
