//! `eventRules`: EventBridge rules, each the input of `events put-rule` with its targets (TASK-17).

use serde_json::{Map, Value as Json, json};

use super::convert::Context;
use super::convert::ecs::run_task;
use super::decode::{AnyWhole, At, Decode, Opaque, Raw, Whole, keyword, object};
use super::diagnostic::{Problem, Reading, code};
use super::input::{
    AwsvpcInput, ConstraintInput, LaunchTypeWord, NetworkInput, OverridesInput, PlacementStrategyInput, RunTaskInput,
    StrategyItemInput, Switch,
};
use super::tree::{Entry, Node, Value};
use super::workload::arrivals;
use crate::arn;
use crate::control_plane::estate::{EventRule, RuleTarget};
use crate::engine::time::SimDuration;
use crate::schedule::Schedule;
use crate::workload::arrivals::ArrivalProcess;
use crate::workload::delivery::RetryPolicy;

object! {
    /// Input of `events put-rule`, with its targets: what runs tasks by schedule or by event.
    pub(crate) struct EventRuleInput("an event rule") {
        /// Name of the rule.
        name: At<String> = "Name",
        /// cron(…), rate(…) or at(…).
        schedule: Option<At<String>> = "ScheduleExpression",
        /// IANA time zone of the schedule. Default UTC.
        time_zone: Option<At<String>> = "ScheduleExpressionTimezone",
        /// When events come that match the pattern: an arrival process, in place of a schedule.
        arrivals: Option<Raw> = "arrivals",
        /// Which events match; `arrivals` says when these come.
        pattern: Opaque = "EventPattern",
        /// ENABLED (default) or DISABLED.
        state: Option<RuleState> = "State",
        /// What is called; one to five.
        targets: At<Vec<RuleTargetInput>> = "Targets",
    }
    ignored {
        "Description": "it changes nothing",
        "EventBusName": "there is one bus",
        "RoleArn": "roles change nothing",
        "Tags": "tags change nothing",
    }
}

keyword! {
    /// State of a rule.
    pub(crate) enum RuleState {
        /// It fires.
        Enabled = "ENABLED",
        /// It does not.
        Disabled = "DISABLED",
    }
}

object! {
    /// A target of a rule: a cluster that runs tasks.
    pub(crate) struct RuleTargetInput("a target of an event rule") {
        /// Name of the target.
        id: At<String> = "Id",
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "Arn",
        /// The task to run.
        ecs: EcsParametersInput = "EcsParameters",
        /// Overrides of the task, as a map or as the JSON text that `put-targets` takes.
        input: Option<OverridesText> = "Input",
        /// For how long, and how often, a call that is refused is repeated.
        retry: Option<RetryPolicyInput> = "RetryPolicy",
        /// Where the events go that are given up.
        dead_letters: Option<DeadLetterInput> = "DeadLetterConfig",
    }
    ignored { "RoleArn": "roles change nothing", }
    refused { "InputPath": "parts of an event as overrides", "InputTransformer": "parts of an event as overrides", }
}

object! {
    /// Which task EventBridge runs, and how.
    pub(crate) struct EcsParametersInput("`EcsParameters`") {
        /// Family, or family:revision.
        task_definition: At<String> = "TaskDefinitionArn",
        /// How many, 1 to 10. Default 1.
        count: Option<At<AnyWhole>> = "TaskCount",
        /// EC2 or FARGATE.
        launch_type: Option<At<LaunchTypeWord>> = "LaunchType",
        /// Capacity provider strategy.
        strategy: Option<At<Vec<StrategyItemInput>>> = "CapacityProviderStrategy",
        /// Task group. Default family:<family>.
        group: Option<At<String>> = "Group",
        /// Placement constraints.
        placement_constraints: Vec<ConstraintInput> = "PlacementConstraints",
        /// Placement strategies, applied in order.
        placement_strategy: Vec<PlacementStrategyInput> = "PlacementStrategy",
        /// Subnets, as Availability Zone names; ids of subnets say no zone, and stand for all of them.
        network: Option<EventNetworkInput> = "NetworkConfiguration",
        /// Platform of Fargate tasks.
        platform_version: Option<At<String>> = "PlatformVersion",
    }
    ignored {
        "EnableECSManagedTags": "tags change nothing",
        "EnableExecuteCommand": "it changes nothing",
        "PropagateTags": "tags change nothing",
        "ReferenceId": "it changes nothing",
        "Tags": "tags change nothing",
    }
}

