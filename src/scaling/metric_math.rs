//! Metric math: expressions over metrics, with CloudWatch's rules for what is missing (MATH-*).
//!
//! [`MetricMath::new`] checks the queries of a request as `put-metric-alarm` does and puts them in order of evaluation;
//! [`MetricMath::evaluate`] computes the one series that is returned from a window of each metric. Nothing here knows
//! where the windows come from.

mod evaluation;
mod expression;

use crate::engine::time::SimDuration;
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::{Statistic, Unit};
pub use evaluation::Window;
use evaluation::{Evaluation, Value};
use expression::{Expression, Kind};

/// Most metrics that the expressions of an alarm may name (MATH-5).
pub const MAX_METRICS: usize = 10;

/// One entry of `Metrics`: a metric or an expression, under an id that other expressions may name.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricDataQuery {
    /// `Id`.
    pub id: String,
    /// What it is.
    pub query: Query,
    /// `ReturnData`, true when it is not given.
    pub return_data: bool,
}

/// What a query asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// `MetricStat`.
    Metric(MathMetric),
    /// `Expression`.
    Expression(String),
}

/// A metric that expressions may name.
#[derive(Clone, Debug, PartialEq)]
pub struct MathMetric {
    /// Which series.
    pub key: MetricKey,
    /// `Stat`.
    pub statistic: Statistic,
    /// `Period`.
    pub period: SimDuration,
    /// `Unit`: samples of other units are ignored (CW-1).
    pub unit: Option<Unit>,
}

/// Why queries make no series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MathError {
    /// An id that does not begin with a small letter, or holds more than letters, digits and `_`.
    #[error("Invalid Id '{0}': an id begins with a lowercase letter and holds letters, digits and underscores.")]
    Id(String),
    /// The same id twice.
    #[error("The Id '{0}' is used by more than one metric or expression.")]
    DuplicateId(String),
    /// An expression that cannot be read, or names what is not there.
    #[error("Error in expression '{id}': {why}")]
    Expression {
        /// `Id` of the expression.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// Expressions that need each other.
    #[error("Error in expression '{0}': it refers to itself.")]
    Cycle(String),
    /// More metrics than an alarm may have (MATH-5).
    #[error("An alarm based on an expression can have at most 10 metrics; these are {0}.")]
    TooManyMetrics(usize),
    /// Metrics of several periods (MATH-5).
    #[error("All metrics of an expression must have the same period.")]
    Periods,
    /// No query, or more than one, has `ReturnData` (MATH-5, TT-28).
    #[error("Exactly one element of the metrics list should return data; {0} do.")]
    Returned(usize),
    /// What is returned is a number or an array.
    #[error("Error in expression '{0}': it does not give a single time series.")]
    NotASeries(String),
    /// Nothing to compute from.
    #[error("The returned expression must refer to at least one metric.")]
    NoMetric,
}

/// A checked list of queries that gives one series.
///
/// Two of them are equal when they compute the same from the same metrics, whatever ids they use (TT-8).
#[derive(Clone, Debug, PartialEq)]
pub struct MetricMath {
    /// In order of evaluation; the last one is returned. An expression names earlier places.
    steps: Vec<Step>,
    period: SimDuration,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Metric(MathMetric),
    Expression(Expression),
}

