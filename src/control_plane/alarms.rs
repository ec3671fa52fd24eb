//! Alarms at work: evaluated at their ticks, their actions sent (ALM-*).

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::api::{PutMetricAlarm, SetAlarmState};
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Record, Resource};
use crate::control_plane::state::AlarmEntry;
use crate::ecs::ids::{AlarmId, PolicyId, ProviderId};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::{Alarm, AlarmDefinition, AlarmState, Evaluation, INITIAL_REASON, Occasion};
use crate::scaling::metric::Datapoint;
use crate::schedule::wall_clock;

/// How old the reason data of `set-alarm-state` may be for scaling actions to run: 5.7 s were seen to pass and 15.6 s to
/// be refused (ALM-22).
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// What an alarm does, state by state.
#[derive(Clone, Debug, Default)]
pub(super) struct AlarmActions {
    pub(super) alarm: Vec<ActionTarget>,
    pub(super) ok: Vec<ActionTarget>,
    pub(super) insufficient_data: Vec<ActionTarget>,
    pub(super) enabled: bool,
    /// The newest evaluation: its datapoints go with the action (ALM-23).
    pub(super) evaluation: Option<Evaluation>,
}

/// Where an alarm's action goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ActionTarget {
    /// A scaling policy.
    Policy(PolicyId),
    /// Managed scaling of a capacity provider (CAS-22).
    ManagedScaling {
        /// The provider.
        provider: ProviderId,
        /// Its high alarm; else the low one.
        high: bool,
    },
    /// Anything else: an SNS topic.
    Notification(String),
}

impl ActionTarget {
    const fn is_scaling(&self) -> bool {
        !matches!(self, Self::Notification(_))
    }
}

