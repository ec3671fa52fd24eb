//! The metric store: samples in, statistics per period out (CW-*).
//!
//! A series is a ring of buckets, one per native period, so a sample costs one index and a statistic as many buckets
//! as its period spans. Nothing is ever searched, and nothing older than the longest question about it is kept, but for
//! its hours: those of the last 15 days stay as roll-ups (CW-5).

use std::collections::{BTreeMap, VecDeque};

use indexmap::IndexMap;

use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::MetricKey;
pub use crate::scaling::statistic::{Statistic, Unit};

/// A series of the store, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

impl SeriesId {
    /// The position of this series in the store.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Samples as `CloudWatch` stores them (CW-3); no samples at all is a `samples` of zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticSet {
    /// `SampleCount`.
    pub samples: u64,
    /// `Sum`.
    pub sum: f64,
    /// `Minimum`.
    pub minimum: f64,
    /// `Maximum`.
    pub maximum: f64,
}

impl StatisticSet {
    /// No samples.
    pub const EMPTY: Self = Self { samples: 0, sum: 0.0, minimum: f64::INFINITY, maximum: f64::NEG_INFINITY };

    /// One sample.
    pub const fn of(value: f64) -> Self {
        Self { samples: 1, sum: value, minimum: value, maximum: value }
    }

    /// `samples` samples of the same value.
    pub fn repeated(value: f64, samples: u64) -> Self {
        if samples == 0 {
            return Self::EMPTY;
        }
        Self { samples, sum: value * samples as f64, minimum: value, maximum: value }
    }

    /// Adds the samples of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }

    /// Sample-weighted mean, never a mean of means (CW-3); `None` without samples.
    pub fn average(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.sum / self.samples as f64)
    }

    /// A statistic of them; `None` without samples, or when it takes the samples themselves (CW-6).
    pub fn statistic(&self, statistic: Statistic) -> Option<f64> {
        let average = self.average()?;
        match statistic {
            Statistic::Average => Some(average),
            Statistic::Sum => Some(self.sum),
            Statistic::Minimum => Some(self.minimum),
            Statistic::Maximum => Some(self.maximum),
            Statistic::SampleCount => Some(self.samples as f64),
            Statistic::Percentile(_) | Statistic::Trimmed(_) => None,
        }
    }

    /// Whether the values lie within what CloudWatch accepts (CW-8).
    pub fn is_valid(&self) -> bool {
        // 2^360; the exponent field is written out because powi is not const.
        const LIMIT: f64 = f64::from_bits((360 + 1023) << 52);
        [self.sum, self.minimum, self.maximum].iter().all(|value| value.abs() <= LIMIT)
    }

    /// A statistic set that percentiles and trimmed statistics may use (CW-6).
    fn is_raw(&self) -> bool {
        self.samples == 1 || self.minimum == self.maximum
    }
}

/// When a bucket of a series starts, ends and shows (CW-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    resolution: SimDuration,
    lag: SimDuration,
}

impl Publication {
    /// Buckets of `resolution` that show `delay` after they end: how `CloudWatch` publishes aggregates (CW-4).
    ///
    /// # Panics
    /// When `resolution` is zero.
    pub fn after_end(resolution: SimDuration, delay: SimDuration) -> Self {
        assert!(!resolution.is_zero(), "a bucket lasts longer than an instant");
        Self { resolution, lag: resolution + delay }
    }

    /// Buckets of `resolution` that show `delay` after they start: one sample taken at the start of each (CAS-1).
    ///
    /// # Panics
    /// When `resolution` is zero.
    pub fn after_start(resolution: SimDuration, delay: SimDuration) -> Self {
        assert!(!resolution.is_zero(), "a bucket lasts longer than an instant");
        Self { resolution, lag: delay }
    }

    /// Width of a bucket.
    pub const fn resolution(self) -> SimDuration {
        self.resolution
    }

    /// When the bucket that starts at `start` shows.
    pub const fn visible_at(self, start: SimTime) -> SimTime {
        start.saturating_add(self.lag)
    }

    /// The end of the newest period that an observer at `now` can see whole: a multiple of `step`, or `None` when
    /// nothing can show yet.
    pub fn newest_end(self, now: SimTime, step: SimDuration) -> Option<SimTime> {
        let reach = now.saturating_add(self.resolution);
        if reach < SimTime::ZERO.saturating_add(self.lag) {
            return None;
        }
        let end = SimTime::from_nanos(reach.as_nanos() - self.lag.as_nanos()).previous_multiple_of(step);
        (end > SimTime::ZERO).then_some(end)
    }
}

