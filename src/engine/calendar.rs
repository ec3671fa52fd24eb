//! The future event list, ordered by (time, class, sequence), with cancellation.
//!
//! Small entries over a slab of events: an entry is copied on its way through the list, the event itself stays where it was
//! put until it is popped. Cancelling takes the event out of the slab and leaves its entry behind, to be dropped when it
//! surfaces or, at the latest, when such entries outnumber the live ones. The rejected way is an indexed heap, which
//! cancels at once but pays for it with a scattered write at every step of every sift.
//!
//! A short list is one four-ary heap. A long one is a calendar in the sense of Brown ("Calendar Queues", CACM 31(10), 1988):
//! today's entries are in that heap, so few that it stays in the nearest cache; the days of the coming year are unsorted
//! pages, each of which becomes the heap when its day comes; what is later than a year waits in a second heap. Unlike
//! Brown's, a page is never searched, so a day with many events of one instant costs their logarithm and no more.
//! `benches/event_list.rs` times it beside the heap of `std`: at 10⁵ pending events a hold takes 92 ns where one heap took 119,
//! at 10⁶ 150 where it took 531.
//!
//! Scheduling and popping take O(log n) at worst and O(log of a day's entries) as a rule, cancelling O(1) amortised; nothing
//! is allocated once the list has been as long as it gets.

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

/// A four-ary heap of entries, the first at the root.
///
/// Four children make it half as deep as two, and siblings share one or two lines of the cache.
#[derive(Clone, Debug, Default)]
struct Heap(Vec<Entry>);

impl Heap {
    const ARITY: usize = 4;

    fn push(&mut self, entry: Entry) {
        self.0.push(entry);
        self.sift_up(0, self.0.len() - 1, entry);
    }

    fn pop(&mut self) -> Option<Entry> {
        let last = self.0.pop()?;
        let Some(root) = self.0.first().copied() else { return Some(last) };
        self.sift_down(0, last);
        Some(root)
    }

    /// Makes a heap of entries in any order (Floyd's bottom-up construction): linear.
    fn heapify(&mut self) {
        if self.0.len() > 1 {
            for node in (0..=(self.0.len() - 2) / Self::ARITY).rev() {
                self.sift_down(node, self.0[node]);
            }
        }
    }

    /// Puts `entry` into the hole at `hole` or, moving later ancestors down, nearer to `top`.
    fn sift_up(&mut self, top: usize, mut hole: usize, entry: Entry) {
        let order = entry.order();
        while hole > top {
            let parent = (hole - 1) / Self::ARITY;
            if self.0[parent].order() <= order {
                break;
            }
            self.0[hole] = self.0[parent];
            hole = parent;
        }
        self.0[hole] = entry;
    }

    /// Puts `entry` into the hole at `top` or, moving earlier descendants up, below it.
    ///
    /// The hole goes all the way down before `entry` is compared at all (Wegener's bottom-up heapsort): an entry taken
    /// from the end of the heap nearly always belongs there again, and the comparison on the way down, which branches
    /// unpredictably, is saved.
    fn sift_down(&mut self, top: usize, entry: Entry) {
        let mut hole = top;
        while let Some(earliest) = self.earliest_child(hole) {
            self.0[hole] = self.0[earliest];
            hole = earliest;
        }
        self.sift_up(top, hole, entry);
    }

    fn earliest_child(&self, node: usize) -> Option<usize> {
        let first = node * Self::ARITY + 1;
        // A knockout among the four of a full node: its comparisons do not wait for each other.
        if let Some([a, b, c, d]) = self.0.get(first..first + Self::ARITY) {
            let (a, b, c, d) = (a.order(), b.order(), c.order(), d.order());
            let (left, left_order) = if b < a { (1, b) } else { (0, a) };
            let (right, right_order) = if d < c { (3, d) } else { (2, c) };
            return Some(first + if right_order < left_order { right } else { left });
        }
        (first..self.0.len()).min_by_key(|&child| self.0[child].order())
    }
}

/// The days after today: see the [module](self).
///
/// A day is 2^`shift` nanoseconds; its number is the time over that.
#[derive(Clone, Debug, Default)]
struct Year {
    shift: u32,
    /// Number of the first day that is not in the heap of today.
    tomorrow: u64,
    /// The pages from tomorrow on, as many as a power of two; a day's page is at its number modulo that.
    pages: Vec<Vec<Entry>>,
    /// Entries on all pages.
    written: usize,
    /// Entries of days beyond.
    later: Heap,
}

