//! Which target gets the next request (ELB-7, ELB-8).
//!
//! In turn costs O(1) a request, at random O(1), by fewest in flight O(log n) in the targets; a target that comes or goes
//! O(n). In the long run each spreads as [`routing`](super::routing) has it for a flow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::engine::streams::Stream;

/// How the next target is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One after the other (`round_robin`).
    InTurn,
    /// Who has fewest in flight, and of those who has waited longest for one (`least_outstanding_requests`).
    FewestInFlight,
    /// Each as likely as any other (`weighted_random`; the hash of a flow at a Network Load Balancer).
    AtRandom,
}

/// The targets `K` that a balancer may send requests to.
#[derive(Clone, Debug)]
pub struct Balancer<K> {
    order: Order<K>,
}

#[derive(Clone, Debug)]
enum Order<K> {
    InTurn(VecDeque<K>),
    AtRandom(Vec<K>),
    FewestInFlight {
        /// Requests in flight, the number of the last turn, the target.
        queue: BTreeSet<(u32, u64, K)>,
        places: BTreeMap<K, (u32, u64)>,
        turns: u64,
    },
}

impl<K: Copy + Ord> Balancer<K> {
    /// A balancer without targets.
    pub const fn new(choice: Choice) -> Self {
        let order = match choice {
            Choice::InTurn => Order::InTurn(VecDeque::new()),
            Choice::AtRandom => Order::AtRandom(Vec::new()),
            Choice::FewestInFlight => {
                Order::FewestInFlight { queue: BTreeSet::new(), places: BTreeMap::new(), turns: 0 }
            }
        };
        Self { order }
    }

    /// How it chooses.
    pub const fn choice(&self) -> Choice {
        match self.order {
            Order::InTurn(_) => Choice::InTurn,
            Order::AtRandom(_) => Choice::AtRandom,
            Order::FewestInFlight { .. } => Choice::FewestInFlight,
        }
    }

    /// A target may be sent requests from now on; it has `in_flight` of them from before. One that is known is not added
    /// again.
    pub fn add(&mut self, target: K, in_flight: u32) {
        if self.contains(target) {
            return;
        }
        match &mut self.order {
            Order::InTurn(targets) => targets.push_back(target),
            Order::AtRandom(targets) => targets.push(target),
            Order::FewestInFlight { queue, places, turns } => {
                *turns += 1;
                places.insert(target, (in_flight, *turns));
                queue.insert((in_flight, *turns, target));
            }
        }
    }

    /// A target is sent no more requests.
    pub fn remove(&mut self, target: K) {
        match &mut self.order {
            Order::InTurn(targets) => targets.retain(|known| *known != target),
            Order::AtRandom(targets) => targets.retain(|known| *known != target),
            Order::FewestInFlight { queue, places, .. } => {
                if let Some((in_flight, turn)) = places.remove(&target) {
                    queue.remove(&(in_flight, turn, target));
                }
            }
        }
    }

    /// Whether a target may be sent requests.
    pub fn contains(&self, target: K) -> bool {
        match &self.order {
            Order::InTurn(targets) => targets.contains(&target),
            Order::AtRandom(targets) => targets.contains(&target),
            Order::FewestInFlight { places, .. } => places.contains_key(&target),
        }
    }

    /// True without targets.
    pub fn is_empty(&self) -> bool {
        match &self.order {
            Order::InTurn(targets) => targets.is_empty(),
            Order::AtRandom(targets) => targets.is_empty(),
            Order::FewestInFlight { places, .. } => places.is_empty(),
        }
    }

    /// The target of the next request; `None` without any.
    ///
    /// In turn, a target in slow start is passed over with the complement of its `part` of a full share (ELB-8); other
    /// orders know no slow start.
    pub fn next(&mut self, chance: &mut Stream, part: impl Fn(K) -> f64) -> Option<K> {
        match &mut self.order {
            Order::InTurn(targets) => {
                for _ in 1..targets.len() {
                    let target = *targets.front()?;
                    let share = part(target);
                    targets.rotate_left(1);
                    // Only a target in slow start takes a number from the stream.
                    if share >= 1.0 || chance.bernoulli(share) {
                        return Some(target);
                    }
                }
                targets.rotate_left(usize::from(targets.len() > 1));
                targets.back().copied()
            }
            Order::AtRandom(targets) => chance.choose(targets).copied(),
            Order::FewestInFlight { queue, places, turns } => {
                let (in_flight, turn, target) = queue.pop_first()?;
                // It is counted by `sent`; its turn is over whether it is or not.
                *turns += 1;
                debug_assert!(*turns > turn, "turns are numbered upwards");
                places.insert(target, (in_flight, *turns));
                queue.insert((in_flight, *turns, target));
                Some(target)
            }
        }
    }

