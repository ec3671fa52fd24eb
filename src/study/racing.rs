//! Which point is the cheapest that meets the constraints, when every figure is noisy: a race.
//!
//! All points run the same replications on the same random numbers. At each look a point leaves the race when it is
//! certain that it misses a constraint, or that it costs no less than a point that certainly meets them all; the others
//! get twice as many replications. So bad points stop after a few, and close ones get what telling them apart takes.
//!
//! Method: racing (Maron and Moore, "The Racing Algorithm", Artificial Intelligence Review 11, 1997) with paired t tests
//! on common random numbers (as irace does: López-Ibáñez et al., Operations Research Perspectives 3, 2016), constraints
//! screened before the objective (Andradóttir and Kim, "Fully Sequential Procedures for Comparing Constrained Systems via
//! Simulation", Naval Research Logistics 57(5), 2010), an indifference zone, and the errors of all tests shared out by
//! Bonferroni. How sure the answer is: the Bonferroni bound on the probability of correct selection, 1 - Σ P(rival i is
//! better) (Chen, Lin, Yücesan and Chick, Discrete Event Dynamic Systems 10, 2000).
//!
//! Where there are more points than may be run, a Latin hypercube of them races first, and then the winner's neighbours,
//! ever closer (pattern search: Hooke and Jeeves, Journal of the ACM 8(2), 1961) until none is better.

use super::design::{Parameter, latin_places, size};
use crate::stats::Sign;

/// The method in a line, for outputs.
pub const METHOD: &str = "racing with paired t tests on common random numbers (Maron and Moore 1997), constraints \
                          screened first (Andradottir and Kim 2010), errors shared out by Bonferroni";

/// The chance that any test of a race errs: that the best point is stopped early.
pub const ERROR: f64 = 0.05;

/// Replications of a point before the first look.
pub const FIRST_LOOK: u32 = 5;

/// Where a point is in the race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Still in it.
    Racing,
    /// Certain to miss this constraint.
    Infeasible(usize),
    /// Certain to cost more than this point.
    Dominated(usize),
    /// Certain not to cost less than this point by what would make a difference.
    Equal(usize),
}

/// One point and what its replications showed.
#[derive(Clone, Debug, PartialEq)]
struct Runner {
    objective: Vec<f64>,
    /// Per replication and constraint: by how much it is missed, below zero when it is met.
    excess: Vec<Vec<f64>>,
    standing: Standing,
}

/// A race in progress.
#[derive(Clone, Debug)]
pub struct Race {
    runners: Vec<Runner>,
    constraints: usize,
    cap: u32,
    /// The error that one test may make.
    error: f64,
    indifference: f64,
}

/// What a race settles by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// The most points that will ever take part.
    pub points: usize,
    /// Constraints of each.
    pub constraints: usize,
    /// The most replications of a point.
    pub cap: u32,
    /// The share of the objective that is no difference.
    pub indifference: f64,
}

impl Race {
    /// A race without points yet.
    pub fn new(rules: Rules) -> Self {
        let looks = std::iter::successors(Some(FIRST_LOOK), |n| (*n < rules.cap).then(|| n.saturating_mul(2))).count();
        let tests = rules.points.max(1) * (rules.constraints + 1) * looks;
        Self {
            runners: Vec::new(),
            constraints: rules.constraints,
            cap: rules.cap,
            error: ERROR / tests as f64,
            indifference: rules.indifference,
        }
    }

    /// One point more; returns its number.
    pub fn enter(&mut self) -> usize {
        self.runners.push(Runner { objective: Vec::new(), excess: Vec::new(), standing: Standing::Racing });
        self.runners.len() - 1
    }

    /// Points that took part.
    pub fn len(&self) -> usize {
        self.runners.len()
    }

    /// True before the first point.
    pub fn is_empty(&self) -> bool {
        self.runners.is_empty()
    }

    /// Replications of a point so far.
    pub fn replications(&self, point: usize) -> u32 {
        u32::try_from(self.runners[point].objective.len()).unwrap_or(u32::MAX)
    }

    /// Where a point is.
    pub fn standing(&self, point: usize) -> Standing {
        self.runners[point].standing
    }

    /// What to run next, as points and how many replications each shall then have; empty when the race is over.
    pub fn next(&self) -> Vec<(usize, u32)> {
        if self.is_settled() {
            return Vec::new();
        }
        let racing = || (0..self.len()).filter(|point| self.standing(*point) == Standing::Racing);
        let Some(fewest) = racing().map(|point| self.replications(point)).min().filter(|fewest| *fewest < self.cap)
        else {
            return Vec::new();
        };
        let target = if fewest < FIRST_LOOK { FIRST_LOOK } else { fewest.saturating_mul(2) }.min(self.cap);
        racing().filter(|point| self.replications(*point) == fewest).map(|point| (point, target)).collect()
    }

