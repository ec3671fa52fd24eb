//! `messages`: an SQS queue, what is sent to it, and the service that drains it (design, section 3.2).

use serde_json::{Map, Value as Json, json};

use super::convert::{Context, not_modelled};
use super::decode::{At, Attribute, Decode, Raw, Whole, keyword, object};
use super::diagnostic::{Problem, Reading, code};
use super::quantity::{Dist, Seconds};
use super::tree::{Entry, Node, Value};
use super::workload::arrivals;
use crate::arn;
use crate::control_plane::estate::{Consumer, Demand, Messages, OnStop};
use crate::engine::time::SimDuration;
use crate::workload::distribution::Distribution;
use crate::workload::queue::{CreateQueue, QueueAttributes, RedrivePolicy};

object! {
    /// An SQS queue, as input of `sqs create-queue`, what is sent to it, and the service whose tasks drain it.
    pub(crate) struct MessagesInput("`messages`") {
        /// Name of the queue. Default: the workload's.
        queue_name: Option<At<String>> = "QueueName",
        /// Attributes of the queue.
        attributes: Option<QueueAttributesInput> = "Attributes",
        /// When messages are sent: an arrival process or a rate. Absent: only dead letters come.
        arrivals: Option<Raw> = "arrivals",
        /// Messages sent at each arrival. Default 1.
        count: Option<Whole<1, 1_000_000>> = "count",
        /// Service whose tasks drain it, by name if one cluster has it, or cluster/service. Absent: nobody does.
        service: Option<At<String>> = "service",
        /// CPU time a message takes, of one vCPU.
        cpu_per_message: Option<Dist<Seconds>> = "cpuPerMessage",
        /// Time a message waits for others, before it computes.
        wait_per_message: Option<Dist<Seconds>> = "waitPerMessage",
        /// Messages a task works on at once. Default 1.
        concurrency: Option<Whole<1, 10_000>> = "concurrency",
        /// Messages a receive brings at most; those without a free slot wait in the task, in flight. Default 1.
        max_messages: Option<Whole<1, 10>> = "MaxNumberOfMessages",
        /// From an empty receive to the next one, unless receives wait by themselves. Default 1s.
        poll_interval: Option<At<SimDuration>> = "pollInterval",
        /// Share of the attempts that fail: the message comes back after its visibility timeout. Default 0.
        failure_ratio: Option<At<f64>> = "failureRatio",
        /// Share of the messages of which every attempt fails. Default 0.
        poison_ratio: Option<At<f64>> = "poisonRatio",
        /// What a task that is told to stop does with messages in work: abandon (default) or finish.
        on_stop: Option<OnStop> = "onStop",
    }
    ignored { "tags": "tags change nothing", }
}

object! {
    /// Attributes of a queue.
    pub(crate) struct QueueAttributesInput("`Attributes` of a queue") {
        /// Seconds for which a message that was received is nobody else's. Default 30.
        visibility_timeout: Option<At<Attribute<0, 43_200>>> = "VisibilityTimeout",
        /// Seconds from the send to being visible. Default 0.
        delay_seconds: Option<Attribute<0, 900>> = "DelaySeconds",
        /// Seconds after which a message is deleted. Default 345600, four days.
        retention: Option<Attribute<60, 1_209_600>> = "MessageRetentionPeriod",
        /// Seconds a receive waits for a message: 0 is short polling. Default 0.
        receive_wait: Option<Attribute<0, 20>> = "ReceiveMessageWaitTimeSeconds",
        /// Where messages go that have been received too often: a map, or AWS's JSON text.
        redrive_policy: Option<RedrivePolicyText> = "RedrivePolicy",
    }
    ignored {
        "MaximumMessageSize": "messages have no size",
        "Policy": "nobody is denied a call",
        "KmsMasterKeyId": "encryption changes nothing",
        "KmsDataKeyReusePeriodSeconds": "encryption changes nothing",
        "SqsManagedSseEnabled": "encryption changes nothing",
        "RedriveAllowPolicy": "nobody is denied a dead-letter queue",
    }
    refused {
        "FifoQueue": "queues that keep an order",
        "ContentBasedDeduplication": "queues that keep an order",
        "DeduplicationScope": "queues that keep an order",
        "FifoThroughputLimit": "queues that keep an order",
    }
}

