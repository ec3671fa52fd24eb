//! Values of metric math: what an expression comes to, period by period (MATH-1…4).

use crate::engine::time::SimDuration;
use crate::scaling::metric_math::expression::{Expression, Filler, Function, Operator};

/// One value a period, oldest first; `None` is missing.
pub type Window = Vec<Option<f64>>;

/// What an expression has given.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// One number, if there is one.
    Scalar(Option<f64>),
    Series(Window),
    Array(Vec<Window>),
}

impl Value {
    /// As a series of so many periods; a number counts in each of them.
    pub(super) fn into_window(self, slots: usize) -> Window {
        match self {
            Self::Series(mut window) => {
                window.resize(slots, None);
                window
            }
            Self::Scalar(value) => vec![value; slots],
            // Kinds have been checked: an array is never taken for a series.
            Self::Array(_) => vec![None; slots],
        }
    }

    fn map(self, each: impl Fn(f64) -> f64 + Copy) -> Self {
        let of_window = |window: Window| window.into_iter().map(|value| value.map(each)).collect();
        match self {
            Self::Scalar(value) => Self::Scalar(value.map(each)),
            Self::Series(window) => Self::Series(of_window(window)),
            Self::Array(windows) => Self::Array(windows.into_iter().map(of_window).collect()),
        }
    }
}

/// The evaluation of one expression over the queries before it.
pub(super) struct Evaluation<'a> {
    values: &'a [Value],
    slots: usize,
    period: SimDuration,
}

impl<'a> Evaluation<'a> {
    pub(super) const fn new(values: &'a [Value], slots: usize, period: SimDuration) -> Self {
        Self { values, slots, period }
    }

    pub(super) fn value(&self, expression: &Expression) -> Value {
        match expression {
            Expression::Number(number) => Value::Scalar(Some(*number)),
            Expression::Query(query) => self.values[*query].clone(),
            Expression::Negative(inside) => self.value(inside).map(|value| -value),
            Expression::Binary(operator, a, b) => self.binary(*operator, self.value(a), self.value(b)),
            Expression::List(parts) => {
                Value::Array(parts.iter().map(|part| self.value(part).into_window(self.slots)).collect())
            }
            Expression::Fill(series, filler) => self.fill(self.value(series), filler),
            Expression::If(condition, then, otherwise) => {
                self.choose(self.value(condition), self.value(then), otherwise.as_ref().map(|part| self.value(part)))
            }
            Expression::Call(function, arguments) => {
                let argument = arguments.first().map_or(Value::Scalar(None), |argument| self.value(argument));
                self.call(*function, argument)
            }
        }
    }

    fn binary(&self, operator: Operator, a: Value, b: Value) -> Value {
        let both = |a: Option<f64>, b: Option<f64>| operator.apply(a?, b?);
        match (a, b) {
            (Value::Scalar(a), Value::Scalar(b)) => Value::Scalar(both(a, b)),
            // A number makes no point where the series has none.
            (Value::Scalar(a), b) => Value::Series(b.into_window(self.slots).into_iter().map(|b| both(a, b)).collect()),
            (a, Value::Scalar(b)) => Value::Series(a.into_window(self.slots).into_iter().map(|a| both(a, b)).collect()),
            (a, b) => {
                // MATH-1, MATH-2: the missing one of two counts as 0; where both are missing, so is the result.
                let pairs = a.into_window(self.slots).into_iter().zip(b.into_window(self.slots));
                Value::Series(
                    pairs
                        .map(|pair| match pair {
                            (None, None) => None,
                            (a, b) => operator.apply(a.unwrap_or(0.0), b.unwrap_or(0.0)),
                        })
                        .collect(),
                )
            }
        }
    }

    /// MATH-3: a true condition takes `then`, and 0 where that is missing; a false one takes `otherwise`, and drops the
    /// point where that is missing or not there; a missing condition drops it too.
    fn choose(&self, condition: Value, then: Value, otherwise: Option<Value>) -> Value {
        let otherwise = otherwise.unwrap_or(Value::Scalar(None));
        let condition = match condition {
            Value::Scalar(condition) => match condition {
                Some(condition) if condition != 0.0 => return then,
                Some(_) => return otherwise,
                None => return Value::Series(vec![None; self.slots]),
            },
            series => series.into_window(self.slots),
        };
        let choices = then.into_window(self.slots).into_iter().zip(otherwise.into_window(self.slots));
        let chosen = condition.into_iter().zip(choices).map(|(condition, (then, otherwise))| match condition {
            Some(condition) if condition != 0.0 => Some(then.unwrap_or(0.0)),
            Some(_) => otherwise,
            None => None,
        });
        Value::Series(chosen.collect())
    }