impl MetricMath {
    /// Checks the queries and orders them (MATH-5).
    ///
    /// # Errors
    /// What `put-metric-alarm` refuses of them.
    pub fn new(queries: &[MetricDataQuery]) -> Result<Self, MathError> {
        for (place, query) in queries.iter().enumerate() {
            let mut letters = query.id.chars();
            let begins_well = letters.next().is_some_and(|first| first.is_ascii_lowercase());
            if !begins_well || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(MathError::Id(query.id.clone()));
            }
            if queries[..place].iter().any(|earlier| earlier.id == query.id) {
                return Err(MathError::DuplicateId(query.id.clone()));
            }
        }
        let metrics: Vec<&MathMetric> = queries
            .iter()
            .filter_map(|query| match &query.query {
                Query::Metric(metric) => Some(metric),
                Query::Expression(_) => None,
            })
            .collect();
        if metrics.len() > MAX_METRICS {
            return Err(MathError::TooManyMetrics(metrics.len()));
        }
        let period = metrics.first().ok_or(MathError::NoMetric)?.period;
        if metrics.iter().any(|metric| metric.period != period) {
            return Err(MathError::Periods);
        }
        let returned: Vec<usize> = (0..queries.len()).filter(|place| queries[*place].return_data).collect();
        let [returned] = returned[..] else { return Err(MathError::Returned(returned.len())) };
        let known: Vec<(&str, bool)> =
            queries.iter().map(|query| (query.id.as_str(), matches!(query.query, Query::Metric(_)))).collect();
        let mut order = Order { queries, known, place: vec![Visit::Unseen; queries.len()], steps: Vec::new() };
        // A mistake in an expression that nothing needs is one all the same.
        for place in 0..queries.len() {
            order.parsed(place)?;
        }
        order.visit(returned, 0)?;
        if order.kinds()?.last() != Some(&Kind::Series) {
            return Err(MathError::NotASeries(queries[returned].id.clone()));
        }
        let steps: Vec<Step> = order.steps.into_iter().map(|(_, step)| step).collect();
        if !steps.iter().any(|step| matches!(step, Step::Metric(_))) {
            return Err(MathError::NoMetric);
        }
        Ok(Self { steps, period })
    }

    /// The metrics it is computed from, in the order in which [`MetricMath::evaluate`] takes them.
    pub fn metrics(&self) -> impl Iterator<Item = &MathMetric> {
        self.steps.iter().filter_map(|step| match step {
            Step::Metric(metric) => Some(metric),
            Step::Expression(_) => None,
        })
    }

    /// The same without units: what one metric is told from another by (TT-8).
    #[must_use]
    pub fn without_units(&self) -> Self {
        let mut math = self.clone();
        for step in &mut math.steps {
            if let Step::Metric(metric) = step {
                metric.unit = None;
            }
        }
        math
    }

    /// The period that all metrics share.
    pub const fn period(&self) -> SimDuration {
        self.period
    }

    /// True when missing values are filled: then the newest period counts though its data has not been published, and
    /// has the filler's value (MATH-4).
    pub fn fills(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Expression(expression) if expression.fills()))
    }

    /// The series that is returned, from as many values of each metric, oldest first; `None` is missing.
    pub fn evaluate(&self, windows: &[Window]) -> Window {
        let slots = windows.iter().map(Vec::len).max().unwrap_or(0);
        let mut windows = windows.iter();
        let mut values: Vec<Value> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let value = match step {
                Step::Metric(_) => Value::Series(windows.next().cloned().unwrap_or_default()),
                Step::Expression(expression) => Evaluation::new(&values, slots, self.period).value(expression),
            };
            values.push(value);
        }
        values.pop().map_or_else(Vec::new, |value| value.into_window(slots))
    }
}

/// Queries on their way into the order in which they need each other.
struct Order<'a> {
    queries: &'a [MetricDataQuery],
    known: Vec<(&'a str, bool)>,
    place: Vec<Visit>,
    /// Query and step.
    steps: Vec<(usize, Step)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    Unseen,
    Begun,
    Done(usize),
}