impl Default for Publication {
    /// A custom metric: one-minute buckets that show as they end.
    fn default() -> Self {
        Self::after_end(SimDuration::MINUTE, SimDuration::ZERO)
    }
}

/// Why samples were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectedSample {
    /// NaN, infinite or beyond ±2^360 (CW-8).
    #[error("the value is not a number between -2^360 and 2^360")]
    OutOfRange,
    /// Older than anything the series still keeps.
    #[error("the sample is older than the series remembers")]
    TooOld,
}

/// What an hour of a series comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hourly {
    /// The mean of its buckets' sums: a load by the minute.
    MeanOfSums,
    /// A statistic of all its samples.
    Statistic(Statistic),
}

/// The statistic of one period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Datapoint {
    /// Start of the period (CW-2).
    pub start: SimTime,
    /// The statistic.
    pub value: f64,
    /// Samples in it.
    pub samples: u64,
}

/// Every series of one run.
#[derive(Clone, Debug, Default)]
pub struct MetricStore {
    series: IndexMap<MetricKey, Series>,
}

#[derive(Clone, Debug)]
struct Series {
    publication: Publication,
    /// Number of the bucket at the front of `buckets`, counted from time zero.
    first: u64,
    buckets: VecDeque<StatisticSet>,
    /// Most buckets kept.
    capacity: usize,
    /// The span `capacity` stands for, kept for a change of resolution.
    span: SimDuration,
    /// Number of the hour at the front of `hours`.
    first_hour: u64,
    /// Roll-ups of whole hours (CW-5): all samples, and in how many buckets they lay.
    hours: VecDeque<(StatisticSet, u32)>,
    /// Parts of each bucket, parallel to `buckets`, when someone asks for percentiles; `None` once a part of a bucket
    /// did not qualify (CW-6).
    raw: Option<VecDeque<Option<RawSamples>>>,
    /// The unit its producer publishes in; a producer that names none counts as every unit.
    unit: Option<Unit>,
    /// The unit of all samples so far, if they have one.
    seen: Option<Unit>,
    /// The samples of each unit, once there are several (CW-1).
    by_unit: BTreeMap<Unit, Series>,
    /// Hours with samples since the beginning, and those with samples finer than a minute (COST-2).
    hours_used: (u64, u64),
    /// The newest hour counted in each.
    last_used: (Option<u64>, Option<u64>),
}

/// What a series is paid for (COST-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricUsage<'a> {
    /// Which one.
    pub key: &'a MetricKey,
    /// Hours in which it had samples.
    pub hours: u64,
    /// Those in which they were published more often than every minute.
    pub high_resolution_hours: u64,
}

/// Values and how often each occurred.
type RawSamples = Vec<(f64, u64)>;

impl Series {
    fn new() -> Self {
        let mut series = Self {
            publication: Publication::default(),
            first: 0,
            buckets: VecDeque::new(),
            capacity: 0,
            span: SimDuration::ZERO,
            first_hour: 0,
            hours: VecDeque::new(),
            raw: None,
            unit: None,
            seen: None,
            by_unit: BTreeMap::new(),
            hours_used: (0, 0),
            last_used: (None, None),
        };
        series.retain(MetricStore::DEFAULT_RETENTION);
        series
    }

    /// A series like this one, without samples.
    fn empty(&self) -> Self {
        let mut series =
            Self { publication: self.publication, raw: self.raw.as_ref().map(|_| VecDeque::new()), ..Self::new() };
        series.retain(self.span);
        series
    }

    /// Adds samples of a unit: they count for those who ask for this unit, or for none (CW-1).
    fn push_in(&mut self, unit: Option<Unit>, bucket: u64, set: &StatisticSet) -> Result<(), RejectedSample> {
        if let Some(unit) = unit
            && *self.seen.get_or_insert(unit) != unit
            && self.by_unit.is_empty()
            && let Some(first) = self.seen
        {
            let before = self.clone();
            self.by_unit.insert(first, before);
        }
        if !self.by_unit.is_empty() {
            match unit {
                Some(unit) => {
                    let empty = self.empty();
                    // Two series of one age: what is too old for one is for the other, and the answer below says so.
                    let _ = self.by_unit.entry(unit).or_insert(empty).push(bucket, set);
                }
                None => self.by_unit.values_mut().for_each(|series| {
                    let _ = series.push(bucket, set);
                }),
            }
        }
        self.push(bucket, set)
    }

    /// The samples of a unit, or all of them.
    fn of_unit(&self, unit: Option<Unit>) -> Option<&Self> {
        match unit {
            None => Some(self),
            Some(unit) if self.by_unit.is_empty() => self.seen.is_none_or(|seen| seen == unit).then_some(self),
            Some(unit) => self.by_unit.get(&unit),
        }
    }

