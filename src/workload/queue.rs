//! A standard queue of Amazon SQS: who may receive which message, and when a message is there again.
//!
//! A message is *delayed* until its `DelaySeconds` are over, then *visible* (SQS-3), and *in flight* from a receive on until
//! it is deleted or its visibility timeout ends; then it is visible again. Once a message has been received
//! `maxReceiveCount` times, the next receive moves it to the dead-letter queue instead. After `MessageRetentionPeriod` it is
//! gone, whoever has it. Every message that came is in one of six places:
//!
//! sent + moved in = deleted + visible + in flight + delayed + dead-lettered + expired
//!
//! Where AWS promises no order we choose: the oldest visible message goes first. One that has been received three times and
//! not deleted goes behind all others and ceases to count for the age of the oldest, as AWS says of standard queues
//! (Amazon SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS"). Calls take no time, a receive misses no
//! message, and none is delivered twice but after its timeout.
//!
//! Messages that nobody has received yet are kept as runs of those sent at one instant, so a batch of a million takes as
//! much memory as one message. A receive, a delete, the end of a timeout take O(log n) in the messages received and not yet
//! deleted; sending takes O(1).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use slotmap::SlotMap;

use crate::engine::time::{SimDuration, SimTime};

slotmap::new_key_type! {
    /// A message that has been received at least once, or came from another queue.
    pub struct MessageKey;
}

/// Input of `sqs create-queue`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateQueue {
    /// `QueueName`.
    pub name: String,
    /// `Attributes`, but for the redrive policy.
    pub attributes: QueueAttributes,
    /// `RedrivePolicy`.
    pub redrive: Option<RedrivePolicy>,
}

/// `Attributes` of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueAttributes {
    /// `VisibilityTimeout`: how long a message that was received is nobody else's.
    pub visibility_timeout: SimDuration,
    /// `DelaySeconds`: from the send to being visible.
    pub delay: SimDuration,
    /// `MessageRetentionPeriod`.
    pub retention: SimDuration,
    /// `ReceiveMessageWaitTimeSeconds`: above zero, a receive that finds nothing waits that long for a message.
    pub receive_wait: SimDuration,
}

impl Default for QueueAttributes {
    /// What `create-queue` says: 30 s invisible, no delay, four days, short polling.
    fn default() -> Self {
        Self {
            visibility_timeout: SimDuration::from_secs(30),
            delay: SimDuration::ZERO,
            retention: SimDuration::from_secs(345_600),
            receive_wait: SimDuration::ZERO,
        }
    }
}

/// `RedrivePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// Name of the queue in `deadLetterTargetArn`.
    pub target: String,
    /// `maxReceiveCount`.
    pub max_receive_count: u32,
}

/// What handling a message takes: the same at each delivery of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Time waited for others, without CPU.
    pub wait: SimDuration,
    /// Time of one vCPU.
    pub cpu: SimDuration,
    /// Every attempt at it fails.
    pub poison: bool,
}

/// `ReceiptHandle`: one delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    message: MessageKey,
    number: u64,
}

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// What to delete it by.
    pub receipt: Receipt,
    /// What it takes.
    pub work: Work,
    /// How long it has been in the queue.
    pub age: SimDuration,
    /// `ApproximateReceiveCount`, this receive included.
    pub receives: u32,
}

/// A message on its way to a dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// When it was first sent: it expires by that in any queue.
    pub sent: SimTime,
    /// What it takes.
    pub work: Work,
    /// How long it has been in the queue it leaves.
    pub age: SimDuration,
}

/// What a receive brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The messages.
    pub received: Vec<Received>,
    /// Those that had been received too often.
    pub dead: Vec<DeadLetter>,
}

/// What time alone has done to a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Messages past their retention.
    pub expired: u64,
    /// The greatest age at which a message ceased to count as the oldest: expired, or sent to the back.
    pub oldest: SimDuration,
}

/// Something that happened to a queue's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueEvent {
    /// `SendMessage`.
    Sent {
        /// How many.
        count: u64,
    },
    /// A message was received.
    Received {
        /// How long it had been in the queue, if for the first time.
        waited: Option<SimDuration>,
    },
    /// `DeleteMessage`.
    Deleted {
        /// How old the message was; `None` when the call came too late to delete it.
        age: Option<SimDuration>,
    },
    /// A message left for the dead-letter queue.
    DeadLettered {
        /// How old it was.
        age: SimDuration,
    },
    /// Time alone did something.
    Passed(Passed),
    /// All that happens at once has happened: what is visible now has to wait.
    Settled,
}