object! {
    /// Where messages go that have been received too often.
    pub(crate) struct RedrivePolicyInput("`RedrivePolicy`") {
        /// The dead-letter queue, by ARN or name; one that no workload has is there all the same.
        target: At<String> = "deadLetterTargetArn",
        /// Receives after which a message goes there.
        max_receive_count: Attribute<1, 1000> = "maxReceiveCount",
    }
}

/// A redrive policy as a map, or as the JSON text that `create-queue` takes.
#[derive(Clone, Debug)]
pub(crate) struct RedrivePolicyText(pub(crate) RedrivePolicyInput);

impl Decode for RedrivePolicyText {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let Value::Text(text) = &node.value else { return RedrivePolicyInput::decode(node, reading).map(Self) };
        let Ok(Json::Object(members)) = serde_json::from_str::<Json>(text) else {
            let problem =
                Problem::new(code::INVALID, node.place, "`RedrivePolicy` is a map, or a JSON object as a text");
            reading.report(problem.help("{deadLetterTargetArn: jobs-dlq, maxReceiveCount: 5}"));
            return None;
        };
        // Whatever is in the text has the place of the text.
        let entry = |(key, value): (String, Json)| {
            let value = match value {
                Json::String(text) => Value::Text(text),
                Json::Number(number) => number.as_i64().map_or(Value::Null, Value::Integer),
                _ => Value::Null,
            };
            Entry { key, key_place: node.place, value: Node { value, place: node.place } }
        };
        let map = Node { value: Value::Map(members.into_iter().map(entry).collect()), place: node.place };
        RedrivePolicyInput::decode(&map, reading).map(Self)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({ "anyOf": [RedrivePolicyInput::schema(definitions), { "type": "string" }] })
    }
}

keyword! { impl OnStop { Abandon = "abandon", Finish = "finish", } }

/// What the queue is, who sends, who drains.
pub(super) fn demand(
    input: &MessagesInput,
    name: &At<String>,
    context: &Context,
    reading: &mut Reading,
) -> Option<Demand> {
    let queue = create_queue(input, name, reading);
    let arrivals = match &input.arrivals {
        Some(Raw(node)) => {
            let arrivals = arrivals(node, context, reading)?;
            if arrivals.changes_tasks() {
                let message = "columns of a trace change the task that is run; a message has none";
                reading.report(Problem::new(code::NOT_MODELLED, node.place, message).label("`columns` in here"));
            }
            Some(arrivals)
        }
        None => None,
    };
    let consumer = if let Some(service) = &input.service {
        Some(consumer(input, service, context, reading)?)
    } else {
        if input.cpu_per_message.is_some() || input.wait_per_message.is_some() {
            let message = "nobody works on these messages: `messages` has no `service`";
            let problem = Problem::new(code::SUSPICIOUS, input.place, message).label("without a service");
            reading.report(problem.into_warning());
        }
        None
    };
    let count = input.count.map_or(1, |count| u64::from(count.get()));
    Some(Demand::Messages(Box::new(Messages { queue, arrivals, count, consumer })))
}

