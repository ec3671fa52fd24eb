//! Calls about groups: their sizes, zones, templates and processes (ASG-1, ASG-6, ASG-36, ASG-43).

use crate::control_plane::ControlPlane;
use crate::control_plane::api::UpdateAutoScalingGroup;
use crate::control_plane::event::Event;
use crate::ec2::auto_scaling_group::{GroupError, InstanceTypes, ScalingProcess};
use crate::ec2::instance::TerminationCause;
use crate::ec2::termination_policy::TerminationPolicy;
use crate::ecs::capacity_provider::weights_refused;
use crate::ecs::ids::GroupId;
use crate::engine::simulation::Schedule;
use crate::refused::Refused;

impl ControlPlane<'_> {
    /// UpdateAutoScalingGroup and SetDesiredCapacity (ASG-1).
    pub(super) fn update_group(
        &mut self,
        call: &UpdateAutoScalingGroup,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_group(&call.group)?;
        if call.honor_cooldown && self.groups[id.index()].simple.cooldown_until(schedule.now()).is_some() {
            return Err(Refused {
                code: "ScalingActivityInProgress",
                message: "The scaling activity's cooldown has not ended.".to_owned(),
                rule: "ASG-26",
            });
        }
        let zones = call.availability_zones.as_deref().map(|names| self.find_zones(names)).transpose()?;
        let refuse = |error: GroupError| Refused { code: "ValidationError", message: error.to_string(), rule: "ASG-1" };
        if zones.as_ref().is_some_and(Vec::is_empty) {
            return Err(refuse(GroupError::NoZone));
        }
        self.check_types(id, call.types.as_ref())?;
        let custom = call.termination_policies.as_ref().is_some_and(|list| list.contains(&TerminationPolicy::Custom));
        if custom && self.state.groups[id.index()].definition.termination_function.is_none() {
            let message = "The group has no terminationFunction that says what its Lambda function returns.".to_owned();
            return Err(Refused { code: "ValidationError", message, rule: "ASG-8" });
        }
        let group = &mut self.state.groups[id.index()];
        let before = group.desired();
        group.update_size(call.min_size, call.max_size, call.desired_capacity).map_err(refuse)?;
        if let Some(protected) = call.new_instances_protected {
            group.new_instances_protected = protected;
        }
        let definition = &mut group.definition;
        if let Some(policies) = &call.termination_policies {
            definition.termination_policies.clone_from(policies);
        }
        set(&mut definition.default_cooldown, call.default_cooldown);
        set(&mut definition.default_instance_warmup, call.default_instance_warmup);
        set(&mut definition.health_check_grace, call.health_check_grace);
        set(&mut definition.capacity_rebalance, call.capacity_rebalance);
        set(&mut definition.maintenance_policy, call.maintenance_policy);
        let lifetime = definition.max_instance_lifetime;
        set(&mut definition.max_instance_lifetime, call.max_instance_lifetime);
        let lifetime_changed = definition.max_instance_lifetime != lifetime;
        set(&mut definition.balanced_only, call.balanced_only);
        if let Some(zones) = zones {
            group.set_zones(zones).map_err(refuse)?;
        }
        if call.launch_from.is_some() || call.types.is_some() {
            group.set_launch(call.launch_from.clone(), call.types.clone());
        }
        let pooled = group.warm_pool.is_some();
        let after = group.desired();
        self.launch_template_changed(id);
        if lifetime_changed {
            self.lifetime_changed(id, schedule);
        }
        self.rebalance_soon(id, schedule);
        if pooled {
            // Its size follows MaxSize too (ASG-41).
            self.reconcile_soon(id, schedule);
        }
        let cause = format!(
            "a user request explicitly set group desired capacity changing the desired capacity from {before} to {after}"
        );
        self.group_desired_moved(id, before, cause, schedule);
        self.outlook_changed(id, schedule.now());
        Ok(())
    }

    /// TerminateInstanceInAutoScalingGroup (TP-6).
    pub(super) fn terminate_call(
        &mut self,
        name: &str,
        decrement: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let unknown = || Refused {
            code: "ValidationError",
            message: format!("Instance Id not found - No managed instance found for instance ID: {name}"),
            rule: "TP-6",
        };
        let id = self.find_instance(name).ok_or_else(unknown)?;
        let group_id = self.state.group_of(id).ok_or_else(unknown)?;
        let group = &mut self.state.groups[group_id.index()];
        let Some(instance) = group.instance(id) else { return Err(unknown()) };
        let (lifecycle, weight) = (instance.lifecycle(), instance.weight);
        let pooled = lifecycle.is_warm() || lifecycle.is_warming();
        if !lifecycle.counts_against_desired() && !pooled {
            return Err(unknown());
        }
        if decrement && !pooled {
            if group.desired().saturating_sub(weight) < group.min() || group.desired() == group.min() {
                return Err(Refused {
                    code: "ValidationError",
                    message: format!(
                        "Currently, desiredSize equals minSize ({0}). Terminating instance without replacement will \
                         violate group's min size constraint.",
                        group.min()
                    ),
                    rule: "ASG-1",
                });
            }
            let desired = group.desired() - weight;
            group.set_desired(desired);
        }
        self.terminate(id, TerminationCause::Operator, "TerminateInstanceInAutoScalingGroup", "TP-6", schedule);
        self.group_desired_changed(group_id, schedule);
        Ok(())
    }

    /// SuspendProcesses and ResumeProcesses (ASG-43).
    pub(super) fn suspend_processes(
        &mut self,
        group: &str,
        processes: &[String],
        suspend: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_group(group)?;
        let mut named = Vec::new();
        for name in processes {
            named.push(name.parse::<ScalingProcess>().map_err(|error| Refused {
                code: "ValidationError",
                message: error.to_string(),
                rule: "ASG-43",
            })?);
        }
        let all = if named.is_empty() { &ScalingProcess::ALL[..] } else { &named[..] };
        for process in all {
            self.state.groups[id.index()].set_suspended(*process, suspend);
        }
        self.outlook_changed(id, schedule.now());
        if !suspend && all.contains(&ScalingProcess::Launch) {
            self.launches_succeed(id);
        }
        if !suspend && all.contains(&ScalingProcess::HealthCheck) {
            self.health_checks_resumed(id, schedule);
        }
        self.reconcile_soon(id, schedule);
        Ok(())
    }

    /// The group called `name`, or AWS's refusal.
    pub(super) fn find_group(&self, name: &str) -> Result<GroupId, Refused> {
        self.state
            .groups
            .iter()
            .position(|group| group.definition.name == name)
            .map(|place| GroupId(place as u32))
            .ok_or_else(|| Refused {
                code: "ValidationError",
                message: format!("AutoScalingGroup name not found - no such group: {name}"),
                rule: "ASG-1",
            })
    }

    /// What AWS refuses of a change of instance types: weights under a capacity provider (CP-16), and several types beside
    /// a warm pool (ASG-41).
    pub(super) fn check_types(&self, id: GroupId, types: Option<&InstanceTypes>) -> Result<(), Refused> {
        let Some(types) = types else { return Ok(()) };
        if !types.weights.is_empty() && self.groups[id.index()].provider.is_some() {
            return Err(weights_refused(&self.state.groups[id.index()].definition.name));
        }
        if types.distribution.is_some() && self.state.groups[id.index()].warm_pool.is_some() {
            let message = "You can't use a mixed instances policy with an Auto Scaling group that has a warm pool.";
            return Err(Refused { code: "ValidationError", message: message.to_owned(), rule: "ASG-41" });
        }
        Ok(())
    }
}

/// What a call says replaces what was; what it does not mention stays.
fn set<T: Copy>(field: &mut T, said: Option<T>) {
    if let Some(value) = said {
        *field = value;
    }
}