impl ControlPlane<'_> {
    /// `put-metric-alarm`: a new alarm starts in INSUFFICIENT_DATA, an updated one keeps its state (ALM-1).
    pub(super) fn put_metric_alarm(
        &mut self,
        call: &PutMetricAlarm,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        call.definition.check()?;
        let targets = |names: &[String]| names.iter().map(|name| self.action_target(name)).collect();
        let actions = AlarmActions {
            alarm: targets(&call.alarm_actions),
            ok: targets(&call.ok_actions),
            insufficient_data: targets(&call.insufficient_data_actions),
            enabled: call.actions_enabled,
            evaluation: None,
        };
        let known = self.find_alarm(&call.definition.name);
        match known {
            Some(id) => {
                let entry = &mut self.state.alarms[id.index()];
                entry.alarm.update(call.definition.clone(), &mut self.cloudwatch.store, &self.estate.behaviour);
                let evaluation = self.cloudwatch.alarms[id.index()].evaluation.take();
                self.cloudwatch.alarms[id.index()] = AlarmActions { evaluation, ..actions };
            }
            None => {
                self.add_alarm(call.definition.clone(), None, actions, None, schedule);
            }
        }
        Ok(())
    }

    /// Creates an alarm; `phase` pins its evaluation to a time after each datapoint (CAS-35).
    pub(super) fn add_alarm(
        &mut self,
        definition: AlarmDefinition,
        resource: Option<Resource>,
        actions: AlarmActions,
        phase: Option<SimDuration>,
        schedule: &mut Schedule<Event>,
    ) -> AlarmId {
        let now = schedule.now();
        let id = AlarmId(self.state.alarms.len() as u32);
        let mut alarm = Alarm::new(definition, &mut self.cloudwatch.store, &self.estate.behaviour, now);
        if let Some(phase) = phase {
            alarm = alarm.with_phase(phase);
        }
        let resource = resource.or_else(|| actions.alarm.iter().find_map(|target| self.action_resource(target)));
        let first = alarm.next_evaluation(now);
        self.state.alarms.push(AlarmEntry { alarm, resource, created: schedule.now(), deleted: None });
        self.cloudwatch.alarms.push(actions);
        let record = Record::Alarm { alarm: id, from: None, to: AlarmState::InsufficientData, reason: INITIAL_REASON };
        self.observer.observe(now, &record, &self.state);
        schedule.at(first, Event::AlarmEvaluation(id));
        id
    }

    fn action_resource(&self, target: &ActionTarget) -> Option<Resource> {
        match target {
            ActionTarget::Policy(policy) => self.policy_resource(*policy),
            ActionTarget::ManagedScaling { provider, .. } => Some(Resource::Provider(*provider)),
            ActionTarget::Notification(_) => None,
        }
    }

    /// A policy by name or ARN; anything else is told, not scaled.
    fn action_target(&self, name: &str) -> ActionTarget {
        self.find_policy(name).map_or_else(|| ActionTarget::Notification(name.to_owned()), ActionTarget::Policy)
    }

    /// The alarm called `name`, unless it has been deleted.
    pub(super) fn find_alarm(&self, name: &str) -> Option<AlarmId> {
        self.state
            .alarms
            .iter()
            .position(|entry| entry.deleted.is_none() && entry.alarm.definition.name == name)
            .map(|place| AlarmId(place as u32))
    }

    /// `delete-alarms`; unknown names are ignored, as CloudWatch does when others exist.
    pub(super) fn delete_alarms(&mut self, names: &[String], now: SimTime) -> Result<(), Refused> {
        let found: Vec<AlarmId> = names.iter().filter_map(|name| self.find_alarm(name)).collect();
        if found.is_empty() {
            return Err(Refused {
                code: "ResourceNotFound",
                message: format!("no alarm is called {}", names.join(", ")),
                rule: "ALM-1",
            });
        }
        for id in found {
            self.state.alarms[id.index()].deleted = Some(now);
        }
        Ok(())
    }

    /// `enable-alarm-actions` and `disable-alarm-actions` (ALM-22).
    pub(super) fn set_alarm_actions(&mut self, names: &[String], enabled: bool) -> Result<(), Refused> {
        for name in names {
            let id = self.known_alarm(name, "ALM-22")?;
            self.cloudwatch.alarms[id.index()].enabled = enabled;
        }
        Ok(())
    }

    /// An alarm's tick: state, notifications, and the actions due (ALM-4, ALM-20).
    pub(super) fn on_alarm_evaluation(&mut self, id: AlarmId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.publish_late_datapoints(now);
        let entry = &mut self.state.alarms[id.index()];
        if entry.deleted.is_some() {
            return;
        }
        let evaluation = entry.alarm.evaluate(&self.cloudwatch.store, now);
        let occasion = entry.alarm.apply(&evaluation);
        let next = entry.alarm.next_evaluation(now + SimDuration::from_nanos(1));
        schedule.at(next, Event::AlarmEvaluation(id));
        let to = evaluation.state;
        if let Occasion::Transition { from } = occasion {
            let reason = evaluation.reason(&entry.alarm.definition, self.estate.start);
            self.alarm_changed(id, from, &reason, schedule);
        }
        let actions = &mut self.cloudwatch.alarms[id.index()];
        actions.evaluation = Some(evaluation);
        let scales = actions.enabled && actions.targets(to).iter().any(ActionTarget::is_scaling);
        if scales && occasion != Occasion::Nothing {
            let managed =
                actions.targets(to).iter().any(|target| matches!(target, ActionTarget::ManagedScaling { .. }));
            // `alarm_eval_delay_s` of managed scaling reaches to its action; other actions take `action_latency`.
            let latency = if managed { SimDuration::ZERO } else { self.estate.behaviour.action_latency };
            schedule.after(latency, Event::AlarmAction(id));
        }
    }

    /// An alarm has another state than `from`: the observers hear of it, its notifications go out.
    fn alarm_changed(&mut self, id: AlarmId, from: AlarmState, reason: &str, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let to = self.state.alarms[id.index()].alarm.state;
        let record = Record::Alarm { alarm: id, from: Some(from), to, reason };
        self.observer.observe(now, &record, &self.state);
        self.notify(id, to, reason, now);
        if to == AlarmState::Alarm {
            self.on_alarm_raised(id, schedule);
        }
    }

    /// `set-alarm-state`: the state holds until the next evaluation (ALM-22).
    ///
    /// Notifications go out; scaling actions only with reason data that is fresh, and with its datapoints.
    pub(super) fn set_alarm_state(
        &mut self,
        call: &SetAlarmState,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.known_alarm(&call.alarm, "ALM-22")?;
        let now = schedule.now();
        let alarm = &mut self.state.alarms[id.index()].alarm;
        let from = alarm.state;
        if !alarm.set_state(call.state, now) {
            return Ok(());
        }
        let period = alarm.definition.period;
        self.alarm_changed(id, from, &call.reason, schedule);
        let actions = &mut self.cloudwatch.alarms[id.index()];
        if !actions.enabled || !actions.targets(call.state).iter().any(ActionTarget::is_scaling) {
            return Ok(());
        }
        let wall_clock = wall_clock(self.estate.start, now);
        let fresh = call.data.as_ref().filter(|data| {
            let age = wall_clock.duration_since(data.query_date);
            (SignedDuration::ZERO..=FRESH).contains(&age)
        });
        let Some(data) = fresh else {
            let age = call.data.as_ref().map(|data| wall_clock.duration_since(data.query_date).as_secs_f64());
            self.decide(now, |state| Decision {
                actor: "cloudwatch",
                subject: format!("alarm/{}", state.alarms[id.index()].alarm.definition.name),
                action: "not-scaled",
                from: Value::Null,
                to: Value::Null,
                reason: "Scaling deemed unsafe: the state was set without reason data of the last seconds".to_owned(),
                rule: "ALM-22",
                inputs: json!({ "reason_data_age_s": age }),
            });
            return Ok(());
        };
        // The call gives values alone: they count as those of the newest periods.
        let count = data.datapoints.len() as u64;
        let datapoints = (0..count).zip(&data.datapoints).map(|(place, value)| Datapoint {
            start: SimTime::from_nanos(now.as_nanos().saturating_sub((period * (count - place)).as_nanos())),
            value: *value,
            samples: 1,
        });
        actions.evaluation =
            Some(Evaluation { at: now, state: call.state, datapoints: datapoints.collect(), warming_up: false });
        schedule.after(self.estate.behaviour.action_latency, Event::AlarmAction(id));
        Ok(())
    }

    /// The alarm called `name`, or AWS's refusal.
    fn known_alarm(&self, name: &str, rule: &'static str) -> Result<AlarmId, Refused> {
        self.find_alarm(name).ok_or_else(|| Refused {
            code: "ResourceNotFound",
            message: format!("no alarm is called {name}"),
            rule,
        })
    }

    fn notify(&mut self, id: AlarmId, state: AlarmState, reason: &str, now: SimTime) {
        let actions = &self.cloudwatch.alarms[id.index()];
        if !actions.enabled {
            return;
        }
        for target in actions.targets(state) {
            if let ActionTarget::Notification(topic) = target {
                let record = Record::Notification { alarm: id, target: topic, state, reason };
                self.observer.observe(now, &record, &self.state);
            }
        }
    }

    /// The scaling actions of an alarm's present state, with the datapoints of its newest evaluation (ALM-23).
    pub(super) fn on_alarm_action(&mut self, id: AlarmId, schedule: &mut Schedule<Event>) {
        let entry = &self.state.alarms[id.index()];
        let actions = &self.cloudwatch.alarms[id.index()];
        let (true, true, Some(evaluation)) = (entry.deleted.is_none(), actions.enabled, actions.evaluation.clone())
        else {
            return;
        };
        let targets: Vec<ActionTarget> =
            actions.targets(evaluation.state).iter().filter(|target| target.is_scaling()).cloned().collect();
        for target in targets {
            match target {
                ActionTarget::Policy(policy) => self.invoke_policy(policy, id, evaluation.clone(), schedule),
                ActionTarget::ManagedScaling { provider, high } => {
                    self.on_reservation_action(provider, high, id, &evaluation, schedule);
                }
                ActionTarget::Notification(_) => {}
            }
        }
    }
}

impl AlarmActions {
    /// Only ALARM actions, for a managed alarm (ALM-24).
    pub(super) fn on_alarm(target: ActionTarget) -> Self {
        Self { alarm: vec![target], enabled: true, ..Self::default() }
    }

    fn targets(&self, state: AlarmState) -> &[ActionTarget] {
        match state {
            AlarmState::Alarm => &self.alarm,
            AlarmState::Ok => &self.ok,
            AlarmState::InsufficientData => &self.insufficient_data,
        }
    }
}
