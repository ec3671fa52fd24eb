//! The cluster query language (CQL-1…11): which container instances does an expression name?
//!
//! A query is parsed once, with its regular expressions and dates, and asked many times. It remembers which of its
//! parts look at attributes alone: all hosts of a pool answer those alike, so placement asks once per pool.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use regex::Regex;

use crate::ecs::agent::AgentVersion;
use crate::ecs::cluster::Cluster;
use crate::ecs::container_instance::{Attributes, ContainerInstance};

/// Longest expression ECS accepts, in characters (PLACE-14).
const MAX_LENGTH: usize = 2000;
/// Deepest nesting of parentheses and negations; far beyond what anybody writes, and safe for the stack.
const MAX_DEPTH: u32 = 64;

/// A parsed expression of the cluster query language.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    /// Conjuncts that look at attributes only.
    of_attributes: Vec<Expression>,
    /// The other conjuncts.
    of_instance: Vec<Expression>,
}

/// Where an expression stops making sense (`InvalidParameterException`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: found {found}, expected {expected}")]
pub struct QueryError {
    /// Byte offset into the expression; its length when the expression ends too early.
    pub offset: usize,
    /// What is there.
    pub found: String,
    /// What would be accepted.
    pub expected: String,
}

impl Query {
    /// Parses an expression.
    ///
    /// # Errors
    /// [`QueryError`] at the first place that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if let Some((offset, _)) = text.char_indices().nth(MAX_LENGTH) {
            return Err(QueryError {
                offset,
                found: "more text".into(),
                expected: format!("at most {MAX_LENGTH} characters (PLACE-14)"),
            });
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        let expression = parser.or()?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.unexpected("`and`, `or` or the end"));
        }
        let conjuncts = match expression {
            Expression::And(parts) => parts,
            other => vec![other],
        };
        let (of_attributes, of_instance) = conjuncts.into_iter().partition(Expression::looks_at_attributes_only);
        Ok(Self { text: text.to_owned(), of_attributes, of_instance })
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the query names `instance`.
    pub fn matches(&self, instance: &ContainerInstance, cluster: &Cluster) -> bool {
        self.matches_attributes(&instance.attributes) && self.matches_beyond_attributes(instance, cluster)
    }

    /// Whether the part of the query that looks at attributes alone holds for `attributes`.
    pub fn matches_attributes(&self, attributes: &Attributes) -> bool {
        self.of_attributes.iter().all(|part| part.holds(&|test| test.holds_for_attributes(attributes)))
    }

    /// Whether the rest of the query holds for `instance`.
    pub fn matches_beyond_attributes(&self, instance: &ContainerInstance, cluster: &Cluster) -> bool {
        self.of_instance.iter().all(|part| part.holds(&|test| test.holds(instance, cluster)))
    }

    /// Whether the query looks at attributes alone.
    pub fn looks_at_attributes_only(&self) -> bool {
        self.of_instance.is_empty()
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        Self::parse(text)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two queries are equal when they are written alike.
impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Query {}

#[derive(Clone, Debug)]
enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    Test(Test),
}

impl Expression {
    fn holds(&self, test: &impl Fn(&Test) -> bool) -> bool {
        match self {
            Self::Or(parts) => parts.iter().any(|part| part.holds(test)),
            Self::And(parts) => parts.iter().all(|part| part.holds(test)),
            Self::Not(part) => !part.holds(test),
            Self::Test(leaf) => test(leaf),
        }
    }

    fn looks_at_attributes_only(&self) -> bool {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().all(Self::looks_at_attributes_only),
            Self::Not(part) => part.looks_at_attributes_only(),
            Self::Test(test) => matches!(test, Test::Attribute(..)),
        }
    }
}

/// One comparison of a subject with what it may be (CQL-2…4).
#[derive(Clone, Debug)]
enum Test {
    AgentConnected(TextTest),
    AgentVersion(Order, AgentVersion),
    Attribute(String, TextTest),
    Ec2InstanceId(TextTest),
    RegisteredAt(Order, jiff::Timestamp),
    RunningTasksCount(Order, u64),
    TaskGroup(TextTest),
}

impl Test {
    fn holds_for_attributes(&self, attributes: &Attributes) -> bool {
        match self {
            Self::Attribute(name, test) => test.holds(attributes.get(name)),
            _ => false,
        }
    }

