//! Which points a study runs: a grid, a list, or a Latin hypercube over paths of the scenario.

use std::fmt;

use crate::engine::streams::Streams;

/// Why there are no points.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesignError {
    /// Not `PATH=…`.
    #[error("`{0}` varies nothing: it has no `=`; write `--vary services.web.desiredCount=4,8,16`")]
    NoAssignment(String),
    /// Nothing after the `=`, or nothing between two commas.
    #[error("`{0}` has an empty value: a point needs one everywhere; write `null` for none")]
    EmptyValue(String),
    /// A quote or bracket is left open.
    #[error("`{0}` opens a quote or a bracket and does not close it")]
    Unclosed(String),
    /// One value twice.
    #[error("`{path}` takes the value `{value}` twice")]
    SameValue {
        /// The path.
        path: String,
        /// The value.
        value: String,
    },
    /// One path twice.
    #[error("`{0}` is varied twice; give all its values to one `--vary`")]
    SamePath(String),
    /// A range from high to low, or with a bad step.
    #[error("`{text}` is no range: {reason}")]
    Range {
        /// As written.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// A range of fractions where a grid needs single values.
    #[error(
        "`{path}={range}` has no end of values between its ends; give it a step, `{path}={range}..0.1`, or draw from it with `--latin N`"
    )]
    Stepless {
        /// The path.
        path: String,
        /// The range as written.
        range: String,
    },
    /// Nothing is varied.
    #[error("nothing is varied; name a path and its values: `--vary services.web.desiredCount=4,8,16`")]
    Empty,
    /// More points than anybody waits for.
    #[error("that makes {0} points, and {MAX_POINTS} are the most; take fewer values, or draw with `--latin N`")]
    TooMany(u128),
    /// The list of points cannot be used.
    #[error("{0}")]
    List(String),
}

/// The most points of one study.
pub const MAX_POINTS: u128 = 1_000_000;

/// A path of the scenario and the values it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The path, in the language of `--set`.
    pub path: String,
    /// What it takes.
    pub values: Values,
}

/// The values of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// These, as written.
    Listed(Vec<String>),
    /// Evenly spaced numbers.
    Range(Range),
}

/// Numbers from `low` to `high` in steps, counted in the last decimal place: exact, however they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    low: i64,
    high: i64,
    step: i64,
    decimals: u32,
    suffix: String,
    stepped: bool,
}

impl Range {
    /// `10..40`, `0.5..0.9`, `2m..10m`, `40..80..10`; `None` for what is no range at all.
    ///
    /// Whole numbers go one by one. Fractions without a step go by a hundredth of the last place written.
    fn parse(text: &str) -> Option<Result<Self, DesignError>> {
        let mut parts = text.split("..").map(str::trim);
        let (low, high, step) = (Decimal::parse(parts.next()?)?, Decimal::parse(parts.next()?)?, parts.next());
        let refuse = |reason| Some(Err(DesignError::Range { text: text.to_owned(), reason }));
        if parts.next().is_some() {
            return refuse("it is LOW..HIGH or LOW..HIGH..STEP");
        }
        if low.suffix != high.suffix {
            return refuse("both ends take the same unit");
        }
        let written = low.decimals.max(high.decimals);
        let step = match step.map(Decimal::parse) {
            Some(None) => return refuse("the step is a number"),
            Some(Some(step)) if !step.suffix.is_empty() && step.suffix != low.suffix => {
                return refuse("the step takes the unit of the ends");
            }
            Some(step) => step,
            None => None,
        };
        let decimals = match &step {
            Some(step) => written.max(step.decimals),
            None if written == 0 => 0,
            None => written + 2,
        };
        let scaled = |number: &Decimal| number.in_places(decimals);
        let (Some(low_units), Some(high_units)) = (scaled(&low), scaled(&high)) else {
            return refuse("its numbers have too many digits");
        };
        let step_units = match &step {
            Some(step) => scaled(step),
            None => Some(1),
        };
        match step_units {
            Some(units) if units > 0 => {}
            _ => return refuse("the step is above zero"),
        }
        if low_units >= high_units {
            return refuse("its lower end comes first");
        }
        Some(Ok(Self {
            low: low_units,
            high: high_units,
            step: step_units.unwrap_or(1),
            decimals,
            suffix: low.suffix.to_owned(),
            stepped: step.is_some() || written == 0,
        }))
    }

