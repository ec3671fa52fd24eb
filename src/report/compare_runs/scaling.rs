//! How far apart two runs scaled: counts of tasks over time, and when each change came.

use serde::Serialize;

use crate::report::plot::folder::Folder;

/// How far a count of one run is from the other's, over the time that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountError {
    /// Its resource.
    pub resource: String,
    /// Its metric.
    pub metric: String,
    /// Share of time at which both are the same.
    pub same: f64,
    /// Share of time at which they differ by one at most.
    pub within_one: f64,
    /// The most that they differ.
    pub most: f64,
}

/// When each run changed a desired count, change by change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeError {
    /// The service.
    pub resource: String,
    /// The count before and after, in the reference.
    pub reference: [f64; 2],
    /// The same in the other run.
    pub run: [f64; 2],
    /// When, in the reference [s].
    pub reference_s: f64,
    /// When, in the other run [s].
    pub run_s: f64,
}

/// Both, of every service that both runs have.
pub(super) fn errors(reference: &Folder, run: &Folder) -> (Vec<CountError>, Vec<ChangeError>) {
    let until = reference.plan.duration_s.min(run.plan.duration_s);
    let (mut counts, mut changes) = (Vec::new(), Vec::new());
    for service in &reference.plan.services {
        let resource = &service.resource;
        for metric in ["DesiredCount", "RunningCount"] {
            let both = (reference.series(resource, metric), run.series(resource, metric));
            if let Some([same, within_one, most]) = agreement(both.0, both.1, until) {
                counts.push(CountError {
                    resource: resource.clone(),
                    metric: metric.to_owned(),
                    same,
                    within_one,
                    most,
                });
            }
        }
        let of = |folder: &Folder| steps(folder.series(resource, "DesiredCount"), until);
        changes.extend(paired(&of(reference), &of(run)).into_iter().map(|(first, second)| ChangeError {
            resource: resource.clone(),
            reference: [first.1, first.2],
            run: [second.1, second.2],
            reference_s: first.0,
            run_s: second.0,
        }));
    }
    (counts, changes)
}

/// The shares of time at which two levels are the same and within one, and the most that they differ; `None` unless both have
/// values, from the later of their beginnings on.
fn agreement(a: &[(f64, f64)], b: &[(f64, f64)], until: f64) -> Option<[f64; 3]> {
    // The hair by which counts that are told as decimals may differ.
    const HAIR: f64 = 1e-9;
    let from = a.first()?.0.max(b.first()?.0);
    let mut times: Vec<f64> = a.iter().chain(b).map(|(at, _)| *at).filter(|at| *at > from && *at < until).collect();
    times.push(from);
    times.sort_by(f64::total_cmp);
    times.dedup();
    times.push(until);
    let (mut same, mut within_one, mut most, mut total) = (0.0, 0.0, 0.0_f64, 0.0);
    for span in times.windows(2) {
        let difference = (level(a, span[0])? - level(b, span[0])?).abs();
        let length = (span[1] - span[0]).max(0.0);
        same += if difference <= HAIR { length } else { 0.0 };
        within_one += if difference <= 1.0 + HAIR { length } else { 0.0 };
        most = if length > 0.0 { most.max(difference) } else { most };
        total += length;
    }
    (total > 0.0).then(|| [same / total, within_one / total, most])
}

/// The level at an instant, changes of that instant included.
fn level(series: &[(f64, f64)], at: f64) -> Option<f64> {
    let place = series.partition_point(|(time, _)| *time <= at);
    series.get(place.checked_sub(1)?).map(|(_, value)| *value)
}

/// Every change of a level: when, from what, to what.
fn steps(series: &[(f64, f64)], until: f64) -> Vec<(f64, f64, f64)> {
    let pairs = series.windows(2).filter(|pair| pair[0].1 != pair[1].1 && pair[1].0 < until);
    pairs.map(|pair| (pair[1].0, pair[0].1, pair[1].1)).collect()
}

/// A change of a level: when, from what, to what.
type Step = (f64, f64, f64);

/// Changes that belong together: in order, each with the next of the same direction that the other run has.
fn paired(reference: &[Step], run: &[Step]) -> Vec<(Step, Step)> {
    let mut left = run.iter();
    let up = |step: &Step| step.2 > step.1;
    reference
        .iter()
        .filter_map(|first| {
            let mut ahead = left.clone();
            let second = ahead.find(|second| up(second) == up(first))?;
            left = ahead;
            Some((*first, *second))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_agree_for_a_share_of_the_time_that_both_have() {
        let a = [(0.0, 1.0), (10.0, 2.0), (40.0, 4.0), (90.0, 1.0)];
        let b = [(0.0, 1.0), (20.0, 2.0), (60.0, 4.0), (90.0, 1.0)];
        // Apart by one from 10 to 20, by two from 40 to 60.
        assert_eq!(agreement(&a, &b, 100.0), Some([0.7, 0.8, 2.0]));
        assert_eq!(agreement(&a, &a, 100.0), Some([1.0, 1.0, 0.0]));
        assert_eq!(agreement(&a, &[], 100.0), None);
        assert_eq!(agreement(&a, &b[3..], 100.0), Some([1.0, 1.0, 0.0]), "from the later beginning on");
    }

    #[test]
    fn changes_are_paired_in_order_and_by_direction() {
        let a = steps(&[(0.0, 1.0), (10.0, 2.0), (40.0, 4.0), (90.0, 1.0)], 100.0);
        let b = steps(&[(0.0, 1.0), (12.0, 3.0), (95.0, 2.0), (97.0, 1.0), (120.0, 9.0)], 100.0);
        assert_eq!(paired(&a, &b), [((10.0, 1.0, 2.0), (12.0, 1.0, 3.0)), ((90.0, 4.0, 1.0), (95.0, 3.0, 2.0))]);
        assert!(paired(&a, &[]).is_empty());
    }
}
