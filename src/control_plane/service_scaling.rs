//! Scaling policies at work: Application Auto Scaling for services, EC2 Auto Scaling for groups (AAS-*, ASG-21…32).
//!
//! An alarm's action invokes a policy; the policy's verdict, computed in [`crate::scaling`], is applied here and becomes
//! a scaling activity.

use std::collections::BTreeMap;

use serde_json::{Map, json};

use crate::arn;
use crate::control_plane::ControlPlane;
use crate::control_plane::actions::invalid;
use crate::control_plane::alarms::{ActionTarget, AlarmActions};
use crate::control_plane::api::{PutScalingPolicy, RegisterScalableTarget};
use crate::control_plane::event::Event;
use crate::control_plane::predictive_scaling::{PredictedCapacity, Predictor, predicted_floor};
use crate::control_plane::record::{Activity, Resource};
use crate::control_plane::scaling_log::evidence;
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ecs::ids::{AlarmId, GroupId, PolicyId, ScalableTargetId, ServiceId};
use crate::ecs::service::ServiceStatus;
use crate::engine::simulation::Schedule;
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::{AlarmState, Evaluation};
use crate::scaling::formula::Formula;
use crate::scaling::metric::Datapoint;
use crate::scaling::policy::{self, GroupView, NotScaledReason, PolicyDefinition, Verdict, instance_warmup};
use crate::scaling::scalable_target::{self, Direction, ScaledResource, ScalingState, TargetView, into_bounds};
use crate::scaling::scheduled_action::Sizes;
use crate::scaling::target_tracking::{self, Vote};
use crate::scaling::{predictive_scaling, step_scaling};

/// Scalable targets and policies of one run.
#[derive(Debug)]
pub(super) struct ServiceScaling {
    pub(super) targets: Vec<ScalableTarget>,
    pub(super) by_service: BTreeMap<ServiceId, ScalableTargetId>,
    pub(super) policies: Vec<Policy>,
    /// Policies invoked at this instant, waiting for its round.
    invoked: Vec<Invocation>,
    /// The last not-scaled answer per resource and actor, for the decision log.
    pub(super) last_answers: BTreeMap<(Resource, &'static str), Option<NotScaledReason>>,
    /// Ids of managed alarms.
    chance: Stream,
}

/// A registered service (AAS-1).
#[derive(Debug)]
pub(super) struct ScalableTarget {
    pub(super) service: ServiceId,
    pub(super) min: u32,
    pub(super) max: u32,
    /// Whether the desired count has still to move into the bounds, as a call to do so has failed (AAS-2).
    pub(super) moves_into_bounds: bool,
    in_suspended: bool,
    out_suspended: bool,
    scheduled_suspended: bool,
    pub(super) state: ScalingState,
    /// The activity that is Pending or InProgress.
    pub(super) activity: Option<Activity>,
    /// What that activity sets.
    pub(super) wanted: u32,
    /// What forecasts ask for until when (PRED-8).
    pub(super) predicted: Vec<PredictedCapacity>,
    /// When a scheduled action last changed it (SCH-9).
    pub(super) scheduled_at: Option<SimTime>,
    /// The last not-scaled reason recorded: an identical one is recorded once (AAS-16).
    pub(super) last_not_scaled: Option<NotScaledReason>,
    exists: bool,
}

/// A scaling policy.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) resource: PolicyResource,
    pub(super) definition: PolicyDefinition,
    /// Managed alarms of a target tracking policy.
    pub(super) high: Option<AlarmId>,
    pub(super) low: Option<AlarmId>,
    /// What a predictive policy knows.
    pub(super) predictor: Option<Predictor>,
    pub(super) exists: bool,
}

/// A policy that an alarm has invoked at this instant.
#[derive(Debug)]
struct Invocation {
    policy: PolicyId,
    alarm: AlarmId,
    evaluation: Evaluation,
}