    fn bucket_of(&self, at: SimTime) -> u64 {
        at.as_nanos() / self.publication.resolution.as_nanos()
    }

    fn start_of(&self, bucket: u64) -> SimTime {
        SimTime::from_nanos(bucket * self.publication.resolution.as_nanos())
    }

    fn retain(&mut self, span: SimDuration) {
        self.by_unit.values_mut().for_each(|series| series.retain(span));
        self.span = self.span.max(span);
        // Beyond what shows: the buckets that are full and do not show yet, and the one being filled.
        let kept = self.span.as_nanos().saturating_add(self.publication.lag.as_nanos());
        let wanted = kept.div_ceil(self.publication.resolution.as_nanos()) + 1;
        self.capacity = usize::try_from(wanted).unwrap_or(usize::MAX);
    }

    fn push(&mut self, bucket: u64, set: &StatisticSet) -> Result<(), RejectedSample> {
        let position = self.position_for(bucket)?;
        self.note_use(self.start_of(bucket));
        self.roll_up(self.start_of(bucket), set, self.buckets[position].samples == 0);
        self.buckets[position].merge(set);
        if let Some(raw) = &mut self.raw {
            let parts = &mut raw[position];
            if set.is_raw() && set.minimum >= 0.0 {
                if let Some(parts) = parts {
                    parts.push((set.minimum, set.samples));
                }
            } else {
                *parts = None;
            }
        }
        Ok(())
    }

    /// Counts the hour of a sample, once: samples of hours that have been counted already come late, and cost nothing more.
    fn note_use(&mut self, at: SimTime) {
        let hour = at.as_nanos() / SimDuration::HOUR.as_nanos();
        let note = |last: &mut Option<u64>, hours: &mut u64| {
            if last.is_none_or(|last| hour > last) {
                *last = Some(hour);
                *hours += 1;
            }
        };
        note(&mut self.last_used.0, &mut self.hours_used.0);
        if self.publication.resolution < SimDuration::MINUTE {
            note(&mut self.last_used.1, &mut self.hours_used.1);
        }
    }

    /// Adds samples to the hour they lie in (CW-5); `first` are the first ones of a bucket.
    fn roll_up(&mut self, at: SimTime, set: &StatisticSet, first: bool) {
        let hour = at.as_nanos() / SimDuration::HOUR.as_nanos();
        if self.hours.is_empty() || hour >= self.first_hour + 2 * MetricStore::HOURS_KEPT {
            self.hours.clear();
            self.first_hour = hour;
        }
        // Samples of an hour that is no longer kept change nothing that anyone can see.
        let Some(offset) = hour.checked_sub(self.first_hour) else { return };
        while self.hours.len() as u64 <= offset {
            self.hours.push_back((StatisticSet::EMPTY, 0));
        }
        if let Some((total, buckets)) = usize::try_from(offset).ok().and_then(|offset| self.hours.get_mut(offset)) {
            total.merge(set);
            *buckets += u32::from(first);
        }
        while self.hours.len() as u64 > MetricStore::HOURS_KEPT {
            self.hours.pop_front();
            self.first_hour += 1;
        }
    }

    /// Where `bucket` is in the ring, after making room for it.
    fn position_for(&mut self, bucket: u64) -> Result<usize, RejectedSample> {
        if bucket < self.first {
            return Err(RejectedSample::TooOld);
        }
        let offset = usize::try_from(bucket - self.first).unwrap_or(usize::MAX);
        let beyond = offset.saturating_sub(self.buckets.len());
        if self.buckets.is_empty() || beyond >= self.capacity {
            self.buckets.clear();
            if let Some(raw) = &mut self.raw {
                raw.clear();
            }
            // A series that starts late may still be told of the moments before.
            self.first = bucket.saturating_sub(self.capacity as u64 - 1);
        }
        while self.first + self.buckets.len() as u64 <= bucket {
            if self.buckets.len() == self.capacity {
                self.buckets.pop_front();
                self.first += 1;
                if let Some(raw) = &mut self.raw {
                    raw.pop_front();
                }
            }
            self.buckets.push_back(StatisticSet::EMPTY);
            if let Some(raw) = &mut self.raw {
                raw.push_back(Some(Vec::new()));
            }
        }
        Ok(usize::try_from(bucket - self.first).expect("the bucket is within the ring, which fits in memory"))
    }

