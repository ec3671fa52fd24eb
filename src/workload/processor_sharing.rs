//! CPU that jobs share evenly, each on one CPU at most: egalitarian processor sharing, event by event.
//!
//! With n jobs and c vCPUs each job gets min(1, c / n) of a CPU (Kleinrock, *Queueing Systems* vol. 2, chapter 4). What each
//! job present has attained is the same for all, so a job ends when that reaches what it was at the job's arrival plus its
//! work: jobs end in the order of those sums whatever the capacity does in between, and a change costs O(log n).
//!
//! A hard cap may instead be what Linux makes of it ([`ProcessorSharing::with_period`]): a quota of CPU for each period. While
//! there is some left every job runs at the speed of a CPU, then all wait for the next period. A job shorter than the quota
//! so has its answer much sooner than at a steady rate (Turner, Rao and Rao, "CPU bandwidth control for CFS", 2010).
//!
//! Attained CPU is kept in integers of 2^-20 ns. Gains are rounded down and the instant of the next end up, so at that
//! instant the job has attained its work, exactly.

use std::collections::BTreeMap;

use crate::engine::time::{SimDuration, SimTime};
use crate::units::{CpuMilliUnits, CpuUnits};

/// Jobs `K` on shared CPU.
#[derive(Clone, Debug)]
pub struct ProcessorSharing<K> {
    capacity: CpuMilliUnits,
    /// Up to when everything below is accounted for.
    clock: SimTime,
    /// What each job present would have attained, had it been there since the last idle moment.
    attained: u128,
    /// By attained CPU at which they end.
    jobs: BTreeMap<JobId, K>,
    next_number: u64,
    used: u128,
    job_nanos: u128,
    quota: Option<Quota>,
}

/// A hard cap as a quota of each period: periods begin at multiples of their length.
#[derive(Clone, Copy, Debug)]
struct Quota {
    period: SimDuration,
    /// What is left of the present period's, in 2^-20 ns of a CPU.
    left: u128,
}

/// A job that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId {
    ends: u128,
    number: u64,
}

/// What the jobs did over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuUse {
    /// vCPU-seconds used.
    pub used: f64,
    /// vCPU-seconds they could have used: one for each second of each job.
    pub wanted: f64,
}

impl CpuUse {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { used: self.used + other.used, wanted: self.wanted + other.wanted }
    }
}

const FRACTION_BITS: u32 = 20;
/// Thousandths of a CPU unit in a vCPU.
const VCPU: u128 = (CpuUnits::PER_VCPU * CpuMilliUnits::PER_UNIT) as u128;

impl<K> ProcessorSharing<K> {
    /// Idle CPU.
    pub fn new(capacity: CpuMilliUnits, now: SimTime) -> Self {
        Self {
            capacity,
            clock: now,
            attained: 0,
            jobs: BTreeMap::new(),
            next_number: 0,
            used: 0,
            job_nanos: 0,
            quota: None,
        }
    }

    /// The capacity is a quota for each `period` from now on, which jobs use at full speed; none of a period of zero.
    #[must_use]
    pub fn with_period(mut self, period: SimDuration) -> Self {
        self.quota = (!period.is_zero()).then_some(Quota { period, left: 0 });
        if let Some(whole) = self.whole_quota()
            && let Some(quota) = &mut self.quota
        {
            quota.left = whole;
        }
        self
    }

    /// The quota of a whole period, in 2^-20 ns of a CPU.
    fn whole_quota(&self) -> Option<u128> {
        let period = u128::from(self.quota?.period.as_nanos());
        Some((period << FRACTION_BITS) * u128::from(self.capacity.0) / VCPU)
    }

    /// Jobs that are there.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// True without jobs.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Capacity is something else from now on.
    pub fn set_capacity(&mut self, capacity: CpuMilliUnits, now: SimTime) {
        self.advance(now);
        self.capacity = capacity;
        if let Some(whole) = self.whole_quota()
            && let Some(quota) = &mut self.quota
        {
            quota.left = quota.left.min(whole);
        }
    }