/// How many messages took which way, since the queue exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// By `SendMessage`.
    pub sent: u64,
    /// From a queue whose dead-letter queue this is; not counted as sent, as in `NumberOfMessagesSent`.
    pub moved_in: u64,
    /// By `DeleteMessage`.
    pub deleted: u64,
    /// To the dead-letter queue.
    pub dead_lettered: u64,
    /// By age.
    pub expired: u64,
}

/// Messages sent at one instant that nobody has received yet.
#[derive(Clone, Copy, Debug)]
struct Run {
    sent: SimTime,
    count: u64,
    /// Position of the first of them; the others follow.
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    sent: SimTime,
    /// When it came to this queue.
    entered: SimTime,
    work: Work,
    receives: u32,
    /// Its place in the order of delivery.
    position: u64,
    /// Received so often that it is behind all others and out of the age of the oldest.
    at_back: bool,
    /// Number of its newest delivery.
    receipt: u64,
    /// End of its visibility timeout while in flight.
    invisible_until: Option<SimTime>,
}

/// A queue and its messages.
#[derive(Clone, Debug)]
pub struct Queue {
    attributes: QueueAttributes,
    /// `maxReceiveCount`, when there is a dead-letter queue.
    most_receives: Option<u32>,
    delayed: VecDeque<Run>,
    fresh: VecDeque<Run>,
    messages: SlotMap<MessageKey, Message>,
    /// Visible messages that have been received before, or moved in, by position.
    returned: BTreeMap<u64, MessageKey>,
    /// By end of the timeout and receipt.
    in_flight: BTreeMap<(SimTime, u64), MessageKey>,
    /// Of `messages`, by when they were sent: what expires next.
    by_sent: BTreeSet<(SimTime, MessageKey)>,
    /// Of `messages`, those that count for the age of the oldest.
    by_entered: BTreeSet<(SimTime, MessageKey)>,
    delayed_count: u64,
    fresh_count: u64,
    next_position: u64,
    receipts: u64,
    ways: Ways,
}

impl Queue {
    /// Messages that may be in flight at once: AWS's quota of a standard queue. Beyond it a receive brings nothing.
    pub const IN_FLIGHT_QUOTA: usize = 120_000;
    /// After so many receives without a delete, a message goes to the back.
    const PATIENCE: u32 = 3;

    /// An empty queue; with a dead-letter queue, messages leave for it after `most_receives` receives.
    pub fn new(attributes: QueueAttributes, most_receives: Option<u32>) -> Self {
        Self {
            attributes,
            most_receives,
            delayed: VecDeque::new(),
            fresh: VecDeque::new(),
            messages: SlotMap::with_key(),
            returned: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            by_sent: BTreeSet::new(),
            by_entered: BTreeSet::new(),
            delayed_count: 0,
            fresh_count: 0,
            next_position: 0,
            receipts: 0,
            ways: Ways::default(),
        }
    }

    /// Its attributes.
    pub const fn attributes(&self) -> &QueueAttributes {
        &self.attributes
    }

    /// `ApproximateNumberOfMessagesVisible` (SQS-3).
    pub fn visible(&self) -> u64 {
        self.fresh_count + self.returned.len() as u64
    }