    fn holds(&self, instance: &ContainerInstance, cluster: &Cluster) -> bool {
        match self {
            Self::AgentConnected(test) => test.holds(Some(if instance.agent_connected { "true" } else { "false" })),
            Self::AgentVersion(order, version) => {
                order.holds(AgentVersion::lenient(&instance.agent_version).cmp(version))
            }
            Self::Attribute(name, test) => test.holds(instance.attributes.get(name)),
            Self::Ec2InstanceId(test) => test.holds(Some(&instance.id.ec2_id().to_string())),
            Self::RegisteredAt(order, bound) => {
                // Nanoseconds in 128 bits: no sum of a date and a run's length can overflow them.
                let registered = cluster.start().as_nanosecond() + i128::from(instance.registered_at.as_nanos());
                order.holds(registered.cmp(&bound.as_nanosecond()))
            }
            Self::RunningTasksCount(order, count) => order.holds(u64::from(instance.running).cmp(count)),
            // CQL-10: groups counted as for spread. A negated test needs some group to be there (as CQL-5).
            Self::TaskGroup(test) => {
                let mut groups = instance.groups.keys().map(|group| cluster.group_name(*group)).peekable();
                if test.is_negative() {
                    groups.peek().is_some() && groups.all(|group| test.holds(Some(group)))
                } else {
                    groups.any(|group| test.holds(Some(group)))
                }
            }
        }
    }
}

/// A comparison of values that have an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Order {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

/// What the text of a subject may be.
#[derive(Clone, Debug)]
enum TextTest {
    Compare(Order, String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Matches(Regex),
    NotMatches(Regex),
    Exists,
    NotExists,
}

impl TextTest {
    /// CQL-5: a missing value satisfies nothing but `!exists`.
    fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::NotExists);
        };
        match self {
            Self::Compare(order, other) => order.holds(compare_text(value, other, *order)),
            Self::In(list) => list.iter().any(|item| item == value),
            Self::NotIn(list) => list.iter().all(|item| item != value),
            Self::Matches(regex) => regex.is_match(value),
            Self::NotMatches(regex) => !regex.is_match(value),
            Self::Exists => true,
            Self::NotExists => false,
        }
    }

    fn is_negative(&self) -> bool {
        matches!(self, Self::Compare(Order::NotEqual, _) | Self::NotIn(_) | Self::NotMatches(_))
    }
}

/// CQL-4: `<` and its kin compare numbers as numbers; equality is of the text.
fn compare_text(value: &str, other: &str, order: Order) -> Ordering {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    if !matches!(order, Order::Equal | Order::NotEqual)
        && let (Some(value), Some(other)) = (number(value), number(other))
    {
        return value.total_cmp(&other);
    }
    value.cmp(other)
}

/// An operator between a subject and its value (CQL-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Compare(Order),
    In,
    NotIn,
    Matches,
    NotMatches,
    Exists,
    NotExists,
}

/// Symbols first by length, so that `>=` is not read as `>`.
const SYMBOLS: [(&str, Operator); 8] = [
    ("==", Operator::Compare(Order::Equal)),
    ("!=", Operator::Compare(Order::NotEqual)),
    (">=", Operator::Compare(Order::GreaterOrEqual)),
    ("<=", Operator::Compare(Order::LessOrEqual)),
    ("=~", Operator::Matches),
    ("!~", Operator::NotMatches),
    (">", Operator::Compare(Order::Greater)),
    ("<", Operator::Compare(Order::Less)),
];

const WORDS: [(&str, Operator); 14] = [
    ("equals", Operator::Compare(Order::Equal)),
    ("not_equals", Operator::Compare(Order::NotEqual)),
    ("greater_than", Operator::Compare(Order::Greater)),
    ("greater_than_equal", Operator::Compare(Order::GreaterOrEqual)),
    ("less_than", Operator::Compare(Order::Less)),
    ("less_than_equal", Operator::Compare(Order::LessOrEqual)),
    ("matches", Operator::Matches),
    ("not_matches", Operator::NotMatches),
    ("in", Operator::In),
    ("!in", Operator::NotIn),
    ("not_in", Operator::NotIn),
    ("exists", Operator::Exists),
    ("!exists", Operator::NotExists),
    ("not_exists", Operator::NotExists),
];