    /// One replication of a point: its objective, and by how much it misses each constraint. A figure that the run does
    /// not have is infinite: it counts as missed.
    pub fn add(&mut self, point: usize, objective: f64, excess: Vec<f64>) {
        let runner = &mut self.runners[point];
        runner.objective.push(objective);
        runner.excess.push(excess);
    }

    /// A look at all points: those that cannot win leave.
    pub fn look(&mut self) {
        for point in 0..self.len() {
            if self.standing(point) != Standing::Racing || self.replications(point) < FIRST_LOOK.min(self.cap) {
                continue;
            }
            let missed = (0..self.constraints).find(|constraint| self.chance_met(point, *constraint) < self.error);
            if let Some(constraint) = missed {
                self.runners[point].standing = Standing::Infeasible(constraint);
            }
        }
        let safe =
            |point: &usize| (0..self.constraints).all(|constraint| self.chance_missed(*point, constraint) < self.error);
        let order = |a: &usize, b: &usize| self.objective(*a).total_cmp(&self.objective(*b));
        let racing: Vec<usize> = (0..self.len()).filter(|point| self.standing(*point) == Standing::Racing).collect();
        let Some(pace) = racing.iter().copied().filter(safe).min_by(order) else { return };
        for point in racing {
            if point == pace || self.replications(point) < FIRST_LOOK.min(self.cap) {
                continue;
            }
            if self.chance_cheaper(point, pace) < self.error {
                self.runners[point].standing = Standing::Dominated(pace);
            } else if self.chance_worth_it(point, pace) < self.error {
                self.runners[point].standing = Standing::Equal(pace);
            }
        }
    }

    /// The cheapest point that meets the constraints by its means; `None` when no point does.
    pub fn winner(&self) -> Option<usize> {
        let feasible = |point: &usize| self.meets(*point) && self.objective(*point).is_finite();
        // One that was stopped as dearer may still have the lower mean of fewer replications.
        let racing = |point: &usize| self.standing(*point) == Standing::Racing;
        let order = |a: &usize, b: &usize| self.objective(*a).total_cmp(&self.objective(*b));
        let all = || (0..self.len()).filter(feasible);
        all().filter(racing).min_by(order).or_else(|| all().min_by(order))
    }

    /// Whether every mean meets its constraint.
    pub fn meets(&self, point: usize) -> bool {
        !self.runners[point].objective.is_empty() && (0..self.constraints).all(|place| self.excess(point, place) <= 0.0)
    }

    /// Mean of the objective.
    pub fn objective(&self, point: usize) -> f64 {
        mean(&self.runners[point].objective)
    }

    /// Mean by which a constraint is missed, below zero when it is met.
    pub fn excess(&self, point: usize, constraint: usize) -> f64 {
        mean(&self.column(point, constraint))
    }

    /// A lower bound on the probability that this point is the best of those that ran: that it meets the constraints,
    /// and no other that does is cheaper by more than what makes no difference.
    pub fn confidence(&self, winner: usize) -> f64 {
        let misses: f64 = (0..self.constraints).map(|constraint| self.chance_missed(winner, constraint)).sum();
        let rivals: f64 = (0..self.len())
            .filter(|point| *point != winner)
            .map(|point| {
                let meets = (0..self.constraints).map(|constraint| self.chance_met(point, constraint));
                meets.fold(self.chance_worth_it(point, winner), f64::min)
            })
            .sum();
        (1.0 - misses - rivals).max(0.0)
    }

    /// Points out of the race that meet the constraints by their means and cost the winner's, within what makes no
    /// difference, over the replications that both have.
    pub fn equals(&self, winner: usize) -> Vec<usize> {
        let near = |point: usize| {
            let pairs = self.runners[point].objective.iter().zip(&self.runners[winner].objective);
            let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
            mean(&differences).abs() <= self.indifference * self.objective(winner).abs()
        };
        let left = |point: &usize| matches!(self.standing(*point), Standing::Equal(_)) && self.meets(*point);
        (0..self.len()).filter(|point| *point != winner && left(point) && near(*point)).collect()
    }

    /// Rivals that are still in the race: not told apart from the winner.
    pub fn rivals(&self, winner: usize) -> Vec<usize> {
        (0..self.len()).filter(|point| *point != winner && self.standing(*point) == Standing::Racing).collect()
    }

    /// Over when the winner is sure to meet the constraints and no point in the race can be worth more.
    fn is_settled(&self) -> bool {
        let racing = |point: &usize| self.standing(*point) == Standing::Racing;
        let Some(winner) = self.winner().filter(racing) else {
            return !self.is_empty() && !(0..self.len()).any(|point| racing(&point));
        };
        let unready = |point: &usize| racing(point) && self.replications(*point) < FIRST_LOOK.min(self.cap);
        let unsure = (0..self.constraints).any(|place| self.chance_missed(winner, place) >= self.error);
        !(0..self.len()).any(|point| unready(&point))
            && !unsure
            && self.rivals(winner).into_iter().all(|point| self.chance_worth_it(point, winner) < self.error)
    }

