//! Instances that go though nobody lowered the desired capacity: rebalancing over zones, failed health checks, the end
//! of a lifetime (ASG-9, ASG-11, ASG-16…19).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::launches::{Destination, termination_function};
use crate::control_plane::markets::MarketView;
use crate::control_plane::record::Decision;
use crate::ec2::auto_scaling_group::{AutoScalingGroup, ScalingProcess};
use crate::ec2::capacity_pool::{CapacityPools, hazard_class};
use crate::ec2::instance::{Instance, Lifecycle, Market, TerminationCause};
use crate::ec2::instance_refresh::InstanceRefresh;
use crate::ec2::launch::{self, Launch};
use crate::ec2::rebalancing::{self, Rebalance};
use crate::ec2::replacement::{MaintenancePolicy, ReplacementStep, ReplacementView, replacement_step};
use crate::ec2::termination_policy;
use crate::ecs::ids::{GroupId, InstanceId};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;

/// What a group replaces and moves.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    /// Instances to be replaced.
    pub(super) due: BTreeMap<InstanceId, Due>,
    /// Capacity that may be launched above the desired one for the instances that the maintenance policy governs.
    ahead: u32,
    /// Likewise for Capacity Rebalancing (ASG-39).
    rebalancing_ahead: u32,
    /// Likewise for the refresh.
    pub(super) refresh_ahead: u32,
    /// The instance refresh under way (ASG-42).
    pub(super) refresh: Option<InstanceRefresh>,
    /// Rebalancing under way, by newcomer (ASG-9).
    moves: BTreeMap<InstanceId, Move>,
    /// Whether an [`Event::GroupMaintenance`] is due.
    scheduled: bool,
}

/// A newcomer that lets another zone give up an instance.
#[derive(Clone, Copy, Debug)]
struct Move {
    planned: Rebalance,
    /// What the newcomer counts for.
    weight: u32,
}

impl Replacing {
    /// Capacity that may be launched above the desired one, whatever for.
    fn all_ahead(&self) -> u32 {
        self.ahead + self.rebalancing_ahead + self.refresh_ahead + self.moves_ahead()
    }

    fn moves_ahead(&self) -> u32 {
        self.moves.values().map(|newcomer| newcomer.weight).sum()
    }

    fn is_idle(&self) -> bool {
        self.due.is_empty() && self.refresh.is_none()
    }

    /// Whether the refresh is to replace an instance of the warm pool.
    pub(super) fn refreshes(&self, id: InstanceId) -> bool {
        self.refresh.as_ref().is_some_and(|refresh| refresh.pool.contains(&id))
    }
}

/// Why an instance is to be replaced.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) cause: TerminationCause,
    /// With what brought it about.
    pub(super) why: String,
    pub(super) rule: &'static str,
}

/// A health check cannot be more frequent than this, whatever `health_check_period_s` says.
const LEAST_PERIOD: SimDuration = SimDuration::from_secs(1);