fn create_queue(input: &MessagesInput, workload: &At<String>, reading: &mut Reading) -> CreateQueue {
    let name = input.queue_name.as_ref().unwrap_or(workload);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.chars().count() > 80 || !name.chars().all(allowed) {
        let message = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        let problem = Problem::aws("InvalidParameterValue", "API", name.place, message);
        let help = "`QueueName` names the queue when the workload's name cannot";
        reading.report(problem.label("no name of a standard queue").help(help));
    }
    let mut attributes = QueueAttributes::default();
    let mut redrive = None;
    if let Some(given) = &input.attributes {
        let put = |field: &mut SimDuration, given: Option<u64>| {
            if let Some(seconds) = given {
                *field = SimDuration::from_secs(seconds);
            }
        };
        if let Some(at) = given.visibility_timeout.as_ref().filter(|timeout| timeout.get() == 0) {
            not_modelled(at.place, "messages that everybody may receive at once", reading);
        }
        put(&mut attributes.visibility_timeout, given.visibility_timeout.as_ref().map(|seconds| seconds.value.get()));
        put(&mut attributes.delay, given.delay_seconds.map(Attribute::get));
        put(&mut attributes.retention, given.retention.map(Attribute::get));
        put(&mut attributes.receive_wait, given.receive_wait.map(Attribute::get));
        if let Some(RedrivePolicyText(policy)) = &given.redrive_policy {
            let target = arn::queue(&policy.target).to_owned();
            if target == name.value {
                let message = "a queue cannot be its own dead-letter queue";
                reading.report(Problem::aws("InvalidParameterValue", "API", policy.target.place, message));
            }
            // At most 1000.
            redrive = Some(RedrivePolicy { target, max_receive_count: policy.max_receive_count.get() as u32 });
        }
    }
    CreateQueue { name: name.value.clone(), attributes, redrive }
}

fn consumer(input: &MessagesInput, service: &At<String>, context: &Context, reading: &mut Reading) -> Option<Consumer> {
    if input.cpu_per_message.is_none() && input.wait_per_message.is_none() {
        let message = "`messages` needs `cpuPerMessage`, `waitPerMessage` or both: what does a message take?";
        let problem = Problem::new(code::MISSING_KEY, input.place, message).for_want_of("cpuPerMessage");
        reading.report(problem.for_want_of("waitPerMessage").help("cpuPerMessage: {exponential: {mean: 200ms}}"));
        return None;
    }
    let ratio = |ratio: &Option<At<f64>>, reading: &mut Reading| match ratio {
        Some(at) if !(0.0..=1.0).contains(&at.value) => {
            let message = format!("{} is no share of the messages: between 0 and 1", at.value);
            reading.report(Problem::new(code::OUT_OF_RANGE, at.place, message));
            0.0
        }
        ratio => ratio.as_ref().map_or(0.0, |at| at.value),
    };
    let poll_interval = input.poll_interval.as_ref().map_or(SimDuration::from_secs(1), |interval| {
        if interval.is_zero() {
            let message = "a consumer that asks again at once asks without end";
            let problem = Problem::new(code::OUT_OF_RANGE, interval.place, message).label("no time at all");
            reading.report(problem.help("Attributes: {ReceiveMessageWaitTimeSeconds: 20} makes receives wait"));
        }
        interval.value
    });
    let work = |given: &Option<Dist<Seconds>>| {
        given.as_ref().map_or(Distribution::Constant(0.0), |work| work.distribution.clone())
    };
    let (cpu_per_message, wait_per_message) = (work(&input.cpu_per_message), work(&input.wait_per_message));
    let timeout = input.attributes.as_ref().and_then(|given| given.visibility_timeout.as_ref());
    let seconds = timeout.map_or(30.0, |timeout| timeout.get() as f64);
    let mean = cpu_per_message.mean() + wait_per_message.mean();
    if mean > seconds {
        let place = timeout.map_or(input.place, |timeout| timeout.place);
        let message = format!(
            "a message takes {mean} s on average and is visible again after {seconds} s: most are received once more while \
             they are worked on"
        );
        let problem = Problem::new(code::SUSPICIOUS, place, message).label("shorter than the work");
        reading
            .report(problem.help("AWS advises six times the work, Attributes: {VisibilityTimeout: …}").into_warning());
    }
    Some(Consumer {
        service: context.service(service),
        cpu_per_message,
        wait_per_message,
        concurrency: input.concurrency.map_or(1, Whole::get),
        max_messages: input.max_messages.map_or(1, |most| most.get() as usize),
        poll_interval,
        failure_ratio: ratio(&input.failure_ratio, reading),
        poison_ratio: ratio(&input.poison_ratio, reading),
        on_stop: input.on_stop.unwrap_or_default(),
    })
}
