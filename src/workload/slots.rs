//! Requests that a task works on at once, and those that wait in it for a slot.

use std::collections::VecDeque;

/// The slots of a task and the requests `K` that wait for one, first come first served.
#[derive(Clone, Debug)]
pub struct Slots<K> {
    limit: u32,
    most_waiting: usize,
    busy: u32,
    waiting: VecDeque<K>,
}

/// What becomes of a request that comes to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A slot is free: work begins.
    Begins,
    /// It waits for one.
    Waits,
    /// Too many wait already: the connection is refused.
    Refused,
}

impl<K: Copy + PartialEq> Slots<K> {
    /// Free slots: `limit` of them and a backlog of `backlog`, both without bound unless given.
    pub fn new(limit: Option<u32>, backlog: Option<u32>) -> Self {
        Self {
            limit: limit.unwrap_or(u32::MAX),
            most_waiting: backlog.map_or(usize::MAX, |most| most as usize),
            busy: 0,
            waiting: VecDeque::new(),
        }
    }

    /// A request comes.
    pub fn arrive(&mut self, request: K) -> Admission {
        if self.busy < self.limit {
            self.busy += 1;
            Admission::Begins
        } else if self.waiting.len() < self.most_waiting {
            self.waiting.push_back(request);
            Admission::Waits
        } else {
            Admission::Refused
        }
    }

    /// Work on a request is over; who has its slot now, if anybody waits.
    pub fn leave(&mut self) -> Option<K> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.busy -= 1;
        }
        next
    }

    /// A request waits no more. The longest-waiting is found at once: time-outs come in that order.
    pub fn withdraw(&mut self, request: K) {
        if let Some(place) = self.waiting.iter().position(|waits| *waits == request) {
            self.waiting.remove(place);
        }
    }

    /// Requests in work.
    pub const fn busy(&self) -> u32 {
        self.busy
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_then_the_backlog_then_nobody_gets_in() {
        let mut slots = Slots::new(Some(2), Some(1));
        let admitted: Vec<Admission> = (0..4).map(|request| slots.arrive(request)).collect();
        assert_eq!(admitted, [Admission::Begins, Admission::Begins, Admission::Waits, Admission::Refused]);
        assert_eq!(slots.leave(), Some(2));
        assert_eq!((slots.busy(), slots.waiting()), (2, 0));
        assert_eq!((slots.leave(), slots.leave()), (None, None));
        assert_eq!(slots.busy(), 0);
    }

    #[test]
    fn who_waits_is_served_in_order_and_may_leave() {
        let mut slots = Slots::new(Some(1), None);
        for request in 0..5 {
            slots.arrive(request);
        }
        slots.withdraw(1);
        slots.withdraw(3);
        slots.withdraw(9);
        assert_eq!([slots.leave(), slots.leave(), slots.leave()], [Some(2), Some(4), None]);
        assert!((0..100).all(|request| Slots::new(None, None).arrive(request) == Admission::Begins));
    }

    #[test]
    fn without_a_backlog_nobody_waits() {
        let mut slots = Slots::new(Some(1), Some(0));
        assert_eq!([slots.arrive('a'), slots.arrive('b')], [Admission::Begins, Admission::Refused]);
    }
}
