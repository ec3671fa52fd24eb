//! What the decision log says of scaling: the verdict, the numbers and the alarm behind it, who stood in the way.

use serde_json::{Map, Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::record::{Decision, Resource};
use crate::control_plane::service_scaling::PolicyResource;
use crate::control_plane::state::State;
use crate::engine::time::SimTime;
use crate::scaling::alarm::{AlarmDefinition, AlarmState};
use crate::scaling::metric::Datapoint;
use crate::scaling::policy::{PolicyDefinition, Verdict};

impl ControlPlane<'_> {
    /// The line of the decision log for a policy's verdict.
    pub(super) fn decide_scaling(
        &mut self,
        resource: Resource,
        actor: &'static str,
        from: u32,
        verdict: &Verdict,
        evidence: impl FnOnce(&State) -> Map<String, Value>,
        now: SimTime,
    ) {
        if !self.wants.decisions {
            return;
        }
        // An alarm repeats its action every minute; the same answer is logged once until another comes between.
        let answer = match verdict {
            Verdict::SetDesired { .. } => None,
            Verdict::NotScaled { reason, .. } => Some(*reason),
        };
        let last = self.scaling.last_answers.insert((resource, actor), answer);
        if answer.is_some() && last == Some(answer) {
            return;
        }
        let (action, to, reason) = match verdict {
            Verdict::SetDesired { to, formula, .. } if *to > from => ("scale-out", *to, formula.to_string()),
            Verdict::SetDesired { to, formula, .. } => ("scale-in", *to, formula.to_string()),
            Verdict::NotScaled { reason, until, .. } => {
                let text = match until {
                    Some(until) => format!("{}, until {}", reason.words(), clock(self.state.start, *until)),
                    None => reason.words().to_owned(),
                };
                ("not-scaled", from, text)
            }
        };
        self.decide(now, |state| Decision {
            actor,
            subject: state.resource_name(resource),
            action,
            from: json!(from),
            to: json!(to),
            reason,
            rule: verdict.rule(),
            inputs: Value::Object(inputs(verdict, evidence(state))),
        });
    }

    /// Target tracking policies of a resource whose low alarm keeps the others from scaling in, with its state (TT-25).
    pub(super) fn vetoes(&self, resource: PolicyResource) -> Vec<String> {
        let policies = self.scaling.policies.iter().filter(|policy| policy.exists && policy.resource == resource);
        policies
            .filter_map(|policy| match (&policy.definition, policy.low) {
                (PolicyDefinition::TargetTracking(_), Some(low)) => {
                    let alarm = &self.state.alarms[low.index()].alarm;
                    let (name, state) = (&alarm.definition.name, alarm.state);
                    (state != AlarmState::Alarm).then(|| format!("policy {}: its alarm {name} is {state}", policy.name))
                }
                _ => None,
            })
            .collect()
    }
}

/// The wall clock at an instant, in UTC: what lasts until then is a matter of minutes, so the day goes without saying.
fn clock(start: jiff::Timestamp, at: SimTime) -> String {
    let since = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
    start
        .checked_add(jiff::SignedDuration::from_nanos(since))
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime("%H:%M:%S")
        .to_string()
}

/// The numbers of a verdict and its arithmetic, with the `evidence` that led to it.
fn inputs(verdict: &Verdict, evidence: Map<String, Value>) -> Map<String, Value> {
    let mut inputs: Map<String, Value> =
        verdict.inputs().iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    if let Verdict::NotScaled { until: Some(until), .. } = verdict {
        inputs.insert("until_s".to_owned(), json!(until.as_secs_f64()));
    }
    if let Some(formula) = verdict.formula() {
        inputs.insert("formula".to_owned(), json!(formula.to_string()));
        inputs.insert("formula_reads".to_owned(), json!(formula.legend()));
    }
    inputs.extend(evidence);
    inputs
}

/// What an alarm went by: its name, threshold and window, and the datapoints it looked at with the start of their periods.
pub(super) fn evidence(
    alarm: &AlarmDefinition,
    datapoints: &[Datapoint],
    policy: Option<String>,
) -> Map<String, Value> {
    let seen: Vec<Value> = datapoints.iter().map(|point| json!([point.start.as_secs_f64(), point.value])).collect();
    let mut evidence = Map::new();
    evidence.extend(policy.map(|policy| ("policy".to_owned(), json!(policy))));
    evidence.insert("alarm".to_owned(), json!(alarm.name));
    evidence.insert("threshold".to_owned(), json!(alarm.threshold));
    evidence.insert("window".to_owned(), json!(alarm.window_in_words()));
    evidence.insert("datapoints".to_owned(), json!(seen));
    evidence
}
