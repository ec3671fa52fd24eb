//! The language of metric math: numbers, ids, operators and functions, parsed into a tree and checked for its kinds.

/// A parsed expression; ids are positions among the queries of its request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    /// Another query of the request.
    Query(usize),
    Negative(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    /// `[m1, m2]`
    List(Vec<Self>),
    Call(Function, Vec<Self>),
    /// `FILL(m, …)`
    Fill(Box<Self>, Filler),
    /// `IF(condition, then, otherwise)`
    If(Box<Self>, Box<Self>, Option<Box<Self>>),
}

/// What stands in for a missing value (MATH-4).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filler {
    /// This value.
    Value(Box<Expression>),
    /// The value before.
    Repeat,
    /// The straight line between the values around.
    Linear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Operator {
    /// `a` op `b`; `None` drops the point: a division by zero, and what is no finite number (MATH-1).
    pub(super) fn apply(self, a: f64, b: f64) -> Option<f64> {
        let truth = |truth: bool| if truth { 1.0 } else { 0.0 };
        let value = match self {
            Self::Or => truth(a != 0.0 || b != 0.0),
            Self::And => truth(a != 0.0 && b != 0.0),
            // Metric math compares the numbers themselves.
            #[expect(clippy::float_cmp, reason = "the user asks for equality")]
            Self::Equal => truth(a == b),
            #[expect(clippy::float_cmp, reason = "the user asks for inequality")]
            Self::NotEqual => truth(a != b),
            Self::Less => truth(a < b),
            Self::AtMost => truth(a <= b),
            Self::Greater => truth(a > b),
            Self::AtLeast => truth(a >= b),
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide if b == 0.0 => return None,
            Self::Divide => a / b,
            // The platform's own power differs in the last digit between systems.
            Self::Power => libm::pow(a, b),
        };
        value.is_finite().then_some(value)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Ceil,
    Floor,
    Average,
    Sum,
    Minimum,
    Maximum,
    DatapointCount,
    Difference,
    Rate,
    RunningSum,
    Period,
    TimeSeries,
}

const FUNCTIONS: &[(&str, Function)] = &[
    ("ABS", Function::Abs),
    ("CEIL", Function::Ceil),
    ("FLOOR", Function::Floor),
    ("AVG", Function::Average),
    ("SUM", Function::Sum),
    ("MIN", Function::Minimum),
    ("MAX", Function::Maximum),
    ("DATAPOINT_COUNT", Function::DatapointCount),
    ("DIFF", Function::Difference),
    ("RATE", Function::Rate),
    ("RUNNING_SUM", Function::RunningSum),
    ("PERIOD", Function::Period),
    ("TIME_SERIES", Function::TimeSeries),
];

/// Functions that CloudWatch has and ecsim does not.
const UNMODELLED: &[&str] = &[
    "ANOMALY_DETECTION_BAND",
    "DATE",
    "DAY",
    "DB_PERF_INSIGHTS",
    "DIFF_TIME",
    "EPOCH",
    "FIRST",
    "HOUR",
    "INSIGHT_RULE_METRIC",
    "LAMBDA",
    "LAST",
    "LOG",
    "LOG10",
    "METRIC_COUNT",
    "MINUTE",
    "MONTH",
    "REMOVE_EMPTY",
    "SEARCH",
    "SERVICE_QUOTA",
    "SLICE",
    "SORT",
    "STDDEV",
    "YEAR",
];

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One number.
    Scalar,
    /// A number a period, or none.
    Series,
    /// Several series.
    Array,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Word(String),
    Text(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 20] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "^", "(", ")", "[", "]", ",", "'", "\""];

/// A query that an expression may name: its id, and whether it is a metric.
pub(super) type Known<'a> = (&'a str, bool);