object! {
    /// Where the tasks live in the network.
    pub(crate) struct EventNetworkInput("`NetworkConfiguration`") {
        /// For awsvpc.
        awsvpc: Option<EventAwsvpcInput> = "awsvpcConfiguration",
    }
}

object! {
    /// Network of awsvpc tasks, spelled as EventBridge does.
    pub(crate) struct EventAwsvpcInput("`awsvpcConfiguration`") {
        /// Availability Zone names stand in for subnets.
        subnets: Vec<At<String>> = "Subnets",
        /// At most five.
        security_groups: Vec<At<String>> = "SecurityGroups",
        /// ENABLED: tasks on Fargate have a public IPv4 address each.
        public_ip: Option<At<Switch>> = "AssignPublicIp",
    }
}

object! {
    /// How calls that are refused are repeated.
    pub(crate) struct RetryPolicyInput("`RetryPolicy`") {
        /// Seconds after which an event is given up, 60 to 86400. Default 86400.
        max_age: Option<Whole<60, 86_400>> = "MaximumEventAgeInSeconds",
        /// Retries after which it is given up, 0 to 185. Default 185.
        max_attempts: Option<Whole<0, 185>> = "MaximumRetryAttempts",
    }
}

object! {
    /// The queue of events that are given up.
    pub(crate) struct DeadLetterInput("`DeadLetterConfig`") {
        /// Queue, by ARN or name.
        queue: At<String> = "Arn",
    }
}

/// Overrides as a map, or as the JSON text that `put-targets` takes.
#[derive(Clone, Debug)]
pub(crate) struct OverridesText(OverridesInput);

impl Decode for OverridesText {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let Value::Text(text) = &node.value else { return OverridesInput::decode(node, reading).map(Self) };
        let Ok(json @ Json::Object(_)) = serde_json::from_str::<Json>(text) else {
            let problem = Problem::new(code::INVALID, node.place, "`Input` is a map, or a JSON object as a text");
            reading.report(problem.help(r#"Input: '{"cpu": "512"}'"#));
            return None;
        };
        OverridesInput::decode(&at_one_place(json, node), reading).map(Self)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({ "anyOf": [OverridesInput::schema(definitions), { "type": "string" }] })
    }
}

/// Whatever is in a JSON text has the place of the text.
fn at_one_place(json: Json, text: &Node) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(value) => Value::Text(value),
        Json::Array(items) => Value::List(items.into_iter().map(|item| at_one_place(item, text)).collect()),
        Json::Object(members) => {
            let entry = |(key, value)| Entry { key, key_place: text.place, value: at_one_place(value, text) };
            Value::Map(members.into_iter().map(entry).collect())
        }
    };
    Node { value, place: text.place }
}