    /// A request has been sent to a target.
    pub fn sent(&mut self, target: K) {
        self.shift(target, 1);
    }

    /// A request is at a target no more.
    pub fn returned(&mut self, target: K) {
        self.shift(target, -1);
    }

    fn shift(&mut self, target: K, by: i32) {
        if let Order::FewestInFlight { queue, places, .. } = &mut self.order
            && let Some((in_flight, turn)) = places.get_mut(&target)
        {
            queue.remove(&(*in_flight, *turn, target));
            *in_flight = in_flight.saturating_add_signed(by);
            queue.insert((*in_flight, *turn, target));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    fn chance() -> Stream {
        Streams::new(7, 0).named("balancer")
    }

    fn with(choice: Choice, targets: &[char]) -> Balancer<char> {
        let mut balancer = Balancer::new(choice);
        for target in targets {
            balancer.add(*target, 0);
        }
        balancer
    }

    fn chosen(balancer: &mut Balancer<char>, count: usize, part: impl Fn(char) -> f64) -> String {
        let mut chance = chance();
        (0..count).filter_map(|_| balancer.next(&mut chance, &part)).collect()
    }

    #[test]
    fn elb_7_in_turn_each_has_every_nth_request() {
        let mut balancer = with(Choice::InTurn, &['a', 'b', 'c']);
        assert_eq!(chosen(&mut balancer, 7, |_| 1.0), "abcabca");
        balancer.remove('b');
        balancer.add('d', 3);
        balancer.add('d', 3);
        let mut six: Vec<char> = chosen(&mut balancer, 6, |_| 1.0).chars().collect();
        six.sort_unstable();
        assert_eq!(six, ['a', 'a', 'c', 'c', 'd', 'd']);
        assert_eq!(chosen(&mut with(Choice::InTurn, &['a']), 2, |_| 0.0), "aa", "somebody has to take it");
        assert_eq!(with(Choice::InTurn, &[]).next(&mut chance(), |_| 1.0), None);
    }

    #[test]
    fn ex_elb_6_half_way_through_slow_start_a_target_gets_a_third() {
        let mut balancer = with(Choice::InTurn, &['a', 'b']);
        let sent = chosen(&mut balancer, 30_000, |target| if target == 'b' { 0.5 } else { 1.0 });
        let slow = sent.chars().filter(|target| *target == 'b').count() as f64;
        // Four standard deviations of a third of 30,000.
        assert!((slow - 10_000.0).abs() < 330.0, "{slow}");
    }

    #[test]
    fn elb_7_fewest_in_flight_goes_first_and_ties_go_in_turn() {
        let mut balancer = with(Choice::FewestInFlight, &['a', 'b', 'c']);
        assert_eq!(chosen(&mut balancer, 4, |_| 1.0), "abca", "nothing is in flight");
        for target in ['a', 'a', 'b'] {
            balancer.sent(target);
        }
        assert_eq!(chosen(&mut balancer, 2, |_| 1.0), "cc");
        balancer.sent('c');
        balancer.returned('a');
        assert_eq!(chosen(&mut balancer, 3, |_| 1.0), "bac", "one each");
        balancer.remove('c');
        balancer.returned('c');
        balancer.add('c', 5);
        assert_eq!(chosen(&mut balancer, 2, |_| 1.0), "ba");
    }

    #[test]
    fn elb_7_at_random_is_even() {
        let sent = chosen(&mut with(Choice::AtRandom, &['a', 'b', 'c', 'd']), 40_000, |_| 0.0);
        for target in ['a', 'b', 'c', 'd'] {
            let count = sent.chars().filter(|sent| *sent == target).count() as f64;
            assert!((count - 10_000.0).abs() < 350.0, "{target}: {count}");
        }
    }
}