/// Reads an expression over the queries of its request. An error says what is wrong in words.
pub(super) fn parse(text: &str, known: &[Known]) -> Result<Expression, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, known };
    let expression = parser.expression(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(format!("unexpected {}", describe(token))),
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Number(number) => format!("`{number}`"),
        Token::Word(word) => format!("`{word}`"),
        Token::Text(text) => format!("`\"{text}\"`"),
        Token::Symbol(symbol) => format!("`{symbol}`"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end_of = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let length = if first.is_ascii_digit() || first == '.' {
            let length = end_of(|c| c.is_ascii_digit() || c == '.');
            let number = rest[..length].parse().map_err(|_| format!("`{}` is no number", &rest[..length]))?;
            found.push(Token::Number(number));
            length
        } else if first.is_ascii_alphabetic() {
            let length = end_of(|c| c.is_ascii_alphanumeric() || c == '_');
            found.push(Token::Word(rest[..length].to_owned()));
            length
        } else {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            match symbol.copied() {
                Some(quote @ ("'" | "\"")) => {
                    let inside = &rest[1..];
                    let close = inside.find(quote).ok_or("a text is not closed")?;
                    found.push(Token::Text(inside[..close].to_owned()));
                    close + 2
                }
                Some(symbol) => {
                    found.push(Token::Symbol(symbol));
                    symbol.len()
                }
                None => return Err(format!("unexpected `{first}`")),
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

/// Most levels of nesting: the parser calls itself, and the text comes from outside.
const DEEPEST: usize = 64;

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    known: &'a [Known<'a>],
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(next)) if *next == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.takes(symbol) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("expected `{symbol}`, found {}", describe(token)),
            None => format!("expected `{symbol}` at the end"),
        })
    }

    /// The operator that comes next, with its rank: higher binds closer.
    fn operator(&self) -> Option<(Operator, u8)> {
        Some(match self.peek()? {
            Token::Word(word) if word == "OR" => (Operator::Or, 1),
            Token::Word(word) if word == "AND" => (Operator::And, 2),
            Token::Symbol(symbol) => match *symbol {
                "||" => (Operator::Or, 1),
                "&&" => (Operator::And, 2),
                "==" => (Operator::Equal, 3),
                "!=" => (Operator::NotEqual, 3),
                "<" => (Operator::Less, 3),
                "<=" => (Operator::AtMost, 3),
                ">" => (Operator::Greater, 3),
                ">=" => (Operator::AtLeast, 3),
                "+" => (Operator::Add, 4),
                "-" => (Operator::Subtract, 4),
                "*" => (Operator::Multiply, 5),
                "/" => (Operator::Divide, 5),
                "^" => (Operator::Power, 6),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, String> {
        self.binary(1, depth)
    }

    /// Operands joined by operators of at least this rank, from left to right.
    fn binary(&mut self, least: u8, depth: usize) -> Result<Expression, String> {
        if depth > DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        let mut left = self.operand(depth)?;
        while let Some((operator, rank)) = self.operator().filter(|(_, rank)| *rank >= least) {
            self.at += 1;
            let right = self.binary(rank + 1, depth + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Expression, String> {
        if self.takes("-") {
            // A sign binds closer than any operator.
            if depth > DEEPEST {
                return Err("it is nested too deeply".to_owned());
            }
            return Ok(Expression::Negative(Box::new(self.operand(depth + 1)?)));
        }
        if self.takes("(") {
            let inside = self.expression(depth + 1)?;
            self.expect(")")?;
            return Ok(inside);
        }
        if self.takes("[") {
            return Ok(Expression::List(self.arguments("]", depth)?));
        }
        let token = self.peek().cloned().ok_or("it ends where a value should be")?;
        self.at += 1;
        match token {
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Word(word) => {
                if self.takes("(") {
                    return self.call(&word, depth);
                }
                let found = self.known.iter().position(|(id, _)| *id == word);
                found.map(Expression::Query).ok_or_else(|| format!("there is no query `{word}`"))
            }
            other => Err(format!("unexpected {}", describe(&other))),
        }
    }

    fn arguments(&mut self, close: &str, depth: usize) -> Result<Vec<Expression>, String> {
        let mut arguments = Vec::new();
        if self.takes(close) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(depth + 1)?);
            if !self.takes(",") {
                self.expect(close)?;
                return Ok(arguments);
            }
        }
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Expression, String> {
        match name {
            "METRICS" => {
                let part = match self.peek() {
                    Some(Token::Text(text)) => {
                        let text = text.clone();
                        self.at += 1;
                        text
                    }
                    _ => String::new(),
                };
                self.expect(")")?;
                // Every metric of the request, or those whose id contains the text.
                let chosen = (0..).zip(self.known).filter(|(_, (id, metric))| *metric && id.contains(&part));
                Ok(Expression::List(chosen.map(|(query, _)| Expression::Query(query)).collect()))
            }
            "FILL" => {
                let series = self.expression(depth + 1)?;
                self.expect(",")?;
                let filler = match self.peek() {
                    Some(Token::Word(word)) if word == "REPEAT" => Some(Filler::Repeat),
                    Some(Token::Word(word)) if word == "LINEAR" => Some(Filler::Linear),
                    _ => None,
                };
                let filler = match filler {
                    Some(filler) => {
                        self.at += 1;
                        filler
                    }
                    None => Filler::Value(Box::new(self.expression(depth + 1)?)),
                };
                self.expect(")")?;
                Ok(Expression::Fill(Box::new(series), filler))
            }
            "IF" => {
                let mut parts = self.arguments(")", depth)?.into_iter().map(Box::new);
                match (parts.next(), parts.next(), parts.next(), parts.next()) {
                    (Some(condition), Some(then), otherwise, None) => Ok(Expression::If(condition, then, otherwise)),
                    _ => Err("IF takes a condition and one or two values".to_owned()),
                }
            }
            _ => {
                let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
                    return Err(if UNMODELLED.contains(&name) {
                        format!("the function {name} is not modelled")
                    } else {
                        format!("there is no function `{name}`")
                    });
                };
                let arguments = self.arguments(")", depth)?;
                if arguments.len() != 1 {
                    return Err(format!("{name} takes one argument, not {}", arguments.len()));
                }
                Ok(Expression::Call(*function, arguments))
            }
        }
    }
}

impl Expression {
    /// What it gives, when `of` says what the queries it names give; an error says which part does not fit.
    pub(super) fn kind(&self, of: &dyn Fn(usize) -> Kind) -> Result<Kind, String> {
        let single = |part: &Self| match part.kind(of)? {
            Kind::Array => Err("an array of series is only for AVG, SUM, MIN, MAX and FILL".to_owned()),
            kind => Ok(kind),
        };
        let joined =
            |a: Kind, b: Kind| if a == Kind::Series || b == Kind::Series { Kind::Series } else { Kind::Scalar };
        match self {
            Self::Number(_) => Ok(Kind::Scalar),
            Self::Query(query) => Ok(of(*query)),
            Self::Negative(inside) => single(inside),
            Self::Binary(_, a, b) => Ok(joined(single(a)?, single(b)?)),
            Self::List(parts) => {
                for part in parts {
                    if single(part)? != Kind::Series {
                        return Err("an array holds series only".to_owned());
                    }
                }
                Ok(Kind::Array)
            }
            Self::Fill(series, filler) => {
                if let Filler::Value(value) = filler {
                    single(value)?;
                }
                match series.kind(of)? {
                    Kind::Scalar => Err("FILL fills a series, not a number".to_owned()),
                    kind => Ok(kind),
                }
            }
            Self::If(condition, then, otherwise) => {
                let mut kind = joined(single(condition)?, single(then)?);
                if let Some(otherwise) = otherwise {
                    kind = joined(kind, single(otherwise)?);
                }
                Ok(kind)
            }
            Self::Call(function, arguments) => {
                let kind = arguments.first().map_or(Ok(Kind::Scalar), |argument| argument.kind(of))?;
                match (function, kind) {
                    (Function::Average | Function::Sum | Function::Minimum | Function::Maximum, Kind::Array)
                    | (Function::TimeSeries, Kind::Scalar)
                    | (Function::Difference | Function::Rate | Function::RunningSum, Kind::Series) => Ok(Kind::Series),
                    (Function::TimeSeries, _) => Err("TIME_SERIES takes a number".to_owned()),
                    (_, Kind::Array) => Err("an array of series is only for AVG, SUM, MIN, MAX and FILL".to_owned()),
                    (Function::Abs | Function::Ceil | Function::Floor, kind) => Ok(kind),
                    (_, Kind::Scalar) => Err("the function takes a series, not a number".to_owned()),
                    (_, Kind::Series) => Ok(Kind::Scalar),
                }
            }
        }
    }

    /// True when a missing value is filled anywhere in it (MATH-4).
    pub(super) fn fills(&self) -> bool {
        match self {
            Self::Fill(..) => true,
            Self::Number(_) | Self::Query(_) => false,
            Self::Negative(inside) => inside.fills(),
            Self::Binary(_, a, b) => a.fills() || b.fills(),
            Self::List(parts) | Self::Call(_, parts) => parts.iter().any(Self::fills),
            Self::If(condition, then, otherwise) => {
                condition.fills() || then.fills() || otherwise.as_ref().is_some_and(|otherwise| otherwise.fills())
            }
        }
    }

    /// Calls `visit` with every query it names, in the order in which it names them.
    pub(super) fn each_query(&mut self, visit: &mut dyn FnMut(&mut usize)) {
        match self {
            Self::Number(_) => {}
            Self::Query(query) => visit(query),
            Self::Negative(inside) => inside.each_query(visit),
            Self::Binary(_, a, b) => {
                a.each_query(visit);
                b.each_query(visit);
            }
            Self::List(parts) | Self::Call(_, parts) => parts.iter_mut().for_each(|part| part.each_query(visit)),
            Self::Fill(series, filler) => {
                series.each_query(visit);
                if let Filler::Value(value) = filler {
                    value.each_query(visit);
                }
            }
            Self::If(condition, then, otherwise) => {
                condition.each_query(visit);
                then.each_query(visit);
                if let Some(otherwise) = otherwise {
                    otherwise.each_query(visit);
                }
            }
        }
    }
}
