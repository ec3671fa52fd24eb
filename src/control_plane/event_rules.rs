//! EventBridge rules that run tasks: when they fire, the calls of their targets, and the retries (TASK-17).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::estate::RuleTarget;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Record, RuleEvent};
use crate::control_plane::run_task::ResolvedRunTask;
use crate::ecs::ids::RuleId;
use crate::engine::simulation::Schedule;
use crate::engine::streams::Stream;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::workload::arrivals::Arrivals;
use crate::workload::delivery::{AfterFailure, backoff};

/// The rules in motion.
#[derive(Debug, Default)]
pub(super) struct EventRules {
    rules: Vec<RuleRuntime>,
    /// Calls that are yet to be made, first ones and retries.
    invocations: BTreeMap<u64, Invocation>,
    /// How many there have been.
    invoked: u64,
}

#[derive(Debug)]
struct RuleRuntime {
    events: Arrivals,
    enabled: bool,
    /// Draws jitter and backoff.
    chance: Stream,
    /// By target: the call with its names looked up, and how many definitions there were then (TD-1).
    resolved: Vec<Option<(usize, ResolvedRunTask)>>,
}

/// One event on its way to one target.
#[derive(Clone, Copy, Debug)]
struct Invocation {
    rule: RuleId,
    target: usize,
    /// When the event came.
    event: SimTime,
    retries: u32,
    /// Tasks still to be asked for: of a call that placed some, the rest.
    count: u32,
}

/// How a call went.
enum Outcome {
    /// Every task was placed, or waits for capacity.
    Taken,
    /// So many tasks are in `failures[]`.
    Short(u32),
    /// AWS refused it.
    Refused(Refused),
}