    fn levels(&self) -> u64 {
        self.high.abs_diff(self.low) / self.step.unsigned_abs() + 1
    }

    fn level(&self, place: u64) -> String {
        let units = i128::from(self.low) + i128::from(place) * i128::from(self.step);
        let scale = 10i128.pow(self.decimals);
        let sign = if units < 0 { "-" } else { "" };
        let (whole, fraction) = (units.abs() / scale, units.abs() % scale);
        if self.decimals == 0 {
            return format!("{sign}{whole}{}", self.suffix);
        }
        let digits = format!("{fraction:0width$}", width = self.decimals as usize);
        let digits = digits.trim_end_matches('0');
        // A fraction stays one to the eye, and to a reader of YAML.
        let digits = if digits.is_empty() { "0" } else { digits };
        format!("{sign}{whole}.{digits}{}", self.suffix)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.level(0), self.level(self.levels() - 1))
    }
}

/// A decimal number with its unit, exactly as written.
struct Decimal<'t> {
    digits: i64,
    decimals: u32,
    suffix: &'t str,
}

impl<'t> Decimal<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let end = text
            .char_indices()
            .find(|(at, letter)| !(letter.is_ascii_digit() || *letter == '.' || *at == 0 && *letter == '-'))
            .map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits: i64 = format!("{whole}{fraction}").parse().ok()?;
        let decimals = u32::try_from(fraction.len()).ok().filter(|places| *places <= 9)?;
        Some(Self { digits, decimals, suffix })
    }

    fn in_places(&self, decimals: u32) -> Option<i64> {
        self.digits.checked_mul(10i64.checked_pow(decimals - self.decimals)?)
    }
}

/// The number that a value begins with, whatever its unit: where it lies on an axis.
pub fn position(value: &str) -> Option<f64> {
    let number = value.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    number.parse().ok()
}

impl Parameter {
    /// Reads `PATH=v1,v2,v3`, `PATH=low..high` or `PATH=low..high..step`.
    ///
    /// Commas within quotes and brackets belong to the value: `a=[{type: spread}],[]` has two.
    ///
    /// # Errors
    /// [`DesignError`].
    pub fn parse(text: &str) -> Result<Self, DesignError> {
        let (path, values) = text.split_once('=').ok_or_else(|| DesignError::NoAssignment(text.to_owned()))?;
        let path = path.trim().to_owned();
        if path.is_empty() {
            return Err(DesignError::NoAssignment(text.to_owned()));
        }
        let values = split(values).ok_or_else(|| DesignError::Unclosed(text.to_owned()))?;
        if values.iter().any(String::is_empty) {
            return Err(DesignError::EmptyValue(text.to_owned()));
        }
        if let [one] = values.as_slice()
            && let Some(range) = Range::parse(one)
        {
            return Ok(Self { path, values: Values::Range(range?) });
        }
        if let Some((_, twice)) = values.iter().enumerate().find(|(place, value)| values[..*place].contains(value)) {
            return Err(DesignError::SameValue { path, value: twice.clone() });
        }
        Ok(Self { path, values: Values::Listed(values) })
    }

    /// How many values it takes.
    pub fn levels(&self) -> u64 {
        match &self.values {
            Values::Listed(values) => values.len() as u64,
            Values::Range(range) => range.levels(),
        }
    }

    /// Its value number `place`, from 0.
    pub fn level(&self, place: u64) -> String {
        match &self.values {
            Values::Listed(values) => usize::try_from(place).ok().and_then(|place| values.get(place)).cloned(),
            Values::Range(range) => (place < range.levels()).then(|| range.level(place)),
        }
        .unwrap_or_default()
    }

    /// Whether its values are numbers in order, so that the next one is a neighbour.
    pub fn is_ordered(&self) -> bool {
        match &self.values {
            Values::Range(_) => true,
            Values::Listed(values) => {
                let at: Option<Vec<f64>> = values.iter().map(|value| position(value)).collect();
                at.is_some_and(|at| at.is_sorted())
            }
        }
    }
}