    /// The positions of the buckets that start in `start..start + period` and show at `now`.
    fn window(&self, start: SimTime, period: SimDuration, now: SimTime) -> std::ops::Range<usize> {
        let resolution = self.publication.resolution.as_nanos();
        let low = start.as_nanos().div_ceil(resolution);
        let mut high = start.saturating_add(period).as_nanos().div_ceil(resolution);
        // The first bucket that does not show yet.
        let hidden =
            now.as_nanos().checked_sub(self.publication.lag.as_nanos()).map_or(0, |shown| shown / resolution + 1);
        high = high.min(hidden);
        let clamp = |bucket: u64| {
            usize::try_from(bucket.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.buckets.len())
        };
        let low = clamp(low);
        low..clamp(high).max(low)
    }

    fn statistics(&self, range: std::ops::Range<usize>) -> StatisticSet {
        let mut total = StatisticSet::EMPTY;
        for set in self.buckets.range(range) {
            total.merge(set);
        }
        total
    }

    /// A statistic that needs the samples themselves; `None` when they have not been kept, or not all qualify (CW-6).
    fn of_samples(&self, range: std::ops::Range<usize>, statistic: Statistic) -> Option<f64> {
        let raw = self.raw.as_ref()?;
        let mut values = Vec::new();
        for parts in raw.range(range) {
            values.extend_from_slice(parts.as_ref()?);
        }
        statistic.of_samples(&mut values)
    }

    /// Keeps the samples themselves from now on, and those of before that can still be told apart.
    fn keep_samples(&mut self) {
        self.by_unit.values_mut().for_each(Self::keep_samples);
        if self.raw.is_none() {
            // What came before was merged: only buckets of one value still qualify (CW-6).
            let parts = self.buckets.iter().map(|set| match set.samples {
                0 => Some(Vec::new()),
                samples => (set.is_raw() && set.minimum >= 0.0).then(|| vec![(set.minimum, samples)]),
            });
            self.raw = Some(parts.collect());
        }
    }

    /// Moves what is known into buckets of another width.
    fn republish(&mut self, publication: Publication) {
        self.by_unit.values_mut().for_each(|series| series.republish(publication));
        if publication.resolution == self.publication.resolution {
            self.publication = publication;
            self.retain(self.span);
            return;
        }
        let old: Vec<_> =
            (self.first..).zip(&self.buckets).map(|(number, set)| (self.start_of(number), *set)).collect();
        self.publication = publication;
        self.buckets.clear();
        self.first = 0;
        self.retain(self.span);
        if let Some(raw) = &mut self.raw {
            raw.clear();
        }
        for (start, set) in old.into_iter().filter(|(_, set)| set.samples > 0) {
            let bucket = self.bucket_of(start);
            self.push(bucket, &set).expect("old buckets are moved in order of time, so none is too old");
        }
    }
}

impl MetricStore {
    /// Every series keeps at least this much: what a new alarm finds from before its creation (ALM-1).
    pub const DEFAULT_RETENTION: SimDuration = SimDuration::HOUR;

    /// Hours of each series that are kept as roll-ups: 15 days, a day more than any forecast learns from (PRED-1). AWS
    /// keeps them 455 days (CW-5).
    pub const HOURS_KEPT: u64 = 15 * 24;

    /// A store without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// The series of `key`, made on first sight as a custom metric ([`Publication::default`]).
    pub fn intern(&mut self, key: &MetricKey) -> SeriesId {
        let index = match self.series.get_index_of(key) {
            Some(index) => index,
            None => self.series.insert_full(key.clone(), Series::new()).0,
        };
        series_id(index)
    }

    /// The series of `key`, if anyone asked for it or fed it.
    pub fn find(&self, key: &MetricKey) -> Option<SeriesId> {
        self.series.get_index_of(key).map(series_id)
    }

    /// What `id` is called.
    pub fn key(&self, id: SeriesId) -> &MetricKey {
        self.entry(id).0
    }

    /// What each series is paid for, in order of creation (COST-2).
    pub fn usage(&self) -> impl Iterator<Item = MetricUsage<'_>> {
        self.series.iter().map(|(key, series)| MetricUsage {
            key,
            hours: series.hours_used.0,
            high_resolution_hours: series.hours_used.1,
        })
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// True when there is no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Sets how a series is published: its producer says so when it starts, or when its resolution changes.
    pub fn publish(&mut self, id: SeriesId, publication: Publication) {
        self.entry_mut(id).republish(publication);
    }

    /// How a series is published.
    pub fn publication(&self, id: SeriesId) -> Publication {
        self.entry(id).1.publication
    }

    /// Keeps at least `span` of a series, and its samples themselves if percentiles or trimmed statistics will be asked
    /// for. Never shortens.
    pub fn retain(&mut self, id: SeriesId, span: SimDuration, samples: bool) {
        let series = self.entry_mut(id);
        series.retain(span);
        if samples {
            series.keep_samples();
        }
    }