/// One rule.
pub(crate) fn event_rule(input: &EventRuleInput, context: &Context, reading: &mut Reading) -> Option<EventRule> {
    let events = match (&input.schedule, &input.arrivals) {
        (Some(expression), None) => {
            let zone = input.time_zone.as_ref().map_or("UTC", |zone| zone.value.as_str());
            match Schedule::parse(expression, zone, context.start) {
                Ok(schedule) => Some(ArrivalProcess::Schedule(schedule.into())),
                Err(error) => {
                    let place = match (&error, &input.time_zone) {
                        (crate::schedule::ScheduleError::TimeZone(_), Some(zone)) => zone.place,
                        _ => expression.place,
                    };
                    let problem = Problem::aws("ValidationException", "SCH-1", place, error.to_string());
                    reading.report(problem.label("no schedule"));
                    None
                }
            }
        }
        (None, Some(Raw(node))) => {
            let process = arrivals(node, context, reading);
            if process.as_ref().is_some_and(ArrivalProcess::changes_tasks) {
                let message = "columns of a trace change the task that is run; an event has none";
                reading.report(Problem::new(code::NOT_MODELLED, node.place, message).label("`columns` in here"));
            }
            process
        }
        (schedule, _) => {
            let message = "Parameter(s) EventPattern or ScheduleExpression must be specified.";
            let problem = Problem::aws("ValidationException", "TASK-17", input.place, message);
            let both = schedule.is_some();
            let problem = problem.label(if both { "here are both" } else { "here is neither" });
            reading.report(problem.help("ScheduleExpression, or `arrivals`: when the events come that match"));
            None
        }
    };
    if input.time_zone.is_some() && input.schedule.is_none() {
        let place = input.time_zone.as_ref().map_or(input.place, |zone| zone.place);
        reading.report(Problem::new(code::INVALID, place, "a time zone belongs to a ScheduleExpression"));
    }
    let inputs = &input.targets.value;
    if inputs.is_empty() || inputs.len() > 5 {
        let message = format!("a rule has one to five targets, not {}", inputs.len());
        reading.report(Problem::aws("LimitExceededException", "TASK-17", input.targets.place, message));
    }
    let targets: Vec<Option<RuleTarget>> =
        inputs.iter().map(|target| rule_target(target, &input.name, context, reading)).collect();
    Some(EventRule {
        name: input.name.value.clone(),
        events: events?,
        is_scheduled: input.schedule.is_some(),
        enabled: input.state != Some(RuleState::Disabled),
        targets: targets.into_iter().collect::<Option<_>>()?,
    })
}

fn rule_target(
    input: &RuleTargetInput,
    rule: &At<String>,
    context: &Context,
    reading: &mut Reading,
) -> Option<RuleTarget> {
    let default = RetryPolicy::default();
    let retry = input.retry.as_ref().map_or(default, |given| RetryPolicy {
        max_age: given.max_age.map_or(default.max_age, |age| SimDuration::from_secs(u64::from(age.get()))),
        max_attempts: given.max_attempts.map_or(default.max_attempts, Whole::get),
    });
    Some(RuleTarget {
        id: input.id.value.clone(),
        call: run_task(&input.as_run_task(rule), context, reading)?,
        retry,
        dead_letters: input.dead_letters.as_ref().map(|given| arn::queue(&given.queue).to_owned()),
    })
}

impl RuleTargetInput {
    /// The call that EventBridge makes for this target.
    pub(crate) fn as_run_task(&self, rule: &At<String>) -> RunTaskInput {
        let ecs = &self.ecs;
        let awsvpc = |given: &EventAwsvpcInput| AwsvpcInput {
            place: given.place,
            subnets: given.subnets.clone(),
            security_groups: given.security_groups.clone(),
            public_ip: given.public_ip.clone(),
        };
        let network =
            |given: &EventNetworkInput| NetworkInput { place: given.place, awsvpc: given.awsvpc.as_ref().map(awsvpc) };
        // As EventBridge has it: tasks say which rule started them.
        let started_by = At { value: format!("events-rule/{}", rule.value), place: rule.place };
        RunTaskInput {
            place: ecs.place,
            cluster: self.cluster.clone(),
            task_definition: ecs.task_definition.clone(),
            count: ecs.count.clone(),
            launch_type: ecs.launch_type.clone(),
            strategy: ecs.strategy.clone(),
            group: ecs.group.clone(),
            started_by: Some(started_by),
            placement_constraints: ecs.placement_constraints.clone(),
            placement_strategy: ecs.placement_strategy.clone(),
            network: ecs.network.as_ref().map(network),
            platform_version: ecs.platform_version.clone(),
            overrides: self.input.as_ref().map(|OverridesText(overrides)| overrides.clone()),
            container_instances: Vec::new(),
            arrivals: None,
            client_token: None,
            volumes: Vec::new(),
        }
    }
}