    /// `ApproximateNumberOfMessagesNotVisible`.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.len() as u64
    }

    /// `ApproximateNumberOfMessagesDelayed`.
    pub const fn delayed(&self) -> u64 {
        self.delayed_count
    }

    /// No message in it.
    pub fn is_empty(&self) -> bool {
        self.visible() == 0 && self.in_flight.is_empty() && self.delayed_count == 0
    }

    /// Whether a receive would find a message.
    pub fn has_for_receive(&self) -> bool {
        self.visible() > 0 && self.in_flight.len() < Self::IN_FLIGHT_QUOTA
    }

    /// How many messages took which way.
    pub const fn ways(&self) -> Ways {
        self.ways
    }

    /// `ApproximateAgeOfOldestMessage`: of the oldest one not deleted, but for those at the back; `None` without any.
    pub fn age_of_oldest(&self, now: SimTime) -> Option<SimDuration> {
        let unreceived = [self.fresh.front(), self.delayed.front()].into_iter().flatten().map(|run| run.sent);
        let entered = unreceived.chain(self.by_entered.first().map(|(entered, _)| *entered)).min()?;
        Some(now.saturating_since(entered))
    }

    /// `SendMessage`, `count` times at one instant.
    pub fn send(&mut self, count: u64, now: SimTime) {
        if count == 0 {
            return;
        }
        self.ways.sent += count;
        let run = Run { sent: now, count, first: self.next_position };
        self.next_position += count;
        if self.attributes.delay.is_zero() {
            self.fresh_count += count;
            append(&mut self.fresh, run);
        } else {
            self.delayed_count += count;
            append(&mut self.delayed, run);
        }
    }

    /// A message from a queue whose dead-letter queue this is: visible at once, its receives counted anew.
    pub fn accept(&mut self, letter: DeadLetter, now: SimTime) {
        self.ways.moved_in += 1;
        let position = self.next_position;
        self.next_position += 1;
        let message = Message {
            sent: letter.sent,
            entered: now,
            work: letter.work,
            receives: 0,
            position,
            at_back: false,
            receipt: 0,
            invisible_until: None,
        };
        let key = self.insert(message);
        self.returned.insert(position, key);
    }

    /// `ReceiveMessage` with `MaxNumberOfMessages`; `draw` says what a message takes, when it is first received.
    ///
    /// First receives happen in the order of sending, so what is drawn does not depend on who receives.
    pub fn receive(&mut self, most: usize, now: SimTime, mut draw: impl FnMut() -> Work) -> Batch {
        let mut batch = Batch::default();
        while batch.received.len() < most && self.has_for_receive() {
            let returned = self.returned.first_key_value().map(|(position, key)| (*position, *key));
            let fresh = self.fresh.front().map(|run| run.first);
            let key = match (returned, fresh) {
                (Some((position, key)), fresh) if fresh.is_none_or(|fresh| position < fresh) => {
                    self.returned.remove(&position);
                    if self.most_receives.is_some_and(|most| self.messages[key].receives >= most) {
                        self.ways.dead_lettered += 1;
                        let Message { sent, entered, work, .. } = self.remove(key);
                        batch.dead.push(DeadLetter { sent, work, age: now.saturating_since(entered) });
                        continue;
                    }
                    key
                }
                _ => {
                    let Some((sent, position)) = self.take_fresh() else { break };
                    self.insert(Message {
                        sent,
                        entered: sent,
                        work: draw(),
                        receives: 0,
                        position,
                        at_back: false,
                        receipt: 0,
                        invisible_until: None,
                    })
                }
            };
            self.receipts += 1;
            let until = now.saturating_add(self.attributes.visibility_timeout);
            let message = &mut self.messages[key];
            message.receives += 1;
            message.receipt = self.receipts;
            message.invisible_until = Some(until);
            batch.received.push(Received {
                receipt: Receipt { message: key, number: self.receipts },
                work: message.work,
                age: now.saturating_since(message.entered),
                receives: message.receives,
            });
            self.in_flight.insert((until, self.receipts), key);
        }
        batch
    }

    /// `DeleteMessage`: how old the message was; `None` when the receipt is not that of its newest delivery, or the message
    /// is gone: then the call changes nothing.
    pub fn delete(&mut self, receipt: Receipt, now: SimTime) -> Option<SimDuration> {
        let message = *self.messages.get(receipt.message).filter(|message| message.receipt == receipt.number)?;
        match message.invisible_until {
            Some(until) => self.in_flight.remove(&(until, receipt.number)),
            None => self.returned.remove(&message.position),
        };
        self.remove(receipt.message);
        self.ways.deleted += 1;
        Some(now.saturating_since(message.entered))
    }

    /// The next instant at which time alone changes the queue.
    pub fn next_change(&self) -> Option<SimTime> {
        let appears = self.delayed.front().map(|run| run.sent.saturating_add(self.attributes.delay));
        let returns = self.in_flight.first_key_value().map(|((until, _), _)| *until);
        let unreceived = [self.fresh.front(), self.delayed.front()].into_iter().flatten().map(|run| run.sent);
        let oldest = unreceived.chain(self.by_sent.first().map(|(sent, _)| *sent)).min();
        let expires = oldest.map(|sent| sent.saturating_add(self.attributes.retention));
        [appears, returns, expires].into_iter().flatten().min()
    }

    /// Everything that time alone has changed up to `now`.
    pub fn pass(&mut self, now: SimTime) -> Passed {
        let mut passed = Passed::default();
        while let Some(run) = self.delayed.front().copied()
            && run.sent.saturating_add(self.attributes.delay) <= now
        {
            self.delayed.pop_front();
            self.delayed_count -= run.count;
            self.fresh_count += run.count;
            append(&mut self.fresh, run);
        }
        while let Some(((until, receipt), key)) = self.in_flight.first_key_value().map(|(at, key)| (*at, *key))
            && until <= now
        {
            self.in_flight.remove(&(until, receipt));
            let message = &mut self.messages[key];
            message.invisible_until = None;
            if message.receives >= Self::PATIENCE {
                message.position = self.next_position;
                self.next_position += 1;
                if !std::mem::replace(&mut message.at_back, true) {
                    passed.oldest = passed.oldest.max(now.saturating_since(message.entered));
                    self.by_entered.remove(&(message.entered, key));
                }
            }
            self.returned.insert(message.position, key);
        }
        let ends = |sent: SimTime| sent.saturating_add(self.attributes.retention) <= now;
        for (runs, count) in [(&mut self.fresh, &mut self.fresh_count), (&mut self.delayed, &mut self.delayed_count)] {
            while let Some(run) = runs.front().copied()
                && ends(run.sent)
            {
                runs.pop_front();
                *count -= run.count;
                passed.expired += run.count;
                passed.oldest = passed.oldest.max(now.saturating_since(run.sent));
            }
        }
        while let Some((sent, key)) = self.by_sent.first().copied()
            && sent.saturating_add(self.attributes.retention) <= now
        {
            let message = self.remove(key);
            match message.invisible_until {
                Some(until) => self.in_flight.remove(&(until, message.receipt)),
                None => self.returned.remove(&message.position),
            };
            passed.expired += 1;
            if !message.at_back {
                passed.oldest = passed.oldest.max(now.saturating_since(message.entered));
            }
        }
        self.ways.expired += passed.expired;
        passed
    }

    fn take_fresh(&mut self) -> Option<(SimTime, u64)> {
        let run = self.fresh.front_mut()?;
        let taken = (run.sent, run.first);
        run.first += 1;
        run.count -= 1;
        if run.count == 0 {
            self.fresh.pop_front();
        }
        self.fresh_count -= 1;
        Some(taken)
    }

    fn insert(&mut self, message: Message) -> MessageKey {
        let key = self.messages.insert(message);
        self.by_sent.insert((message.sent, key));
        self.by_entered.insert((message.entered, key));
        key
    }

    /// Forgets a message, which is in `messages`; where it was visible or in flight is for the caller.
    fn remove(&mut self, key: MessageKey) -> Message {
        let message = self.messages.remove(key).expect("only known messages are in the indices");
        self.by_sent.remove(&(message.sent, key));
        self.by_entered.remove(&(message.entered, key));
        message
    }

    /// Recounts what is kept incrementally.
    ///
    /// # Errors
    /// The first thing that does not add up.
    pub fn audit(&self) -> Result<(), String> {
        let Ways { sent, moved_in, deleted, dead_lettered, expired } = self.ways;
        let (visible, in_flight, delayed) = (self.visible(), self.in_flight(), self.delayed());
        if sent + moved_in != deleted + visible + in_flight + delayed + dead_lettered + expired {
            return Err(format!(
                "{sent} sent and {moved_in} moved in, but {deleted} deleted, {visible} visible, {in_flight} in flight, \
                 {delayed} delayed, {dead_lettered} dead-lettered, {expired} expired"
            ));
        }
        let count = |runs: &VecDeque<Run>| runs.iter().map(|run| run.count).sum::<u64>();
        if (count(&self.fresh), count(&self.delayed)) != (self.fresh_count, self.delayed_count) {
            return Err("the runs of messages do not add up".to_owned());
        }
        let invisible = self.messages.values().filter(|message| message.invisible_until.is_some()).count();
        let counting = self.messages.values().filter(|message| !message.at_back).count();
        if invisible != self.in_flight.len()
            || self.messages.len() != self.in_flight.len() + self.returned.len()
            || self.messages.len() != self.by_sent.len()
            || counting != self.by_entered.len()
        {
            return Err(format!(
                "{} messages, {invisible} of them invisible, but {} in flight and {} visible again",
                self.messages.len(),
                self.in_flight.len(),
                self.returned.len()
            ));
        }
        Ok(())
    }
}

