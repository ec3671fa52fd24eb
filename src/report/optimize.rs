//! A search for the cheapest point: who won, how sure that is, and what the others were.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::catalog::catalog;
use crate::report::ReportError;
use crate::report::column::{Column, heading};
use crate::report::format::{csv_field, for_people, grouped, json_number, number};
use crate::report::output::OutputDir;
use crate::report::plot;
use crate::report::summary::{Figure, Summary, Unit, label};
use crate::report::sweep::short_paths;
use crate::report::table::{Align, Cell, Table, Tone};
use crate::study::constraint::{Bound, Constraint};
use crate::study::racing::{METHOD, Race, Standing, pareto_front};

/// The figures of service quality that a front is drawn against when no constraint names one.
const QUALITY: [&str; 2] = ["latency_p99_s", "task_wait_p99_s"];

/// One point that took part.
#[derive(Clone, Debug)]
pub struct SearchedPoint {
    /// What each path was set to.
    pub values: Vec<String>,
    /// Its figures.
    pub summary: Summary,
    /// How it ended.
    pub standing: Standing,
    /// Whether its means meet the constraints.
    pub feasible: bool,
    /// Whether no other point is both cheaper and better.
    pub on_front: bool,
}

/// How the search went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Combinations there are.
    pub combinations: u128,
    /// Combinations tried that are no valid scenario.
    pub invalid: usize,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of every point.
    pub seed: u64,
    /// The paths that were varied.
    pub paths: Vec<String>,
    /// What was to be as low as possible.
    pub objective: String,
    /// What every point has to keep to.
    pub constraints: Vec<Constraint>,
    /// The share of the objective that is no difference.
    pub indifference: f64,
}

/// A finished search.
#[derive(Clone, Debug)]
pub struct Search {
    /// What was asked.
    pub asked: Question,
    /// The points, in the order they entered.
    pub points: Vec<SearchedPoint>,
    /// The best that meets the constraints by its means.
    pub winner: Option<usize>,
    /// The one that misses them least, when none meets them.
    pub closest: Option<usize>,
    /// A lower bound on the probability that the winner is the best of these.
    pub confidence: f64,
    /// Points that could not be told apart from the winner.
    pub rivals: Vec<usize>,
    /// Points that are as good as the winner, within what makes no difference.
    pub equals: Vec<usize>,
    /// The figures that the front is of, beside the objective.
    pub quality: Vec<String>,
    /// How much was searched.
    pub extent: Extent,
}

impl Search {
    /// The result of a race; `entrants` are its points' values and figures.
    pub fn new(asked: Question, race: &Race, entrants: Vec<(Vec<String>, Summary)>, extent: Extent) -> Self {
        let Question { objective, constraints, .. } = &asked;
        let mut quality: Vec<String> = constraints.iter().map(|constraint| constraint.metric.clone()).collect();
        quality.retain(|metric| metric != objective);
        if quality.is_empty() {
            let first = entrants.first().map(|(_, summary)| summary);
            let found = QUALITY.iter().find_map(|wanted| {
                let named = |key: &str| key.rsplit_once(':').map_or(key, |(_, metric)| metric) == *wanted;
                first?.iter().map(|(key, ..)| key).find(|key| named(key))
            });
            quality.extend(found.map(str::to_owned));
        }
        quality.dedup();
        let rows: Vec<Vec<f64>> = entrants
            .iter()
            .map(|(_, summary)| {
                let burden = |metric: &String| {
                    let mean = summary.get(metric).map_or(f64::INFINITY, |figure| figure.mean);
                    let constraint = constraints.iter().find(|constraint| constraint.metric == *metric);
                    constraint.map_or(mean, |constraint| constraint.burden(mean))
                };
                let cost = summary.get(objective).map_or(f64::INFINITY, |figure| figure.mean);
                [cost].into_iter().chain(quality.iter().map(burden)).collect()
            })
            .collect();
        let points: Vec<SearchedPoint> = entrants
            .into_iter()
            .zip(pareto_front(&rows))
            .enumerate()
            .map(|(point, ((values, summary), on_front))| SearchedPoint {
                values,
                summary,
                standing: race.standing(point),
                feasible: race.meets(point),
                on_front,
            })
            .collect();
        let winner = race.winner();
        let excess = |point: usize| -> f64 {
            let part = |(place, constraint): (usize, &Constraint)| {
                let scale = if constraint.limit == 0.0 { 1.0 } else { constraint.limit.abs() };
                race.excess(point, place).max(0.0) / scale
            };
            constraints.iter().enumerate().map(part).sum()
        };
        let nearer = |a: &usize, b: &usize| excess(*a).total_cmp(&excess(*b));
        let closest = if winner.is_some() { None } else { (0..points.len()).min_by(nearer) };
        Self {
            asked,
            confidence: winner.map_or(0.0, |winner| race.confidence(winner)),
            rivals: winner.map_or_else(Vec::new, |winner| race.rivals(winner)),
            equals: winner.map_or_else(Vec::new, |winner| race.equals(winner)),
            points,
            winner,
            closest,
            quality,
            extent,
        }
    }