/// Cuts at the commas that are in no quote and no bracket; `None` when one is left open.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut open, mut quote) = (Vec::new(), None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(mark), _) => quote = quote.filter(|_| letter != mark),
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[') => open.push(']'),
            (None, '{') => open.push('}'),
            (None, ']' | '}') if open.pop() != Some(letter) => return None,
            (None, ',') if open.is_empty() => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    parts.push(part.trim().to_owned());
    (open.is_empty() && quote.is_none()).then_some(parts)
}

/// How the points were laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Every combination.
    Grid,
    /// As listed in a file.
    List,
    /// A Latin hypercube.
    Latin,
}

impl Layout {
    /// As files spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::List => "list",
            Self::Latin => "latin",
        }
    }
}

/// One point: what each path is set to. A path whose value is empty stays as the scenario has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point(pub Vec<String>);

/// The points of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    /// How they were laid out.
    pub layout: Layout,
    /// The paths, in the order given.
    pub paths: Vec<String>,
    /// The points, in order; the values are in the order of the paths.
    pub points: Vec<Point>,
}

impl Design {
    /// Every combination of the values; the last parameter changes fastest.
    ///
    /// # Errors
    /// [`DesignError`].
    pub fn grid(parameters: &[Parameter]) -> Result<Self, DesignError> {
        distinct(parameters)?;
        for Parameter { path, values } in parameters {
            if let Values::Range(range) = values
                && !range.stepped
            {
                return Err(DesignError::Stepless { path: path.clone(), range: range.to_string() });
            }
        }
        let count = size(parameters);
        if count > MAX_POINTS {
            return Err(DesignError::TooMany(count));
        }
        let mut points = vec![Point(Vec::new())];
        for parameter in parameters {
            points = points
                .iter()
                .flat_map(|point| {
                    (0..parameter.levels()).map(|place| {
                        let mut values = point.0.clone();
                        values.push(parameter.level(place));
                        Point(values)
                    })
                })
                .collect();
        }
        Ok(Self { layout: Layout::Grid, paths: paths(parameters), points })
    }

    /// `count` points that fall into `count` equal strata of each parameter, one into each.
    ///
    /// Source: McKay, Beckman and Conover, "A Comparison of Three Methods for Selecting Values of Input Variables",
    /// Technometrics 21(2), 1979. Each parameter has a random stream of its own, so that another one more does not
    /// move it.
    ///
    /// # Errors
    /// [`DesignError`].
    pub fn latin(parameters: &[Parameter], count: u32, seed: u64) -> Result<Self, DesignError> {
        distinct(parameters)?;
        if u128::from(count) > MAX_POINTS {
            return Err(DesignError::TooMany(count.into()));
        }
        let mut points = vec![Point(Vec::new()); count as usize];
        for (parameter, places) in parameters.iter().zip(latin_places(parameters, count, seed)) {
            for (point, place) in points.iter_mut().zip(places) {
                point.0.push(parameter.level(place));
            }
        }
        Ok(Self { layout: Layout::Latin, paths: paths(parameters), points })
    }

    /// The points of a CSV text: a heading of paths, a row a point; what a cell leaves empty stays as it is.
    ///
    /// # Errors
    /// [`DesignError::List`], with `name` for the file.
    pub fn list(name: &str, text: &str) -> Result<Self, DesignError> {
        let refuse = |reason: String| DesignError::List(format!("`{name}`: {reason}"));
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let heading = reader.headers().map_err(|error| refuse(error.to_string()))?;
        let paths: Vec<String> = heading.iter().map(str::to_owned).collect();
        if paths.is_empty() || paths.iter().any(String::is_empty) {
            return Err(refuse("its first line names the paths, one a column".to_owned()));
        }
        if let Some((_, twice)) = paths.iter().enumerate().find(|(place, path)| paths[..*place].contains(path)) {
            return Err(refuse(format!("the path `{twice}` has two columns")));
        }
        let mut points = Vec::new();
        for row in reader.records() {
            let row = row.map_err(|error| refuse(error.to_string()))?;
            points.push(Point(row.iter().map(str::to_owned).collect()));
        }
        match points.len() as u128 {
            0 => Err(refuse("it has no points: a row for each below the line of paths".to_owned())),
            count if count > MAX_POINTS => Err(DesignError::TooMany(count)),
            _ => Ok(Self { layout: Layout::List, paths, points }),
        }
    }

