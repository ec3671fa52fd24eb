//! A link that transfers share equally: egalitarian processor sharing, in integers (IMG-2).
//!
//! The work of a transfer is the time it would take alone. With n transfers each is served at 1/n of the link, so what
//! one that is there throughout has been served is the same for all, and a transfer is over when this service has grown
//! by its work since it came (virtual time; Kleinrock, *Queueing Systems* II, section 4.4). Arrival, end and
//! cancellation are O(log n); nothing is rescheduled but the first end.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::time::{SimDuration, SimTime};

/// Bits after the binary point of a service: its rounding stays below a nanosecond for a million changes in a row.
const FRACTION: u32 = 20;

/// Transfers over one link.
#[derive(Clone, Debug)]
pub struct SharedLink {
    /// Whether transfers share at all; if not, each has the whole rate.
    shared: bool,
    /// Up to when service has been counted.
    at: SimTime,
    /// Nanoseconds of service that each transfer has had, `<< FRACTION`.
    served: u128,
    /// Transfers by the service at which they are over, then by number.
    ends: BTreeSet<(u128, u64)>,
    end_of: BTreeMap<u64, u128>,
}

impl SharedLink {
    /// A link without transfers.
    pub fn new(shared: bool) -> Self {
        Self { shared, at: SimTime::ZERO, served: 0, ends: BTreeSet::new(), end_of: BTreeMap::new() }
    }

    fn sharers(&self) -> u128 {
        if self.shared { self.ends.len() as u128 } else { 1 }
    }

    fn advance(&mut self, now: SimTime) {
        if self.ends.is_empty() {
            // From zero again: what is exact for one busy period is so for all.
            self.served = 0;
        } else {
            let passed = u128::from(now.saturating_since(self.at).as_nanos()) << FRACTION;
            self.served += passed / self.sharers();
        }
        self.at = now;
    }

    /// Begins the transfer `number`, which would take `work` alone.
    pub fn begin(&mut self, number: u64, work: SimDuration, now: SimTime) {
        self.advance(now);
        let end = self.served + (u128::from(work.as_nanos()) << FRACTION);
        self.ends.insert((end, number));
        self.end_of.insert(number, end);
    }

    /// Gives up a transfer; false when there is none of this number.
    pub fn cancel(&mut self, number: u64, now: SimTime) -> bool {
        self.advance(now);
        let Some(end) = self.end_of.remove(&number) else { return false };
        self.ends.remove(&(end, number))
    }

    /// When the first transfer is over, if nothing changes until then.
    pub fn next_end(&self) -> Option<SimTime> {
        let (end, _) = self.ends.first()?;
        // Rounded up to the first whole nanosecond at which the service is complete.
        let left = (end.saturating_sub(self.served) * self.sharers()).div_ceil(1 << FRACTION);
        Some(self.at + SimDuration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)))
    }

    /// Takes out a transfer that is over by now, the earliest first.
    pub fn take_ended(&mut self, now: SimTime) -> Option<u64> {
        self.advance(now);
        let (end, number) = *self.ends.first()?;
        if end > self.served {
            return None;
        }
        self.ends.remove(&(end, number));
        self.end_of.remove(&number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(secs: f64) -> SimDuration {
        SimDuration::from_secs_f64(secs)
    }

    /// Runs transfers of (begin, work, cancelled at) in seconds and tells when each was over.
    fn ends(shared: bool, transfers: &[(f64, f64, Option<f64>)]) -> Vec<Option<f64>> {
        let mut link = SharedLink::new(shared);
        let mut ends = vec![None; transfers.len()];
        let mut changes: Vec<(SimTime, usize, bool)> = Vec::new();
        for (place, (begin, _, cancelled)) in transfers.iter().enumerate() {
            changes.push((SimTime::ZERO + secs(*begin), place, true));
            changes.extend(cancelled.map(|at| (SimTime::ZERO + secs(at), place, false)));
        }
        changes.sort_unstable();
        let mut drain = |link: &mut SharedLink, until: SimTime| {
            while let Some(at) = link.next_end().filter(|at| *at <= until) {
                let number = link.take_ended(at).expect("the first end is an end");
                ends[number as usize] = Some(at.as_secs_f64());
            }
        };
        for (at, place, begins) in changes {
            drain(&mut link, at);
            if begins {
                link.begin(place as u64, secs(transfers[place].1), at);
            } else {
                link.cancel(place as u64, at);
            }
        }
        drain(&mut link, SimTime::from_secs(1_000_000));
        ends
    }

    #[test]
    fn img_2_transfers_share_the_rate_equally() {
        // Alone until 1 s, then at half: 1 s of the first is left, done at 3 s; the second then has 1 s left.
        assert_eq!(ends(true, &[(0.0, 2.0, None), (1.0, 2.0, None)]), [Some(3.0), Some(4.0)]);
        assert_eq!(ends(false, &[(0.0, 2.0, None), (1.0, 2.0, None)]), [Some(2.0), Some(3.0)]);
        // Three alike end together.
        assert_eq!(ends(true, &[(0.0, 1.0, None); 3]), [Some(3.0); 3]);
    }

    #[test]
    fn what_is_cancelled_leaves_its_share_to_the_others() {
        assert_eq!(ends(true, &[(0.0, 2.0, None), (0.0, 9.0, Some(2.0))]), [Some(3.0), None]);
    }

    proptest! {
        #[test]
        fn a_busy_link_never_idles(transfers in prop::collection::vec((0.0..20.0_f64, 0.0..5.0_f64), 1..12)) {
            let list: Vec<_> = transfers.iter().map(|(begin, work)| (*begin, *work, None)).collect();
            let shared = ends(true, &list);
            let mut order = transfers.clone();
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            // Work is conserved: the last end is that of any work-conserving server.
            let last = order.iter().fold(0.0_f64, |free, (begin, work)| free.max(*begin) + work);
            let ended = shared.iter().map(|end| end.expect("all end")).fold(0.0, f64::max);
            prop_assert!((ended - last).abs() < 1e-6, "{ended} for {last}");
            for ((begin, work), end) in transfers.iter().zip(&shared) {
                prop_assert!(end.expect("all end") >= begin + work - 1e-8, "none is faster than alone");
            }
        }
    }
}