impl ControlPlane<'_> {
    /// The group has been told to replace an instance; unhealthy ones are looked for periodically (ASG-16).
    pub(super) fn mark_due(&mut self, group: GroupId, id: InstanceId, due: Due, schedule: &mut Schedule<Event>) {
        if due.cause == TerminationCause::Unhealthy
            && let Some(instance) = self.state.groups[group.index()].instance_mut(id)
        {
            instance.unhealthy = true;
        }
        let known = &mut self.groups[group.index()].replacing.due;
        // A failed health check does not wait for Capacity Rebalancing.
        if due.cause == TerminationCause::Unhealthy {
            known.insert(id, due);
        } else {
            known.entry(id).or_insert(due);
        }
        self.maintain_at_next_check(group, schedule);
    }

    /// The next look is at the next multiple of `health_check_period_s`.
    pub(super) fn maintain_at_next_check(&mut self, group: GroupId, schedule: &mut Schedule<Event>) {
        let replacing = &mut self.groups[group.index()].replacing;
        if replacing.scheduled || replacing.is_idle() {
            return;
        }
        replacing.scheduled = true;
        let period = self.estate.behaviour.health_check_period.max(LEAST_PERIOD);
        let next = (schedule.now() + SimDuration::from_nanos(1)).next_multiple_of(period);
        schedule.at(next, Event::GroupMaintenance(group));
    }

    /// A group's periodic look at what it has to replace.
    pub(super) fn on_group_maintenance(&mut self, group: GroupId, schedule: &mut Schedule<Event>) {
        self.groups[group.index()].replacing.scheduled = false;
        self.replace_due(group, schedule);
        self.maintain_at_next_check(group, schedule);
    }

    /// ASG-19: an instance has lived as long as its group allows.
    pub(super) fn on_lifetime_over(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let entry = &self.state.groups[group.index()];
        let Some(instance) = entry.instance(id) else { return };
        // The limit may have changed since the instance was launched.
        let Some(lifetime) = entry.definition.max_instance_lifetime else { return };
        if now.saturating_since(instance.launched) < lifetime {
            return;
        }
        let why = format!("older than the maximum instance lifetime of {lifetime}");
        self.mark_due(group, id, Due { cause: TerminationCause::Replaced, why, rule: "ASG-19" }, schedule);
    }

    /// Replaces as many of the instances that are due as the group's bounds allow (ASG-11, ASG-18).
    pub(super) fn replace_due(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let replacing = &self.groups[id.index()].replacing;
        if replacing.is_idle() && replacing.all_ahead() == replacing.moves_ahead() {
            return;
        }
        let now = schedule.now();
        let group = &self.state.groups[id.index()];
        let replacing = &mut self.groups[id.index()].replacing;
        replacing.due.retain(|due, _| group.instance(*due).is_some_and(|i| i.lifecycle() == Lifecycle::InService));
        let launches = !group.is_suspended(ScalingProcess::Launch);
        let unhealthy = !group.is_suspended(ScalingProcess::ReplaceUnhealthy);
        let mut candidates: Vec<InstanceId> = Vec::new();
        // ASG-11: no bound holds for machines that are gone already; their places are free at once.
        let gone = |due: &InstanceId| group.instance(*due).is_some_and(|instance| instance.ec2_state().is_down());
        let mut dead: Vec<InstanceId> = Vec::new();
        // ASG-43: without Launch the unhealthy go all the same, and at once, as nothing replaces them; others stay.
        if !group.is_suspended(ScalingProcess::Terminate) {
            let of_cause = |cause: TerminationCause| move |entry: &(&InstanceId, &Due)| entry.1.cause == cause;
            if unhealthy {
                let found = replacing.due.iter().filter(of_cause(TerminationCause::Unhealthy)).map(|(id, _)| *id);
                (dead, candidates) = found.partition(gone);
            }
            if launches {
                candidates.extend(replacing.due.iter().filter(of_cause(TerminationCause::Replaced)).map(|(id, _)| id));
            }
        }
        let step = if launches {
            let policy = group.definition.maintenance_policy.unwrap_or(MaintenancePolicy::UNSET);
            let view = ReplacementView {
                desired: group.desired(),
                ready: ready(group, None, now),
                due: units(group, &candidates),
                ahead: replacing.ahead,
            };
            replacement_step(view, policy)
        } else {
            ReplacementStep { terminate: units(group, &candidates), ahead: 0 }
        };
        let mut victims = take_units(group, candidates, step.terminate);
        let going = units(group, &victims);
        let rebalancing = self.capacity_rebalancing(id, going, step.ahead, now);
        victims.extend(rebalancing.1);
        victims.extend(dead);
        let going = units(&self.state.groups[id.index()], &victims);
        let refreshing = self.refresh_step(id, going, step.ahead + rebalancing.0, schedule);
        self.set_ahead(id, (step.ahead, rebalancing.0, refreshing.0), schedule);
        for (victim, due) in refreshing.1 {
            self.groups[id.index()].replacing.due.entry(victim).or_insert(due);
            victims.push(victim);
        }
        for victim in victims {
            let Some(due) = self.groups[id.index()].replacing.due.remove(&victim) else { continue };
            self.groups[id.index()].cause = format!("{} was taken out of service: {}", victim.ec2_id(), due.why);
            self.terminate(victim, due.cause, &due.why, due.rule, schedule);
            self.reconcile_soon(id, schedule);
        }
    }

    /// ASG-39: instances that EC2 recommends to replace go once their replacements are in service. Returns how many may
    /// be launched ahead, and which go now; `others` go now besides, and `ahead` come for them.
    fn capacity_rebalancing(&self, id: GroupId, others: u32, ahead: u32, now: SimTime) -> (u32, Vec<InstanceId>) {
        let group = &self.state.groups[id.index()];
        let replacing = &self.groups[id.index()].replacing;
        let suspended = [ScalingProcess::Launch, ScalingProcess::Terminate].map(|process| group.is_suspended(process));
        let unprotected = |due: &InstanceId| group.instance(*due).is_some_and(|instance| !instance.is_protected());
        let candidates: Vec<InstanceId> = replacing
            .due
            .iter()
            .filter(|(due, why)| why.cause == TerminationCause::CapacityRebalancing && unprotected(due))
            .map(|(due, _)| *due)
            .collect();
        if suspended.contains(&true) {
            return (0, Vec::new());
        }
        let view = ReplacementView {
            desired: group.desired(),
            ready: ready(group, None, now).saturating_sub(others + ahead),
            due: units(group, &candidates),
            ahead: replacing.rebalancing_ahead,
        };
        let step = replacement_step(view, MaintenancePolicy::CAPACITY_REBALANCING);
        (step.ahead, take_units(group, candidates, step.terminate))
    }

    /// A rebalance recommendation: Capacity Rebalancing launches a replacement, if it is on and the instance is not
    /// protected (ASG-39).
    pub(super) fn on_rebalance_recommendation(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(group_id) = self.state.group_of(id) else { return };
        let better = self.has_pool_no_worse(group_id, id, now);
        let group = &self.state.groups[group_id.index()];
        let Some(instance) = group.instance(id).filter(|i| i.lifecycle() == Lifecycle::InService) else { return };
        let (acts, reason) = match (group.definition.capacity_rebalance, instance.is_protected()) {
            (false, _) => (false, "Capacity Rebalancing is off: nothing happens until the notice"),
            (true, true) => (false, "the instance is protected from scale-in"),
            (true, false) if !better => (false, "a replacement would come from a pool at greater risk, or from none"),
            (true, false) => (true, "a replacement is launched, and the instance goes once that is in service"),
        };
        self.decide(now, |_| Decision {
            actor: "auto-scaling-group",
            subject: id.ec2_id().to_string(),
            action: if acts { "replace" } else { "keep" },
            from: Value::Null,
            to: Value::Null,
            reason: format!("EC2 recommends to rebalance it: {reason}"),
            rule: "ASG-39",
            inputs: Value::Null,
        });
        if acts {
            let why = "EC2 recommended to rebalance it".to_owned();
            self.mark_due(
                group_id,
                id,
                Due { cause: TerminationCause::CapacityRebalancing, why, rule: "ASG-39" },
                schedule,
            );
            self.replace_due(group_id, schedule);
        }
    }

    /// ASG-16: an instance that is not running is unhealthy, grace period or not.
    pub(super) fn found_dead(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let Some(group) = self.state.group_of(id) else { return };
        let why = "an EC2 health check found it terminated or stopped".to_owned();
        self.mark_due(group, id, Due { cause: TerminationCause::Unhealthy, why, rule: "ASG-16" }, schedule);
    }

    /// ASG-16: its status checks have failed for `impaired_wait_s`, and still do.
    pub(super) fn found_impaired(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let entry = &self.state.groups[group.index()];
        let wait = self.estate.behaviour.impaired_wait;
        let impaired = entry.instance(id).is_some_and(|instance| {
            instance.lifecycle() == Lifecycle::InService
                && self.impairments.zone_is_impaired_for(instance.zone(), wait, schedule.now())
        });
        if impaired && !entry.is_suspended(ScalingProcess::HealthCheck) {
            let why = "an EC2 status check found it impaired".to_owned();
            self.mark_due(group, id, Due { cause: TerminationCause::Unhealthy, why, rule: "ASG-16" }, schedule);
        }
    }

    /// How many instances the group may hold above its desired capacity for what is due; moves have theirs besides.
    fn set_ahead(
        &mut self,
        id: GroupId,
        (policy, rebalancing, refresh): (u32, u32, u32),
        schedule: &mut Schedule<Event>,
    ) {
        let runtime = &mut self.groups[id.index()];
        let before = runtime.replacing.all_ahead();
        runtime.replacing.ahead = policy;
        runtime.replacing.rebalancing_ahead = rebalancing;
        runtime.replacing.refresh_ahead = refresh;
        let more = runtime.replacing.all_ahead() > before;
        if more {
            "instances are launched before others are replaced".clone_into(&mut runtime.cause);
        }
        self.settle_ahead(id, schedule.now());
        if more {
            self.reconcile_soon(id, schedule);
        }
    }

    /// ASG-39: whether what the group would launch instead of a Spot instance comes from a pool that is no worse.
    fn has_pool_no_worse(&mut self, group: GroupId, id: InstanceId, now: SimTime) -> bool {
        let Some(instance) = self.state.instance(id) else { return false };
        let present = Launch {
            zone: instance.zone(),
            market: instance.market(),
            instance_type: Arc::clone(&instance.instance_type),
        };
        self.open_pools(group);
        let entry = &self.state.groups[group.index()];
        let name = &entry.definition.name;
        let view = MarketView { markets: &self.markets, group: name, zones: &self.state.zones, now };
        // A copy of the chance: a look is no launch.
        let mut chance = self.groups[group.index()].choice.clone();
        let plan = launch::plan_launches(entry, 1, &view, &mut chance);
        let class = |launch: &Launch| hazard_class(view.hazard(launch));
        plan.launches.first().is_some_and(|next| next.market == Market::OnDemand || class(next) <= class(&present))
    }

    /// `SetInstanceHealth`.
    pub(super) fn set_instance_health(
        &mut self,
        name: &str,
        unhealthy: bool,
        respects_grace: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let now = schedule.now();
        let unknown = || Refused {
            code: "ValidationError",
            message: format!("Instance Id not found - No managed instance found for instance ID: {name}"),
            rule: "ASG-16",
        };
        let id = self.find_instance(name).ok_or_else(unknown)?;
        let group_id = self.state.group_of(id).ok_or_else(unknown)?;
        let group = &mut self.state.groups[group_id.index()];
        let grace = group.definition.health_check_grace;
        let instance = group.instance_mut(id).filter(|i| i.lifecycle() == Lifecycle::InService).ok_or_else(unknown)?;
        if !unhealthy {
            instance.unhealthy = false;
            let due = &mut self.groups[group_id.index()].replacing.due;
            if due.get(&id).is_some_and(|due| due.cause == TerminationCause::Unhealthy) {
                due.remove(&id);
            }
            return Ok(());
        }
        // ASG-17: within the grace period only EC2's own word counts.
        let until = instance.in_service.unwrap_or(now).saturating_add(grace);
        if respects_grace && now < until {
            self.decide(now, |_| Decision {
                actor: "auto-scaling-group",
                subject: id.ec2_id().to_string(),
                action: "keep",
                from: Value::Null,
                to: Value::Null,
                reason: format!("its health check grace period of {grace} lasts until {until}"),
                rule: "ASG-17",
                inputs: json!({ "grace_s": grace.as_secs_f64() }),
            });
            return Ok(());
        }
        let why = "an instance health check was set to unhealthy by a user".to_owned();
        self.mark_due(group_id, id, Due { cause: TerminationCause::Unhealthy, why, rule: "ASG-16" }, schedule);
        Ok(())
    }

    /// Asks for a reconciliation when the zones call for a move (ASG-9).
    pub(super) fn rebalance_soon(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        if self.at_rest(id) && !self.moves_wanted(id).is_empty() {
            self.reconcile_soon(id, schedule);
        }
    }

    /// Nothing is launched, and nothing is missing or too much, but for the moves under way.
    fn at_rest(&self, id: GroupId) -> bool {
        let group = &self.state.groups[id.index()];
        let moves = &self.groups[id.index()].replacing.moves;
        let arriving = |id: &&InstanceId| group.instance(**id).is_some_and(|i| i.lifecycle().is_pending());
        group.is_settled()
            && group.pending() == moves.keys().filter(arriving).count() as u32
            && self.groups[id.index()].replacing.all_ahead() == self.groups[id.index()].replacing.moves_ahead()
    }

    fn moves_wanted(&self, id: GroupId) -> Vec<Rebalance> {
        let group = &self.state.groups[id.index()];
        if group.is_suspended(ScalingProcess::AzRebalance) || group.is_suspended(ScalingProcess::Launch) {
            return Vec::new();
        }
        let moves = self.groups[id.index()].replacing.moves.values();
        let under_way: Vec<Rebalance> = moves.map(|newcomer| newcomer.planned).collect();
        rebalancing::rebalance(group, self.estate.behaviour.az_rebalance_threshold, &under_way)
    }

    /// ASG-9: launches first; what makes room goes once the newcomer is in service.
    pub(super) fn rebalance_group(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        self.finish_moves(id, schedule);
        if !self.at_rest(id) {
            return;
        }
        for planned in self.moves_wanted(id) {
            // Without capacity there the group stays as it is until some is back.
            let plan = self.plan_launches(id, Some(planned.to), 1, schedule.now());
            let Some(launch) = plan.launches.into_iter().next() else { break };
            let reason: Arc<str> = format!(
                "instances were launched to balance instances in zone {} with other zones resulting in more than desired \
                 number of instances in the group",
                self.state.zone_name(planned.from)
            )
            .into();
            // ASG-44: a single instance takes its token, if there is one.
            self.run_instances.take(1, schedule.now());
            let weight = self.state.groups[id.index()].weight_of(&launch.instance_type);
            let newcomer = self.launch_instance(id, launch, (reason, "ASG-9"), Destination::Group, schedule);
            self.groups[id.index()].replacing.moves.insert(newcomer, Move { planned, weight });
            self.settle_ahead(id, schedule.now());
        }
        self.record_group_counts(id, schedule.now());
    }

    fn settle_ahead(&mut self, id: GroupId, now: SimTime) {
        let replacing = &self.groups[id.index()].replacing;
        self.state.groups[id.index()].set_ahead(replacing.all_ahead(), replacing.moves.len() as u32);
        self.outlook_changed(id, now);
    }

    /// Moves whose newcomer is in service take an instance from the zone that had too many; those whose newcomer is
    /// gone are given up.
    pub(super) fn finish_moves(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        if self.groups[id.index()].replacing.moves.is_empty() {
            return;
        }
        let now = schedule.now();
        let moves: Vec<(InstanceId, Rebalance)> =
            self.groups[id.index()].replacing.moves.iter().map(|(id, newcomer)| (*id, newcomer.planned)).collect();
        for (newcomer, planned) in moves {
            let group = &self.state.groups[id.index()];
            let state = group.instance(newcomer).map(Instance::lifecycle);
            let coming = state.is_some_and(Lifecycle::is_pending);
            let arrived = state == Some(Lifecycle::InService);
            // ASG-43: while nothing may be terminated the newcomer stays as well.
            if coming || (arrived && group.is_suspended(ScalingProcess::Terminate)) {
                continue;
            }
            self.groups[id.index()].replacing.moves.remove(&newcomer);
            self.settle_ahead(id, now);
            let chance = &mut self.groups[id.index()].choice;
            let group = &self.state.groups[id.index()];
            let victim = {
                let returned = termination_function(group, &self.state);
                arrived
                    .then(|| termination_policy::choose_victim_in(group, planned.from, &returned, now, chance))
                    .flatten()
            };
            if let Some(victim) = victim.filter(|_| group.surplus() > 0) {
                let from = self.state.zone_name(planned.from).to_owned();
                let to = self.state.zone_name(planned.to).to_owned();
                let why = format!("zone {from} had too many instances, zone {to} has a new one");
                self.terminate(victim, TerminationCause::Rebalancing, &why, "ASG-9", schedule);
            } else if self.state.groups[id.index()].surplus() > 0 {
                self.reconcile_soon(id, schedule);
            }
        }
    }

    /// A group's settings of lifetime have changed: its members have to be looked at again (ASG-19).
    pub(super) fn lifetime_changed(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let group = &self.state.groups[id.index()];
        if group.definition.max_instance_lifetime.is_none() {
            let lived_long = |due: &Due| due.rule == "ASG-19";
            self.groups[id.index()].replacing.due.retain(|_, due| !lived_long(due));
            return;
        }
        let members: Vec<InstanceId> = group.instances().map(|instance| instance.id).collect();
        for instance in members {
            self.watch_lifetime(id, instance, schedule);
        }
    }
}

