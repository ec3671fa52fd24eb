//! The future event list, ordered by (time, class, sequence), with cancellation.
//!
//! A four-ary heap of small entries over a slab of events. An entry is copied on its way through the heap; the event
//! itself stays where it was put until it is popped. Cancelling takes the event out of the slab and leaves its entry
//! behind, to be dropped when it surfaces or, at the latest, when such entries outnumber the live ones. The rejected
//! way is an indexed heap, which cancels at once but pays for it with a scattered write at every step of every sift.
//! `benches/event_list.rs` times it beside the heap of `std`.
//!
//! Scheduling and popping take O(log n), cancelling O(1) amortised; nothing is allocated once the list has been as
//! long as it gets.

use super::time::SimTime;
use std::num::NonZeroU64;

/// The rank of an event among those of the same instant: lower classes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(pub u8);

/// Names one scheduled event, for cancelling it.
///
/// A key is used once: after its event was popped or cancelled it stays invalid for ever, because it holds the event's
/// sequence number and no two events of a calendar share one. A key means nothing to another calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKey {
    rank: Rank,
    slot: u32,
}

/// Class in the upper 8 bits, sequence in the lower 56: one comparison orders events of the same instant.
///
/// Never zero, as sequences start at one, which keeps `Option<EventKey>` as small as the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rank(NonZeroU64);

impl Rank {
    const SEQUENCE_BITS: u32 = 56;

    fn new(class: Class, sequence: NonZeroU64) -> Self {
        // At 10^8 events per second the sequence lasts for 22 years.
        debug_assert!(sequence.get() >> Self::SEQUENCE_BITS == 0, "more than 2^56 events");
        Self(sequence | (u64::from(class.0) << Self::SEQUENCE_BITS))
    }
}

/// What the heap moves about: 24 bytes, whatever the size of the event.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: SimTime,
    rank: Rank,
    slot: u32,
}

impl Entry {
    /// (time, class, sequence) as one number.
    fn order(&self) -> u128 {
        (u128::from(self.at.as_nanos()) << 64) | u128::from(self.rank.0.get())
    }
}

/// Where an event waits; vacant slots are listed in [`Calendar::vacant`].
#[derive(Clone, Debug)]
struct Slot<E> {
    /// Of the present occupant, or of the last one if the slot is vacant.
    rank: Rank,
    event: Option<E>,
}

/// The future event list: events in order of (time, class, sequence), where the sequence is the order of scheduling.
///
/// ```
/// use ecsim::engine::calendar::{Calendar, Class};
/// use ecsim::engine::time::SimTime;
///
/// let mut calendar = Calendar::new();
/// let noon = SimTime::from_secs(43_200);
/// calendar.schedule(noon, Class(1), "lunch");
/// let alarm = calendar.schedule(noon, Class(0), "alarm");
/// calendar.schedule(noon, Class(0), "bells");
///
/// assert_eq!(calendar.cancel(alarm), Some("alarm"));
/// assert_eq!(calendar.cancel(alarm), None);
/// assert_eq!(calendar.pop(), Some((noon, "bells")));
/// assert_eq!(calendar.pop(), Some((noon, "lunch")));
/// assert_eq!(calendar.pop(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Calendar<E> {
    /// Every live event has one entry here. Entries of cancelled events may linger, but never at the root.
    heap: Vec<Entry>,
    slots: Vec<Slot<E>>,
    vacant: Vec<u32>,
    /// Lingering entries.
    cancelled: usize,
    next_sequence: NonZeroU64,
}

impl<E> Default for Calendar<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Calendar<E> {
    /// Children per heap node: four make the heap half as deep as two, and siblings share one or two cache lines.
    const ARITY: usize = 4;
    /// Below this many lingering entries a sweep is not worth its while.
    const SWEEP_THRESHOLD: usize = 64;

    /// An empty calendar.
    pub fn new() -> Self {
        Self { heap: Vec::new(), slots: Vec::new(), vacant: Vec::new(), cancelled: 0, next_sequence: NonZeroU64::MIN }
    }

    /// Adds an event and returns the key that cancels it.
    ///
    /// # Panics
    ///
    /// When 2^32 events wait at once.
    pub fn schedule(&mut self, at: SimTime, class: Class, event: E) -> EventKey {
        let rank = Rank::new(class, self.next_sequence);
        self.next_sequence = self.next_sequence.saturating_add(1);
        let occupied = Slot { rank, event: Some(event) };
        let slot = if let Some(slot) = self.vacant.pop() {
            self.slots[slot as usize] = occupied;
            slot
        } else {
            let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 events wait at once");
            self.slots.push(occupied);
            slot
        };
        let entry = Entry { at, rank, slot };
        self.heap.push(entry);
        self.sift_up(0, self.heap.len() - 1, entry);
        EventKey { rank, slot }
    }

