//! Idle time by cause: which hosts are idle, since when, why, and what that costs.

use crate::control_plane::state::State;
use crate::ecs::ids::{GroupId, InstanceId};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::bill::NanoUsd;
use crate::report::format::{Seconds, number};
use crate::scaling::idle::{GroupView, HostView, IdleCause, cause};

use super::Recorder;

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
    group: GroupView,
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
    pub(super) fn settle(&mut self, until: SimTime, idled: &mut Idled, spans: &mut Vec<IdleSpan>) {
        idled.total += until.saturating_since(self.since);
        while self.since < until {
            let (cause, ends) = cause(&self.host, &self.group, self.since);
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
    /// A host may have become idle or busy, or stay idle for another reason.
    pub(super) fn follow_idle(&mut self, id: InstanceId, now: SimTime, state: &State) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        self.idle_cpu_seconds += host.settle(now, self.warmup, &mut self.idle_spans);
        let Some(instance) = state.instance(id).filter(|_| host.is_idle()) else {
            if let Some(idle) = host.idle.take() {
                idle.end(&mut self.idle_spans);
                let group = host.group;
                self.forget_idle(group, id);
            }
            return;
        };
        let (view, group) = (state.idle_host(instance), state.idle_group(host.group));
        if let Some(idle) = &mut host.idle {
            (idle.host, idle.group) = (view, group);
        } else {
            host.idle = Some(Idle { id, since: now, span: None, host: view, group });
            self.idle_hosts.entry(host.group).or_default().insert(id);
        }
    }

    pub(super) fn forget_idle(&mut self, group: GroupId, id: InstanceId) {
        if let Some(hosts) = self.idle_hosts.get_mut(&group) {
            hosts.remove(&id);
        }
    }

    /// What keeps the idle hosts of a group may have changed.
    pub(super) fn follow_outlook(&mut self, group: GroupId, now: SimTime, state: &State) {
        let Some(hosts) = self.idle_hosts.get(&group).filter(|hosts| !hosts.is_empty()) else { return };
        let view = state.idle_group(group);
        for id in hosts {
            let Some(host) = self.hosts.get_mut(id) else { continue };
            // Hosts follow their group together: when one knows, all do, but for those that came since.
            if host.idle.as_ref().is_some_and(|idle| idle.group == view) {
                continue;
            }
            self.idle_cpu_seconds += host.settle(now, self.warmup, &mut self.idle_spans);
            if let Some(idle) = &mut host.idle {
                idle.group = view;
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
            let price = instance.map_or(0.0, |instance| {
                let zone = &state.zones[instance.zone().index()];
                let windows = state.groups[group.index()].definition.windows_family.is_some();
                let licence = self.prices.licence_hour(&instance.instance_type, windows);
                (self.prices.instance_hour(&instance.instance_type, instance.market(), zone) + licence).0
            });
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
        for (id, host) in &self.hosts {
            let name = id.ec2_id();
            if !host.idled.balances() {
                return Err(format!("{name}: the causes of its idle time do not add up to it"));
            }
            let Some(instance) = state.instance(*id) else { continue };
            let working =
                state.container_instance(instance).is_some_and(|host| host.tasks.values().any(|bound| !bound.daemon));
            if working != (host.tasks > 0) {
                return Err(format!("{name}: {} tasks are counted that keep it busy", host.tasks));
            }
            if host.is_idle() != host.idle.is_some() {
                return Err(format!("{name}: it is idle and not taken for it, or the other way round"));
            }
        }
        Ok(())
    }
}
