//! The clients that send a workload's requests, and the target that each of them sticks to (ELB-7).
//!
//! So many clients are there at once, and each request is of one of them, each as likely as any other: the arrivals stay a
//! Poisson process at the workload's rate. A client that has sent all requests of its session goes, and another one comes in
//! its place, whom the balancer has not seen before.

use crate::engine::streams::Stream;
use crate::engine::time::SimTime;
use crate::workload::distribution::Distribution;

/// The clients of a workload, who stick to targets `K`.
#[derive(Clone, Debug)]
pub struct Clients<K> {
    places: Vec<Place<K>>,
    /// Requests of a session; sessions without end when absent.
    session: Option<Distribution>,
}

/// A client, as a request remembers it: its place, and how many had it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    place: u32,
    before: u32,
}

#[derive(Clone, Debug)]
struct Place<K> {
    before: u32,
    /// Requests that the client has still to send; unknown until it sends the first.
    left: Option<u64>,
    /// The target that its cookie names, and until when.
    cookie: Option<(K, SimTime)>,
}

impl<K: Copy> Clients<K> {
    /// So many clients, none of whom has a cookie.
    pub fn new(count: u32, session: Option<Distribution>) -> Self {
        let place = Place { before: 0, left: None, cookie: None };
        Self { places: vec![place; count as usize], session }
    }

    /// Who sends the next request; `None` without clients.
    pub fn next(&mut self, chance: &mut Stream) -> Option<Client> {
        if self.places.is_empty() {
            return None;
        }
        let number = chance.below(self.places.len() as u64);
        let place = self.places.get_mut(usize::try_from(number).ok()?)?;
        if let Some(session) = &self.session {
            if place.left == Some(0) {
                *place = Place { before: place.before.wrapping_add(1), left: None, cookie: None };
            }
            // A session has a request at least, or its client would not be there.
            let left = place.left.unwrap_or_else(|| session.sample(chance).round().max(1.0) as u64);
            place.left = Some(left - 1);
        }
        Some(Client { place: number as u32, before: place.before })
    }

    /// The target that a client's cookie names, unless it has expired.
    pub fn target(&self, client: Client, now: SimTime) -> Option<K> {
        let (target, until) = self.place(client)?.cookie?;
        (now < until).then_some(target)
    }

    /// A client has had an answer of a target, whose cookie is good for requests before `until`.
    pub fn answered(&mut self, client: Client, target: K, until: SimTime) {
        let place = self.places.get_mut(client.place as usize);
        if let Some(place) = place.filter(|place| place.before == client.before) {
            place.cookie = Some((target, until));
        }
    }

    fn place(&self, client: Client) -> Option<&Place<K>> {
        self.places.get(client.place as usize).filter(|place| place.before == client.before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::streams::Streams;

    fn chance() -> Stream {
        Streams::new(1, 0).named("clients")
    }

    #[test]
    fn elb_7_a_cookie_names_a_target_until_it_expires() {
        let mut clients = Clients::new(1, None);
        let client = clients.next(&mut chance()).unwrap();
        assert_eq!(clients.target(client, SimTime::ZERO), None, "no answer yet");
        clients.answered(client, 'a', SimTime::from_secs(60));
        assert_eq!(clients.next(&mut chance()), Some(client));
        assert_eq!(clients.target(client, SimTime::from_secs(59)), Some('a'));
        assert_eq!(clients.target(client, SimTime::from_secs(60)), None);
        clients.answered(client, 'b', SimTime::from_secs(120));
        assert_eq!(clients.target(client, SimTime::from_secs(60)), Some('b'), "an answer brings a new one");
    }

    #[test]
    fn elb_7_a_client_whose_session_is_over_is_followed_by_one_without_a_cookie() {
        let mut clients = Clients::new(1, Some(Distribution::Constant(2.0)));
        let mut chance = chance();
        let first = clients.next(&mut chance).unwrap();
        clients.answered(first, 'a', SimTime::MAX);
        assert_eq!(clients.next(&mut chance), Some(first));
        let second = clients.next(&mut chance).unwrap();
        assert_ne!(second, first);
        // An answer to the first comes late, and is nothing to the second.
        clients.answered(first, 'b', SimTime::MAX);
        assert_eq!((clients.target(first, SimTime::ZERO), clients.target(second, SimTime::ZERO)), (None, None));
    }

    #[test]
    fn without_clients_nobody_sends() {
        assert_eq!(Clients::<char>::new(0, None).next(&mut chance()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn elb_7_a_client_stays_with_its_target(count in 1..50_u32, session in 1..9_u32, seed in 0..1000_u64) {
            let mut chance = Streams::new(seed, 0).named("clients");
            let mut clients = Clients::new(count, Some(Distribution::Constant(f64::from(session))));
            // A balancer in turn over 7 targets, of which every client knows the one of its first answer.
            let mut known: Vec<(Client, u64, u32)> = Vec::new();
            for turn in 0..600 {
                let client = clients.next(&mut chance).unwrap();
                let target = clients.target(client, SimTime::ZERO);
                if let Some((_, first, sent)) = known.iter_mut().find(|(known, ..)| *known == client) {
                    prop_assert_eq!(target, Some(*first));
                    *sent += 1;
                    prop_assert!(*sent <= session);
                } else {
                    prop_assert_eq!(target, None);
                    known.push((client, turn % 7, 1));
                    clients.answered(client, turn % 7, SimTime::MAX);
                }
            }
        }
    }
}