impl Year {
    /// Pages for days that hold about [`Calendar::A_DAY`] of these entries each: so that half of them come within a quarter
    /// of the year.
    fn of(entries: &mut [Entry]) -> Self {
        let half = entries.len() / 2;
        let nanos = |entry: &Entry| entry.at.as_nanos();
        let (before, median, _) = entries.select_nth_unstable_by_key(half, Entry::order);
        let first = before.iter().map(nanos).min().unwrap_or_default();
        let days = (half / Calendar::<()>::A_DAY).max(1);
        let length = (nanos(median) - first) / days as u64;
        let shift = length.max(1).ilog2();
        let pages = (4 * days).next_power_of_two();
        Self { shift, tomorrow: first >> shift, pages: vec![Vec::new(); pages], ..Self::default() }
    }

    const fn day(&self, at: SimTime) -> u64 {
        at.as_nanos() >> self.shift
    }

    /// Writes down an entry of a day after today.
    fn write(&mut self, entry: Entry) {
        let day = self.day(entry.at);
        let pages = self.pages.len() as u64;
        if day - self.tomorrow < pages {
            self.pages[(day % pages) as usize].push(entry);
            self.written += 1;
        } else {
            self.later.push(entry);
        }
    }

    /// Turns over to the next day that has entries and puts them into `today`, which is empty; returns the number of pages
    /// turned, none when there is no such day.
    fn turn_over(&mut self, today: &mut Heap) -> usize {
        let pages = self.pages.len() as u64;
        let mut turned = 0;
        loop {
            if self.written == 0 {
                // Nothing for a year: on to the day of the first entry beyond.
                let Some(first) = self.later.0.first() else { return 0 };
                self.tomorrow = self.day(first.at);
            }
            while let Some(first) = self.later.0.first() {
                let day = self.day(first.at);
                if day - self.tomorrow >= pages {
                    break;
                }
                self.pages[(day % pages) as usize].extend(self.later.pop());
                self.written += 1;
            }
            turned += 1;
            let page = &mut self.pages[(self.tomorrow % pages) as usize];
            self.tomorrow += 1;
            if !page.is_empty() {
                self.written -= page.len();
                // The page is the heap from now on, and the heap's memory the page of a year from now.
                std::mem::swap(page, &mut today.0);
                today.heapify();
                return turned;
            }
        }
    }
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
    /// Every live event has one entry, here or in the `year`. Entries of cancelled events may linger, but never at the root,
    /// and the heap is empty only when the year is.
    today: Heap,
    /// What is later than today, while the list is long.
    year: Option<Box<Year>>,
    /// How long the list was when it was divided last, or [`Calendar::SHORT`]: at twice and at half of that it is divided
    /// anew.
    divided_at: usize,
    /// Events popped and pages turned since: after four times its length it is divided anew as well, since the days may no
    /// longer be of the right length.
    work: usize,
    slots: Vec<Slot<E>>,
    vacant: Vec<u32>,
    /// Entries, lingering ones included.
    entries: usize,
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
    /// Below this many lingering entries a sweep is not worth its while.
    const SWEEP_THRESHOLD: usize = 64;
    /// A list up to this length is one heap, which the second cache holds.
    const SHORT: usize = 8192;
    /// Entries of a day, more or less: so few that the first cache holds them, so many that the second holds the ends of all
    /// pages, where entries are written. With 32 a hold at 10⁵ took a third longer.
    const A_DAY: usize = 512;

    /// An empty calendar.
    pub fn new() -> Self {
        Self {
            today: Heap::default(),
            year: None,
            divided_at: Self::SHORT,
            work: 0,
            slots: Vec::new(),
            vacant: Vec::new(),
            entries: 0,
            cancelled: 0,
            next_sequence: NonZeroU64::MIN,
        }
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
        match &mut self.year {
            Some(year) if year.day(at) >= year.tomorrow => year.write(entry),
            _ => self.today.push(entry),
        }
        self.entries += 1;
        if self.entries > 2 * self.divided_at {
            self.divide();
        }
        EventKey { rank, slot }
    }

    /// Takes an event off the list; `None` if it was popped or cancelled before.
    pub fn cancel(&mut self, key: EventKey) -> Option<E> {
        let event = self.vacate(key.slot, key.rank)?;
        self.cancelled += 1;
        self.settle();
        if (self.cancelled > Self::SWEEP_THRESHOLD && self.cancelled > self.entries / 2) || self.is_ill_divided() {
            self.divide();
        }
        Some(event)
    }