    fn column(&self, point: usize, constraint: usize) -> Vec<f64> {
        self.runners[point].excess.iter().map(|excess| excess[constraint]).collect()
    }

    /// How likely chance alone makes the point look this bad although it meets the constraint.
    fn chance_met(&self, point: usize, constraint: usize) -> f64 {
        let excess = self.column(point, constraint);
        if excess.iter().any(|value| !value.is_finite()) {
            return 0.0;
        }
        match Sign::of(&excess) {
            // Exactly at the bound is within it.
            Some(sign) if sign.mean <= 0.0 => sign.p_above.max(0.5),
            Some(sign) => sign.p_above,
            None => 1.0,
        }
    }

    /// How likely chance alone makes the point look this good although it misses the constraint.
    fn chance_missed(&self, point: usize, constraint: usize) -> f64 {
        let excess = self.column(point, constraint);
        if excess.iter().any(|value| !value.is_finite()) {
            return 1.0;
        }
        match Sign::of(&excess) {
            // Exactly at the bound, each time.
            Some(_) if excess.iter().all(|value| *value == 0.0) => 0.0,
            Some(sign) => sign.p_below(),
            None => 1.0,
        }
    }

    /// How likely chance alone makes `point` look this much dearer than `other` although it is as cheap.
    fn chance_cheaper(&self, point: usize, other: usize) -> f64 {
        self.chance_cheaper_by(point, other, 0.0)
    }

    /// The same for cheaper by more than what makes no difference.
    fn chance_worth_it(&self, point: usize, other: usize) -> f64 {
        self.chance_cheaper_by(point, other, self.indifference * self.objective(other).abs())
    }

    fn chance_cheaper_by(&self, point: usize, other: usize, margin: f64) -> f64 {
        let pairs = self.runners[point].objective.iter().zip(&self.runners[other].objective);
        let dearer: Vec<f64> = pairs.map(|(a, b)| a - b + margin).collect();
        if dearer.iter().any(|value| !value.is_finite()) {
            return 0.0;
        }
        Sign::of(&dearer).map_or(1.0, |sign| sign.p_above)
    }
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// The points that neither cost more nor are worse in any other column than another one: rows of figures of which each
/// is better when lower. Of equal rows all are kept.
pub fn pareto_front(rows: &[Vec<f64>]) -> Vec<bool> {
    let dominates = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b);
    rows.iter()
        .map(|row| row.iter().all(|value| value.is_finite()) && !rows.iter().any(|other| dominates(other, row)))
        .collect()
}

/// A point as places on its parameters' levels.
pub type Places = Vec<u64>;

/// The points to begin with: all of them when there are at most `most`, else a Latin hypercube of that many.
pub fn first_points(parameters: &[Parameter], most: u32, seed: u64) -> (Vec<Places>, bool) {
    if size(parameters) <= u128::from(most) {
        let mut points: Vec<Places> = vec![Vec::new()];
        for parameter in parameters {
            let longer = |point: &Places| {
                let point = point.clone();
                (0..parameter.levels()).map(move |place| point.iter().copied().chain([place]).collect())
            };
            points = points.iter().flat_map(longer).collect();
        }
        return (points, true);
    }
    let columns = latin_places(parameters, most, seed);
    let rows = (0..most as usize).map(|row| columns.iter().map(|column| column[row]).collect());
    let distinct: indexmap::IndexSet<Places> = rows.collect();
    (distinct.into_iter().collect(), false)
}

/// The neighbours of a point on each parameter: a step to either side, as wide as a quarter of the parameter halved
/// `round` times, and every other value of a parameter without order.
pub fn neighbours(parameters: &[Parameter], centre: &Places, round: u32) -> Vec<Places> {
    let mut found = Vec::new();
    for (place, parameter) in parameters.iter().enumerate() {
        let at = centre[place];
        let steps: Vec<u64> = if parameter.is_ordered() {
            let step = (parameter.levels() / 4).checked_shr(round).unwrap_or(0).max(1);
            let up = at.checked_add(step).filter(|next| *next < parameter.levels());
            [at.checked_sub(step), up].into_iter().flatten().collect()
        } else {
            (0..parameter.levels()).filter(|other| *other != at).collect()
        };
        for step in steps {
            let mut point = centre.clone();
            point[place] = step;
            found.push(point);
        }
    }
    found
}