/// What an invoked policy answers, with what it takes to apply it.
#[derive(Debug)]
pub(super) struct Answer {
    about: Resource,
    actor: &'static str,
    pub(super) desired: u32,
    cooldown: Option<SimDuration>,
    pub(super) cause: String,
    verdict: Verdict,
    policy: PolicyId,
    alarm: AlarmId,
    /// What the alarm looked at.
    datapoints: Vec<Datapoint>,
}

/// What a policy or a scheduled action scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PolicyResource {
    Target(ScalableTargetId),
    Group(GroupId),
}

impl ServiceScaling {
    pub(super) fn new(streams: &Streams) -> Self {
        Self {
            targets: Vec::new(),
            by_service: BTreeMap::new(),
            policies: Vec::new(),
            invoked: Vec::new(),
            last_answers: BTreeMap::new(),
            chance: streams.named("alarm-ids"),
        }
    }
}

impl ControlPlane<'_> {
    /// `register-scalable-target`: the desired count moves into the bounds at once (AAS-2).
    pub(super) fn register_scalable_target(
        &mut self,
        call: &RegisterScalableTarget,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let service = self.find_service(&call.cluster, &call.service)?;
        let known = self.scaling.by_service.get(&service).copied();
        let present = known.map(|id| &self.scaling.targets[id.index()]).map(|target| (target.min, target.max));
        let (Some(min), Some(max)) =
            (call.min_capacity.or(present.map(|(min, _)| min)), call.max_capacity.or(present.map(|(_, max)| max)))
        else {
            return Err(validation("AAS-1", "MinCapacity and MaxCapacity are required for a new scalable target."));
        };
        if min > max {
            return Err(validation("AAS-1", "Maximum capacity cannot be less than minimum capacity"));
        }
        let id = known.unwrap_or(ScalableTargetId(self.scaling.targets.len() as u32));
        if known.is_none() {
            scalable_target::check_count(self.scaling.by_service.len() + 1)?;
            self.scaling.targets.push(ScalableTarget {
                service,
                min,
                max,
                moves_into_bounds: false,
                in_suspended: false,
                out_suspended: false,
                scheduled_suspended: false,
                state: ScalingState::default(),
                activity: None,
                wanted: 0,
                predicted: Vec::new(),
                scheduled_at: None,
                last_not_scaled: None,
                exists: true,
            });
            self.scaling.by_service.insert(service, id);
        }
        let target = &mut self.scaling.targets[id.index()];
        target.in_suspended = call.scale_in_suspended.unwrap_or(target.in_suspended);
        target.out_suspended = call.scale_out_suspended.unwrap_or(target.out_suspended);
        target.scheduled_suspended = call.scheduled_suspended.unwrap_or(target.scheduled_suspended);
        self.set_bounds(id, (min, max), "register-scalable-target", "AAS-2", schedule);
        Ok(())
    }

    /// `deregister-scalable-target`: policies and scheduled actions go with it (AAS-11).
    pub(super) fn deregister_scalable_target(
        &mut self,
        cluster: &str,
        service: &str,
        now: SimTime,
    ) -> Result<(), Refused> {
        let resource = ScaledResource::Service { cluster: cluster.to_owned(), service: service.to_owned() };
        if let PolicyResource::Target(target) = self.find_policy_resource(&resource)? {
            self.scaling_of_service_deleted(self.scaling.targets[target.index()].service, now);
        }
        Ok(())
    }

    /// New bounds of a scalable target: the desired count moves into them at once (AAS-2, SCH-2).
    ///
    /// No policy asked, so no cooldown holds it back or follows it (TT-22).
    pub(super) fn set_bounds(
        &mut self,
        id: ScalableTargetId,
        (min, max): (u32, u32),
        actor: &'static str,
        rule: &'static str,
        schedule: &mut Schedule<Event>,
    ) {
        let target = &mut self.scaling.targets[id.index()];
        (target.min, target.max) = (min, max);
        let service = target.service;
        let desired = self.state.services[service.index()].desired;
        target.moves_into_bounds = false;
        let Some(bounded) = into_bounds(desired, min, max) else { return };
        target.moves_into_bounds = true;
        target.state.abandon();
        let bound = if bounded > desired { "minimum" } else { "maximum" };
        self.start_activity(id, bounded, format!("{bound} capacity was set to {bounded}"), schedule);
        let inputs = vec![("min", f64::from(min)), ("max", f64::from(max))];
        let verdict = Verdict::SetDesired { to: bounded, rule, inputs, formula: Formula::Bounds { min, max } };
        self.decide_scaling(Resource::Service(service), actor, desired, &verdict, |_| Map::new(), schedule.now());
    }

    /// Bounds and desired count of a scalable target.
    pub(super) fn target_sizes(&self, id: ScalableTargetId) -> Sizes {
        let target = &self.scaling.targets[id.index()];
        let desired = self.state.services[target.service.index()].desired;
        Sizes { min: target.min, max: target.max, desired }
    }

    /// The service that a scalable target scales.
    pub(super) fn target_resource(&self, id: ScalableTargetId) -> Resource {
        Resource::Service(self.scaling.targets[id.index()].service)
    }

    /// `ScheduledScalingSuspended` (AAS-10).
    pub(super) fn is_scheduled_scaling_suspended(&self, id: ScalableTargetId) -> bool {
        self.scaling.targets[id.index()].scheduled_suspended
    }

    /// `put-scaling-policy`: target tracking brings its own alarms (TT-2), anew at each call (TT-7).
    pub(super) fn put_scaling_policy(
        &mut self,
        call: &PutScalingPolicy,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        call.policy.check(&call.resource)?;
        let resource = self.find_policy_resource(&call.resource)?;
        let known = self
            .scaling
            .policies
            .iter()
            .position(|policy| policy.exists && policy.name == call.name && policy.resource == resource);
        let mut beside = 0;
        for (place, other) in self.scaling.policies.iter().enumerate() {
            if !other.exists || other.resource != resource || Some(place) == known {
                continue;
            }
            beside += 1;
            match (&call.policy, &other.definition) {
                (PolicyDefinition::TargetTracking(new), PolicyDefinition::TargetTracking(other)) => {
                    target_tracking::check_beside(new, other)?;
                }
                (PolicyDefinition::Predictive(new), PolicyDefinition::Predictive(other)) => {
                    predictive_scaling::check_beside(new, other)?;
                }
                _ => {}
            }
        }
        policy::check_count(&call.resource, beside + 1)?;
        let id = PolicyId(known.unwrap_or(self.scaling.policies.len()) as u32);
        match known {
            Some(place) => {
                self.drop_managed_alarms(id, schedule.now());
                self.scaling.policies[place].definition = call.policy.clone();
            }
            None => self.scaling.policies.push(Policy {
                name: call.name.clone(),
                resource,
                definition: call.policy.clone(),
                high: None,
                low: None,
                predictor: None,
                exists: true,
            }),
        }
        if let PolicyDefinition::TargetTracking(policy) = &call.policy {
            let chance = std::array::from_fn(|_| self.scaling.chance.next_u64());
            let alarms =
                target_tracking::managed_alarms(policy, &call.resource, self.estate.behaviour.tt_low_factor, chance);
            let about = self.policy_resource(id);
            let mut add = |plane: &mut Self, definition| {
                plane.add_alarm(definition, about, AlarmActions::on_alarm(ActionTarget::Policy(id)), None, schedule)
            };
            let high = add(self, alarms.high);
            let low = alarms.low.map(|definition| add(self, definition));
            let policy = &mut self.scaling.policies[id.index()];
            (policy.high, policy.low) = (Some(high), low);
        }
        self.scaling.policies[id.index()].predictor = match &call.policy {
            PolicyDefinition::Predictive(policy) => self.start_predicting(id, policy, &call.resource, schedule),
            _ => None,
        };
        Ok(())
    }

    /// `delete-scaling-policy`, with its managed alarms (TT-7); a step policy's alarm stays (STEP-12).
    pub(super) fn delete_scaling_policy(
        &mut self,
        name: &str,
        resource: &ScaledResource,
        now: SimTime,
    ) -> Result<(), Refused> {
        let resource = self.find_policy_resource(resource)?;
        let place = self
            .scaling
            .policies
            .iter()
            .position(|policy| policy.exists && policy.name == name && policy.resource == resource)
            .ok_or_else(|| Refused {
                code: "ObjectNotFoundException",
                message: format!("No scaling policy found for policy name: {name}"),
                rule: "TT-7",
            })?;
        self.drop_managed_alarms(PolicyId(place as u32), now);
        self.scaling.policies[place].exists = false;
        Ok(())
    }

    fn drop_managed_alarms(&mut self, id: PolicyId, now: SimTime) {
        let policy = &mut self.scaling.policies[id.index()];
        for alarm in [policy.high.take(), policy.low.take()].into_iter().flatten() {
            self.state.alarms[alarm.index()].deleted = Some(now);
        }
    }

    /// The scalable target or group of that name, or AWS's refusal.
    pub(super) fn find_policy_resource(&self, resource: &ScaledResource) -> Result<PolicyResource, Refused> {
        match resource {
            ScaledResource::Service { cluster, service } => {
                let found = self.find_service(cluster, service).ok();
                let target = found
                    .and_then(|service| self.scaling.by_service.get(&service))
                    .filter(|id| self.scaling.targets[id.index()].exists);
                target.map(|id| PolicyResource::Target(*id)).ok_or_else(|| Refused {
                    code: "ObjectNotFoundException",
                    message: format!(
                        "No scalable target registered for service namespace: ecs, resource ID: \
                         service/{cluster}/{service}, scalable dimension: ecs:service:DesiredCount"
                    ),
                    rule: "AAS-1",
                })
            }
            ScaledResource::Group { group } => self.find_group(group).map(PolicyResource::Group),
        }
    }

    /// A policy by its ARN, which names what it scales too, or by a name that is its alone.
    ///
    /// Two services may each have a policy of one name: then only the ARN tells them apart, and the name finds the first.
    pub(super) fn find_policy(&self, name: &str) -> Option<PolicyId> {
        let (scope, short) = arn::policy(name)?;
        let fits = |policy: &Policy| match (scope, policy.resource) {
            (None, _) => true,
            (Some(scope), PolicyResource::Target(target)) => {
                let service = self.scaling.targets[target.index()].service;
                scope.ends_with(&self.state.resource_name(Resource::Service(service)))
            }
            (Some(scope), PolicyResource::Group(group)) => scope
                .rsplit_once("autoScalingGroupName/")
                .is_some_and(|(_, of)| of == self.state.groups[group.index()].definition.name),
        };
        self.scaling
            .policies
            .iter()
            .position(|policy| policy.exists && policy.name == short && fits(policy))
            .map(|place| PolicyId(place as u32))
    }

    /// What a policy scales.
    pub(super) fn policy_resource(&self, id: PolicyId) -> Option<Resource> {
        Some(match self.scaling.policies.get(id.index())?.resource {
            PolicyResource::Target(target) => self.target_resource(target),
            PolicyResource::Group(group) => Resource::Group(group),
        })
    }

    /// The service is gone, or its target: policies, managed alarms and scheduled actions go with it (AAS-11).
    pub(super) fn scaling_of_service_deleted(&mut self, service: ServiceId, now: SimTime) {
        let Some(target) = self.scaling.by_service.remove(&service) else { return };
        self.scaling.targets[target.index()].exists = false;
        self.forget_scheduled_actions(target);
        for place in 0..self.scaling.policies.len() {
            if self.scaling.policies[place].resource == PolicyResource::Target(target) {
                self.drop_managed_alarms(PolicyId(place as u32), now);
                self.scaling.policies[place].exists = false;
            }
        }
    }

    /// An alarm invokes a policy with the datapoints it used (ALM-23); the round at the end of this instant decides.
    pub(super) fn invoke_policy(
        &mut self,
        policy: PolicyId,
        alarm: AlarmId,
        evaluation: Evaluation,
        schedule: &mut Schedule<Event>,
    ) {
        if self.scaling.invoked.is_empty() {
            schedule.at(schedule.now(), Event::ScalingRound);
        }
        self.scaling.invoked.push(Invocation { policy, alarm, evaluation });
    }

    /// Of the policies invoked at one instant for one resource, the largest result wins (AAS-9, EC2S-5).
    pub(super) fn on_scaling_round(&mut self, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let mut by_resource: BTreeMap<PolicyResource, Vec<Invocation>> = BTreeMap::new();
        let mut invoked = std::mem::take(&mut self.scaling.invoked);
        // Of two that ask for the same, the one put first scales, and its cooldown follows: not the one whose alarm
        // happened to be evaluated first.
        invoked.sort_by_key(|invocation| invocation.policy);
        for invocation in invoked {
            let policy = &self.scaling.policies[invocation.policy.index()];
            if policy.exists {
                by_resource.entry(policy.resource).or_default().push(invocation);
            }
        }
        for (resource, invocations) in by_resource {
            let answers: Vec<Answer> = invocations
                .iter()
                .filter_map(|invocation| match resource {
                    PolicyResource::Target(target) => self.ask_for_service(target, invocation, now),
                    PolicyResource::Group(group) => self.ask_for_group(group, invocation, now),
                })
                .collect();
            let verdicts: Vec<Verdict> = answers.iter().map(|answer| answer.verdict.clone()).collect();
            let winner = policy::winner(&verdicts);
            let most = winner.and_then(|place| verdicts[place].to());
            for (place, answer) in answers.into_iter().enumerate() {
                let policy = self.scaling.policies[answer.policy.index()].name.clone();
                let vetoes = match &answer.verdict {
                    Verdict::NotScaled { reason: NotScaledReason::Vetoed, .. } => self.vetoes(resource),
                    _ => Vec::new(),
                };
                let outvoted = most.filter(|_| winner != Some(place));
                self.decide_scaling(
                    answer.about,
                    answer.actor,
                    answer.desired,
                    &answer.verdict.clone().outvoted(outvoted),
                    |state| {
                        let alarm = &state.alarms[answer.alarm.index()].alarm.definition;
                        let mut evidence = evidence(alarm, &answer.datapoints, Some(policy));
                        if !vetoes.is_empty() {
                            evidence.insert("vetoed_by".to_owned(), json!(vetoes));
                        }
                        evidence
                    },
                    now,
                );
                let scales = winner == Some(place);
                match (resource, &answer.verdict) {
                    (PolicyResource::Target(target), Verdict::SetDesired { to, .. }) if scales => {
                        self.scale_service(target, *to, &answer, schedule);
                    }
                    (PolicyResource::Target(target), Verdict::NotScaled { reason, .. }) => {
                        self.note_not_scaled(target, &answer, *reason, now);
                    }
                    (PolicyResource::Group(group), Verdict::SetDesired { to, .. }) if scales => {
                        self.scale_group(group, *to, &answer, schedule);
                    }
                    _ => {}
                }
            }
        }
    }

    /// What predictive scaling sees of a target; other policies see [`Self::view_with_floor`].
    pub(super) fn target_view(&self, target: &ScalableTarget) -> TargetView {
        let service = &self.state.services[target.service.index()];
        TargetView {
            running: service.running,
            desired: service.desired,
            min: target.min,
            max: target.max,
            deployment_in_progress: service.is_deploying(),
            scale_in_suspended: target.in_suspended,
            scale_out_suspended: target.out_suspended,
        }
    }

    /// PRED-8: within its hour a forecast is the least that other policies may leave.
    fn view_with_floor(&self, target: &ScalableTarget, now: SimTime) -> TargetView {
        let view = self.target_view(target);
        if !self.estate.behaviour.predicted_capacity_is_floor {
            return view;
        }
        let floor = predicted_floor(&target.predicted, now).unwrap_or(0);
        TargetView { min: view.min.max(floor).min(view.max), ..view }
    }

    fn ask_for_service(&self, target_id: ScalableTargetId, invocation: &Invocation, now: SimTime) -> Option<Answer> {
        let Invocation { policy: id, alarm, evaluation } = invocation;
        let policy = &self.scaling.policies[id.index()];
        let target = &self.scaling.targets[target_id.index()];
        if !target.exists || self.state.services[target.service.index()].status != ServiceStatus::Active {
            return None;
        }
        let view = self.view_with_floor(target, now);
        let behaviour = &self.estate.behaviour;
        let (verdict, cooldowns, actor) = match &policy.definition {
            PolicyDefinition::TargetTracking(tracking) => {
                let verdict = if policy.high == Some(*alarm) {
                    let value = target_tracking::tracked_value(&evaluation.datapoints, behaviour.tt_metric_sample);
                    target_tracking::on_high(tracking.target, value, &view, &target.state, behaviour, now)
                } else {
                    let votes = self.votes(PolicyResource::Target(target_id));
                    target_tracking::on_low(&votes, &view, &target.state, behaviour, now)
                };
                (verdict, (tracking.scale_out_cooldown, tracking.scale_in_cooldown), "target-tracking")
            }
            PolicyDefinition::Step(step) => {
                let alarm = &self.state.alarms[alarm.index()].alarm.definition;
                let verdict = step_scaling::on_alarm(step, alarm, &evaluation.datapoints, &view, &target.state, now);
                (verdict, (step.cooldown, step.cooldown), "step-scaling")
            }
            PolicyDefinition::Simple(_) | PolicyDefinition::Predictive(_) => return None,
        };
        let out = verdict.to().is_some_and(|to| to > view.desired);
        Some(Answer {
            about: Resource::Service(target.service),
            actor,
            desired: view.desired,
            cooldown: Some(if out { cooldowns.0 } else { cooldowns.1 }),
            cause: self.alarm_cause(*id, *alarm),
            verdict,
            policy: *id,
            alarm: *alarm,
            datapoints: evaluation.datapoints.clone(),
        })
    }

    fn scale_service(&mut self, id: ScalableTargetId, to: u32, answer: &Answer, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let direction = if to > answer.desired { Direction::Out } else { Direction::In };
        let target = &mut self.scaling.targets[id.index()];
        let service = target.service;
        let running = self.state.services[service.index()].running;
        target.state.begin(direction, running, answer.cooldown.unwrap_or_default(), now);
        target.last_not_scaled = None;
        target.moves_into_bounds = false;
        self.start_activity(id, to, answer.cause.clone(), schedule);
    }

    /// The votes of TT-24 and TT-25: every target tracking policy of the resource whose scale-in is enabled.
    fn votes(&self, resource: PolicyResource) -> Vec<Vote> {
        self.scaling
            .policies
            .iter()
            .filter(|policy| policy.exists && policy.resource == resource)
            .filter_map(|policy| match (&policy.definition, policy.low) {
                (PolicyDefinition::TargetTracking(tracking), Some(low)) => Some((tracking, low)),
                _ => None,
            })
            .map(|(tracking, low)| {
                let ready = self.state.alarms[low.index()].alarm.state == AlarmState::Alarm;
                let evaluation = self.cloudwatch.alarms[low.index()].evaluation.as_ref();
                let value = evaluation.and_then(|evaluation| {
                    target_tracking::tracked_value(&evaluation.datapoints, self.estate.behaviour.tt_metric_sample)
                });
                Vote { ready, value, target: tracking.target }
            })
            .collect()
    }

    fn alarm_cause(&self, policy: PolicyId, alarm: AlarmId) -> String {
        format!(
            "monitor alarm {} in state ALARM triggered policy {}",
            self.state.alarms[alarm.index()].alarm.definition.name,
            self.scaling.policies[policy.index()].name
        )
    }

    fn ask_for_group(&self, group_id: GroupId, invocation: &Invocation, now: SimTime) -> Option<Answer> {
        let Invocation { policy: id, alarm, evaluation } = invocation;
        let group = &self.state.groups[group_id.index()];
        if group.is_suspended(ScalingProcess::AlarmNotification) {
            return None;
        }
        let policy = &self.scaling.policies[id.index()];
        let default = (group.definition.default_instance_warmup, group.definition.default_cooldown);
        let (verdict, cooldown, actor) = match &policy.definition {
            PolicyDefinition::TargetTracking(tracking) => {
                let warmup = instance_warmup(tracking.estimated_instance_warmup, default.0, default.1);
                let view = self.group_view(group_id, warmup, now);
                let verdict = if policy.high == Some(*alarm) {
                    let value =
                        target_tracking::tracked_value(&evaluation.datapoints, self.estate.behaviour.tt_metric_sample);
                    target_tracking::on_high_group(tracking.target, value, &view)
                } else {
                    target_tracking::on_low_group(&self.votes(PolicyResource::Group(group_id)), &view)
                };
                (verdict, None, "target-tracking")
            }
            PolicyDefinition::Step(step) => {
                let warmup = instance_warmup(step.estimated_instance_warmup, default.0, default.1);
                let view = self.group_view(group_id, warmup, now);
                let alarm = &self.state.alarms[alarm.index()].alarm.definition;
                (step_scaling::on_alarm_group(step, alarm, &evaluation.datapoints, &view), None, "step-scaling")
            }
            PolicyDefinition::Simple(simple) => {
                let view = self.group_view(group_id, SimDuration::ZERO, now);
                let state = &self.groups[group_id.index()].simple;
                let verdict = step_scaling::on_alarm_simple(simple, &view, state, now);
                (verdict, Some(simple.cooldown.unwrap_or(default.1)), "simple-scaling")
            }
            PolicyDefinition::Predictive(_) => return None,
        };
        Some(Answer {
            about: Resource::Group(group_id),
            actor,
            desired: group.desired(),
            cooldown,
            cause: self.alarm_cause(*id, *alarm),
            verdict,
            policy: *id,
            alarm: *alarm,
            datapoints: evaluation.datapoints.clone(),
        })
    }

    fn scale_group(&mut self, id: GroupId, to: u32, answer: &Answer, schedule: &mut Schedule<Event>) {
        let cause = format!("{} changing the desired capacity from {} to {to}", answer.cause, answer.desired);
        // Only simple scaling has a cooldown here (ASG-26).
        if let Some(cooldown) = answer.cooldown {
            self.groups[id.index()].simple.begin(cooldown);
        }
        self.set_group_desired(id, to, cause, schedule);
    }

    /// What policies see of a group: instances younger than `warmup` since InService, and those still to come, warm up
    /// (ASG-24, ASG-30).
    fn group_view(&self, id: GroupId, warmup: SimDuration, now: SimTime) -> GroupView {
        let group = &self.state.groups[id.index()];
        let mut warming = group.pending_capacity() + group.missing();
        // A datapoint is of hosts that were warm when it was taken, a minute and its delay before it is the newest no more.
        let lag = self.estate.behaviour.metric_delay.ec2.saturating_add(SimDuration::MINUTE);
        let (mut unseen, mut warm_at) = (0, None);
        for instance in group.instances() {
            let Some(in_service) = instance.in_service.filter(|_| instance.lifecycle().counts_against_desired()) else {
                continue;
            };
            let warm = in_service.saturating_add(warmup);
            if warm > now {
                warming += instance.weight;
                warm_at = warm_at.max(Some(warm));
            } else if !warmup.is_zero() && warm.saturating_add(lag) > now {
                unseen += instance.weight;
            }
        }
        GroupView { desired: group.desired(), min: group.min(), max: group.max(), warming, unseen, warm_at }
    }

    /// What a service needs when it is created: series and use of its own.
    pub(super) fn service_created(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let loads = self.loads_of(id);
        self.load.add_service(loads, schedule.now());
        self.add_service_series(id);
    }
}

fn validation(rule: &'static str, message: &str) -> Refused {
    Refused { code: "ValidationException", ..invalid(rule, message) }
}