    /// What is set at a point, as `PATH=VALUE`.
    pub fn assignments(&self, point: &Point) -> Vec<String> {
        let set = self.paths.iter().zip(&point.0).filter(|(_, value)| !value.is_empty());
        set.map(|(path, value)| format!("{path}={value}")).collect()
    }

    /// The values that each path takes, in order of first use.
    pub fn values(&self, path: usize) -> Vec<&str> {
        let all: indexmap::IndexSet<&str> = self.points.iter().map(|point| point.0[path].as_str()).collect();
        all.into_iter().collect()
    }
}

/// For each parameter the places of its levels at `count` points of a Latin hypercube.
pub fn latin_places(parameters: &[Parameter], count: u32, seed: u64) -> Vec<Vec<u64>> {
    parameters
        .iter()
        .map(|parameter| {
            let mut chance = Streams::new(seed, 0).named(&format!("study/latin/{}", parameter.path));
            let mut strata: Vec<u32> = (0..count).collect();
            chance.shuffle(&mut strata);
            let levels = parameter.levels();
            strata
                .into_iter()
                .map(|stratum| {
                    let share = (f64::from(stratum) + chance.uniform()) / f64::from(count);
                    ((share * levels as f64).floor() as u64).min(levels - 1)
                })
                .collect()
        })
        .collect()
}

/// How many combinations there are; as many as can be counted.
pub fn size(parameters: &[Parameter]) -> u128 {
    parameters.iter().map(|parameter| u128::from(parameter.levels())).fold(1, u128::saturating_mul)
}

/// Refuses no parameters, and a path that comes twice.
///
/// # Errors
/// [`DesignError`].
pub fn distinct(parameters: &[Parameter]) -> Result<(), DesignError> {
    if parameters.is_empty() {
        return Err(DesignError::Empty);
    }
    let twice = parameters
        .iter()
        .enumerate()
        .find(|(place, parameter)| parameters[..*place].iter().any(|earlier| earlier.path == parameter.path));
    twice.map_or(Ok(()), |(_, parameter)| Err(DesignError::SamePath(parameter.path.clone())))
}

