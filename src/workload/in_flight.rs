//! Requests in flight, and which of them has waited longest for its answer.
//!
//! All attempts of a workload wait equally long for their answers, so those that wait form a list in order of their
//! deadlines: it is linked through the requests themselves, and one timer on the oldest does for all. Coming, going and
//! looking at the oldest cost O(1), and nothing is allocated while no more are in flight than ever before.

use slotmap::SlotMap;

use crate::ecs::ids::RequestKey;
use crate::engine::time::SimTime;

/// Requests `T` in flight.
#[derive(Clone, Debug)]
pub struct InFlight<T> {
    entries: SlotMap<RequestKey, Entry<T>>,
    oldest: Option<RequestKey>,
    newest: Option<RequestKey>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    request: T,
    /// Since when it waits for an answer, and its neighbours among those that do.
    wait: Option<Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    since: SimTime,
    older: Option<RequestKey>,
    newer: Option<RequestKey>,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self { entries: SlotMap::with_key(), oldest: None, newest: None }
    }
}

impl<T> InFlight<T> {
    /// A request, which does not wait for an answer yet.
    pub fn insert(&mut self, request: T) -> RequestKey {
        self.entries.insert(Entry { request, wait: None })
    }

    /// A request that is there.
    pub fn get(&self, key: RequestKey) -> Option<&T> {
        self.entries.get(key).map(|entry| &entry.request)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: RequestKey) -> Option<&mut T> {
        self.entries.get_mut(key).map(|entry| &mut entry.request)
    }

    /// A request is gone.
    pub fn remove(&mut self, key: RequestKey) -> Option<T> {
        self.answered(key);
        self.entries.remove(key).map(|entry| entry.request)
    }

    /// A request waits for an answer from `now` on: the present, never before the wait of another began.
    pub fn waits(&mut self, key: RequestKey, now: SimTime) {
        self.answered(key);
        let older = self.newest;
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.wait = Some(Wait { since: now, older, newer: None });
        self.newest = Some(key);
        match older.and_then(|older| self.wait_mut(older)) {
            Some(wait) => wait.newer = Some(key),
            None => self.oldest = Some(key),
        }
    }

    /// A request waits for an answer no more; since when it did.
    pub fn answered(&mut self, key: RequestKey) -> Option<SimTime> {
        let Wait { since, older, newer } = self.entries.get_mut(key)?.wait.take()?;
        match older.and_then(|older| self.wait_mut(older)) {
            Some(wait) => wait.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.wait_mut(newer)) {
            Some(wait) => wait.older = older,
            None => self.newest = older,
        }
        Some(since)
    }

    /// Who has waited longest, and since when.
    pub fn oldest(&self) -> Option<(RequestKey, SimTime)> {
        let key = self.oldest?;
        Some((key, self.entries.get(key)?.wait?.since))
    }

    /// Every request, in an order that depends on nothing but what came and went.
    pub fn iter(&self) -> impl Iterator<Item = (RequestKey, &T)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.request))
    }

    /// Those that wait for an answer, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = (RequestKey, SimTime)> {
        let newer = |key: &RequestKey| self.entries.get(*key)?.wait?.newer;
        let since = |key: RequestKey| Some((key, self.entries.get(key)?.wait?.since));
        std::iter::successors(self.oldest, newer).filter_map(since)
    }

    fn wait_mut(&mut self, key: RequestKey) -> Option<&mut Wait> {
        self.entries.get_mut(key)?.wait.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    #[test]
    fn the_oldest_is_always_the_one_that_has_waited_longest() {
        let mut chance = Streams::new(3, 0).named("in flight");
        let mut in_flight = InFlight::default();
        let mut expected: Vec<(RequestKey, SimTime)> = Vec::new();
        for round in 0..20_000_u64 {
            let now = SimTime::from_nanos(round);
            match chance.below(5) {
                0 | 1 => {
                    let key = in_flight.insert(round);
                    in_flight.waits(key, now);
                    expected.push((key, now));
                }
                2 if !expected.is_empty() => {
                    let (key, since) = expected.remove(chance.below(expected.len() as u64) as usize);
                    assert_eq!(in_flight.answered(key), Some(since));
                    assert_eq!(in_flight.answered(key), None);
                    if chance.bernoulli(0.5) {
                        // It tries again.
                        in_flight.waits(key, now);
                        expected.push((key, now));
                    } else {
                        assert!(in_flight.remove(key).is_some() && in_flight.get(key).is_none());
                    }
                }
                _ if !expected.is_empty() => {
                    let (key, _) = expected.remove(chance.below(expected.len() as u64) as usize);
                    in_flight.remove(key);
                }
                _ => {}
            }
            assert_eq!(in_flight.oldest(), expected.first().copied());
        }
        assert!(in_flight.waiting().eq(expected.iter().copied()) && expected.len() == in_flight.iter().count());
    }
}