    /// What is set at a point.
    pub fn settings(&self, point: usize) -> String {
        let values = &self.points[point].values;
        short_paths(&self.asked.paths)
            .iter()
            .zip(values)
            .map(|(path, value)| format!("{path} {value}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Mean and interval of a figure of a point, for people.
    fn figure(&self, point: usize, metric: &str) -> String {
        let summary = &self.points[point].summary;
        let unit = summary.unit(metric).unwrap_or(Unit::Count);
        summary.get(metric).map_or_else(|| "no such figure".to_owned(), |figure| figure.to_text(unit))
    }

    /// What came out, in a sentence or two.
    pub fn headline(&self) -> String {
        let count = self.points.len();
        if let Some(winner) = self.winner {
            let sure = match self.confidence {
                sure if sure > 0.9995 => "over 99.9 %".to_owned(),
                sure => format!("{} %", grouped(100.0 * sure, 1)),
            };
            let within = number(100.0 * self.asked.indifference);
            let told = |count: usize, one: String, many: String| match count {
                0 => None,
                1 => Some(format!("1 other {one}")),
                more => Some(format!("{more} others {many}")),
            };
            let others: Vec<String> = [
                told(
                    self.equals.len(),
                    format!("is as good within {within} %"),
                    format!("are as good within {within} %"),
                ),
                told(
                    self.rivals.len(),
                    "cannot be told apart from it".to_owned(),
                    "cannot be told apart from it".to_owned(),
                ),
            ]
            .into_iter()
            .flatten()
            .collect();
            let others = if others.is_empty() { "no other is as good".to_owned() } else { others.join(", ") };
            return format!(
                "best: {} with {} {}; {sure} sure that none of {count} points is better, {others}",
                self.settings(winner),
                label(&self.asked.objective),
                self.figure(winner, &self.asked.objective)
            );
        }
        let Some(closest) = self.closest else { return "no point could be run".to_owned() };
        let missed: Vec<String> = self
            .asked
            .constraints
            .iter()
            .filter(|constraint| {
                let figure = self.points[closest].summary.get(&constraint.metric);
                figure.is_none_or(|figure| constraint.excess(figure.mean) > 0.0)
            })
            .map(|constraint| format!("{} is {}", constraint.metric, self.figure(closest, &constraint.metric)))
            .collect();
        format!(
            "none of {count} points meets every constraint; the closest is {}: {}",
            self.settings(closest),
            missed.join(", ")
        )
    }

    fn told(constraint: &Constraint, unit: Unit) -> String {
        let sign = match constraint.bound {
            Bound::AtMost => "≤",
            Bound::AtLeast => "≥",
        };
        format!("{} {sign} {}", label(&constraint.metric), for_people(constraint.limit, unit))
    }

    /// How much was searched, in words.
    fn searched(&self) -> String {
        let (count, all) = (self.points.len() as u128, self.extent.combinations);
        let mut text = if count + self.extent.invalid as u128 >= all {
            format!("all {count} points ran")
        } else {
            format!(
                "{count} of {all} points ran: a Latin hypercube, then neighbours of the best; \
                 what did not run is not judged"
            )
        };
        match self.extent.invalid {
            0 => {}
            1 => text.push_str("; 1 point is no valid scenario"),
            more => {
                let _ = write!(text, "; {more} points are no valid scenarios");
            }
        }
        text
    }

    fn runs(&self) -> usize {
        self.points.iter().map(|point| point.summary.replications()).sum()
    }

    fn standing_of(&self, point: usize) -> &'static str {
        match (self.winner == Some(point), self.points[point].standing) {
            (true, _) => "best",
            (_, Standing::Infeasible(_)) => "misses a constraint",
            (_, Standing::Dominated(_)) => "dearer",
            (_, Standing::Equal(_)) if self.equals.contains(&point) => "as good",
            (_, Standing::Equal(_)) if self.points[point].feasible => "dearer",
            (_, Standing::Equal(_)) => "no cheaper",
            (_, Standing::Racing) if !self.points[point].feasible => "misses a constraint, perhaps",
            (_, Standing::Racing) => "as good, perhaps",
        }
    }

    /// The table on stdout: the best, its rivals and the front.
    pub fn to_text(&self, colour: bool) -> String {
        const ROWS: usize = 30;
        let tone = if self.winner.is_some() { Tone::Strong } else { Tone::Bad };
        let mut text = tone.paint(&self.headline(), colour) + "\n\n";
        let paths = short_paths(&self.asked.paths);
        let metrics: Vec<&String> = [&self.asked.objective].into_iter().chain(&self.quality).collect();
        let labels: Vec<String> = metrics.iter().map(|metric| label(metric)).collect();
        let mut table = Table::new(
            [("", Align::Left)]
                .into_iter()
                .chain(paths.iter().map(|path| (path.as_str(), Align::Left)))
                .chain(labels.iter().map(|label| (label.as_str(), Align::Right)))
                .chain([("runs", Align::Right), ("", Align::Left)]),
        );
        let cost =
            |point: &usize| self.points[*point].summary.get(&self.asked.objective).map_or(f64::INFINITY, |f| f.mean);
        let mut shown: Vec<usize> = (0..self.points.len())
            .filter(|point| {
                let point_of = &self.points[*point];
                self.winner == Some(*point)
                    || self.closest == Some(*point)
                    || point_of.on_front
                    || self.rivals.contains(point)
                    || self.equals.contains(point)
            })
            .collect();
        shown.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        for point in shown.iter().copied().take(ROWS) {
            let tone = match self.standing_of(point) {
                "best" => Tone::Good,
                _ if !self.points[point].feasible => Tone::Dim,
                _ => Tone::Plain,
            };
            let mark = if self.winner == Some(point) { "→" } else { "" };
            let front = if self.points[point].on_front { ", on the front" } else { "" };
            let mut cells = vec![Cell::new(mark, tone)];
            cells.extend(self.points[point].values.iter().map(|value| Cell::new(value, tone)));
            cells.extend(metrics.iter().map(|metric| Cell::new(self.figure(point, metric), tone)));
            cells.push(Cell::new(self.points[point].summary.replications().to_string(), Tone::Dim));
            cells.push(Cell::new(format!("{}{front}", self.standing_of(point)), Tone::Dim));
            table.row(cells);
        }
        text.push_str(&table.render(colour));
        let unit =
            |metric: &str| self.points.iter().find_map(|point| point.summary.unit(metric)).unwrap_or(Unit::Count);
        let constraints: Vec<String> =
            self.asked.constraints.iter().map(|constraint| Self::told(constraint, unit(&constraint.metric))).collect();
        let subject = if constraints.is_empty() { "no constraints".to_owned() } else { constraints.join(", ") };
        let kind = if self.points.len() - shown.len().min(ROWS) > 0 { "; every point is in optimize.csv" } else { "" };
        for line in [
            format!(
                "subject to {subject}; differences below {} % count as none",
                number(100.0 * self.asked.indifference)
            ),
            format!("{}, {} runs in all{kind}", self.searched(), self.runs()),
            METHOD.to_owned(),
        ] {
            text.push_str(&Tone::Dim.paint(&format!("  {line}"), colour));
            text.push('\n');
        }
        text
    }

    /// `optimize.json`.
    pub fn to_json(&self) -> Value {
        let settings = |point: usize| -> Map<String, Value> {
            let values = &self.points[point].values;
            self.asked.paths.iter().cloned().zip(values.iter().map(|value| value.as_str().into())).collect()
        };
        let figure = |point: usize, metric: &str| self.points[point].summary.get(metric).map(Figure::to_json);
        let points: Vec<Value> = (0..self.points.len())
            .map(|point| {
                let quality: Map<String, Value> =
                    self.quality.iter().map(|metric| (metric.clone(), figure(point, metric).into())).collect();
                json!({
                    "point": point,
                    "settings": settings(point),
                    "objective": figure(point, &self.asked.objective),
                    "quality": quality,
                    "feasible": self.points[point].feasible,
                    "on_front": self.points[point].on_front,
                    "standing": self.standing_of(point),
                    "replications": self.points[point].summary.replications(),
                })
            })
            .collect();
        json!({
            "scenario": self.asked.scenario,
            "version": env!("CARGO_PKG_VERSION"),
            "catalog_as_of": catalog().as_of(),
            "seed": self.asked.seed,
            "headline": self.headline(),
            "minimize": self.asked.objective,
            "subject_to": self.asked.constraints.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "method": METHOD,
            "indifference": self.asked.indifference,
            "combinations": u64::try_from(self.extent.combinations).ok(),
            "runs": self.runs(),
            "winner": self.winner,
            "winner_settings": self.winner.map(settings),
            "confidence": json_number(self.confidence),
            "not_told_apart": self.rivals,
            "as_good": self.equals,
            "closest": self.closest,
            "points": points,
        })
    }

    /// The figures of each row: the objective and those of the service quality.
    fn metrics(&self) -> impl Iterator<Item = &String> {
        [&self.asked.objective].into_iter().chain(&self.quality)
    }

    /// The columns of `optimize.csv`.
    fn columns(&self) -> Vec<Column> {
        let paths =
            self.asked.paths.iter().enumerate().map(|(place, path)| {
                Column::of_values(path, self.points.iter().map(|point| point.values[place].as_str()))
            });
        let figures = self
            .metrics()
            .flat_map(|metric| ["", " ci95_low", " ci95_high"].map(|end| Column::figure(format!("{metric}{end}"))));
        let rest = [Column::count("n"), Column::truth("feasible"), Column::truth("on_front"), Column::text("standing")];
        [Column::count("point")].into_iter().chain(paths).chain(figures).chain(rest).collect()
    }

    /// `optimize.csv`: a row a point.
    pub fn to_csv(&self) -> String {
        let mut text = heading(&self.columns());
        let metrics: Vec<&String> = self.metrics().collect();
        for (place, point) in self.points.iter().enumerate() {
            let _ = write!(text, "{place}");
            for value in &point.values {
                let _ = write!(text, ",{}", csv_field(value));
            }
            for metric in &metrics {
                let figure = point.summary.get(metric);
                let [low, high] = figure.and_then(|figure| figure.ci95).unwrap_or([f64::NAN; 2]);
                let mean = figure.map_or(f64::NAN, |figure| figure.mean);
                let _ = write!(text, ",{},{},{}", number(mean), number(low), number(high));
            }
            let SearchedPoint { summary, feasible, on_front, .. } = point;
            let standing = csv_field(self.standing_of(place));
            let _ = writeln!(text, ",{},{feasible},{on_front},{standing}", summary.replications());
        }
        text
    }

    /// Writes the folder and puts it in its place; returns the place.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn write(&self, output: OutputDir) -> Result<PathBuf, ReportError> {
        output.write("optimize.json", serde_json::to_string_pretty(&self.to_json())? + "\n")?;
        output.write_table("optimize.csv", &self.to_csv(), &self.columns())?;
        plot::draw_search(output.path(), self)?;
        Ok(output.commit()?)
    }
}

#[cfg(test)]
pub(in crate::report) mod tests {
    use super::*;
    use crate::report::summary::tests::replication;
    use crate::study::racing::Rules;