impl ControlPlane<'_> {
    /// Time zero: the first event of each rule is on its way.
    pub(super) fn start_event_rules(&mut self, schedule: &mut Schedule<Event>) {
        let estate = self.estate;
        for (place, rule) in estate.event_rules.iter().enumerate() {
            self.event_rules.rules.push(RuleRuntime {
                events: rule.arrivals(&self.streams, SimTime::ZERO + estate.duration),
                enabled: rule.enabled,
                chance: self.streams.named(&format!("event-delivery/{}", rule.name)),
                resolved: vec![None; rule.targets.len()],
            });
            self.schedule_event(RuleId(place as u32), SimTime::ZERO, schedule);
        }
    }

    fn schedule_event(&mut self, id: RuleId, after: SimTime, schedule: &mut Schedule<Event>) {
        if let Some(event) = self.event_rules.rules[id.index()].events.next(after) {
            schedule.at(event.at, Event::RuleFires(id));
        }
    }

    /// An event matches a rule, or its schedule is due: every target is called, somewhere within `schedule_jitter_s`.
    pub(super) fn on_rule_fires(&mut self, id: RuleId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let estate = self.estate;
        let rule = &estate.event_rules[id.index()];
        self.schedule_event(id, now, schedule);
        if !self.event_rules.rules[id.index()].enabled {
            return;
        }
        self.tell_rule(id, RuleEvent::Fired, now);
        // TASK-17: a precision of a minute.
        let within = if rule.is_scheduled { estate.behaviour.schedule_jitter } else { SimDuration::ZERO };
        for (target, entry) in rule.targets.iter().enumerate() {
            let runtime = &mut self.event_rules.rules[id.index()];
            let late = if within.is_zero() { within } else { within.mul_f64(runtime.chance.uniform()) };
            let invocation = Invocation { rule: id, target, event: now, retries: 0, count: entry.call.count };
            self.schedule_invocation(invocation, now.saturating_add(late), schedule);
        }
    }

    fn schedule_invocation(&mut self, invocation: Invocation, at: SimTime, schedule: &mut Schedule<Event>) {
        let number = self.event_rules.invoked;
        self.event_rules.invoked += 1;
        self.event_rules.invocations.insert(number, invocation);
        schedule.at(at, Event::RuleInvokes(number));
    }

    /// A target is called, for the first time or again.
    pub(super) fn on_rule_invokes(&mut self, number: u64, schedule: &mut Schedule<Event>) {
        let Some(invocation) = self.event_rules.invocations.remove(&number) else { return };
        let now = schedule.now();
        let estate = self.estate;
        let target = &estate.event_rules[invocation.rule.index()].targets[invocation.target];
        self.tell_rule(invocation.rule, RuleEvent::Invoked { retry: invocation.retries > 0 }, now);
        let (rest, failed) = match self.invoke(invocation, target, schedule) {
            // TASK-17 [A]: EventBridge repeats calls that are refused, not tasks that find no place.
            Outcome::Short(count) if self.estate.behaviour.schedule_retry_failures => {
                (Invocation { count, ..invocation }, "RunTask could not place every task (failures)".to_owned())
            }
            Outcome::Taken | Outcome::Short(_) => return,
            Outcome::Refused(refused) => {
                let name = self.estate.event_rules[invocation.rule.index()].name.clone();
                self.record_refused_call(name, "ecs:RunTask", &refused, now);
                // What is wrong with the call itself will be wrong next time: it is given up at once.
                if !is_retryable(&refused) {
                    let reason = format!("{}, which is not retried", refused.code);
                    return self.give_up(invocation, target, &reason, schedule);
                }
                (invocation, refused.to_string())
            }
        };
        let knobs = &estate.behaviour;
        let chance = &mut self.event_rules.rules[invocation.rule.index()].chance;
        let wait = backoff(rest.retries, knobs.event_retry_base, knobs.event_retry_max, chance.open_uniform());
        match target.retry.after_failure(rest.event, rest.retries, now, wait) {
            AfterFailure::Retry(at) => {
                let again = Invocation { retries: rest.retries + 1, ..rest };
                self.schedule_invocation(again, at, schedule);
            }
            AfterFailure::AttemptsSpent => {
                self.give_up(rest, target, &format!("{failed}; MaximumRetryAttempts are spent"), schedule);
            }
            AfterFailure::TooOld => {
                self.give_up(rest, target, &format!("{failed}; it reaches MaximumEventAgeInSeconds"), schedule);
            }
        }
    }

    fn invoke(&mut self, invocation: Invocation, target: &RuleTarget, schedule: &mut Schedule<Event>) -> Outcome {
        if let Err(refused) = self.throttle("ecs:RunTask", schedule.now()) {
            return Outcome::Refused(refused);
        }
        let known = self.state.definitions.len();
        let cached = self.event_rules.rules[invocation.rule.index()].resolved[invocation.target].take();
        let resolved = match cached {
            Some((definitions, resolved)) if definitions == known => resolved,
            _ => match self.resolve_run_task(&target.call) {
                Ok(resolved) => resolved,
                Err(refused) => return Outcome::Refused(refused),
            },
        };
        let call = ResolvedRunTask { count: invocation.count, ..resolved.clone() };
        let outcome = self.run_task(&call, &target.call.overrides, schedule);
        self.event_rules.rules[invocation.rule.index()].resolved[invocation.target] = Some((known, resolved));
        match outcome {
            Ok(0) => Outcome::Taken,
            Ok(failures) => {
                self.tell_rule(invocation.rule, RuleEvent::Short { tasks: failures }, schedule.now());
                Outcome::Short(failures)
            }
            Err(refused) => Outcome::Refused(refused),
        }
    }

    /// No more tries: the event goes to the target's dead-letter queue, or is lost.
    fn give_up(&mut self, of: Invocation, target: &RuleTarget, reason: &str, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let queue = target.dead_letters.as_deref();
        self.tell_rule(of.rule, RuleEvent::GivenUp { dead_lettered: queue.is_some() }, now);
        let subject = format!("event-rule/{}", self.estate.event_rules[of.rule.index()].name);
        let (retries, id) = (of.retries, target.id.clone());
        self.decide(now, |_| Decision {
            actor: "eventbridge",
            subject,
            action: if queue.is_some() { "dead-letter" } else { "drop" },
            from: Value::Null,
            to: queue.map_or(Value::Null, Value::from),
            reason: reason.to_owned(),
            rule: "TASK-17",
            inputs: json!({ "target": id, "retries": retries, "event_s": of.event.as_secs_f64() }),
        });
        if let Some(queue) = queue.and_then(|name| self.queue_named(name)) {
            self.send_messages(queue, 1, schedule);
        }
    }

    /// `EnableRule`, `DisableRule`: what is on its way to a target already goes on.
    pub(super) fn set_rule_enabled(&mut self, name: &str, enabled: bool) -> Result<(), Refused> {
        let place = self.estate.event_rules.iter().position(|rule| rule.name == name);
        let Some(rule) = place.map(|place| &mut self.event_rules.rules[place]) else {
            return Err(Refused {
                code: "ResourceNotFoundException",
                message: format!("Rule {name} does not exist on EventBus default."),
                rule: "TASK-17",
            });
        };
        rule.enabled = enabled;
        Ok(())
    }

    fn tell_rule(&mut self, rule: RuleId, event: RuleEvent, now: SimTime) {
        self.observer.observe(now, &Record::EventRule { rule, event }, &self.state);
    }
}

/// EventBridge tries again what may go better later: throttling and faults of the service.
fn is_retryable(refused: &Refused) -> bool {
    matches!(refused.code, "ThrottlingException" | "ServerException")
}