/// Capacity in service whose machines run and whose warm-up is over, by the group's default unless told: what ASG-18
/// and ASG-42 wait for between batches.
pub(super) fn ready(group: &AutoScalingGroup, warmup: Option<SimDuration>, now: SimTime) -> u32 {
    let warmup = warmup.or(group.definition.default_instance_warmup).unwrap_or_default();
    let warm = |since: SimTime| since.saturating_add(warmup) <= now;
    let alive = |i: &&Instance| i.lifecycle() == Lifecycle::InService && !i.ec2_state().is_down();
    let in_service = group.instances().filter(alive);
    in_service.filter(|instance| instance.in_service.is_some_and(warm)).map(|instance| instance.weight).sum()
}

/// What instances count for together.
pub(super) fn units(group: &AutoScalingGroup, ids: &[InstanceId]) -> u32 {
    ids.iter().filter_map(|id| group.instance(*id)).map(|instance| instance.weight).sum()
}

/// The first of `ids` that together count for no more than `most`; the first one even if it counts for more, or a group
/// of heavy instances would never get on (ASG-36).
pub(super) fn take_units(group: &AutoScalingGroup, ids: Vec<InstanceId>, most: u32) -> Vec<InstanceId> {
    let mut taken = 0;
    let fits = |id: &InstanceId| {
        let weight = units(group, &[*id]);
        let fits = most > 0 && (taken == 0 || taken + weight <= most);
        taken += weight;
        fits
    };
    ids.into_iter().take_while(fits).collect()
}