/// Whether the steps of [`neighbours`] cannot become smaller.
pub fn is_finest(parameters: &[Parameter], round: u32) -> bool {
    let coarse = |parameter: &Parameter| (parameter.levels() / 4).checked_shr(round).unwrap_or(0) > 1;
    !parameters.iter().any(|parameter| parameter.is_ordered() && coarse(parameter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    /// Runs a race of points with these true costs and excesses; noise of standard deviation 0.29, half of it shared.
    fn race(points: &[(f64, f64)], cap: u32, seed: u64) -> Race {
        let mut race = Race::new(Rules { points: points.len(), constraints: 1, cap, indifference: 0.001 });
        for _ in points {
            race.enter();
        }
        loop {
            let next = race.next();
            if next.is_empty() {
                return race;
            }
            for (point, target) in next {
                for replication in race.replications(point)..target {
                    let streams = Streams::new(seed, replication.into());
                    let shared = streams.named("shared").uniform() - 0.5;
                    let mut own = streams.named(&format!("own/{point}"));
                    let (cost, excess) = points[point];
                    let mut noise = || shared + (own.uniform() - 0.5) / 2.0;
                    let (cost, excess) = (cost + noise(), excess + noise());
                    race.add(point, cost, vec![excess]);
                }
            }
            race.look();
        }
    }

    #[test]
    fn the_cheapest_feasible_point_wins_and_bad_ones_stop_early() {
        let points = [(10.0, -2.0), (9.0, -2.0), (8.0, 3.0), (9.5, -2.0), (20.0, -2.0)];
        let found = race(&points, 320, 1);
        assert_eq!(found.winner(), Some(1));
        assert_eq!(found.standing(2), Standing::Infeasible(0));
        assert!(matches!(found.standing(4), Standing::Dominated(_)));
        assert!(found.replications(4) <= 10, "{} replications of a hopeless point", found.replications(4));
        assert!(found.confidence(1) > 0.95, "{}", found.confidence(1));
        assert!(found.rivals(1).is_empty());
    }

    #[test]
    fn the_right_point_wins_as_often_as_promised() {
        let points = [(10.3, -1.0), (10.0, -1.0), (9.8, 0.5), (10.2, -1.0)];
        let right = (0..200).filter(|seed| race(&points, 160, *seed).winner() == Some(1)).count();
        assert!(right >= 190, "{right} of 200");
    }

    #[test]
    fn equals_are_not_told_apart_forever() {
        let mut even = Race::new(Rules { points: 2, constraints: 0, cap: 1000, indifference: 0.01 });
        even.enter();
        even.enter();
        for replication in 0..5 {
            even.add(0, 5.0 + f64::from(replication), Vec::new());
            even.add(1, 5.0 + f64::from(replication), Vec::new());
        }
        even.look();
        assert_eq!(even.next(), [], "identical in every replication");
        assert_eq!((even.winner(), even.rivals(0), even.equals(0)), (Some(0), vec![], vec![1]));
    }

    #[test]
    fn without_a_feasible_point_nobody_wins() {
        let found = race(&[(1.0, 2.0), (2.0, 1.0)], 40, 3);
        assert_eq!(found.winner(), None);
        assert!(found.next().is_empty());
        assert!((0..2).all(|point| found.standing(point) == Standing::Infeasible(0)));
    }

    #[test]
    fn a_figure_that_a_run_does_not_have_counts_as_missed() {
        let mut race = Race::new(Rules { points: 1, constraints: 1, cap: 5, indifference: 0.01 });
        race.enter();
        for _ in 0..5 {
            race.add(0, 1.0, vec![f64::INFINITY]);
        }
        race.look();
        assert_eq!((race.standing(0), race.winner()), (Standing::Infeasible(0), None));
    }

    #[test]
    fn the_front_is_what_nothing_beats_in_every_column() {
        let rows =
            [vec![1.0, 5.0], vec![2.0, 2.0], vec![3.0, 3.0], vec![5.0, 1.0], vec![2.0, 2.0], vec![0.0, f64::NAN]];
        assert_eq!(pareto_front(&rows), [true, true, false, true, true, false]);
    }

    #[test]
    fn a_search_begins_wide_and_ends_with_the_nearest() {
        let parameters = ["a=0..99", "b=x,y,z"].map(|text| Parameter::parse(text).unwrap());
        let (all, complete) = first_points(&parameters, 300, 1);
        assert_eq!((all.len(), complete), (300, true));
        let (some, complete) = first_points(&parameters, 30, 1);
        assert!(some.len() > 25 && !complete);
        assert_eq!(neighbours(&parameters, &vec![50, 1], 0), [[25, 1], [75, 1], [50, 0], [50, 2]]);
        assert_eq!(neighbours(&parameters, &vec![0, 0], 9), [[1, 0], [0, 1], [0, 2]]);
        assert!(!is_finest(&parameters, 0) && is_finest(&parameters, 5));
    }
}