    /// A job that takes `work` of one CPU.
    pub fn add(&mut self, work: SimDuration, job: K, now: SimTime) -> JobId {
        self.advance(now);
        if self.jobs.is_empty() {
            self.attained = 0;
        }
        let id =
            JobId { ends: self.attained + (u128::from(work.as_nanos()) << FRACTION_BITS), number: self.next_number };
        self.next_number += 1;
        self.jobs.insert(id, job);
        id
    }

    /// Takes a job away before its end.
    pub fn remove(&mut self, id: JobId, now: SimTime) -> Option<K> {
        self.advance(now);
        self.jobs.remove(&id)
    }

    /// When the next job ends if nothing changes; `None` without jobs or capacity.
    pub fn next_end(&self) -> Option<SimTime> {
        let (first, _) = self.jobs.first_key_value()?;
        let left = first.ends.saturating_sub(self.attained);
        if let Some((quota, whole)) = self.quota.zip(self.whole_quota()) {
            return quota.end_of(left, self.jobs.len() as u128, whole, self.clock);
        }
        let wanted = self.jobs.len() as u128 * VCPU;
        let capacity = u128::from(self.capacity.0).min(wanted);
        if capacity == 0 {
            return None;
        }
        let nanos = (left * wanted).div_ceil(capacity << FRACTION_BITS);
        Some(self.clock.saturating_add(SimDuration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))))
    }

    /// A job that has ended by `now`; several come one by one.
    pub fn pop_ended(&mut self, now: SimTime) -> Option<K> {
        self.advance(now);
        let (first, _) = self.jobs.first_key_value()?;
        if first.ends > self.attained {
            return None;
        }
        self.jobs.pop_first().map(|(_, job)| job)
    }

    /// What the jobs did since the last call.
    pub fn take_use(&mut self, now: SimTime) -> CpuUse {
        self.advance(now);
        let used = std::mem::take(&mut self.used) as f64 / f64::from(1_u32 << FRACTION_BITS);
        let wanted = std::mem::take(&mut self.job_nanos) as f64;
        CpuUse { used: used / 1e9, wanted: wanted / 1e9 }
    }

    /// Accounts for the time up to `now`, in which nothing changed.
    fn advance(&mut self, now: SimTime) {
        let nanos = u128::from(now.saturating_since(self.clock).as_nanos());
        let before = self.clock;
        self.clock = before.max(now);
        let jobs = self.jobs.len() as u128;
        if nanos == 0 {
            return;
        }
        let gain = if let Some(whole) = self.whole_quota()
            && let Some(quota) = &mut self.quota
        {
            quota.spend(jobs, whole, before, now)
        } else {
            let capacity = u128::from(self.capacity.0).min(jobs * VCPU);
            // At most 2^63 ns, 2^20 of each, 2^40 thousandths of a CPU unit: no overflow.
            (nanos << FRACTION_BITS) * capacity / (jobs.max(1) * VCPU)
        };
        if jobs == 0 {
            return;
        }
        self.attained += gain;
        self.used += gain * jobs;
        self.job_nanos += nanos * jobs;
    }
}

impl Quota {
    /// Where the period ends that `now` is in.
    fn boundary(&self, now: SimTime) -> SimTime {
        now.previous_multiple_of(self.period).saturating_add(self.period)
    }

    /// What each of `jobs` gains between two instants.
    fn spend(&mut self, jobs: u128, whole: u128, from: SimTime, to: SimTime) -> u128 {
        let nanos = |from: SimTime, to: SimTime| u128::from(to.saturating_since(from).as_nanos()) << FRACTION_BITS;
        let boundary = self.boundary(from);
        if to < boundary {
            let gain = self.left.checked_div(jobs).map_or(0, |most| nanos(from, to).min(most));
            self.left -= gain * jobs;
            return gain;
        }
        let present = to.previous_multiple_of(self.period);
        let left = std::mem::replace(&mut self.left, whole);
        if jobs == 0 {
            return 0;
        }
        let first = nanos(from, boundary).min(left / jobs);
        let periods = u128::from(present.saturating_since(boundary).as_nanos() / self.period.as_nanos());
        let each = (u128::from(self.period.as_nanos()) << FRACTION_BITS).min(whole / jobs);
        let last = nanos(present, to).min(whole / jobs);
        self.left -= last * jobs;
        first + periods * each + last
    }