impl Order<'_> {
    fn parsed(&self, query: usize) -> Result<Step, MathError> {
        let MetricDataQuery { id, query, .. } = &self.queries[query];
        match query {
            Query::Metric(metric) => Ok(Step::Metric(metric.clone())),
            Query::Expression(text) => expression::parse(text, &self.known)
                .map(Step::Expression)
                .map_err(|why| MathError::Expression { id: id.clone(), why }),
        }
    }

    /// Puts a query after everything it needs.
    fn visit(&mut self, query: usize, depth: usize) -> Result<(), MathError> {
        // A chain longer than all queries together comes back to where it was.
        if self.place[query] == Visit::Begun || depth > self.queries.len() {
            return Err(MathError::Cycle(self.queries[query].id.clone()));
        }
        if matches!(self.place[query], Visit::Done(_)) {
            return Ok(());
        }
        self.place[query] = Visit::Begun;
        let mut step = self.parsed(query)?;
        if let Step::Expression(expression) = &mut step {
            let mut needed = Vec::new();
            expression.each_query(&mut |query| needed.push(*query));
            for query in needed {
                self.visit(query, depth + 1)?;
            }
            let place = &self.place;
            expression.each_query(&mut |query| {
                if let Visit::Done(place) = place[*query] {
                    *query = place;
                }
            });
        }
        self.place[query] = Visit::Done(self.steps.len());
        self.steps.push((query, step));
        Ok(())
    }

    /// What each step gives.
    fn kinds(&self) -> Result<Vec<Kind>, MathError> {
        let mut kinds = Vec::with_capacity(self.steps.len());
        for (query, step) in &self.steps {
            let kind = match step {
                Step::Metric(_) => Kind::Series,
                Step::Expression(expression) => expression
                    .kind(&|place| kinds[place])
                    .map_err(|why| MathError::Expression { id: self.queries[*query].id.clone(), why })?,
            };
            kinds.push(kind);
        }
        Ok(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn metric(id: &str) -> MetricDataQuery {
        let key = MetricKey::new("Test", id, &[]);
        let metric = MathMetric { key, statistic: Statistic::Average, period: SimDuration::MINUTE, unit: None };
        MetricDataQuery { id: id.to_owned(), query: Query::Metric(metric), return_data: false }
    }

    fn expression(id: &str, text: &str, return_data: bool) -> MetricDataQuery {
        MetricDataQuery { id: id.to_owned(), query: Query::Expression(text.to_owned()), return_data }
    }

    /// `text` over m1, m2, … of these windows; `-` is a missing value.
    fn math(text: &str, windows: &[&str]) -> String {
        let mut queries: Vec<_> = (1..=windows.len()).map(|n| metric(&format!("m{n}"))).collect();
        queries.push(expression("e1", text, true));
        let math = MetricMath::new(&queries).unwrap_or_else(|error| panic!("{text}: {error}"));
        let window = |id: &str| -> Window {
            let place = id[1..].parse::<usize>().unwrap() - 1;
            windows[place].split(' ').map(|value| value.parse().ok()).collect()
        };
        let windows: Vec<Window> = math.metrics().map(|metric| window(&metric.key.name)).collect();
        let spell = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        math.evaluate(&windows).iter().map(spell).collect::<Vec<_>>().join(" ")
    }

    fn refused(queries: &[MetricDataQuery]) -> String {
        MetricMath::new(queries).unwrap_err().to_string()
    }

    #[rstest]
    #[case("m1 < m2", "0 0 1 0")]
    #[case("m1 > 15 AND m2 > 15", "1 0 0 0")]
    #[case("m1 > 15 && m2 > 15", "1 0 0 0")]
    fn ex_math_1(#[case] text: &str, #[case] expect: &str) {
        assert_eq!(math(text, &["30 20 0 0", "20 - 20 -"]), expect);
    }

    #[test]
    fn ex_math_2() {
        assert_eq!(math("IF(m1, m2, m3)", &["1 1 0 0 -", "30 - 0 0 30", "0 0 20 - 20"]), "30 0 20 - -");
    }

    #[test]
    fn ex_sqs_1() {
        assert_eq!(math("m1 / m2", &["100 300 - 50", "2 3 2 0"]), "50 100 0 -");
    }

    #[test]
    fn ex_sqs_3() {
        assert_eq!(math("m1 / m2", &["500", "0"]), "-");
        assert_eq!(math("IF(m2 > 0, m1 / m2, m1)", &["500", "0"]), "500");
    }

    #[rstest]
    #[case("m1 + m2", "11 2 30 -")] // a missing side counts as 0, two of them as nothing
    #[case("m1 - m2", "-9 2 -30 -")]
    #[case("m1 * m2", "10 0 0 -")]
    #[case("m1 + 5", "6 7 - -")] // a number makes no point of its own
    #[case("100 / (m1 - 1)", "- 100 - -")]
    #[case("-m1 ^ 2", "1 4 - -")] // the sign binds closest
    #[case("2 + 3 * m1", "5 8 - -")]
    #[case("m1 > 1 OR m2 > 20", "0 1 1 -")]
    fn math_1_arithmetic_between_series(#[case] text: &str, #[case] expect: &str) {
        assert_eq!(math(text, &["1 2 - -", "10 - 30 -"]), expect);
    }

    #[rstest]
    #[case("m1 == m2", "1 0 0")]
    #[case("m1 != m2", "0 1 1")]
    #[case("m1 >= m2", "1 1 0")]
    #[case("m1 <= 2", "1 1 -")]
    fn math_2_comparison_gives_one_or_nought(#[case] text: &str, #[case] expect: &str) {
        assert_eq!(math(text, &["1 2 -", "1 - 3"]), expect);
    }

    #[rstest]
    #[case("IF(m1 > 1, 7)", "- 7 -")] // absent: the point is dropped
    #[case("IF(m1 > 1, 7, 8)", "8 7 -")]
    #[case("IF(2 > 1, m1, m2)", "1 2 -")]
    #[case("IF(AVG(m1) > 5, m1, m2)", "10 - 30")]
    fn math_3_if_takes_numbers_too(#[case] text: &str, #[case] expect: &str) {
        assert_eq!(math(text, &["1 2 -", "10 - 30"]), expect);
    }

    #[rstest]
    #[case("FILL(m1, 0)", "0 4 0 0 10 0")]
    #[case("FILL(m1, REPEAT)", "- 4 4 4 10 10")]
    #[case("FILL(m1, LINEAR)", "- 4 6 8 10 -")]
    #[case("FILL(m1, AVG(m1))", "7 4 7 7 10 7")]
    #[case("SUM(FILL([m1, m2], 1))", "2 5 2 2 11 6")]
    fn math_4_fill(#[case] text: &str, #[case] expect: &str) {
        assert_eq!(math(text, &["- 4 - - 10 -", "- - - - - 5"]), expect);
    }

    #[rstest]
    #[case("m1 - MIN(m1)", "0 2 - 8")] // a number of the whole window
    #[case("m1 / SUM(m1)", "0.125 0.25 - 0.625")]
    #[case("m1 + DATAPOINT_COUNT(m1)", "5 7 - 13")]
    #[case("SUM(METRICS())", "3 4 7 10")] // a series of all metrics
    #[case("MAX([m1, m2])", "2 4 7 10")]
    #[case("AVG([m1, m2])", "1.5 4 7 10")]
    #[case("MIN(METRICS(\"m2\"))", "1 - 7 -")]
    #[case("DIFF(m1)", "- 2 - 6")]
    #[case("RATE(m1) * 60", "- 2 - 3")]
    #[case("RUNNING_SUM(m1)", "2 6 - 16")]
    #[case("m1 / PERIOD(m1) * 60", "2 4 - 10")]
    #[case("m1 * 0 + TIME_SERIES(3)", "3 3 3 3")]
    #[case("FLOOR(m1 / 4) + CEIL(m1 / 4) + ABS(0 - 1)", "2 3 - 6")]
    fn math_5_functions(#[case] text: &str, #[case] expect: &str) {
        assert_eq!(math(text, &["2 4 - 10", "1 - 7 -"]), expect);
    }

    #[test]
    fn expressions_may_name_expressions_in_any_order() {
        let queries =
            [expression("e2", "e1 * 2", true), expression("e1", "m2 / m1", false), metric("m1"), metric("m2")];
        let math = MetricMath::new(&queries).unwrap();
        let order: Vec<&str> = math.metrics().map(|metric| metric.key.name.as_str()).collect();
        assert_eq!(order, ["m2", "m1"], "as the returned expression needs them");
        assert_eq!(math.evaluate(&[vec![Some(30.0)], vec![Some(5.0)]]), [Some(12.0)]);
    }

    #[test]
    fn tt_8_ids_do_not_make_a_difference() {
        let mut queries = vec![metric("m1"), metric("m2"), expression("e1", "m1 / m2", true)];
        let first = MetricMath::new(&queries).unwrap();
        queries[0].id = "backlog".to_owned();
        queries[2] = expression("ratio", "backlog/m2", true);
        queries.reverse();
        assert_eq!(MetricMath::new(&queries).unwrap(), first);
        queries[0] = expression("ratio", "m2/backlog", true);
        assert_ne!(MetricMath::new(&queries).unwrap(), first);
    }

    #[test]
    fn math_5_what_an_alarm_cannot_have_is_refused() {
        let m1 = || metric("m1");
        let case = |text: &str| refused(&[m1(), expression("e1", text, true)]);
        assert_eq!(case("m1 / m9"), "Error in expression 'e1': there is no query `m9`");
        assert!(case("SEARCH(m1)").contains("SEARCH is not modelled"));
        assert!(case("MEDIAN(m1)").contains("there is no function `MEDIAN`"));
        assert!(case("m1 +").contains("it ends where a value should be"));
        assert!(case("(m1").contains("expected `)` at the end"));
        assert!(case("m1 m1").contains("unexpected `m1`"));
        assert!(case("m1 ? 2").contains("unexpected `?`"));
        assert!(case("IF(m1)").contains("IF takes a condition"));
        assert!(case("MAX(m1, 2)").contains("MAX takes one argument"));
        assert!(case("[m1, m1] + 1").contains("an array of series is only for"));
        assert!(case(&"(".repeat(100_000)).contains("nested too deeply"));
        assert!(case(&"-".repeat(100_000)).contains("nested too deeply"));
        assert!(case("AVG(m1)").contains("does not give a single time series"));
        assert!(case("METRICS()").contains("does not give a single time series"));
        assert!(case("e1 + m1").contains("refers to itself"));
        assert!(case("TIME_SERIES(5)").contains("at least one metric"));
        let chain = [m1(), expression("a", "b + m1", false), expression("b", "a", false), expression("c", "a", true)];
        assert!(refused(&chain).contains("refers to itself"));
        let two = [MetricDataQuery { return_data: true, ..m1() }, expression("e1", "m1", true)];
        assert!(refused(&two).contains("should return data; 2 do"));
        assert!(refused(&[m1()]).contains("should return data; 0 do"));
        assert!(refused(&[m1(), m1()]).contains("more than one"));
        assert!(refused(&[metric("M1")]).contains("Invalid Id 'M1'"));
        let many: Vec<_> = (0..11).map(|n| metric(&format!("m{n}"))).collect();
        assert!(refused(&many).contains("at most 10 metrics; these are 11"));
        let mut slow = m1();
        if let Query::Metric(metric) = &mut slow.query {
            metric.period = SimDuration::from_secs(300);
        }
        slow.id = "m2".to_owned();
        assert!(refused(&[m1(), slow, expression("e1", "m1 + m2", true)]).contains("same period"));
        let unused = [MetricDataQuery { return_data: true, ..m1() }, expression("e1", "oops(", false)];
        assert!(refused(&unused).contains("there is no function `oops`"));
    }
}
