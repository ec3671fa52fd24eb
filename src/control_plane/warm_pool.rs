//! Warm pools at work: filled, drawn from, put and deleted (ASG-41).
//!
//! The agent of a host in the pool waits (`ECS_WARM_POOLS_CHECK=true`) and registers only when the group takes the host
//! into service.

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, InstanceProgress};
use crate::control_plane::hosts::must;
use crate::control_plane::launches::Destination;
use crate::control_plane::markets::MarketView;
use crate::control_plane::record::{Decision, InstanceStep, Resource};
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ec2::capacity_pool::CapacityPools;
use crate::ec2::instance::{Ec2State, Instance, Lifecycle, TerminationCause};
use crate::ec2::launch::Launch;
use crate::ec2::lifecycle_hook::Transition;
use crate::ec2::warm_pool::{PoolState, PutWarmPool, WarmPool, choose_pool_victims, next_warm};
use crate::ecs::ids::{GroupId, InstanceId};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;

/// How often the agent of a host that runs in the pool asks whether the group has taken it (its `asgLifecyclePollWait`).
const AGENT_POLL: SimDuration = SimDuration::MINUTE;

impl ControlPlane<'_> {
    /// PutWarmPool.
    pub(super) fn put_warm_pool(&mut self, call: &PutWarmPool, schedule: &mut Schedule<Event>) -> Result<(), Refused> {
        let id = self.find_group(&call.group)?;
        let group = &self.state.groups[id.index()];
        if self.is_refreshing(id) {
            let message = "An active instance refresh blocks the change of the warm pool.".to_owned();
            return Err(Refused { code: "InstanceRefreshInProgress", message, rule: "ASG-41" });
        }
        if group.warm_pool.is_some_and(|pool| pool.deleting) {
            let message = format!("The warm pool of Auto Scaling group {} is being deleted.", call.group);
            return Err(Refused { code: "ResourceContention", message, rule: "ASG-41" });
        }
        if group.definition.mixed {
            let message = "You can't add a warm pool to an Auto Scaling group that has a mixed instances policy or that \
                           launches Spot Instances.";
            return Err(refuse(message));
        }
        let pool = call.apply_to(group.warm_pool);
        if pool.reuse_on_scale_in && self.groups[id.index()].provider.is_some() {
            return Err(refuse(
                "Amazon ECS does not support an instance reuse policy: the group has a capacity provider.",
            ));
        }
        self.state.groups[id.index()].warm_pool = Some(pool);
        let size = self.state.groups[id.index()].pool_size();
        self.tell_pool(
            id,
            "put-warm-pool",
            format!("{size} instances are to wait {}", pool.state.name()),
            schedule.now(),
        );
        self.record_group_counts(id, schedule.now());
        self.reconcile_soon(id, schedule);
        Ok(())
    }

    /// DeleteWarmPool: its instances go, at once and without their hooks if the call forces it; the pool goes with the last.
    pub(super) fn delete_warm_pool(
        &mut self,
        group: &str,
        force: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_group(group)?;
        let Some(pool) = &mut self.state.groups[id.index()].warm_pool else {
            return Err(refuse(&format!("No warm pool found for Auto Scaling group {group}")));
        };
        pool.deleting = true;
        self.tell_pool(id, "delete-warm-pool", "its instances are terminated".to_owned(), schedule.now());
        if force {
            let all: Vec<InstanceId> = self.state.groups[id.index()]
                .instances()
                .filter(|instance| instance.lifecycle().is_warmed() && !instance.ec2_state().is_down())
                .map(|instance| instance.id)
                .collect();
            for instance in all {
                let leaving = self.state.instance(instance).is_some_and(|member| member.lifecycle().leaves_pool());
                if !leaving {
                    self.leave_pool(instance, "the warm pool was deleted", schedule);
                }
                if self.is_held(id, instance) {
                    self.shut_down(instance, schedule);
                }
            }
        }
        self.pool_may_be_gone(id);
        self.record_group_counts(id, schedule.now());
        self.reconcile_soon(id, schedule);
        Ok(())
    }

    fn tell_pool(&mut self, id: GroupId, action: &'static str, reason: String, now: SimTime) {
        self.decide(now, |state| Decision {
            actor: "auto-scaling-group",
            subject: state.resource_name(Resource::Group(id)),
            action,
            from: Value::Null,
            to: Value::Null,
            reason,
            rule: "ASG-41",
            inputs: json!({ "desired": state.groups[id.index()].desired(), "max": state.groups[id.index()].max() }),
        });
    }

    /// A pool that is being deleted goes with its last instance.
    pub(super) fn pool_may_be_gone(&mut self, id: GroupId) {
        let group = &mut self.state.groups[id.index()];
        if group.warm_pool.is_some_and(|pool| pool.deleting) && group.pool_count() + group.pool_terminating() == 0 {
            group.warm_pool = None;
        }
    }

    /// The warm pool moves towards its size.
    pub(super) fn keep_warm_pool(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let group = &self.state.groups[id.index()];
        if group.warm_pool.is_none() && group.pool_count() == 0 {
            return;
        }
        let (wanted, present) = (group.pool_size(), group.pool_count());
        if present < wanted && self.may_launch(id, schedule.now()) {
            self.launch_instances(id, wanted - present, Destination::WarmPool, schedule);
        } else if present > wanted && !group.is_suspended(ScalingProcess::Terminate) {
            for victim in choose_pool_victims(group, present - wanted) {
                let why = format!("the pool is to hold {wanted} instances");
                self.leave_pool(victim, &why, schedule);
            }
        }
        self.record_group_counts(id, schedule.now());
    }

    fn leave_pool(&mut self, id: InstanceId, why: &str, schedule: &mut Schedule<Event>) {
        self.terminate(id, TerminationCause::WarmPool, why, "ASG-41", schedule);
    }

    /// ASG-41: a group that scales out takes what is ready in its pool before it launches anything.
    pub(super) fn take_from_pool(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        while self.state.groups[id.index()].missing() > 0 && self.state.groups[id.index()].pool_warm() > 0 {
            let group = &self.state.groups[id.index()];
            let (name, now) = (&group.definition.name, schedule.now());
            let view = MarketView { markets: &self.markets, group: name, zones: &self.state.zones, now };
            let runtime = &mut self.groups[id.index()];
            let replacing = &runtime.replacing;
            // A stopped machine needs EC2 to have room for it again; one that a refresh is to replace is not worth taking.
            let usable = |instance: &Instance| {
                let pool = Launch {
                    zone: instance.zone(),
                    market: instance.market(),
                    instance_type: instance.instance_type.clone(),
                };
                !replacing.refreshes(instance.id) && (instance.ec2_state() == Ec2State::Running || view.room(&pool) > 0)
            };
            let Some(next) = next_warm(group, usable, &mut runtime.pool_chance) else { break };
            self.take_one(id, next, schedule);
        }
    }

    fn take_one(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        must(self.state.groups[group.index()].transition(id, Lifecycle::Pending, now));
        let runtime = &mut self.groups[group.index()];
        runtime.launching.insert(id);
        let cause = runtime.cause.as_str().into();
        let delays = &self.estate.delays;
        let running = delays.instance_launch.sample_duration(&mut runtime.pool_boot);
        let in_service = delays.instance_in_service.sample_duration(&mut runtime.pool_boot);
        let registered = delays.warm_start.sample_duration(&mut runtime.pool_boot);
        let Some(instance) = self.state.groups[group.index()].instance_mut(id) else { return };
        instance.launch_reason = cause;
        let (running, in_service, registered) = match (instance.ec2_state(), instance.running()) {
            (Ec2State::Stopped, _) => {
                must(instance.set_ec2_state(Ec2State::Pending, now));
                (Some(running), running.saturating_add(in_service), registered.max(running))
            }
            // What runs is in service at once; its agent finds out the next time it asks.
            (_, since) => {
                let ran = now.saturating_since(since.unwrap_or(now));
                (None, SimDuration::ZERO, AGENT_POLL - SimDuration::from_nanos(ran.as_nanos() % AGENT_POLL.as_nanos()))
            }
        };
        if let Some(running) = running {
            schedule.after(running, Event::Instance { instance: id, step: InstanceProgress::Running });
        }
        schedule.after(in_service, Event::Instance { instance: id, step: InstanceProgress::InService });
        schedule.after(registered, Event::Instance { instance: id, step: InstanceProgress::Registered });
        self.watch_lifetime(group, id, schedule);
        self.record_step(id, InstanceStep::TakenFromPool, now);
        self.record_launch(group, id, "ASG-41", now, None);
    }

    /// The machine that was launched into the pool, or came back to it, is up: its hooks, then the state it waits in.
    pub(super) fn on_instance_warmed(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        self.hold_or_warm(group, id, Transition::Launching, schedule);
    }

    fn hold_or_warm(&mut self, group: GroupId, id: InstanceId, transition: Transition, schedule: &mut Schedule<Event>) {
        if self.begin_hooks(group, id, transition, schedule) {
            must(self.state.groups[group.index()].transition(id, Lifecycle::WarmedPendingWait, schedule.now()));
            self.record_group_counts(group, schedule.now());
        } else {
            self.enter_pool(group, id, schedule);
        }
    }

    /// Nothing holds the instance on its way into the pool any more: it waits there.
    pub(super) fn enter_pool(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let entry = &mut self.state.groups[group.index()];
        let state = entry.warm_pool.map(|pool| pool.state).unwrap_or_default();
        must(entry.transition(id, state.lifecycle(), now));
        if let Some(instance) = entry.instance_mut(id).filter(|_| state != PoolState::Running) {
            must(instance.set_ec2_state(Ec2State::Stopped, now));
        }
        self.launches_succeed(group);
        self.record_step(id, InstanceStep::Warmed, now);
        if self.state.instance(id).is_some_and(|instance| instance.in_service.is_none()) {
            self.record_launch(group, id, "ASG-41", now, Some(now));
        }
        self.record_group_counts(group, now);
        // The size may have changed meanwhile, and a group that waits for nothing else may want it at once.
        self.reconcile_soon(group, schedule);
        self.replace_due(group, schedule);
    }

    /// Whether a victim of scale-in goes back into the pool (`InstanceReusePolicy`): there has to be room for it.
    pub(super) fn pool_takes_back(&self, group: GroupId, id: InstanceId) -> bool {
        let entry = &self.state.groups[group.index()];
        let reuses = entry.warm_pool.is_some_and(|pool: WarmPool| pool.reuse_on_scale_in);
        let sound = |instance: &Instance| {
            instance.lifecycle() == Lifecycle::InService && !instance.unhealthy && !instance.ec2_state().is_down()
        };
        reuses && entry.pool_count() < entry.pool_size() && entry.instance(id).is_some_and(sound)
    }

    /// Scale-in takes an instance out of service and into the pool; its container instance is deregistered.
    pub(super) fn return_to_pool(&mut self, id: InstanceId, why: &str, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(group) = self.state.group_of(id) else { return };
        must(self.state.groups[group.index()].transition(id, Lifecycle::WarmedPending, now));
        self.record_step(id, InstanceStep::ReturnedToPool, now);
        let reason = format!("it goes back into the warm pool: {why}");
        self.decide(now, |state| Decision {
            actor: "auto-scaling-group",
            subject: id.ec2_id().to_string(),
            action: "reuse",
            from: json!("InService"),
            to: json!("Warmed:Pending"),
            reason,
            rule: "ASG-41",
            inputs: json!({ "group": state.groups[group.index()].definition.name }),
        });
        self.deregister(group, id, schedule);
        self.leave_cluster(group, id, now);
        self.hold_or_warm(group, id, Transition::Terminating, schedule);
        self.record_group_counts(group, now);
    }
}

fn refuse(message: &str) -> Refused {
    Refused { code: "ValidationError", message: message.to_owned(), rule: "ASG-41" }
}
