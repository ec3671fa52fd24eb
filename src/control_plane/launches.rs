//! A group moves towards its desired capacity: launches, their failures and their pace, and scale-in (ASG-1…8, ASG-15,
//! ASG-40, ASG-44).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, InstanceProgress};
use crate::control_plane::markets::MarketView;
use crate::control_plane::record::{Activity, ActivityId, ActivityService, Decision, InstanceStep, Resource};
use crate::control_plane::state::State;
use crate::ec2::auto_scaling_group::{AutoScalingGroup, ScalingProcess};
use crate::ec2::instance::{Instance, Lifecycle, TerminationCause};
use crate::ec2::launch::{self, Launch, LaunchPlan};
use crate::ec2::termination_policy;
use crate::ecs::ids::{GroupId, InstanceId, ZoneId};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::query::Query;

/// ASG-15: a group that has launched nothing successfully for longer than this has its launches suspended.
const LONGEST_FAILURE: SimDuration = SimDuration::from_secs(24 * 3600);

/// Where a new instance goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// Into the group.
    Group,
    /// Into its warm pool.
    WarmPool,
}

/// Which instances of a group its own termination function returns: those whose container instances match, all without such
/// a policy (ASG-8).
///
/// Of an expression that is none, a function that fails: it returns nobody.
pub(super) fn termination_function<'a>(group: &AutoScalingGroup, state: &'a State) -> impl Fn(&Instance) -> bool + 'a {
    let custom = group.has_termination_function();
    let text = group.definition.termination_function.as_deref().unwrap_or_default();
    let query = custom.then(|| Query::parse(text).ok()).flatten();
    move |instance| {
        let matches = |query: &Query| {
            let clusters = state.clusters.iter().map(|entry| &entry.cluster);
            let hosts = clusters.filter_map(|cluster| Some((cluster.instance(instance.id)?, cluster)));
            hosts.into_iter().any(|(host, cluster)| query.matches(host, cluster))
        };
        !custom || query.as_ref().is_some_and(matches)
    }
}