    /// Whether a series keeps the samples themselves: somebody asks for percentiles or trimmed statistics.
    pub fn keeps_samples(&self, id: SeriesId) -> bool {
        self.entry(id).1.raw.is_some()
    }

    /// Sets the unit that a series is published in; without one its samples count as of every unit (CW-1).
    pub fn set_unit(&mut self, id: SeriesId, unit: Option<Unit>) {
        self.entry_mut(id).unit = unit;
    }

    /// Adds samples, in the unit of the series, to the bucket that `at` lies in; returns when that bucket shows.
    ///
    /// An empty set is taken as no sample at all: the bucket stays a gap (ECSM-6).
    pub fn push(&mut self, id: SeriesId, at: SimTime, set: &StatisticSet) -> Result<SimTime, RejectedSample> {
        self.push_in(id, self.entry(id).1.unit, at, set)
    }

    /// [`push`](Self::push) in a unit of the samples' own.
    pub fn push_in(
        &mut self,
        id: SeriesId,
        unit: Option<Unit>,
        at: SimTime,
        set: &StatisticSet,
    ) -> Result<SimTime, RejectedSample> {
        let series = self.entry_mut(id);
        let bucket = series.bucket_of(at);
        if set.samples > 0 {
            if !set.is_valid() {
                return Err(RejectedSample::OutOfRange);
            }
            series.push_in(unit, bucket, set)?;
        }
        Ok(series.publication.visible_at(series.start_of(bucket)))
    }

    /// The statistic of `start..start + period` as it shows at `now`; `None` is a missing datapoint.
    ///
    /// A bucket belongs to the period it starts in, so a 20 s question about 60 s data has answers only at minute
    /// starts (ECSM-9).
    pub fn statistic(
        &self,
        id: SeriesId,
        statistic: Statistic,
        start: SimTime,
        period: SimDuration,
        now: SimTime,
    ) -> Option<Datapoint> {
        self.statistic_in(id, None, statistic, start, period, now)
    }

    /// [`statistic`](Self::statistic) of the samples of one unit alone (CW-1).
    pub fn statistic_in(
        &self,
        id: SeriesId,
        unit: Option<Unit>,
        statistic: Statistic,
        start: SimTime,
        period: SimDuration,
        now: SimTime,
    ) -> Option<Datapoint> {
        let series = self.entry(id).1.of_unit(unit)?;
        if now.saturating_since(start) > kept_at(period) {
            return None;
        }
        let range = series.window(start, period, now);
        let set = series.statistics(range.clone());
        set.average()?;
        let value = match set.statistic(statistic) {
            Some(value) => value,
            None => series.of_samples(range, statistic)?,
        };
        Some(Datapoint { start, value, samples: set.samples })
    }

    /// A value of each past hour that shows whole at `now`, by number of the hour. An hour without samples is left out, and
    /// one whose statistic needs the samples themselves: roll-ups do not keep them (CW-6).
    pub fn hourly(&self, id: SeriesId, of: Hourly, now: SimTime) -> BTreeMap<u64, f64> {
        let series = self.entry(id).1;
        let hour = SimDuration::HOUR;
        (series.first_hour..)
            .zip(&series.hours)
            .filter(|(number, (_, buckets))| {
                let end = SimTime::ZERO + hour * (number + 1);
                let last =
                    SimTime::from_nanos(end.as_nanos() - series.publication.resolution.as_nanos().min(hour.as_nanos()));
                *buckets > 0 && series.publication.visible_at(last) <= now
            })
            .filter_map(|(number, (total, buckets))| {
                let value = match of {
                    Hourly::MeanOfSums => Some(total.sum / f64::from(*buckets)),
                    Hourly::Statistic(statistic) => total.statistic(statistic),
                };
                Some((number, value?))
            })
            .collect()
    }

    fn entry(&self, id: SeriesId) -> (&MetricKey, &Series) {
        self.series.get_index(id.index()).expect("series ids come from this store and series are never removed")
    }

    fn entry_mut(&mut self, id: SeriesId) -> &mut Series {
        let found = self.series.get_index_mut(id.index());
        found.expect("series ids come from this store and series are never removed").1
    }
}

fn series_id(index: usize) -> SeriesId {
    SeriesId(u32::try_from(index).expect("a run has fewer than 2^32 series"))
}

/// Periods that datapoints may have (CW-2).
pub fn is_metric_period(period: SimDuration) -> bool {
    let secs = period.as_secs();
    SimDuration::from_secs(secs) == period
        && (matches!(secs, 1 | 5 | 10 | 20 | 30) || secs > 0 && secs <= 86_400 && secs.is_multiple_of(60))
}