    /// Points that cost 1 to 4 dollars and answer in 0.4 to 0.1 seconds, the limit being `limit`.
    pub(in crate::report) fn search(limit: f64) -> Search {
        let constraint = Constraint::parse(&format!("service/default/web:latency_p99_s<={limit}")).unwrap();
        let mut race = Race::new(Rules { points: 4, constraints: 1, cap: 5, indifference: 0.01 });
        let mut entrants = Vec::new();
        for point in 1..=4 {
            let number = race.enter();
            let runs: Vec<_> = (0..5)
                .map(|n| {
                    replication(
                        f64::from(point) + f64::from(n) / 100.0,
                        0.5 - f64::from(point) / 10.0 - f64::from(n) / 1e4,
                    )
                })
                .collect();
            for run in &runs {
                let p99 = run.get(&constraint.metric).unwrap();
                race.add(number, run.get("cost_usd").unwrap(), vec![constraint.excess(p99)]);
            }
            entrants.push((vec![point.to_string()], Summary::of(&runs)));
        }
        race.look();
        let asked = Question {
            scenario: "web-day".into(),
            seed: 7,
            paths: vec!["services.web.a".into()],
            objective: "cost_usd".into(),
            constraints: vec![constraint],
            indifference: 0.01,
        };
        Search::new(asked, &race, entrants, Extent { combinations: 4, invalid: 0 })
    }

    #[test]
    fn the_best_is_told_first_with_how_sure_it_is() {
        let found = search(0.32);
        assert_eq!((found.winner, found.rivals.len(), found.equals.len()), (Some(1), 0, 0));
        insta::assert_snapshot!(found.to_text(false));
        let json = found.to_json();
        assert_eq!(json["winner_settings"], json!({"services.web.a": "2"}));
        assert_eq!(json["points"][0]["standing"], json!("misses a constraint"));
        assert_eq!(found.to_csv().lines().count(), 5);
    }

    #[test]
    fn constraints_that_nothing_meets_are_said_with_the_closest_point() {
        let found = search(0.01);
        assert_eq!((found.winner, found.closest), (None, Some(3)));
        assert!(
            found
                .headline()
                .starts_with("none of 4 points meets every constraint; the closest is a 4: service/default/web"),
            "{}",
            found.headline()
        );
    }
}