impl ControlPlane<'_> {
    /// Sets a group's desired capacity as a policy does: clamped, then reconciled after the group's reaction time.
    pub(super) fn set_group_desired(
        &mut self,
        id: GroupId,
        wanted: u32,
        cause: String,
        schedule: &mut Schedule<Event>,
    ) {
        let group = &mut self.state.groups[id.index()];
        let before = group.desired();
        group.set_desired(wanted);
        self.group_desired_moved(id, before, cause, schedule);
    }

    /// The desired capacity of a group was set, from `before`; `cause` goes to the activities that follow.
    pub(super) fn group_desired_moved(
        &mut self,
        id: GroupId,
        before: u32,
        cause: String,
        schedule: &mut Schedule<Event>,
    ) {
        let after = self.state.groups[id.index()].desired();
        if after == before {
            return;
        }
        let runtime = &mut self.groups[id.index()];
        runtime.cause = cause;
        if after > before {
            self.state.groups[id.index()].last_scale_out = Some(schedule.now());
        }
        self.group_desired_changed(id, schedule);
    }

    /// The desired capacity of a group has changed: tell the observers, converge soon (`asg_reconcile_s`).
    pub(super) fn group_desired_changed(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let desired = self.state.groups[id.index()].desired();
        self.record_group_level(id, "GroupDesiredCapacity", desired, schedule.now());
        self.reconcile_soon(id, schedule);
    }

    /// Schedules one reconciliation after the group's reaction time.
    pub(super) fn reconcile_soon(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let runtime = &mut self.groups[id.index()];
        if !runtime.reconcile_scheduled {
            runtime.reconcile_scheduled = true;
            let delay = self.estate.delays.asg_reaction.sample_duration(&mut runtime.choice);
            schedule.after(delay, Event::GroupReconcile(id));
        }
    }

    /// ASG-25: the cooldown of a simple policy starts when the last instance of its activity has launched or begun to go.
    pub(super) fn note_simple_activity(&mut self, id: GroupId, now: SimTime) {
        let group = &self.state.groups[id.index()];
        let runtime = &mut self.groups[id.index()];
        if runtime.launching.is_empty() && group.missing() == 0 && group.surplus() == 0 {
            runtime.simple.complete(now);
        }
    }

    /// A group's next look at itself.
    pub(super) fn on_group_reconcile(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        self.groups[id.index()].reconcile_scheduled = false;
        self.converge(id, schedule);
        self.rebalance_group(id, schedule);
    }

    /// ASG-1: the group converges to its desired capacity, and its warm pool to its size (ASG-41).
    pub(super) fn converge(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let group = &self.state.groups[id.index()];
        let (missing, surplus) = (group.missing(), group.surplus());
        if missing > 0 && self.may_launch(id, schedule.now()) {
            self.take_from_pool(id, schedule);
            let missing = self.state.groups[id.index()].missing();
            if missing > 0 {
                self.launch_instances(id, missing, Destination::Group, schedule);
            }
        } else if surplus > 0 && !group.is_suspended(ScalingProcess::Terminate) {
            self.scale_in_group(id, surplus, schedule);
        }
        self.keep_warm_pool(id, schedule);
    }

    /// Whether the group launches now: not while that is suspended, nor while launch hooks that fail hold it back (ASG-15).
    pub(super) fn may_launch(&self, id: GroupId, now: SimTime) -> bool {
        let held = self.groups[id.index()].held_until.is_some_and(|until| now < until);
        !held && !self.state.groups[id.index()].is_suspended(ScalingProcess::Launch)
    }

    /// Launches instances for `count` units of capacity, as far as EC2 has them and the account's rate allows.
    pub(super) fn launch_instances(
        &mut self,
        id: GroupId,
        count: u32,
        destination: Destination,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        // ASG-44: what cannot be paid for need not be planned.
        let affordable = self.run_instances.available(now).max(1);
        let most = affordable.saturating_mul(self.state.groups[id.index()].largest_weight());
        let plan = match destination {
            Destination::Group => self.plan_launches(id, None, count.min(most), now),
            Destination::WarmPool => self.plan_warm_launches(id, count.min(most), now),
        };
        let reason: Arc<str> = match destination {
            Destination::Group => self.groups[id.index()].cause.as_str().into(),
            Destination::WarmPool => "the warm pool is to hold more instances".into(),
        };
        let rule = if destination == Destination::Group { "ASG-2" } else { "ASG-41" };
        let batch = self.estate.behaviour.asg_launch_batch.min(self.estate.behaviour.run_instances_bucket).max(1);
        let (mut throttled, mut left) = (count > most, count);
        for call in plan.launches.chunks(batch as usize) {
            let wanted = call.len() as u32;
            if self.run_instances.available(now) < wanted {
                throttled = true;
                break;
            }
            self.run_instances.take(wanted, now);
            for launch in call {
                left = left.saturating_sub(self.state.groups[id.index()].weight_of(&launch.instance_type));
                self.launch_instance(id, launch.clone(), (Arc::clone(&reason), rule), destination, schedule);
            }
        }
        if throttled {
            self.on_launch_throttled(id, left.clamp(1, batch), schedule);
        }
        self.record_group_counts(id, now);
        if plan.failed > 0 {
            self.on_launch_failed(id, plan.failed, &plan.exhausted, schedule);
        } else {
            self.groups[id.index()].failed_launches = 0;
        }
    }

    /// ASG-44: the account's RunInstances bucket is short of what the next call takes; it is made when that is there.
    fn on_launch_throttled(&mut self, id: GroupId, wanted: u32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if std::mem::replace(&mut self.groups[id.index()].throttled, true) {
            return;
        }
        let ready = self.run_instances.ready_at(wanted).unwrap_or(SimTime::MAX).max(now + SimDuration::from_secs(1));
        schedule.at(ready, Event::LaunchThrottled(id));
        self.decide(now, |state| Decision {
            actor: "auto-scaling-group",
            subject: state.resource_name(Resource::Group(id)),
            action: "not-launched",
            from: Value::Null,
            to: Value::Null,
            reason: format!("RequestLimitExceeded: Request limit exceeded. The group tries again at {ready}."),
            rule: "ASG-44",
            inputs: json!({ "missing": state.groups[id.index()].missing() }),
        });
    }

    /// ASG-44: the tokens are there.
    pub(super) fn on_launch_throttle_over(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        self.groups[id.index()].throttled = false;
        self.converge(id, schedule);
    }

    /// What the group launches next, in `zone` alone if one is given, with the capacity that EC2 has now.
    pub(super) fn plan_launches(&mut self, id: GroupId, zone: Option<ZoneId>, count: u32, now: SimTime) -> LaunchPlan {
        self.open_pools(id);
        let group = &self.state.groups[id.index()];
        let view = MarketView { markets: &self.markets, group: &group.definition.name, zones: &self.state.zones, now };
        let chance = &mut self.groups[id.index()].choice;
        match &zone {
            Some(zone) => launch::plan_launches_in(group, std::slice::from_ref(zone), count, &view, chance),
            None => launch::plan_launches(group, count, &view, chance),
        }
    }

    /// What the group launches next into its warm pool.
    fn plan_warm_launches(&mut self, id: GroupId, count: u32, now: SimTime) -> LaunchPlan {
        self.open_pools(id);
        let group = &self.state.groups[id.index()];
        let view = MarketView { markets: &self.markets, group: &group.definition.name, zones: &self.state.zones, now };
        launch::plan_warm_launches(group, count, &view, &mut self.groups[id.index()].pool_chance)
    }

    /// ASG-40: EC2 has no capacity; the activity fails, the desired capacity stays, and the group tries again.
    fn on_launch_failed(
        &mut self,
        id: GroupId,
        failed: u32,
        exhausted: &BTreeSet<Launch>,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        self.note_launch_failed(id, now);
        let runtime = &mut self.groups[id.index()];
        let cause = runtime.cause.clone();
        if !runtime.retry_scheduled {
            runtime.retry_scheduled = true;
            runtime.failed_launches += 1;
            let delay = launch::ice_retry_delay(self.estate.behaviour.ice_retry, runtime.failed_launches);
            schedule.after(delay, Event::LaunchRetry(id));
        }
        let pools: Vec<String> = exhausted
            .iter()
            .map(|pool| format!("{} {} in {}", pool.market, pool.instance_type, self.state.zone_name(pool.zone)))
            .collect();
        let message = if pools.is_empty() {
            "The price of every Spot pool is above the maximum price of the group.".to_owned()
        } else {
            format!(
                "We currently do not have sufficient capacity in the Availability Zones you requested: {}.",
                pools.join(", ")
            )
        };
        let activity = self.next_activity();
        self.tell_activity(now, |state| Activity {
            status: "Failed",
            message: message.clone(),
            ..group_activity(
                activity,
                &state.groups[id.index()],
                format!("Launching {failed} new EC2 instances"),
                &cause,
                now,
                Some(now),
            )
        });
        self.decide(now, |state| Decision {
            actor: "auto-scaling-group",
            subject: state.resource_name(Resource::Group(id)),
            action: "not-launched",
            from: Value::Null,
            to: Value::Null,
            reason: message,
            rule: "ASG-40",
            inputs: json!({ "instances": failed }),
        });
    }

    /// ASG-40: the next attempt.
    pub(super) fn on_launch_retry(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        self.groups[id.index()].retry_scheduled = false;
        self.groups[id.index()].held_until = None;
        self.converge(id, schedule);
    }

    /// ASG-15: a launch hook was abandoned. From the second in a row on the group waits before it launches again, as long
    /// as it would without capacity.
    pub(super) fn on_launch_abandoned(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let runtime = &mut self.groups[id.index()];
        runtime.abandoned_launches += 1;
        let before = runtime.abandoned_launches - 1;
        if before == 0 {
            self.reconcile_soon(id, schedule);
        } else {
            let delay = launch::ice_retry_delay(self.estate.behaviour.ice_retry, before);
            runtime.held_until = Some(now.saturating_add(delay));
            if !std::mem::replace(&mut runtime.retry_scheduled, true) {
                schedule.after(delay, Event::LaunchRetry(id));
            }
            self.decide(now, |state| Decision {
                actor: "auto-scaling-group",
                subject: state.resource_name(Resource::Group(id)),
                action: "not-launched",
                from: Value::Null,
                to: Value::Null,
                reason: format!(
                    "{before} launches before this one were abandoned by their hooks: the next waits {delay}"
                ),
                rule: "ASG-15",
                inputs: json!({ "abandoned": before + 1, "delay_s": delay.as_secs_f64() }),
            });
        }
        self.note_launch_failed(id, now);
    }

    /// ASG-15: a launch has failed; when none has succeeded for a day, EC2 Auto Scaling suspends them.
    fn note_launch_failed(&mut self, id: GroupId, now: SimTime) {
        let since = *self.groups[id.index()].failing_since.get_or_insert(now);
        let group = &mut self.state.groups[id.index()];
        if now.saturating_since(since) <= LONGEST_FAILURE || group.is_suspended(ScalingProcess::Launch) {
            return;
        }
        group.set_suspended(ScalingProcess::Launch, true);
        self.decide(now, |state| Decision {
            actor: "auto-scaling-group",
            subject: state.resource_name(Resource::Group(id)),
            action: "suspend",
            from: Value::Null,
            to: json!("Launch"),
            reason: format!("an administrative suspension: no launch has succeeded since {since}"),
            rule: "ASG-15",
            inputs: json!({ "failing_since_s": since.as_secs_f64() }),
        });
    }

    /// An instance is in service, or launches are resumed by hand: failures count anew.
    pub(super) fn launches_succeed(&mut self, id: GroupId) {
        let runtime = &mut self.groups[id.index()];
        (runtime.abandoned_launches, runtime.failing_since) = (0, None);
    }

    /// RunInstances: a new member of the group, or of its warm pool, begins to boot; `why` with the rule that says so.
    pub(super) fn launch_instance(
        &mut self,
        id: GroupId,
        launch: Launch,
        (why, rule): (Arc<str>, &'static str),
        destination: Destination,
        schedule: &mut Schedule<Event>,
    ) -> InstanceId {
        let now = schedule.now();
        let instance = InstanceId(self.launches);
        self.launches += 1;
        self.state.instance_groups.insert(instance, id);
        self.spot_launched(instance, &launch, schedule);
        let group = &mut self.state.groups[id.index()];
        let zone = &self.state.zones[launch.zone.index()];
        let factor = self.impairments.boot_factor(&group.definition.name, &launch, zone);
        let slowed = |delay: SimDuration| if factor == 1.0 { delay } else { delay.mul_f64(factor) };
        let member = match destination {
            Destination::Group => group.launch(instance, launch, why, now),
            Destination::WarmPool => group.launch_warm(instance, launch, why, now),
        };
        member.awsvpc_trunking = self.awsvpc_trunking;
        let runtime = &mut self.groups[id.index()];
        let delays = &self.estate.delays;
        // What is launched into the pool draws from a stream of its own, so that the k-th host of the group boots alike
        // with a pool and without.
        let boot = if destination == Destination::Group { &mut runtime.boot } else { &mut runtime.pool_boot };
        // One draw of each kind a launch, whatever becomes of it, so that the k-th host boots alike everywhere.
        let running = delays.instance_launch.sample_duration(boot);
        let in_service = delays.instance_in_service.sample_duration(boot);
        let registered = delays.agent_register.sample_duration(boot).max(running);
        let (running, in_service, registered) = (slowed(running), slowed(in_service), slowed(registered));
        schedule.after(running, Event::Instance { instance, step: InstanceProgress::Running });
        schedule
            .after(running.saturating_add(in_service), Event::Instance { instance, step: InstanceProgress::InService });
        if destination == Destination::Group {
            runtime.launching.insert(instance);
            schedule.after(registered, Event::Instance { instance, step: InstanceProgress::Registered });
            self.watch_lifetime(id, instance, schedule);
        }
        self.record_step(instance, InstanceStep::Launched, now);
        self.record_launch(id, instance, rule, now, None);
        instance
    }

    /// ASG-19: the end of an instance's lifetime, if its group limits it.
    pub(super) fn watch_lifetime(&self, id: GroupId, instance: InstanceId, schedule: &mut Schedule<Event>) {
        let group = &self.state.groups[id.index()];
        let launched = group.instance(instance).map(|member| member.launched);
        if let (Some(lifetime), Some(launched)) = (group.definition.max_instance_lifetime, launched) {
            let at = launched.saturating_add(lifetime).max(schedule.now());
            schedule.at(at, Event::Instance { instance, step: InstanceProgress::LifetimeOver });
        }
    }

    /// The decision to launch and its activity, in progress until it has an `end`.
    pub(super) fn record_launch(
        &mut self,
        group: GroupId,
        instance: InstanceId,
        rule: &'static str,
        now: SimTime,
        end: Option<SimTime>,
    ) {
        let name = instance.ec2_id();
        if end.is_none() {
            self.decide(now, |state| {
                let group = &state.groups[group.index()];
                let host = group.instance(instance)?;
                Some(Decision {
                    actor: "auto-scaling-group",
                    subject: name.to_string(),
                    action: if host.from_warm_pool { "take" } else { "launch" },
                    from: Value::Null,
                    to: json!(state.zone_name(host.zone())),
                    reason: host.launch_reason.to_string(),
                    rule,
                    inputs: json!({
                        "group": group.definition.name,
                        "type": &*host.instance_type,
                        "market": host.market().to_string(),
                        "desired": group.desired(),
                    }),
                })
            });
        }
        self.tell_activity(now, |state| {
            let group = &state.groups[group.index()];
            let host = group.instance(instance)?;
            let (id, what) = match (host.lifecycle().is_warmed(), host.from_warm_pool) {
                (true, _) => (ActivityId::Launch(instance), "Launching a new EC2 instance into warm pool"),
                (false, true) => (ActivityId::Taken(instance), "Launching a new EC2 instance from warm pool"),
                (false, false) => (ActivityId::Launch(instance), "Launching a new EC2 instance"),
            };
            let description = format!("{what}: {name}");
            let start = if host.from_warm_pool { host.joined } else { host.launched };
            Some(group_activity(id, group, description, &host.launch_reason, start, end))
        });
    }

    /// ASG-4…8: which instances go, protected ones spared (TP-5).
    fn scale_in_group(&mut self, id: GroupId, surplus: u32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let runtime = &mut self.groups[id.index()];
        let group = &self.state.groups[id.index()];
        let victims = {
            let returned = termination_function(group, &self.state);
            termination_policy::choose_victims(group, surplus, &returned, now, &mut runtime.choice)
        };
        let weight = |id: &InstanceId| group.instance(*id).map_or(0, |instance| instance.weight);
        let spared = surplus - victims.iter().map(weight).sum::<u32>();
        // What weighs more than is left to take is not spared, but needed (ASG-36).
        let spared = if group.is_weighted() { 0 } else { spared };
        let cause = runtime.cause.clone();
        self.note_passed_over(id, &victims, now);
        for victim in victims {
            // ASG-41: the pool takes back what it has room for, when it may.
            if self.pool_takes_back(id, victim) {
                self.return_to_pool(victim, &cause, schedule);
            } else {
                self.terminate(victim, TerminationCause::ScaleIn, &cause, "ASG-4", schedule);
            }
        }
        self.note_simple_activity(id, now);
        self.outlook_changed(id, now);
        let told = std::mem::replace(&mut self.groups[id.index()].spared, spared) == spared;
        if spared > 0 && self.state.groups[id.index()].has_termination_function() {
            self.ask_function_again(id, schedule);
            if told {
                return;
            }
        }
        if spared > 0 {
            self.decide(now, |state| Decision {
                actor: "auto-scaling-group",
                subject: state.resource_name(Resource::Group(id)),
                action: "spare",
                from: Value::Null,
                to: Value::Null,
                reason: format!(
                    "{spared} instances above the desired capacity stay: {}",
                    if state.groups[id.index()].has_termination_function() {
                        "protected from scale-in, or not returned by the termination function"
                    } else {
                        "protected from scale-in"
                    }
                ),
                rule: if state.groups[id.index()].has_termination_function() { "ASG-8" } else { "TP-5" },
                inputs: json!({ "desired": state.groups[id.index()].desired(), "protected": spared }),
            });
        }
    }

    /// A termination function is asked again at the group's next look: what it returns then may be more.
    fn ask_function_again(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let runtime = &mut self.groups[id.index()];
        if runtime.function_asked_at.is_none_or(|at| at <= now) {
            let at = now + self.estate.behaviour.health_check_period;
            runtime.function_asked_at = Some(at);
            schedule.at(at, Event::GroupReconcile(id));
        }
    }

    /// ASG-4: idle hosts that stay because a zone with more instances gave a busy one.
    fn note_passed_over(&mut self, id: GroupId, victims: &[InstanceId], now: SimTime) {
        let state = &self.state;
        let group = &state.groups[id.index()];
        let idle = |instance: &Instance| {
            state.container_instance(instance).is_some_and(|host| host.non_daemon == 0)
                && instance.lifecycle() == Lifecycle::InService
                && !instance.is_protected()
        };
        let fuller = victims.iter().filter_map(|victim| group.instance(*victim)).filter(|victim| !idle(victim));
        let fullest = fuller.map(|victim| group.in_zone(victim.zone()).total()).max();
        let stays = |instance: &&Instance| !victims.contains(&instance.id) && idle(instance);
        let passed: BTreeSet<InstanceId> = group
            .instances()
            .filter(stays)
            .filter(|instance| fullest.is_some_and(|fullest| group.in_zone(instance.zone()).total() < fullest))
            .map(|instance| instance.id)
            .collect();
        let members: Vec<InstanceId> =
            group.instances().filter(|i| i.passed_over || passed.contains(&i.id)).map(|i| i.id).collect();
        for member in members {
            if let Some(instance) = self.state.groups[id.index()].instance_mut(member) {
                instance.passed_over = passed.contains(&member);
            }
            self.record_step(member, InstanceStep::Held, now);
        }
    }
}

/// The activity of one launch or termination in a group: in progress until it has an `end`.
pub(super) fn group_activity(
    id: ActivityId,
    group: &AutoScalingGroup,
    description: String,
    cause: &str,
    start: SimTime,
    end: Option<SimTime>,
) -> Activity {
    Activity {
        id,
        service: ActivityService::AutoScaling,
        resource: group.definition.name.clone(),
        description,
        cause: cause.to_owned(),
        start,
        end,
        status: if end.is_some() { "Successful" } else { "InProgress" },
        message: String::new(),
        not_scaled: Vec::new(),
    }
}