/// How long data of periods this short is kept, rolled up to longer ones afterwards (CW-5).
const fn kept_at(period: SimDuration) -> SimDuration {
    const DAY: u64 = 86_400;
    let kept = match period.as_secs() {
        0..60 => 3 * 3600,
        60..300 => 15 * DAY,
        300..3600 => 63 * DAY,
        _ => 455 * DAY,
    };
    SimDuration::from_secs(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SimDuration = SimDuration::MINUTE;

    fn store() -> (MetricStore, SeriesId) {
        let mut store = MetricStore::new();
        let id = store.intern(&key("m"));
        (store, id)
    }

    fn key(name: &str) -> MetricKey {
        MetricKey { namespace: "Test".into(), name: name.into(), dimensions: Vec::new() }
    }

    fn minute(n: u64) -> SimTime {
        SimTime::from_secs(60 * n)
    }

    fn value(store: &MetricStore, id: SeriesId, statistic: Statistic, from: u64, minutes: u64) -> Option<f64> {
        store.statistic(id, statistic, minute(from), MINUTE * minutes, minute(10_000)).map(|point| point.value)
    }

    #[test]
    fn ex_cw_4() {
        let (mut store, id) = store();
        for (at, (average, tasks)) in (0..).zip([(50.0, 2), (50.0, 2), (50.0, 2), (80.0, 8), (80.0, 8)]) {
            store.push(id, minute(at), &StatisticSet::repeated(average, tasks)).unwrap();
        }
        let average = value(&store, id, Statistic::Average, 0, 5).unwrap();
        assert!((average - 1580.0 / 22.0).abs() < 1e-12, "{average}");
        assert_eq!(value(&store, id, Statistic::Sum, 0, 5), Some(1580.0));
        assert_eq!(value(&store, id, Statistic::SampleCount, 0, 5), Some(22.0));
        assert_eq!(value(&store, id, Statistic::Minimum, 0, 5), Some(50.0));
        assert_eq!(value(&store, id, Statistic::Maximum, 0, 5), Some(80.0));
    }

    #[test]
    fn cw_1_another_dimension_is_another_series() {
        let mut store = MetricStore::new();
        let web = MetricKey { dimensions: vec![("ServiceName".into(), "web".into())], ..key("m") };
        let ids = [store.intern(&key("m")), store.intern(&web), store.intern(&key("m"))];
        assert_eq!(ids[0], ids[2]);
        assert_ne!(ids[0], ids[1]);
        assert_eq!((store.find(&web), store.key(ids[1]), store.len()), (Some(ids[1]), &web, 2));
        assert_eq!(store.find(&key("n")), None);
    }

    #[test]
    fn cw_4_a_bucket_shows_when_it_has_ended_and_the_delay_is_over() {
        let (mut store, id) = store();
        store.publish(id, Publication::after_end(MINUTE, SimDuration::from_secs(120)));
        let shows = store.push(id, SimTime::from_secs(65), &StatisticSet::of(1.0)).unwrap();
        assert_eq!(shows, SimTime::from_secs(240));
        let at = |now| store.statistic(id, Statistic::Average, minute(1), MINUTE, SimTime::from_nanos(now));
        assert_eq!(at(shows.as_nanos() - 1), None);
        assert_eq!(at(shows.as_nanos()).map(|point| (point.start, point.value)), Some((minute(1), 1.0)));
    }

    #[test]
    fn cw_4_the_newest_period_ends_where_data_shows() {
        let secs = SimTime::from_secs;
        let service = Publication::after_end(MINUTE, SimDuration::from_secs(120));
        assert_eq!(service.newest_end(secs(179), MINUTE), None);
        assert_eq!(service.newest_end(secs(180), MINUTE), Some(secs(60)));
        assert_eq!(service.newest_end(secs(605), MINUTE), Some(secs(480)));
        let fast = Publication::after_end(SimDuration::from_secs(20), SimDuration::from_secs(12));
        assert_eq!(fast.newest_end(secs(35), SimDuration::from_secs(20)), Some(secs(20)));
        let reservation = Publication::after_start(MINUTE, SimDuration::from_secs(5));
        assert_eq!(reservation.newest_end(secs(4), MINUTE), None);
        assert_eq!(reservation.newest_end(secs(5), MINUTE), Some(secs(60)));
        assert_eq!(reservation.newest_end(secs(75), MINUTE), Some(secs(120)));
    }

    #[test]
    fn ecsm_9_twenty_seconds_of_minute_data_answer_at_minute_starts_only() {
        let (mut store, id) = store();
        store.push(id, minute(1), &StatisticSet::of(7.0)).unwrap();
        let twenty = SimDuration::from_secs(20);
        let answers: Vec<_> = (3..6)
            .map(|n| store.statistic(id, Statistic::Average, SimTime::from_secs(n * 20), twenty, minute(9)))
            .map(|point| point.map(|point| point.value))
            .collect();
        assert_eq!(answers, [Some(7.0), None, None]);
    }

    #[test]
    fn ecsm_6_an_empty_set_leaves_a_gap() {
        let (mut store, id) = store();
        store.push(id, minute(0), &StatisticSet::repeated(5.0, 0)).unwrap();
        assert_eq!(value(&store, id, Statistic::Average, 0, 1), None);
        assert_eq!(value(&store, id, Statistic::SampleCount, 0, 1), None);
    }

    #[test]
    fn memory_is_bounded_by_what_is_retained() {
        let (mut store, id) = store();
        store.retain(id, MINUTE * 100, false);
        for at in 0..5_000 {
            store.push(id, minute(at), &StatisticSet::of(at as f64)).unwrap();
        }
        assert_eq!(store.entry(id).1.buckets.len(), 102);
        assert_eq!(value(&store, id, Statistic::Minimum, 0, 5_000), Some(4_898.0));
        assert_eq!(store.push(id, minute(4_000), &StatisticSet::of(1.0)), Err(RejectedSample::TooOld));
        // A gap longer than all that is kept costs nothing and forgets the old.
        store.push(id, minute(9_000_000), &StatisticSet::of(2.0)).unwrap();
        let after =
            store.statistic(id, Statistic::Sum, minute(8_400_000), MINUTE * 600_001, minute(9_000_001)).unwrap();
        assert_eq!((after.value, after.samples), (2.0, 1));
        store.push(id, minute(8_999_950), &StatisticSet::of(3.0)).expect("within what is kept");
    }

    #[test]
    fn cw_5_hours_are_rolled_up() {
        let (mut store, id) = store();
        store.publish(id, Publication::after_end(MINUTE, SimDuration::from_secs(120)));
        // Two samples of 5 in every minute of three hours, but for the first ten.
        for at in 10..180 {
            store.push(id, minute(at), &StatisticSet::repeated(5.0, 2)).unwrap();
        }
        let hours = |now: u64| store.hourly(id, Hourly::MeanOfSums, minute(now)).into_iter().collect::<Vec<_>>();
        assert_eq!(hours(121), [(0, 10.0)], "the second hour shows two minutes after its end");
        assert_eq!(hours(122), [(0, 10.0), (1, 10.0)]);
        let (mut store, id) = self::store();
        for hour in 0..1000 {
            store.push(id, minute(60 * hour), &StatisticSet::of(hour as f64)).unwrap();
        }
        let kept = store.hourly(id, Hourly::MeanOfSums, minute(60 * 1000));
        assert_eq!((kept.len(), kept.keys().next().copied()), (360, Some(640)), "the last 15 days");
        store.push(id, minute(60 * 5000), &StatisticSet::of(1.0)).unwrap();
        assert_eq!(
            store.hourly(id, Hourly::MeanOfSums, minute(60 * 6000)).into_iter().collect::<Vec<_>>(),
            [(5000, 1.0)]
        );
    }

    #[test]
    fn cw_2_periods_of_datapoints() {
        let good: Vec<u64> = (0..200).filter(|secs| is_metric_period(SimDuration::from_secs(*secs))).collect();
        assert_eq!(good, [1, 5, 10, 20, 30, 60, 120, 180]);
        assert!(is_metric_period(SimDuration::from_secs(86_400)) && !is_metric_period(SimDuration::from_secs(86_460)));
        assert!(!is_metric_period(SimDuration::from_millis(60_500)));
    }

    #[test]
    fn cw_5_fine_periods_are_forgotten_first() {
        let (mut store, id) = store();
        store.publish(id, Publication::after_end(SimDuration::from_secs(10), SimDuration::ZERO));
        store.retain(id, SimDuration::from_secs(30 * 86_400), false);
        store.push(id, minute(0), &StatisticSet::of(7.0)).unwrap();
        let answers = |period: u64, now: u64| {
            store.statistic(id, Statistic::Sum, minute(0), SimDuration::from_secs(period), minute(now)).is_some()
        };
        assert_eq!([answers(10, 180), answers(30, 181), answers(60, 181)], [true, false, true], "three hours");
        let days = |days: u64| days * 24 * 60;
        assert_eq!([answers(60, days(15)), answers(60, days(15) + 1), answers(300, days(15) + 1)], [true, false, true]);
        assert_eq!([answers(300, days(63) + 1), answers(3600, days(63) + 1)], [false, true]);
        assert!(!answers(86_400, days(455) + 1));
    }

    #[test]
    fn cw_1_samples_of_another_unit_are_ignored() {
        let (mut store, id) = store();
        let sum = |store: &MetricStore, unit| {
            store.statistic_in(id, unit, Statistic::Sum, minute(0), MINUTE * 10, minute(20)).map(|point| point.value)
        };
        let (percent, count) = (Some(Unit::PERCENT), Some(Unit::COUNT));
        store.push(id, minute(0), &StatisticSet::of(1.0)).unwrap();
        assert_eq!([sum(&store, None), sum(&store, count)], [Some(1.0), Some(1.0)], "of no known unit");
        store.push_in(id, percent, minute(1), &StatisticSet::of(10.0)).unwrap();
        assert_eq!([sum(&store, None), sum(&store, percent), sum(&store, count)], [Some(11.0), Some(11.0), None]);
        store.push_in(id, count, minute(1), &StatisticSet::of(100.0)).unwrap();
        store.push_in(id, percent, minute(2), &StatisticSet::of(1000.0)).unwrap();
        assert_eq!(
            [sum(&store, None), sum(&store, percent), sum(&store, count), sum(&store, Some(Unit::NONE))],
            [Some(1111.0), Some(1011.0), Some(100.0), None],
            "nothing is converted"
        );
    }

    #[test]
    fn cw_1_both_units_keep_what_percentiles_need() {
        let (mut store, id) = store();
        store.retain(id, MINUTE * 10, true);
        for (unit, value) in [(Unit::PERCENT, 10.0), (Unit::COUNT, 500.0), (Unit::PERCENT, 30.0)] {
            store.push_in(id, Some(unit), minute(0), &StatisticSet::of(value)).unwrap();
        }
        let median = |unit| store.statistic_in(id, unit, Statistic::Percentile(50.0), minute(0), MINUTE, minute(5));
        assert_eq!(median(Some(Unit::PERCENT)).map(|point| point.value), Some(20.0));
        assert_eq!(median(Some(Unit::COUNT)).map(|point| point.value), Some(500.0));
        assert_eq!(median(None).map(|point| point.value), Some(30.0));
    }

    #[test]
    fn cw_6_percentiles_need_raw_samples() {
        let (mut store, id) = store();
        store.retain(id, MINUTE * 10, true);
        for sample in [40.0, 10.0, 30.0, 20.0] {
            store.push(id, minute(0), &StatisticSet::of(sample)).unwrap();
        }
        let p = Statistic::Percentile;
        for (percentile, expect) in [(0.0, 10.0), (50.0, 25.0), (100.0, 40.0), (90.0, 37.0)] {
            let got = value(&store, id, p(percentile), 0, 1).unwrap();
            assert!((got - expect).abs() < 1e-9, "p{percentile}: {got}");
        }
        store.push(id, minute(1), &StatisticSet::repeated(50.0, 996)).expect("one value many times qualifies");
        assert_eq!(value(&store, id, p(50.0), 0, 2), Some(50.0));
        let mixed = StatisticSet { samples: 2, sum: 3.0, minimum: 1.0, maximum: 2.0 };
        store.push(id, minute(2), &mixed).unwrap();
        assert_eq!(value(&store, id, p(50.0), 0, 3), None, "a statistic set of several values");
        assert_eq!(value(&store, id, p(50.0), 0, 2), Some(50.0), "other periods are not affected");
        store.push(id, minute(3), &StatisticSet::of(-1.0)).unwrap();
        assert_eq!(value(&store, id, p(50.0), 3, 1), None, "negative values");
    }

    #[test]
    fn cw_8_values_that_are_no_numbers_are_rejected() {
        let (mut store, id) = store();
        for bad in [f64::NAN, f64::INFINITY, 2f64.powi(361)] {
            assert_eq!(store.push(id, minute(0), &StatisticSet::of(bad)), Err(RejectedSample::OutOfRange), "{bad}");
        }
        assert_eq!(store.push(id, minute(0), &StatisticSet::of(2f64.powi(360))), Ok(minute(1)));
    }

    #[test]
    fn a_finer_resolution_keeps_the_history() {
        let (mut store, id) = store();
        store.push(id, minute(0), &StatisticSet::of(1.0)).unwrap();
        store.publish(id, Publication::after_end(SimDuration::from_secs(20), SimDuration::ZERO));
        store.push(id, SimTime::from_secs(60), &StatisticSet::of(3.0)).unwrap();
        store.push(id, SimTime::from_secs(80), &StatisticSet::of(5.0)).unwrap();
        assert_eq!(value(&store, id, Statistic::Average, 0, 1), Some(1.0));
        assert_eq!(value(&store, id, Statistic::Average, 1, 1), Some(4.0));
    }
}