    /// Removes and returns the first event and its time.
    #[expect(clippy::missing_panics_doc, reason = "the root is live whenever a method returns")]
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        let entry = self.today.pop()?;
        let event = self.vacate(entry.slot, entry.rank).expect("the root of the heap is never a cancelled event");
        self.entries -= 1;
        self.work += 1;
        self.settle();
        if self.is_ill_divided() {
            self.divide();
        }
        Some((entry.at, event))
    }

    /// The time of the first event.
    pub fn peek_time(&self) -> Option<SimTime> {
        self.today.0.first().map(|entry| entry.at)
    }

    /// True if the event of `key` is still to come.
    pub fn contains(&self, key: EventKey) -> bool {
        self.slots.get(key.slot as usize).is_some_and(|slot| slot.rank == key.rank && slot.event.is_some())
    }

    /// Events still to come.
    pub const fn len(&self) -> usize {
        self.entries - self.cancelled
    }

    /// True if no event is to come.
    pub const fn is_empty(&self) -> bool {
        self.entries == self.cancelled
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

    /// Whether a divided list has become too short for its days, or its days may have become wrong for it.
    const fn is_ill_divided(&self) -> bool {
        self.year.is_some() && (self.entries < self.divided_at / 2 || self.work > 4 * self.entries)
    }

    /// Keeps the promise that the root is a live event, so that [`Calendar::peek_time`] need not search.
    fn settle(&mut self) {
        loop {
            while self.cancelled > 0 && self.today.0.first().is_some_and(|root| !self.is_live(root)) {
                self.today.pop();
                self.entries -= 1;
                self.cancelled -= 1;
            }
            let Some(year) = self.year.as_mut().filter(|_| self.today.0.is_empty()) else { return };
            let turned = year.turn_over(&mut self.today);
            self.work += turned;
            if turned == 0 {
                return;
            }
        }
    }

    /// Divides the entries anew into days as long as they want by now, or puts them into one heap when they are few; the
    /// lingering ones are dropped.
    ///
    /// Linear in the entries, as many of which as a share of them have come, gone or been cancelled since the last time: O(1)
    /// for each of those.
    fn divide(&mut self) {
        let mut all = std::mem::take(&mut self.today.0);
        if let Some(year) = &mut self.year {
            all.append(&mut year.later.0);
            for page in &mut year.pages {
                all.append(page);
            }
        }
        let slots = &self.slots;
        all.retain(|entry| {
            let slot = &slots[entry.slot as usize];
            slot.rank == entry.rank && slot.event.is_some()
        });
        (self.entries, self.cancelled) = (all.len(), 0);
        self.divided_at = all.len().max(Self::SHORT);
        self.work = 0;
        if all.len() <= Self::SHORT {
            self.year = None;
            self.today.0 = all;
            self.today.heapify();
            return;
        }
        let mut year = Year::of(&mut all);
        for entry in all {
            year.write(entry);
        }
        self.year = Some(Box::new(year));
        self.settle();
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
    /// Times and classes are few, so that ties abound, but for one in eight that is far and one in sixty-four that is farther
    /// than a year; keys are picked among all ever given out, so that most are spent. The list grows to thirty thousand and
    /// is divided again and again.
    #[test]
    fn behaves_as_a_sorted_map_over_a_million_random_operations() {
        let mut chance = Streams::new(7, 0).named("operations");
        let mut calendar = Calendar::new();
        let mut map: BTreeMap<(SimTime, Class, u64), u64> = BTreeMap::new();
        let mut given: Vec<(EventKey, (SimTime, Class, u64))> = Vec::new();
        let (mut now, mut longest) = (SimTime::ZERO, 0);
        for operation in 0..1_000_000u64 {
            // The mood changes every 50,000 operations: growing, shrinking, cancelling wholesale.
            let (schedule, cancel) = [(75, 5), (40, 10), (45, 50), (30, 68)][(operation / 50_000 % 4) as usize];
            match chance.below(100) {
                dice if dice < schedule => {
                    let unit = [1, 1, 1, 1, 1, 1, 1, [1_000, 1_000_000_000][usize::from(operation % 64 == 7)]];
                    let wait = chance.below(1_000) * unit[(operation % 8) as usize];
                    let at = SimTime::from_nanos(now.as_nanos() + wait);
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
            longest = longest.max(calendar.len());
            assert_eq!(calendar.len(), map.len());
            assert_eq!(calendar.is_empty(), map.is_empty());
            assert_eq!(calendar.peek_time(), map.first_key_value().map(|((at, _, _), _)| *at));
        }
        assert!(longest > 20_000, "{longest}");
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
        assert!(calendar.entries <= 2 * 100 + 2, "{} entries for 100 events", calendar.entries);
    }

    #[test]
    fn an_entry_and_an_optional_key_stay_small() {
        assert_eq!(size_of::<Entry>(), 24);
        assert_eq!(size_of::<Option<EventKey>>(), 16);
    }
}