    fn fill(&self, series: Value, filler: &Filler) -> Value {
        let fill_window = |window: Window| match filler {
            Filler::Value(value) => {
                let substitutes = self.value(value).into_window(self.slots);
                window.into_iter().zip(substitutes).map(|(value, substitute)| value.or(substitute)).collect()
            }
            Filler::Repeat => {
                let mut last = None;
                let repeated = window.into_iter().map(|value| {
                    last = value.or(last);
                    last
                });
                repeated.collect()
            }
            Filler::Linear => linear(window),
        };
        match series {
            Value::Array(windows) => Value::Array(windows.into_iter().map(fill_window).collect()),
            other => Value::Series(fill_window(other.into_window(self.slots))),
        }
    }

    fn call(&self, function: Function, argument: Value) -> Value {
        match function {
            Function::Abs => argument.map(f64::abs),
            Function::Ceil => argument.map(f64::ceil),
            Function::Floor => argument.map(f64::floor),
            Function::TimeSeries => Value::Series(argument.into_window(self.slots)),
            Function::Period => Value::Scalar(Some(self.period.as_secs_f64())),
            Function::Average | Function::Sum | Function::Minimum | Function::Maximum => match argument {
                // Of several series: period by period, over those that have a value.
                Value::Array(windows) => Value::Series(
                    (0..self.slots)
                        .map(|slot| reduce(function, windows.iter().filter_map(|window| *window.get(slot)?)))
                        .collect(),
                ),
                // MATH-5: of one series: over all that the evaluation has fetched.
                one => Value::Scalar(reduce(function, one.into_window(self.slots).into_iter().flatten())),
            },
            Function::DatapointCount => {
                Value::Scalar(Some(argument.into_window(self.slots).iter().flatten().count() as f64))
            }
            Function::Difference => Value::Series(changes(&argument.into_window(self.slots), |change, _| change)),
            Function::Rate => {
                let seconds = self.period.as_secs_f64();
                let rate = |change: f64, periods: usize| change / (periods as f64 * seconds);
                Value::Series(changes(&argument.into_window(self.slots), rate))
            }
            Function::RunningSum => {
                let mut sum = 0.0;
                let summed = argument.into_window(self.slots).into_iter().map(|value| {
                    sum += value?;
                    Some(sum)
                });
                Value::Series(summed.collect())
            }
        }
    }
}

fn reduce(function: Function, values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let sum = || values.iter().sum::<f64>();
    if values.is_empty() {
        return None;
    }
    Some(match function {
        Function::Minimum => values.iter().copied().fold(f64::INFINITY, f64::min),
        Function::Maximum => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Function::Sum => sum(),
        _ => sum() / values.len() as f64,
    })
}

/// From each value to the next one that is there: `of` gets the change and the periods between them.
fn changes(window: &[Option<f64>], of: impl Fn(f64, usize) -> f64) -> Window {
    let mut last: Option<(usize, f64)> = None;
    let changed = window.iter().enumerate().map(|(slot, value)| {
        let value = (*value)?;
        let before = last.replace((slot, value))?;
        Some(of(value - before.1, slot - before.0))
    });
    changed.collect()
}

/// Gaps as the straight line between the values around them; what has a value on one side only stays missing.
fn linear(mut window: Window) -> Window {
    let known: Vec<(usize, f64)> =
        window.iter().enumerate().filter_map(|(slot, value)| Some((slot, (*value)?))).collect();
    for pair in known.windows(2) {
        let ((from, first), (to, last)) = (pair[0], pair[1]);
        for (step, value) in (1..).zip(&mut window[from + 1..to]) {
            *value = Some(first + (last - first) * f64::from(step) / (to - from) as f64);
        }
    }
    window
}