fn paths(parameters: &[Parameter]) -> Vec<String> {
    parameters.iter().map(|parameter| parameter.path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(text: &str) -> Parameter {
        Parameter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn levels(text: &str) -> Vec<String> {
        let parameter = parameter(text);
        (0..parameter.levels()).map(|place| parameter.level(place)).collect()
    }

    #[test]
    fn values_are_listed_or_counted() {
        for (text, expected) in [
            ("a=1,2,3", &["1", "2", "3"][..]),
            ("a=x", &["x"]),
            ("a=[{type: spread, field: az}], []", &["[{type: spread, field: az}]", "[]"]),
            ("a='x,y',z", &["'x,y'", "z"]),
            ("a=2..5", &["2", "3", "4", "5"]),
            ("a=-1..1", &["-1", "0", "1"]),
            ("a=40..75..10", &["40", "50", "60", "70"]),
            ("a=0.5..0.7..0.1", &["0.5", "0.6", "0.7"]),
            ("a=1m..3m", &["1m", "2m", "3m"]),
            ("a=1m..3m..1", &["1m", "2m", "3m"]),
            ("a=0..1..0.25", &["0.0", "0.25", "0.5", "0.75", "1.0"]),
            ("a=one..two", &["one..two"]),
        ] {
            assert_eq!(levels(text), expected, "{text}");
        }
        let fine = parameter("a=0.5..0.6");
        assert_eq!((fine.levels(), fine.level(1).as_str()), (101, "0.501"), "a hundredth of the last place");
    }

    #[test]
    fn what_is_no_parameter_is_refused_with_the_reason() {
        for (text, reason) in [
            ("a", "no `=`"),
            ("=1", "no `=`"),
            ("a=", "empty value"),
            ("a=1,,2", "empty value"),
            ("a=[1,2", "does not close"),
            ("a=1,2,1", "`1` twice"),
            ("a=5..2", "lower end"),
            ("a=1m..2h", "same unit"),
            ("a=1..9..0", "above zero"),
            ("a=1..9..x", "step is a number"),
            ("a=1..2..3..4", "LOW..HIGH"),
        ] {
            let refusal = Parameter::parse(text).unwrap_err().to_string();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
        let grid = |texts: &[&str]| {
            let parameters: Vec<Parameter> = texts.iter().map(|text| parameter(text)).collect();
            Design::grid(&parameters).unwrap_err().to_string()
        };
        assert!(grid(&[]).contains("nothing is varied"));
        assert!(grid(&["a=1,2", "a=3"]).contains("`a` is varied twice"));
        assert!(grid(&["a=0.5..0.9"]).contains("give it a step"));
        assert!(grid(&["a=1..2000", "b=1..2000"]).contains("4000000 points"));
    }

    #[test]
    fn a_grid_has_every_combination_once_the_last_fastest() {
        let grid = Design::grid(&[parameter("a=1,2"), parameter("b=x,y,z")]).unwrap();
        let points: Vec<String> = grid.points.iter().map(|point| point.0.join("")).collect();
        assert_eq!(points, ["1x", "1y", "1z", "2x", "2y", "2z"]);
        assert_eq!(grid.assignments(&grid.points[4]), ["a=2", "b=y"]);
        assert_eq!(grid.values(1), ["x", "y", "z"]);
    }

    #[test]
    fn a_latin_hypercube_falls_into_each_stratum_once() {
        let parameters = [parameter("a=1..20"), parameter("b=0.0..1.0"), parameter("c=x,y")];
        let design = Design::latin(&parameters, 20, 7).unwrap();
        let mut whole: Vec<u64> = design.points.iter().map(|point| point.0[0].parse().unwrap()).collect();
        whole.sort_unstable();
        assert_eq!(whole, (1..=20).collect::<Vec<u64>>());
        let mut tenths: Vec<u64> =
            design.points.iter().map(|point| (point.0[1].parse::<f64>().unwrap() * 20.0).floor() as u64).collect();
        tenths.sort_unstable();
        tenths.dedup();
        assert!(tenths.len() >= 19, "{tenths:?}");
        assert_eq!(design.points.iter().filter(|point| point.0[2] == "x").count(), 10);
        assert_eq!(Design::latin(&parameters, 20, 7).unwrap(), design, "the same for the same seed");
        let fewer = Design::latin(&parameters[1..], 20, 7).unwrap();
        assert!(fewer.points.iter().zip(&design.points).all(|(a, b)| a.0[0] == b.0[1]), "its own stream");
        assert_ne!(Design::latin(&parameters, 20, 8).unwrap(), design);
    }

    #[test]
    fn a_list_is_a_table_of_paths() {
        let list = Design::list("p.csv", "a,b\n1,\"[x, y]\"\n2,\n").unwrap();
        assert_eq!(list.assignments(&list.points[0]), ["a=1", "b=[x, y]"]);
        assert_eq!(list.assignments(&list.points[1]), ["a=2"], "an empty cell changes nothing");
        for (text, reason) in [
            ("", "names the paths"),
            ("a,b\n", "no points"),
            ("a,a\n1,2\n", "two columns"),
            ("a,b\n1\n", "field"),
            ("a,\n1,2\n", "names the paths"),
        ] {
            let refusal = Design::list("p.csv", text).unwrap_err().to_string();
            assert!(refusal.contains(reason) && refusal.contains("p.csv"), "{text:?}: {refusal}");
        }
    }

    #[test]
    fn values_lie_on_an_axis_by_their_number() {
        assert_eq!(
            ["60", "0.5", "10m", "-3", "x", "m5.large"].map(position),
            [Some(60.0), Some(0.5), Some(10.0), Some(-3.0), None, None]
        );
    }
}
