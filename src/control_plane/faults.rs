//! What goes wrong because the scenario says so: `faults` (design, section 3).

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::estate::{Fault, FaultKind, FaultTime, TaskVictims, Victims};
use crate::control_plane::event::{ContainerStep, Event, TaskStep};
use crate::control_plane::impairments::{Effect, Impairments};
use crate::control_plane::markets::next_strike;
use crate::control_plane::record::Decision;
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ec2::instance::{Ec2State, Lifecycle, Market, TerminationCause};
use crate::ecs::capacity_provider::Provider;
use crate::ecs::ids::{ClusterId, InstanceId, TaskKey, ZoneId};
use crate::ecs::task::{LaunchTarget, StopCode, Task, TaskStatus};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;

impl ControlPlane<'_> {
    /// Schedules the first strike of every fault.
    pub(super) fn start_faults(&mut self, schedule: &mut Schedule<Event>) {
        for (place, fault) in self.estate.faults.iter().enumerate() {
            let mut chance = self.streams.named(&format!("fault/{place}"));
            match &fault.when {
                FaultTime::At(at) => schedule.at(*at, Event::Fault(place as u32)),
                FaultTime::Every(every) => schedule.after(next_strike(every, &mut chance), Event::Fault(place as u32)),
            };
            self.fault_chance.push(chance);
        }
    }

    /// A fault strikes.
    pub(super) fn on_fault(&mut self, index: u32, schedule: &mut Schedule<Event>) {
        let Some(fault) = self.estate.faults.get(index as usize) else { return };
        let now = schedule.now();
        if let FaultTime::Every(every) = &fault.when {
            schedule.after(next_strike(every, &mut self.fault_chance[index as usize]), Event::Fault(index));
        }
        let strike = self.strikes;
        self.strikes += 1;
        let until = fault.lasts.map(|lasts| now.saturating_add(lasts));
        match &fault.kind {
            FaultKind::SpotInterruption(victims) => {
                for id in self.strike_hosts(index, fault, victims, Some(Market::Spot), now) {
                    self.on_spot_notice(id, schedule);
                }
            }
            FaultKind::RebalanceRecommendation(victims) => {
                for id in self.strike_hosts(index, fault, victims, Some(Market::Spot), now) {
                    self.on_rebalance_recommendation(id, schedule);
                }
            }
            FaultKind::InstanceFailure(victims) => {
                for id in self.strike_hosts(index, fault, victims, None, now) {
                    self.machine_fails(id, TerminationCause::Failure, "its machine failed", schedule);
                }
            }
            FaultKind::FargateSpotInterruption(victims) => {
                let spot = LaunchTarget::Provider(Provider::FargateSpot);
                for key in self.strike_tasks(index, fault, victims, |task| task.launch == spot, now) {
                    self.interrupt_on_fargate(key, schedule);
                }
            }
            FaultKind::TaskCrash(victims) => {
                let running = |task: &Task| task.last_status == TaskStatus::Running;
                for key in self.strike_tasks(index, fault, victims, running, now) {
                    self.crash_task(key, schedule);
                }
            }
            FaultKind::PlatformRetirement(victims) => {
                let wait = self.fargate_retirement_wait;
                for key in self.strike_tasks(index, fault, victims, |task| task.launch.is_fargate(), now) {
                    schedule.after(wait, Event::Task { task: key, step: TaskStep::Retires });
                }
            }
            FaultKind::InsufficientCapacity(shortage) => {
                self.tell_fault(fault, "strike", 0, now);
                self.markets.begin_shortage(strike, shortage.clone());
            }
            FaultKind::AzOutage { zone } => {
                let Some(zone) = self.find_zone(zone) else { return };
                self.markets.begin_outage(strike, zone);
                self.zone_goes_out(zone, fault, schedule);
            }
            FaultKind::AzImpairment { zone } => {
                let Some(zone) = self.find_zone(zone) else { return };
                self.tell_fault(fault, "strike", 0, now);
                self.begin_effect(strike, Effect::ZoneImpaired { zone, from: now, until }, schedule);
            }
            FaultKind::DegradedHost { hosts, speed_permille } => {
                let hosts = self.strike_hosts(index, fault, hosts, None, now).into_iter().collect();
                self.begin_effect(strike, Effect::Degraded { hosts, permille: *speed_permille }, schedule);
            }
            FaultKind::AgentDisconnect(victims) => {
                let hosts = self.strike_hosts(index, fault, victims, None, now).into_iter().collect();
                self.begin_effect(strike, Effect::CutOff(hosts), schedule);
            }
            lasting => {
                let Some(effect) = effect_of(lasting) else { return };
                self.tell_fault(fault, "strike", 0, now);
                self.begin_effect(strike, effect, schedule);
            }
        }
        if let Some(lasts) = fault.lasts {
            schedule.after(lasts, Event::FaultOver { fault: index, strike });
        }
    }

    /// The hosts that a fault strikes, told of.
    fn strike_hosts(
        &mut self,
        index: u32,
        fault: &Fault,
        victims: &Victims,
        market: Option<Market>,
        now: SimTime,
    ) -> Vec<InstanceId> {
        let chosen = self.choose_hosts(index, victims, market);
        self.tell_fault(fault, "strike", chosen.len(), now);
        chosen
    }

    /// The tasks that a fault strikes, told of: wanted ones that fit, `count` of them at random, in order of creation.
    fn strike_tasks(
        &mut self,
        index: u32,
        fault: &Fault,
        victims: &TaskVictims,
        fits: impl Fn(&Task) -> bool,
        now: SimTime,
    ) -> Vec<TaskKey> {
        let state = &self.state;
        let mut chosen: Vec<(u64, TaskKey)> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.desired_running() && fits(task))
            .filter(|(_, task)| victims.cluster.as_ref().is_none_or(|name| state.cluster_name(task.cluster) == name))
            .filter(|(_, task)| victims.group.as_ref().is_none_or(|name| state.task_group_name(task.group) == name))
            .filter(|(_, task)| {
                let zone = task.zone.map(|zone| state.zone_name(zone));
                victims.zone.as_ref().is_none_or(|name| zone == Some(name.as_str()))
            })
            .map(|(key, task)| (task.number, key))
            .collect();
        chosen.sort_unstable_by_key(|(number, _)| *number);
        if let Some(count) = victims.count.map(|count| count as usize).filter(|count| *count < chosen.len()) {
            self.fault_chance[index as usize].shuffle(&mut chosen);
            chosen.truncate(count);
            chosen.sort_unstable_by_key(|(number, _)| *number);
        }
        self.decide(now, |_| Decision {
            actor: "fault",
            subject: fault.kind.name().to_owned(),
            action: "strike",
            from: Value::Null,
            to: Value::Null,
            reason: "as the scenario's faults say".to_owned(),
            rule: "",
            inputs: json!({ "tasks": chosen.len() }),
        });
        chosen.into_iter().map(|(_, key)| key).collect()
    }

    /// The main container of a task crashes; its restart policy may start it again (TD-20).
    fn crash_task(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(task) = self.state.tasks.get(key) else { return };
        let main = self.state.definitions[task.definition.index()].definition.main_container();
        let (place, start) = (main as u8, task.containers[main].starts);
        self.on_task_step(key, TaskStep::Container { place, start, step: ContainerStep::Crashes }, schedule);
    }

    /// A fault that lasted is over.
    pub(super) fn on_fault_over(&mut self, index: u32, strike: u64, schedule: &mut Schedule<Event>) {
        let Some(fault) = self.estate.faults.get(index as usize) else { return };
        self.tell_fault(fault, "over", 0, schedule.now());
        self.markets.end(strike);
        self.end_effect(strike, schedule);
        self.capacity_back(schedule);
        for place in 0..self.state.clusters.len() {
            self.rebalance_when_hosts_come(ClusterId(place as u32), schedule);
        }
    }

    /// Hosts that a fault of the scenario strikes: those that fit its description, `count` of them at random.
    fn choose_hosts(&mut self, index: u32, victims: &Victims, market: Option<Market>) -> Vec<InstanceId> {
        let named: Vec<InstanceId> = victims.instances.iter().filter_map(|name| self.find_instance(name)).collect();
        let state = &self.state;
        let mut chosen: Vec<InstanceId> = state
            .groups
            .iter()
            .filter(|group| victims.group.as_ref().is_none_or(|name| group.definition.name == *name))
            .flat_map(crate::ec2::auto_scaling_group::AutoScalingGroup::instances)
            .filter(|i| victims.instances.is_empty() || named.contains(&i.id))
            .filter(|i| market.is_none_or(|market| i.market() == market))
            .filter(|i| victims.instance_type.as_ref().is_none_or(|name| *i.instance_type == **name))
            .filter(|i| victims.zone.as_ref().is_none_or(|name| state.zone_name(i.zone()) == name))
            .filter(|i| matches!(i.ec2_state(), Ec2State::Pending | Ec2State::Running))
            .filter(|i| market.is_none() || i.spot_notice.is_none())
            .map(|i| i.id)
            .collect();
        chosen.sort_unstable();
        if let Some(count) = victims.count.map(|count| count as usize).filter(|count| *count < chosen.len()) {
            self.fault_chance[index as usize].shuffle(&mut chosen);
            chosen.truncate(count);
            chosen.sort_unstable();
        }
        chosen
    }

    fn tell_fault(&mut self, fault: &Fault, action: &'static str, hosts: usize, now: SimTime) {
        self.decide(now, |_| Decision {
            actor: "fault",
            subject: fault.kind.name().to_owned(),
            action,
            from: Value::Null,
            to: Value::Null,
            reason: "as the scenario's faults say".to_owned(),
            rule: "",
            inputs: json!({ "hosts": hosts }),
        });
    }

    /// A whole zone is gone: its hosts fail, its Fargate tasks are lost, and nothing is launched there until it is back.
    fn zone_goes_out(&mut self, zone: ZoneId, fault: &Fault, schedule: &mut Schedule<Event>) {
        let mut hosts: Vec<InstanceId> = self
            .state
            .groups
            .iter()
            .flat_map(crate::ec2::auto_scaling_group::AutoScalingGroup::instances)
            .filter(|i| i.zone() == zone && !i.ec2_state().is_down())
            .map(|i| i.id)
            .collect();
        hosts.sort_unstable();
        self.tell_fault(fault, "strike", hosts.len(), schedule.now());
        for id in hosts {
            self.machine_fails(id, TerminationCause::Failure, "its Availability Zone is out", schedule);
        }
        let mut tasks: Vec<(u64, TaskKey)> = self
            .state
            .tasks
            .iter()
            .filter(|(_, task)| task.launch.is_fargate() && task.zone == Some(zone))
            .map(|(key, task)| (task.number, key))
            .collect();
        tasks.sort_unstable_by_key(|(number, _)| *number);
        for (_, key) in tasks {
            // The loss of one may have ended another.
            if self.state.tasks.contains_key(key) {
                self.lose_task(key, StopCode::TerminationNotice, "Its Availability Zone is out.", schedule);
            }
        }
    }

    /// A machine ends without anybody in the group having asked: its tasks are lost with it (DRN-6), and the group finds
    /// out at its next health check (ASG-16, ASG-38).
    pub(super) fn machine_fails(
        &mut self,
        id: InstanceId,
        cause: TerminationCause,
        why: &str,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let Some(group_id) = self.state.group_of(id) else { return };
        let group = &mut self.state.groups[group_id.index()];
        let checks = !group.is_suspended(ScalingProcess::HealthCheck);
        let Some(instance) = group.instance_mut(id).filter(|i| !i.ec2_state().is_down()) else { return };
        // EC2-24 asks for the cause when the machine goes down.
        instance.termination_cause = Some(cause);
        instance.termination_reason = format!("{cause}: {why}").into();
        let lifecycle = instance.lifecycle();
        if lifecycle.is_terminating() || lifecycle.leaves_pool() {
            self.shut_down(id, schedule);
            return;
        }
        self.machine_down(id, schedule);
        self.decide(now, |state| Decision {
            actor: "ec2",
            subject: id.ec2_id().to_string(),
            action: "fail",
            from: Value::Null,
            to: Value::Null,
            reason: why.to_owned(),
            rule: if cause == TerminationCause::SpotInterruption { "ASG-38" } else { "ASG-16" },
            inputs: json!({ "group": state.groups[group_id.index()].definition.name }),
        });
        if lifecycle.is_pending() || lifecycle.is_warmed() {
            self.terminate(id, cause, why, "ASG-16", schedule);
            self.reconcile_soon(group_id, schedule);
        } else if lifecycle == Lifecycle::InService && checks {
            self.found_dead(id, schedule);
        }
    }

    /// The machines that failed while the group's health checks were suspended are found when they are resumed (ASG-43).
    pub(super) fn health_checks_resumed(&mut self, group: crate::ecs::ids::GroupId, schedule: &mut Schedule<Event>) {
        let dead: Vec<InstanceId> = self.state.groups[group.index()]
            .instances()
            .filter(|i| i.lifecycle() == Lifecycle::InService && i.ec2_state() == Ec2State::ShuttingDown)
            .map(|i| i.id)
            .collect();
        for id in dead {
            self.found_dead(id, schedule);
        }
    }
}

/// What lasts of a fault that strikes no host or task by itself.
fn effect_of(kind: &FaultKind) -> Option<Effect> {
    Some(match kind {
        FaultKind::FargateShortage(short) => Effect::FargateShortage(short.clone()),
        FaultKind::ImagePullFailure(pulls) => Effect::Pulls(pulls.clone()),
        FaultKind::SlowBoot(boots) => Effect::SlowBoot(boots.clone()),
        FaultKind::MetricDelay { metrics, by } => Effect::MetricDelay(metrics.clone(), *by),
        FaultKind::MetricGap(metrics) => Effect::MetricGap(metrics.clone()),
        FaultKind::ApiThrottling(throttling) => Impairments::throttled(*throttling),
        _ => return None,
    })
}