    /// Takes an event off the list; `None` if it was popped or cancelled before.
    pub fn cancel(&mut self, key: EventKey) -> Option<E> {
        let event = self.vacate(key.slot, key.rank)?;
        self.cancelled += 1;
        self.drop_cancelled_roots();
        if self.cancelled > Self::SWEEP_THRESHOLD && self.cancelled > self.heap.len() / 2 {
            self.sweep();
        }
        Some(event)
    }

    /// Removes and returns the first event and its time.
    #[expect(clippy::missing_panics_doc, reason = "the root is live whenever a method returns")]
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        let entry = self.heap.first().copied()?;
        let event = self.vacate(entry.slot, entry.rank).expect("the root of the heap is never a cancelled event");
        self.remove_root();
        self.drop_cancelled_roots();
        Some((entry.at, event))
    }

    /// The time of the first event.
    pub fn peek_time(&self) -> Option<SimTime> {
        self.heap.first().map(|entry| entry.at)
    }

    /// True if the event of `key` is still to come.
    pub fn contains(&self, key: EventKey) -> bool {
        self.slots.get(key.slot as usize).is_some_and(|slot| slot.rank == key.rank && slot.event.is_some())
    }

    /// Events still to come.
    pub fn len(&self) -> usize {
        self.heap.len() - self.cancelled
    }

    /// True if no event is to come.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Empties the slot if `rank` is its present occupant.
    fn vacate(&mut self, slot: u32, rank: Rank) -> Option<E> {
        let occupant = self.slots.get_mut(slot as usize)?;
        if occupant.rank != rank {
            return None;
        }
        let event = occupant.event.take()?;
        self.vacant.push(slot);
        Some(event)
    }

    fn is_live(&self, entry: &Entry) -> bool {
        self.contains(EventKey { rank: entry.rank, slot: entry.slot })
    }

    /// Keeps the promise that the root is a live event, so that [`Calendar::peek_time`] need not search.
    fn drop_cancelled_roots(&mut self) {
        while self.cancelled > 0 && self.heap.first().is_some_and(|root| !self.is_live(root)) {
            self.remove_root();
            self.cancelled -= 1;
        }
    }

    /// Drops all lingering entries and restores the heap (Floyd's bottom-up construction).
    ///
    /// Linear in the entries, of which more than half were cancelled since the last sweep: O(1) per cancellation.
    fn sweep(&mut self) {
        let slots = &self.slots;
        self.heap.retain(|entry| {
            let slot = &slots[entry.slot as usize];
            slot.rank == entry.rank && slot.event.is_some()
        });
        self.cancelled = 0;
        if self.heap.len() > 1 {
            for node in (0..=(self.heap.len() - 2) / Self::ARITY).rev() {
                self.sift_down(node, self.heap[node]);
            }
        }
    }

    fn remove_root(&mut self) {
        if let Some(last) = self.heap.pop()
            && !self.heap.is_empty()
        {
            self.sift_down(0, last);
        }
    }

    /// Puts `entry` into the hole at `hole` or, moving later ancestors down, nearer to `top`.
    fn sift_up(&mut self, top: usize, mut hole: usize, entry: Entry) {
        let order = entry.order();
        while hole > top {
            let parent = (hole - 1) / Self::ARITY;
            if self.heap[parent].order() <= order {
                break;
            }
            self.heap[hole] = self.heap[parent];
            hole = parent;
        }
        self.heap[hole] = entry;
    }

    /// Puts `entry` into the hole at `top` or, moving earlier descendants up, below it.
    ///
    /// The hole goes all the way down before `entry` is compared at all (Wegener's bottom-up heapsort): an entry taken
    /// from the end of the heap nearly always belongs there again, and the comparison on the way down, which branches
    /// unpredictably, is saved.
    fn sift_down(&mut self, top: usize, entry: Entry) {
        let mut hole = top;
        while let Some(earliest) = self.earliest_child(hole) {
            self.heap[hole] = self.heap[earliest];
            hole = earliest;
        }
        self.sift_up(top, hole, entry);
    }

    fn earliest_child(&self, node: usize) -> Option<usize> {
        let first = node * Self::ARITY + 1;
        // A knockout among the four of a full node: its comparisons do not wait for each other.
        if let Some([a, b, c, d]) = self.heap.get(first..first + Self::ARITY) {
            let (a, b, c, d) = (a.order(), b.order(), c.order(), d.order());
            let (left, left_order) = if b < a { (1, b) } else { (0, a) };
            let (right, right_order) = if d < c { (3, d) } else { (2, c) };
            return Some(first + if right_order < left_order { right } else { left });
        }
        (first..self.heap.len()).min_by_key(|&child| self.heap[child].order())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;
    use crate::engine::time::SimDuration;
    use std::collections::BTreeMap;

    /// The law: whatever is done to it, the calendar does what a sorted map of (time, class, sequence) does.
    ///
    /// Times and classes are few, so that ties abound; keys are picked among all ever given out, so that most are spent.
    #[test]
    fn behaves_as_a_sorted_map_over_a_million_random_operations() {
        let mut chance = Streams::new(7, 0).named("operations");
        let mut calendar = Calendar::new();
        let mut map: BTreeMap<(SimTime, Class, u64), u64> = BTreeMap::new();
        let mut given: Vec<(EventKey, (SimTime, Class, u64))> = Vec::new();
        let mut now = SimTime::ZERO;
        for operation in 0..1_000_000u64 {
            // The mood changes every 50,000 operations: growing, shrinking, cancelling wholesale.
            let (schedule, cancel) = [(60, 10), (30, 10), (45, 50), (30, 68)][(operation / 50_000 % 4) as usize];
            match chance.below(100) {
                dice if dice < schedule => {
                    let at = SimTime::from_nanos(now.as_nanos() + chance.below(1_000));
                    let class = Class(chance.below(4) as u8);
                    let key = calendar.schedule(at, class, operation);
                    map.insert((at, class, operation), operation);
                    given.push((key, (at, class, operation)));
                }
                dice if dice < schedule + cancel && !given.is_empty() => {
                    // Half of the time a recent key, which is more likely to be alive.
                    let window = if chance.bernoulli(0.5) { given.len().min(2_000) } else { given.len() };
                    let back = chance.below(window as u64);
                    let (key, order) = given[given.len() - 1 - back as usize];
                    assert_eq!(calendar.contains(key), map.contains_key(&order));
                    assert_eq!(calendar.cancel(key), map.remove(&order));
                    assert!(!calendar.contains(key));
                }
                _ => {
                    let expected = map.pop_first().map(|((at, _, _), event)| (at, event));
                    assert_eq!(calendar.pop(), expected);
                    now = expected.map_or(now, |(at, _)| at);
                }
            }
            assert_eq!(calendar.len(), map.len());
            assert_eq!(calendar.is_empty(), map.is_empty());
            assert_eq!(calendar.peek_time(), map.first_key_value().map(|((at, _, _), _)| *at));
        }
        while let Some((order, event)) = map.pop_first() {
            assert_eq!(calendar.pop(), Some((order.0, event)));
        }
        assert_eq!(calendar.pop(), None);
    }

    #[test]
    fn one_instant_is_ordered_by_class_then_by_sequence() {
        let mut calendar = Calendar::new();
        let noon = SimTime::from_secs(43_200);
        for (class, name) in [(2, "c1"), (0, "a1"), (255, "z1"), (2, "c2"), (0, "a2"), (1, "b1"), (255, "z2")] {
            calendar.schedule(noon, Class(class), name);
        }
        calendar.schedule(noon - SimDuration::from_nanos(1), Class(255), "before");
        calendar.schedule(noon + SimDuration::from_nanos(1), Class(0), "after");
        let order: Vec<_> = std::iter::from_fn(|| calendar.pop()).map(|(_, name)| name).collect();
        assert_eq!(order, ["before", "a1", "a2", "b1", "c1", "c2", "z1", "z2", "after"]);
    }

    #[test]
    fn a_spent_key_never_cancels_the_next_event_in_its_slot() {
        let mut calendar = Calendar::new();
        let first = calendar.schedule(SimTime::ZERO, Class(0), 0);
        calendar.pop();
        for round in 1..1_000 {
            let key = calendar.schedule(SimTime::ZERO, Class(0), round);
            assert_eq!((key.slot, calendar.cancel(first)), (first.slot, None));
            assert!(!calendar.contains(first) && calendar.contains(key));
            assert_eq!(calendar.cancel(key), Some(round));
            assert_eq!(calendar.cancel(key), None);
        }
    }

    #[test]
    fn a_key_from_a_longer_calendar_cancels_nothing() {
        let mut long = Calendar::new();
        let foreign = (0..10).map(|n| long.schedule(SimTime::ZERO, Class(0), n)).last().expect("ten keys");
        let mut short = Calendar::new();
        short.schedule(SimTime::ZERO, Class(0), 0);
        assert_eq!(short.cancel(foreign), None);
        assert_eq!(short.len(), 1);
    }

    #[test]
    fn a_timer_renewed_for_ever_needs_no_more_memory() {
        let mut calendar = Calendar::new();
        // Before all others, so that no cancelled entry ever surfaces.
        calendar.schedule(SimTime::ZERO, Class(0), 0);
        let mut keys: Vec<_> = (1..100).map(|n| calendar.schedule(SimTime::from_secs(n), Class(0), n)).collect();
        for round in 0..100_000u64 {
            let timer = (round % 99) as usize;
            let event = calendar.cancel(keys[timer]).expect("the timer is pending");
            keys[timer] = calendar.schedule(SimTime::from_secs(1_000 + round), Class(0), event);
        }
        assert_eq!((calendar.len(), calendar.slots.len()), (100, 100));
        assert!(calendar.heap.len() <= 2 * 100 + 2, "{} entries for 100 events", calendar.heap.len());
    }

    #[test]
    fn an_entry_and_an_optional_key_stay_small() {
        assert_eq!(size_of::<Entry>(), 24);
        assert_eq!(size_of::<Option<EventKey>>(), 16);
    }
}