/// Puts a run at the end, together with the last one when it goes on from there.
fn append(runs: &mut VecDeque<Run>, run: Run) {
    match runs.back_mut() {
        Some(last) if last.sent == run.sent && last.first + last.count == run.first => last.count += run.count,
        _ => runs.push_back(run),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> SimTime {
        SimTime::from_secs(secs)
    }

    fn queue(most_receives: Option<u32>) -> Queue {
        Queue::new(QueueAttributes::default(), most_receives)
    }

    fn receive(queue: &mut Queue, most: usize, now: u64) -> Vec<Received> {
        queue.receive(most, at(now), Work::default).received
    }

    fn counts(queue: &Queue) -> (u64, u64, u64) {
        queue.audit().unwrap();
        (queue.visible(), queue.in_flight(), queue.delayed())
    }

    #[test]
    fn sqs_3_visible_is_neither_in_flight_nor_delayed() {
        let mut delaying =
            Queue::new(QueueAttributes { delay: SimDuration::from_secs(5), ..QueueAttributes::default() }, None);
        delaying.send(3, at(0));
        assert_eq!(counts(&delaying), (0, 0, 3));
        assert_eq!(delaying.next_change(), Some(at(5)));
        delaying.pass(at(5));
        assert_eq!(counts(&delaying), (3, 0, 0));
        let taken = receive(&mut delaying, 2, 6);
        assert_eq!(counts(&delaying), (1, 2, 0));
        assert_eq!(delaying.delete(taken[0].receipt, at(7)), Some(SimDuration::from_secs(7)));
        assert_eq!(counts(&delaying), (1, 1, 0));
    }

    #[test]
    fn a_message_comes_back_when_its_timeout_ends_and_is_delivered_first() {
        let mut queue = queue(None);
        queue.send(1, at(0));
        let first = receive(&mut queue, 1, 0)[0];
        queue.send(1, at(10));
        assert_eq!(queue.next_change(), Some(at(30)));
        queue.pass(at(29));
        assert_eq!(counts(&queue), (1, 1, 0));
        queue.pass(at(30));
        assert_eq!(counts(&queue), (2, 0, 0));
        let again = receive(&mut queue, 1, 31)[0];
        assert_eq!((again.receives, again.age), (2, SimDuration::from_secs(31)));
        assert_eq!(queue.delete(first.receipt, at(32)), None, "the receipt of the first delivery is stale");
        assert!(queue.delete(again.receipt, at(32)).is_some());
        assert_eq!(counts(&queue), (1, 0, 0));
    }

    #[test]
    fn a_late_delete_works_while_nobody_else_has_received_the_message() {
        let mut queue = queue(None);
        queue.send(1, at(0));
        let taken = receive(&mut queue, 1, 0)[0];
        queue.pass(at(30));
        assert_eq!(queue.delete(taken.receipt, at(40)), Some(SimDuration::from_secs(40)));
        assert!(queue.is_empty());
        assert_eq!(queue.delete(taken.receipt, at(41)), None);
    }

    #[test]
    fn a_message_received_too_often_goes_to_the_dead_letter_queue_at_the_next_receive() {
        let (mut jobs, mut dead) = (queue(Some(2)), queue(None));
        jobs.send(1, at(0));
        for time in [0, 30] {
            jobs.pass(at(time));
            assert_eq!(receive(&mut jobs, 10, time).len(), 1);
        }
        jobs.pass(at(60));
        assert_eq!(counts(&jobs), (1, 0, 0), "it stays until somebody asks");
        let batch = jobs.receive(10, at(70), Work::default);
        assert_eq!((batch.received.len(), batch.dead.len()), (0, 1));
        assert_eq!(batch.dead[0].age, SimDuration::from_secs(70));
        dead.accept(batch.dead[0], at(70));
        assert_eq!((counts(&jobs), counts(&dead)), ((0, 0, 0), (1, 0, 0)));
        assert_eq!((dead.ways().sent, dead.ways().moved_in), (0, 1));
        // Its age counts from the move, its retention from the send.
        assert_eq!(dead.age_of_oldest(at(100)), Some(SimDuration::from_secs(30)));
        assert_eq!(dead.next_change(), Some(at(345_600)));
        assert_eq!(dead.pass(at(345_600)).expired, 1);
        assert!(dead.is_empty());
    }

    #[test]
    fn what_fails_three_times_goes_to_the_back_and_out_of_the_age() {
        let mut queue = queue(None);
        queue.send(1, at(0));
        for time in [0, 30, 60] {
            queue.pass(at(time));
            receive(&mut queue, 1, time);
        }
        queue.send(1, at(80));
        assert_eq!(queue.age_of_oldest(at(85)), Some(SimDuration::from_secs(85)));
        assert_eq!(queue.pass(at(90)).oldest, SimDuration::from_secs(90));
        assert_eq!(queue.age_of_oldest(at(90)), Some(SimDuration::from_secs(10)));
        queue.send(1, at(95));
        let order: Vec<u32> = receive(&mut queue, 3, 100).iter().map(|received| received.receives).collect();
        assert_eq!(order, [1, 4, 1], "behind those present when it came back, before later ones");
    }

    #[test]
    fn retention_ends_messages_wherever_they_are() {
        let retention = SimDuration::from_secs(60);
        let mut queue = Queue::new(QueueAttributes { retention, ..QueueAttributes::default() }, None);
        queue.send(3, at(0));
        let taken = receive(&mut queue, 1, 50)[0];
        queue.send(1, at(55));
        assert_eq!(queue.next_change(), Some(at(60)));
        assert_eq!(queue.pass(at(60)), Passed { expired: 3, oldest: retention });
        assert_eq!(counts(&queue), (1, 0, 0));
        assert_eq!(queue.delete(taken.receipt, at(61)), None);
    }

    #[test]
    fn no_more_than_the_quota_are_in_flight() {
        let mut queue = queue(None);
        queue.send(Queue::IN_FLIGHT_QUOTA as u64 + 5, at(0));
        assert_eq!(receive(&mut queue, usize::MAX, 0).len(), Queue::IN_FLIGHT_QUOTA);
        assert!(!queue.has_for_receive());
        assert_eq!(queue.visible(), 5);
    }

    #[test]
    fn a_million_messages_of_one_instant_are_one_run() {
        let mut queue = queue(None);
        queue.send(500_000, at(0));
        queue.send(500_000, at(0));
        assert_eq!((queue.fresh.len(), queue.visible()), (1, 1_000_000));
        receive(&mut queue, 10, 1);
        assert_eq!((queue.fresh.len(), queue.messages.len()), (1, 10));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send(u64),
        Receive(usize),
        Delete(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..5).prop_map(Step::Send),
            (1_usize..11).prop_map(Step::Receive),
            (0_usize..20).prop_map(Step::Delete),
            (0_u64..40).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Whatever is asked of it: no message is lost or doubled, and a message is in one pair of hands at a time.
        #[test]
        fn every_message_is_in_one_place(
            steps in prop::collection::vec(step(), 0..120),
            delay in 0_u64..20,
            retention in 60_u64..200,
            most in prop::option::of(1_u32..4),
        ) {
            let secs = SimDuration::from_secs;
            let attributes =
                QueueAttributes { delay: secs(delay), retention: secs(retention), ..QueueAttributes::default() };
            let mut queue = Queue::new(attributes, most);
            let mut hands: Vec<Received> = Vec::new();
            let mut now = SimTime::ZERO;
            for step in steps {
                match step {
                    Step::Send(count) => queue.send(count, now),
                    Step::Receive(at_once) => {
                        let batch = queue.receive(at_once, now, Work::default);
                        prop_assert!(batch.received.iter().all(|got| most.is_none_or(|most| got.receives <= most)));
                        for got in &batch.received {
                            hands.retain(|held| held.receipt.message != got.receipt.message);
                        }
                        hands.extend(batch.received);
                    }
                    Step::Delete(place) if place < hands.len() => {
                        queue.delete(hands.remove(place).receipt, now);
                    }
                    Step::Delete(_) => {}
                    Step::Wait(span) => {
                        now += secs(span);
                        queue.pass(now);
                        prop_assert!(queue.next_change().is_none_or(|next| next > now));
                        prop_assert!(queue.age_of_oldest(now).is_none_or(|age| age < secs(retention)));
                    }
                }
                prop_assert!(queue.audit().is_ok(), "{:?}", queue.audit());
            }
        }
    }
}