const SUBJECTS: &str = "a subject: agentConnected, agentVersion, attribute:NAME, ec2InstanceId, registeredAt, \
                        runningTasksCount or task:group";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject<'a> {
    AgentConnected,
    AgentVersion,
    Attribute(&'a str),
    Ec2InstanceId,
    RegisteredAt,
    RunningTasksCount,
    TaskGroup,
}

/// Recursive descent over the text; each method starts at `at` and leaves it behind what it took.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Expression, QueryError> {
        let mut parts = vec![self.and()?];
        while self.take_connective("||", "or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn and(&mut self) -> Result<Expression, QueryError> {
        let mut parts = Vec::new();
        loop {
            match self.unary()? {
                // Nested conjunctions are one: `(a and b) and c` splits into three parts.
                Expression::And(inner) => parts.extend(inner),
                other => parts.push(other),
            }
            if !self.take_connective("&&", "and") {
                break;
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn unary(&mut self) -> Result<Expression, QueryError> {
        self.skip_space();
        if self.depth == MAX_DEPTH {
            return Err(self.unexpected(&format!("at most {MAX_DEPTH} levels of parentheses and negations")));
        }
        self.depth += 1;
        let expression = if self.take_connective("!", "not") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.take("(") {
            let inner = self.or()?;
            self.skip_space();
            if !self.take(")") {
                return Err(self.unexpected("`and`, `or` or `)`"));
            }
            inner
        } else {
            Expression::Test(self.test()?)
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn test(&mut self) -> Result<Test, QueryError> {
        let start = self.at;
        let word = self.word();
        let subject = match word {
            "agentConnected" => Subject::AgentConnected,
            "agentVersion" => Subject::AgentVersion,
            "ec2InstanceId" => Subject::Ec2InstanceId,
            "registeredAt" => Subject::RegisteredAt,
            "runningTasksCount" => Subject::RunningTasksCount,
            "task:group" => Subject::TaskGroup,
            _ => match word.strip_prefix("attribute:") {
                Some(name) if !name.is_empty() => Subject::Attribute(name),
                Some(_) => return Err(self.unexpected("the attribute's name")),
                None => {
                    self.at = start;
                    return Err(self.unexpected(SUBJECTS));
                }
            },
        };
        self.skip_space();
        let operator_at = self.at;
        let operator = self.operator()?;
        let allowed = match subject {
            Subject::Attribute(_) => true,
            Subject::AgentVersion | Subject::RegisteredAt | Subject::RunningTasksCount => {
                matches!(operator, Operator::Compare(_))
            }
            Subject::AgentConnected | Subject::Ec2InstanceId | Subject::TaskGroup => !matches!(
                operator,
                Operator::Exists
                    | Operator::NotExists
                    | Operator::Compare(Order::Greater | Order::GreaterOrEqual | Order::Less | Order::LessOrEqual)
            ),
        };
        if !allowed {
            let accepted = match subject {
                Subject::AgentVersion | Subject::RegisteredAt | Subject::RunningTasksCount => "== != > >= < <=",
                _ => "== != in !in =~ !~",
            };
            let found = quoted(self.text[operator_at..self.at].trim_end());
            let expected = format!("an operator {word} has: {accepted} (CQL-4)");
            return Err(QueryError { offset: operator_at, found, expected });
        }
        self.operand(subject, operator)
    }

    fn operand(&mut self, subject: Subject<'_>, operator: Operator) -> Result<Test, QueryError> {
        if let Operator::Compare(order) = operator {
            let at = self.value_start();
            match subject {
                Subject::AgentVersion => {
                    let value = self.value()?;
                    return AgentVersion::strict(&value)
                        .map(|version| Test::AgentVersion(order, version))
                        .ok_or_else(|| bad_value(at, &value, "a version such as 1.14.5"));
                }
                Subject::RegisteredAt => {
                    let value = self.value()?;
                    return parse_date(&value)
                        .map(|date| Test::RegisteredAt(order, date))
                        .ok_or_else(|| bad_value(at, &value, "a date such as 2018-02-13 or 2018-02-13T10:00:00Z"));
                }
                Subject::RunningTasksCount => {
                    let value = self.value()?;
                    return (value.parse().ok())
                        .map(|count| Test::RunningTasksCount(order, count))
                        .ok_or_else(|| bad_value(at, &value, "a whole number"));
                }
                _ => {}
            }
        }
        let values_at = self.value_start();
        let test = match operator {
            Operator::Compare(order) => TextTest::Compare(order, self.value()?),
            Operator::In => TextTest::In(self.list()?),
            Operator::NotIn => TextTest::NotIn(self.list()?),
            Operator::Matches => TextTest::Matches(self.regex()?),
            Operator::NotMatches => TextTest::NotMatches(self.regex()?),
            Operator::Exists => TextTest::Exists,
            Operator::NotExists => TextTest::NotExists,
        };
        Ok(match subject {
            Subject::AgentConnected => {
                let values = match &test {
                    TextTest::Compare(_, value) => std::slice::from_ref(value),
                    TextTest::In(list) | TextTest::NotIn(list) => list,
                    _ => &[],
                };
                if let Some(value) = values.iter().find(|value| *value != "true" && *value != "false") {
                    return Err(bad_value(values_at, value, "true or false"));
                }
                Test::AgentConnected(test)
            }
            Subject::Ec2InstanceId => Test::Ec2InstanceId(test),
            Subject::TaskGroup => Test::TaskGroup(test),
            Subject::Attribute(name) => Test::Attribute(name.to_owned(), test),
            Subject::AgentVersion | Subject::RegisteredAt | Subject::RunningTasksCount => {
                unreachable!("CQL-4 leaves these subjects comparisons only, answered above")
            }
        })
    }

    fn operator(&mut self) -> Result<Operator, QueryError> {
        for (symbol, operator) in SYMBOLS {
            if self.take(symbol) {
                return Ok(operator);
            }
        }
        let start = self.at;
        let negated = self.take("!");
        self.word();
        let word = self.text[start..self.at].to_ascii_lowercase();
        let known = WORDS.iter().find(|(name, _)| *name == word);
        // `in[a]` and `in [a]` both end the word; `!` alone is no operator.
        match known {
            Some((_, operator)) if !(negated && word == "!") => Ok(*operator),
            _ => {
                self.at = start;
                Err(self.unexpected("an operator: == != > >= < <= =~ !~ in !in exists !exists"))
            }
        }
    }

    fn list(&mut self) -> Result<Vec<String>, QueryError> {
        self.skip_space();
        if !self.take("[") {
            return Err(self.unexpected("a list such as [a, b]"));
        }
        let mut values = vec![self.value()?];
        loop {
            self.skip_space();
            if self.take("]") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.unexpected("`,` or `]`"));
            }
            values.push(self.value()?);
        }
    }

    /// CQL-6: Java's `matches`, so the expression has to match the whole value.
    fn regex(&mut self) -> Result<Regex, QueryError> {
        let offset = self.value_start();
        let pattern = self.value()?;
        let cut_short =
            !self.text[offset..].starts_with(['\'', '"']) && self.text[self.at..].starts_with([')', ']', ',']);
        let hint = if cut_short { "; a pattern with ) ] or , needs quotes" } else { "" };
        let refuse = |error: &regex::Error| {
            // The last line of the message is the cause; those before it draw the pattern.
            let cause = error.to_string();
            let cause = cause.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let expected = format!("a supported regular expression: {cause}{hint}");
            QueryError { offset, found: quoted(&pattern), expected }
        };
        // Alone first: `a)|(b` must not become valid by being wrapped.
        Regex::new(&pattern).map_err(|error| refuse(&error))?;
        Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|error| refuse(&error))
    }

    /// A value, quoted or bare (CQL-11).
    fn value(&mut self) -> Result<String, QueryError> {
        let start = self.value_start();
        let rest = &self.text[start..];
        if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '\'' | '"')) {
            let Some(length) = rest[1..].find(quote) else {
                self.at = self.text.len();
                return Err(self.unexpected(&format!("a closing {quote}")));
            };
            self.at = start + length + 2;
            return Ok(rest[1..=length].to_owned());
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ')' | ']' | ',')).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.unexpected("a value"));
        }
        self.at = start + end;
        Ok(rest[..end].to_owned())
    }

    /// Where the next value begins.
    fn value_start(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// Takes the characters that subjects and word operators are made of; may be empty.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '\\' | '-' | ':');
        let end = rest.find(|c: char| !part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Takes a connective in either spelling; the word only as a whole word, in any case (CQL-11).
    fn take_connective(&mut self, symbol: &str, word: &str) -> bool {
        self.skip_space();
        if self.take(symbol) {
            return true;
        }
        let start = self.at;
        if self.word().eq_ignore_ascii_case(word) {
            return true;
        }
        self.at = start;
        false
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.text[self.at..].starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The error for what stands at `at`.
    fn unexpected(&self, expected: &str) -> QueryError {
        let rest = &self.text[self.at..];
        let end = rest.char_indices().skip(1).find(|(_, c)| c.is_whitespace() || "()[],".contains(*c));
        let token = &rest[..end.map_or(rest.len(), |(end, _)| end)];
        let found = if token.is_empty() { "the end of the expression".to_owned() } else { quoted(token) };
        QueryError { offset: self.at, found, expected: expected.to_owned() }
    }
}

fn bad_value(offset: usize, value: &str, expected: &str) -> QueryError {
    QueryError { offset, found: quoted(value), expected: expected.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("`{text}`")
}

/// CQL-8: a date, or a date and time with an offset, Z, or nothing (UTC).
fn parse_date(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp);
    }
    // A bare date parses as midnight.
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ecs::ids::{InstanceId, TaskGroupId};
    use crate::engine::time::SimTime;
    use crate::placement::fleet::{Fleet, needs};

    /// The fleet of the specification's examples: i1, i2, i3 as hosts 1, 2, 3.
    fn fleet() -> Fleet {
        const DAY: u64 = 86_400;
        let mut fleet = Fleet::new();
        let hosts = [
            (1, "t2.small", 0, Some("prod"), "1.14.4", 0),
            (2, "g2.2xlarge", 3, Some("test"), "1.14.5", DAY),
            (3, "g2.8xlarge", 1, None, "1.14.10", 126 * DAY + 22 * 3600 + 28 * 60 + 28),
        ];
        for (number, instance_type, zone, stack, agent, registered) in hosts {
            fleet.register(number, |host| {
                host.instance_type = instance_type.into();
                host.zone = crate::ecs::ids::ZoneId(zone);
                host.agent_version = agent.into();
                host.registered_at = SimTime::from_secs(registered);
                if let Some(stack) = stack {
                    host.attributes.set_custom("stack", stack).unwrap();
                }
            });
        }
        for (host, group) in [(1, 1), (3, 2), (3, 2)] {
            let task = fleet.bind(InstanceId(host), TaskGroupId(group), &needs(10, 10));
            assert!(fleet.cluster.note_running(InstanceId(host), task));
        }
        fleet
    }

    fn matches(fleet: &Fleet, text: &str) -> Vec<u32> {
        let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let hosts = fleet.cluster.instances().filter(|host| query.matches(host, &fleet.cluster));
        hosts.map(|host| host.id.0).collect()
    }

    fn check(table: &[(&str, &[u32])]) {
        let fleet = fleet();
        for (text, expected) in table {
            assert_eq!(matches(&fleet, text), *expected, "{text}");
        }
    }

    #[test]
    fn ex_cql_1_equality_of_an_attribute() {
        check(&[("attribute:ecs.instance-type == t2.small", &[1])]);
    }

    #[test]
    fn ex_cql_2_a_list() {
        check(&[("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", &[1, 3])]);
    }

    #[test]
    fn ex_cql_3_a_pattern_and_a_zone() {
        check(&[("attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d", &[3])]);
    }

    #[test]
    fn ex_cql_4_hosts_with_a_task_group() {
        check(&[("task:group == service:production", &[1])]);
    }

    #[test]
    fn ex_cql_5_hosts_without_a_task_group() {
        check(&[("not(task:group == database)", &[1, 2])]);
    }

    #[test]
    fn ex_cql_6_the_number_of_running_tasks() {
        check(&[("runningTasksCount == 1", &[1]), ("runningTasksCount>=1", &[1, 3])]);
    }

    #[test]
    fn ex_cql_7_another_value_is_not_a_missing_one() {
        check(&[("attribute:stack != prod", &[2])]);
    }

    #[test]
    fn ex_cql_8_registered_before_a_day() {
        check(&[("registeredAt < 2018-02-13", &[1])]);
    }

    #[test]
    fn ex_cql_9_instances_by_id() {
        let fleet = fleet();
        let [one, three] = [1, 3].map(|number| InstanceId(number).ec2_id());
        assert_eq!(matches(&fleet, &format!("ec2InstanceId in ['{one}', '{three}', 'i-abcd1234']")), [1, 3]);
        assert_eq!(matches(&fleet, "ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']"), [0_u32; 0]);
    }

    #[test]
    fn cql_3_words_and_symbols_mean_the_same() {
        check(&[
            ("attribute:stack equals prod", &[1]),
            ("attribute:stack not_equals prod", &[2]),
            ("attribute:stack EXISTS", &[1, 2]),
            ("attribute:stack !exists", &[3]),
            ("attribute:stack not_exists", &[3]),
            ("attribute:stack !in [prod]", &[2]),
            ("attribute:stack not_in[prod,x]", &[2]),
            ("attribute:stack matches p.*", &[1]),
            ("attribute:stack !~ p.*", &[2]),
            ("runningTasksCount greater_than 1 || runningTasksCount less_than 1", &[2, 3]),
            ("agentConnected == true && runningTasksCount greater_than_equal 2", &[3]),
            ("! attribute:stack exists", &[3]),
        ]);
    }

    #[test]
    fn cql_4_order_is_of_numbers_if_both_are() {
        let mut fleet = Fleet::new();
        for (number, slot) in [(1, "9"), (2, "10"), (3, "a")] {
            fleet.register(number, |host| host.attributes.set_custom("slot", slot).unwrap());
        }
        assert_eq!(matches(&fleet, "attribute:slot > 9"), [2, 3]);
        assert_eq!(matches(&fleet, "attribute:slot <= 10"), [1, 2]);
        assert_eq!(matches(&fleet, "attribute:slot == 10"), [2]);
    }

    #[test]
    fn cql_5_nothing_but_absence_holds_for_a_missing_attribute() {
        for test in ["== x", "!= x", "in [x]", "!in [x]", "=~ x", "!~ x", "exists", "< 1", ">= 1"] {
            assert_eq!(matches(&fleet(), &format!("attribute:rack {test}")), [0_u32; 0], "{test}");
        }
        check(&[("attribute:rack !exists", &[1, 2, 3]), ("task:group != database", &[1])]);
    }

    #[test]
    fn cql_6_a_pattern_matches_the_whole_value() {
        check(&[
            ("attribute:ecs.instance-type =~ g2", &[]),
            ("attribute:ecs.instance-type =~ 'g2|g2.2xlarge'", &[2]),
            ("attribute:ecs.instance-type !~ t2.*", &[2, 3]),
        ]);
    }

    #[test]
    fn cql_7_and_binds_before_or_and_not_before_and() {
        let (prod, test, busy) = ("attribute:stack == prod", "attribute:stack == test", "runningTasksCount > 0");
        check(&[
            (&format!("{prod} or {test} and {busy}"), &[1]),
            (&format!("({prod} or {test}) and {busy}"), &[1]),
            (&format!("{busy} and {test} or {prod}"), &[1]),
            (&format!("not {prod} and {busy}"), &[3]),
            (&format!("not({prod} and {busy})"), &[2, 3]),
            (&format!("not not {prod}"), &[1]),
        ]);
    }

    #[test]
    fn cql_8_dates_come_with_an_offset_or_in_utc() {
        check(&[
            ("registeredAt >= 2018-02-13", &[2, 3]),
            ("registeredAt == 2018-06-18T22:28:28Z", &[3]),
            ("registeredAt == 2018-06-18T22:28:28", &[3]),
            ("registeredAt == 2018-06-18T23:28:28+01:00", &[3]),
            ("registeredAt > '2018-02-13T00:00:00-01:00'", &[3]),
        ]);
    }

    #[test]
    fn cql_9_versions_compare_part_by_part() {
        check(&[
            ("agentVersion > 1.14.5", &[3]),
            ("agentVersion <= 1.14.5", &[1, 2]),
            ("agentVersion == 1.14.10.0", &[3]),
            ("agentVersion < 2", &[1, 2, 3]),
        ]);
    }

    #[test]
    fn cql_10_a_task_told_to_stop_is_not_in_its_group() {
        let mut fleet = fleet();
        let task = fleet.bind(InstanceId(2), TaskGroupId(1), &needs(10, 10));
        assert_eq!(matches(&fleet, "task:group == service:production"), [1, 2]);
        fleet.cluster.note_stopping(InstanceId(2), task);
        assert_eq!(matches(&fleet, "task:group == service:production"), [1]);
    }

    #[test]
    fn cql_11_values_are_quoted_or_bare_and_case_matters() {
        check(&[
            ("attribute:stack == 'prod'", &[1]),
            ("attribute:stack == \"prod\"", &[1]),
            ("attribute:stack == PROD", &[]),
            ("(attribute:stack == prod)", &[1]),
            ("attribute:stack == prod OR attribute:stack==test", &[1, 2]),
        ]);
    }

    #[test]
    fn refuses_at_the_place_of_the_error_and_says_what_would_do() {
        let table = [
            ("", 0, "a subject"),
            ("attribute:", 10, "the attribute's name"),
            ("stack == prod", 0, "a subject"),
            ("attribute:stack = prod", 16, "an operator"),
            ("attribute:stack ==", 18, "a value"),
            ("attribute:stack == 'prod", 24, "a closing '"),
            ("attribute:stack in prod", 19, "a list"),
            ("attribute:stack in [a b]", 22, "`,` or `]`"),
            ("(attribute:stack exists", 23, "`and`, `or` or `)`"),
            ("attribute:stack exists)", 22, "`and`, `or` or the end"),
            ("attribute:stack exists and", 26, "a subject"),
            ("agentVersion in [1.2]", 13, "(CQL-4)"),
            ("task:group > 3", 11, "(CQL-4)"),
            ("agentVersion == new", 16, "a version"),
            ("registeredAt < yesterday", 15, "a date"),
            ("runningTasksCount == few", 21, "a whole number"),
            ("agentConnected == yes", 18, "true or false"),
            ("attribute:stack =~ 'a)|(b'", 19, "a supported regular expression"),
            ("attribute:stack =~ '(?=x)'", 19, "a supported regular expression: look-around"),
            ("attribute:stack =~ [ab].*", 19, "needs quotes"),
            ("attribute:größe exists", 12, "an operator"),
        ];
        for (text, offset, expected) in table {
            let error = Query::parse(text).expect_err(text);
            assert_eq!(error.offset, offset, "{text}: {error}");
            assert!(error.expected.contains(expected), "{text}: {error}");
        }
        let error = Query::parse("attribute:stack = prod").unwrap_err();
        assert_eq!(
            error.to_string(),
            "at byte 16: found `=`, expected an operator: == != > >= < <= =~ !~ in !in exists !exists"
        );
    }

    #[test]
    fn place_14_an_expression_has_at_most_2000_characters() {
        let longest = format!("attribute:stack == {}", "x".repeat(MAX_LENGTH - 19));
        assert!(Query::parse(&longest).is_ok());
        assert_eq!(Query::parse(&format!("{longest}x")).map_err(|error| error.offset), Err(MAX_LENGTH));
        assert!(Query::parse(&"(".repeat(MAX_LENGTH)).is_err(), "deep nesting is refused, not followed");
        assert!(Query::parse(&"!".repeat(MAX_LENGTH)).is_err());
    }

    #[test]
    fn attributes_are_told_from_the_rest() {
        let table = [
            ("attribute:a == b and (attribute:c exists or not attribute:d in [e])", true),
            ("attribute:a == b and runningTasksCount == 0", false),
            ("task:group == x", false),
        ];
        for (text, expected) in table {
            assert_eq!(Query::parse(text).unwrap().looks_at_attributes_only(), expected, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_parsed_or_refused_inside_it(
            text in prop_oneof![
                "\\PC{0,40}",
                prop::collection::vec(
                    prop::sample::select(vec![
                        "attribute:a", "task:group", "agentVersion", "registeredAt", "runningTasksCount", "==", "!in",
                        "=~", "!exists", "in", "[", "]", ",", "(", ")", "not", "!", "and", "||", "x", "'y z'", "\"",
                        "1.2", "2018-02-13", "g2.*", "(?i)x", "*", " ", "\t", "é",
                    ]),
                    0..14,
                ).prop_map(|parts| parts.join(" ")),
            ]
        ) {
            let fleet = fleet();
            match Query::parse(&text) {
                Ok(query) => {
                    prop_assert_eq!(query.text(), &text);
                    let again: Query = query.to_string().parse().expect("what parsed once parses again");
                    for host in fleet.cluster.instances() {
                        prop_assert_eq!(query.matches(host, &fleet.cluster), again.matches(host, &fleet.cluster));
                    }
                }
                Err(error) => {
                    prop_assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "{}", error);
                    prop_assert!(!error.expected.is_empty() && !error.found.is_empty());
                }
            }
        }
    }
}
