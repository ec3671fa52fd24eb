//! Consumers that wait for messages: who is answered next, and how many receives come back empty.
//!
//! By long polling a receive that finds nothing stays open, so a message goes at once to whoever has waited longest. By
//! short polling it comes back empty and the consumer asks again after a while, so a message waits for the next question.
//! Waiting consumers cost no events: of each only its phase is kept. O(log n) a change; counting the empty receives is O(n)
//! in the consumers that wait.

use std::collections::BTreeMap;

use crate::engine::time::{SimDuration, SimTime};

/// How consumers wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// A receive stays open this long (`ReceiveMessageWaitTimeSeconds`); then the next begins.
    Long(SimDuration),
    /// A receive returns at once; after so long the next begins.
    Short(SimDuration),
}

impl Polling {
    fn period(self) -> SimDuration {
        let (Self::Long(period) | Self::Short(period)) = self;
        period.max(SimDuration::from_nanos(1))
    }
}

/// The consumers `K` that wait.
#[derive(Clone, Debug)]
pub struct Pollers<K> {
    polling: Polling,
    waiting: BTreeMap<Ticket, Waiter<K>>,
    next_number: u64,
    empty_receives: u64,
}

/// A consumer's place among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// When in its period it asks [ns]; 0 by long polling.
    phase: u64,
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiter<K> {
    consumer: K,
    since: SimTime,
    /// Empty receives that have been counted.
    counted: u64,
}

impl<K: Copy> Pollers<K> {
    /// Nobody waits yet.
    pub fn new(polling: Polling) -> Self {
        Self { polling, waiting: BTreeMap::new(), next_number: 0, empty_receives: 0 }
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A consumer begins to ask.
    pub fn wait(&mut self, consumer: K, now: SimTime) -> Ticket {
        let phase = match self.polling {
            Polling::Long(_) => 0,
            Polling::Short(_) => now.as_nanos() % self.polling.period().as_nanos(),
        };
        let ticket = Ticket { phase, number: self.next_number };
        self.next_number += 1;
        self.waiting.insert(ticket, Waiter { consumer, since: now, counted: 0 });
        ticket
    }

    /// A consumer asks no more.
    pub fn leave(&mut self, ticket: Ticket, now: SimTime) {
        if let Some(waiter) = self.waiting.remove(&ticket) {
            self.empty_receives += self.empties(&waiter, now, false) - waiter.counted;
        }
    }

    /// One who asks at `now`, and does not wait any more; `None` when nobody does.
    pub fn answer(&mut self, now: SimTime) -> Option<K> {
        let (ticket, waiter) = self.first_from(now)?;
        if self.asks_at(ticket, now) != now {
            return None;
        }
        self.leave(ticket, now);
        Some(waiter.consumer)
    }

    /// When the next one asks, from `now` on.
    pub fn next(&self, now: SimTime) -> Option<SimTime> {
        self.first_from(now).map(|(ticket, _)| self.asks_at(ticket, now))
    }

    /// Empty receives since the last call, up to `now`.
    pub fn take_empty_receives(&mut self, now: SimTime) -> u64 {
        let mut total = std::mem::take(&mut self.empty_receives);
        let mut waiting = std::mem::take(&mut self.waiting);
        for waiter in waiting.values_mut() {
            let empties = self.empties(waiter, now, true);
            total += empties - std::mem::replace(&mut waiter.counted, empties);
        }
        self.waiting = waiting;
        total
    }

    fn first_from(&self, now: SimTime) -> Option<(Ticket, Waiter<K>)> {
        let from = match self.polling {
            Polling::Long(_) => 0,
            Polling::Short(_) => now.as_nanos() % self.polling.period().as_nanos(),
        };
        let later = self.waiting.range(Ticket { phase: from, number: 0 }..).next();
        later.or_else(|| self.waiting.first_key_value()).map(|(ticket, waiter)| (*ticket, *waiter))
    }

    fn asks_at(&self, ticket: Ticket, now: SimTime) -> SimTime {
        match self.polling {
            Polling::Long(_) => now,
            Polling::Short(_) => {
                let period = self.polling.period().as_nanos();
                let phase = now.as_nanos() % period;
                now.saturating_add(SimDuration::from_nanos((ticket.phase + period - phase) % period))
            }
        }
    }

    /// Receives of a waiter that have come back empty by `now`; one that ends at this very instant only if `inclusive`.
    fn empties(&self, waiter: &Waiter<K>, now: SimTime, inclusive: bool) -> u64 {
        let (span, period) = (now.saturating_since(waiter.since).as_nanos(), self.polling.period().as_nanos());
        let asked = match self.polling {
            Polling::Long(_) => span / period,
            Polling::Short(_) if inclusive => span / period + 1,
            Polling::Short(_) => span.div_ceil(period),
        };
        asked.max(waiter.counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SimTime {
        SimTime::ZERO + SimDuration::from_millis(millis)
    }

    #[test]
    fn by_long_polling_the_one_who_waited_longest_is_answered_at_once() {
        let mut pollers = Pollers::new(Polling::Long(SimDuration::from_secs(20)));
        pollers.wait('a', at(0));
        pollers.wait('b', at(100));
        assert_eq!(pollers.next(at(250)), Some(at(250)));
        assert_eq!(pollers.answer(at(250)), Some('a'));
        pollers.wait('a', at(250));
        assert_eq!(
            (pollers.answer(at(250)), pollers.answer(at(250)), pollers.answer(at(250))),
            (Some('b'), Some('a'), None)
        );
    }

    #[test]
    fn by_short_polling_the_next_to_ask_is_answered() {
        let mut pollers = Pollers::new(Polling::Short(SimDuration::from_secs(1)));
        pollers.wait('a', at(300));
        let b = pollers.wait('b', at(700));
        assert_eq!(pollers.next(at(1200)), Some(at(1300)));
        assert_eq!(pollers.answer(at(1200)), None);
        assert_eq!(pollers.answer(at(1300)), Some('a'));
        assert_eq!(pollers.next(at(1301)), Some(at(1700)));
        assert_eq!(pollers.next(at(1701)), Some(at(2700)));
        pollers.leave(b, at(1701));
        assert_eq!(pollers.next(at(1701)), None);
    }

    #[test]
    fn empty_receives_are_counted_once_each() {
        let mut short = Pollers::new(Polling::Short(SimDuration::from_secs(1)));
        short.wait('a', at(0));
        assert_eq!(short.take_empty_receives(at(2500)), 3, "at 0, 1 and 2 s");
        assert_eq!(short.answer(at(4000)), Some('a'));
        assert_eq!(short.take_empty_receives(at(4000)), 1, "at 3 s; the one at 4 s brought something");
        let mut long = Pollers::new(Polling::Long(SimDuration::from_secs(20)));
        let ticket = long.wait('a', at(0));
        assert_eq!(long.take_empty_receives(at(19_999)), 0);
        assert_eq!(long.take_empty_receives(at(60_000)), 3);
        long.leave(ticket, at(70_000));
        assert_eq!(long.take_empty_receives(at(70_000)), 0);
    }
}