    /// When each of `jobs` has gained `work`; `None` if that is never.
    fn end_of(&self, work: u128, jobs: u128, whole: u128, now: SimTime) -> Option<SimTime> {
        let after = |at: SimTime, gain: u128| {
            let nanos = gain.div_ceil(1 << FRACTION_BITS);
            at.saturating_add(SimDuration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
        };
        let boundary = self.boundary(now);
        let here = (u128::from(boundary.saturating_since(now).as_nanos()) << FRACTION_BITS).min(self.left / jobs);
        if work <= here {
            return Some(after(now, work));
        }
        let each = (u128::from(self.period.as_nanos()) << FRACTION_BITS).min(whole / jobs);
        let rest = work - here;
        // The whole periods before the one that it ends in.
        let periods = (rest - 1).checked_div(each)?;
        let span = u64::try_from(periods.saturating_mul(u128::from(self.period.as_nanos()))).unwrap_or(u64::MAX);
        Some(after(boundary.saturating_add(SimDuration::from_nanos(span)), rest - periods * each))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;
    use crate::workload::distribution::Distribution;

    fn vcpus(vcpus: f64) -> CpuMilliUnits {
        CpuMilliUnits::from_vcpus(vcpus)
    }

    fn secs(secs: f64) -> SimDuration {
        SimDuration::from_secs_f64(secs)
    }

    fn at(seconds: f64) -> SimTime {
        SimTime::ZERO + secs(seconds)
    }

    #[test]
    fn jobs_share_evenly_and_use_one_cpu_at_most() {
        let mut cpu = ProcessorSharing::new(vcpus(2.0), SimTime::ZERO);
        cpu.add(secs(1.0), 'a', at(0.0));
        assert_eq!(cpu.next_end(), Some(at(1.0)), "alone it has one CPU, not two");
        cpu.add(secs(1.0), 'b', at(0.5));
        cpu.add(secs(1.0), 'c', at(0.5));
        // Two CPUs for three: half a second of work takes three quarters.
        assert_eq!(cpu.next_end(), Some(at(1.25)));
        assert_eq!(cpu.pop_ended(at(1.25)), Some('a'));
        assert_eq!(cpu.pop_ended(at(1.25)), None);
        assert_eq!(cpu.next_end(), Some(at(1.75)));
        assert_eq!((cpu.pop_ended(at(1.75)), cpu.pop_ended(at(1.75))), (Some('b'), Some('c')));
        let CpuUse { used, wanted } = cpu.take_use(at(2.0));
        assert!((used - 3.0).abs() < 1e-9 && (wanted - (0.5 + 3.0 * 0.75 + 2.0 * 0.5)).abs() < 1e-9, "{used} {wanted}");
    }

    #[test]
    fn a_change_of_capacity_moves_the_ends() {
        let mut cpu = ProcessorSharing::new(vcpus(1.0), SimTime::ZERO);
        let id = cpu.add(secs(4.0), 'a', at(0.0));
        cpu.set_capacity(vcpus(0.25), at(2.0));
        assert_eq!(cpu.next_end(), Some(at(10.0)));
        cpu.set_capacity(vcpus(0.0), at(6.0));
        assert_eq!(cpu.next_end(), None);
        assert_eq!(cpu.remove(id, at(7.0)), Some('a'));
        assert_eq!(cpu.remove(id, at(7.0)), None);
        assert!((cpu.take_use(at(7.0)).used - 3.0).abs() < 1e-9);
    }

    #[test]
    fn at_its_end_a_job_has_attained_its_work_whatever_the_numbers() {
        let mut chance = Streams::new(5, 0).named("odd");
        let mut cpu = ProcessorSharing::new(vcpus(0.3), SimTime::ZERO);
        let (mut now, mut there, mut ended) = (SimTime::ZERO, 0, 0);
        for round in 0..20_000 {
            if there < 40 && chance.bernoulli(0.5) {
                cpu.add(SimDuration::from_nanos(chance.below(3_000_000_000)), round, now);
                there += 1;
            } else if chance.bernoulli(0.2) {
                cpu.set_capacity(CpuMilliUnits(1 + chance.below(40_000_000)), now);
            } else if let Some(end) = cpu.next_end() {
                now = end;
                assert!(cpu.pop_ended(now).is_some(), "nobody ends at {now}");
                there -= 1;
                ended += 1;
            }
        }
        assert!(ended > 5000);
    }

    #[test]
    fn a_quota_is_spent_at_full_speed_and_comes_anew_each_period() {
        let period = SimDuration::from_millis(100);
        let mut cpu = ProcessorSharing::new(vcpus(0.25), at(0.0)).with_period(period);
        cpu.add(secs(0.02), 'a', at(0.03));
        assert_eq!(cpu.next_end(), Some(at(0.05)), "at a steady rate it would take 80 ms");
        assert_eq!(cpu.pop_ended(at(0.05)), Some('a'));
        // 5 ms are left, then come 25 in each of two periods, and the rest in a third.
        cpu.add(secs(0.06), 'b', at(0.06));
        assert_eq!(cpu.next_end(), Some(at(0.305)));
        assert_eq!(cpu.pop_ended(at(0.25)), None);
        assert_eq!(cpu.next_end(), Some(at(0.305)), "looking changes nothing");
        cpu.add(secs(0.04), 'c', at(0.302));
        // Of the 25 ms from 0.3 on b alone has had 2; of the 23 left it needs 3, and so does c have 3.
        assert_eq!(cpu.next_end(), Some(at(0.305)));
        assert_eq!(cpu.pop_ended(at(0.305)), Some('b'));
        assert_eq!(cpu.next_end(), Some(at(0.42)), "17 ms are left of 25, and 20 to do of 37");
        assert_eq!(cpu.pop_ended(at(0.419)), None);
    }

    #[test]
    fn under_a_quota_too_a_job_has_attained_its_work_at_its_end() {
        let mut chance = Streams::new(6, 0).named("odd");
        let mut cpu = ProcessorSharing::new(vcpus(0.3), SimTime::ZERO).with_period(SimDuration::from_millis(100));
        let (mut now, mut there, mut ended, mut work) = (SimTime::ZERO, 0, 0, 0.0);
        for round in 0..20_000 {
            if there < 40 && chance.bernoulli(0.5) {
                let nanos = chance.below(300_000_000);
                work += nanos as f64 / 1e9;
                cpu.add(SimDuration::from_nanos(nanos), round, now);
                there += 1;
            } else if let Some(end) = cpu.next_end() {
                // Somebody looks in between.
                let middle = SimTime::from_nanos(u64::midpoint(now.as_nanos(), end.as_nanos()));
                assert!(middle == end || cpu.pop_ended(middle).is_none());
                assert_eq!(cpu.next_end(), Some(end));
                now = end;
                assert!(cpu.pop_ended(now).is_some(), "nobody ends at {now}");
                there -= 1;
                ended += 1;
            }
        }
        assert!(ended > 5000);
        let used = cpu.take_use(now).used;
        assert!(used <= 0.3 * now.as_secs_f64() + 0.03 + 1e-6, "never more than the cap: {used} in {now}");
        assert!(used <= work);
    }

    #[test]
    fn the_mean_time_agrees_with_m_g_1_processor_sharing() {
        // Time in an M/G/1 processor-sharing queue: s / (1 - rho), whatever the distribution of s.
        let mut chance = Streams::new(11, 0).named("ps");
        let (arrivals, work) = (Distribution::Exponential { mean: 1.0 }, Distribution::lognormal_mean_cv(0.6, 1.5));
        let mut cpu = ProcessorSharing::new(vcpus(1.0), SimTime::ZERO);
        let mut next = SimTime::ZERO + arrivals.sample_duration(&mut chance);
        let mut means = Vec::new();
        for _ in 0..30 {
            let (mut total, mut count) = (0.0, 0.0);
            while count < 20_000.0 {
                if let Some(end) = cpu.next_end().filter(|end| *end <= next) {
                    let Some(came) = cpu.pop_ended(end) else { continue };
                    total += end.saturating_since(came).as_secs_f64();
                    count += 1.0;
                } else {
                    cpu.add(work.sample_duration(&mut chance), next, next);
                    next += arrivals.sample_duration(&mut chance);
                }
            }
            means.push(total / count);
        }
        let estimate = crate::stats::Estimate::from_samples(&means).unwrap();
        assert!(estimate.contains(0.6 / (1.0 - 0.6)), "{estimate:?}");
    }
}
