//! The file as a tree of values that know their place, before anybody asks what they mean.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::diagnostic::{Problem, Reading, code};
use super::source::{Place, SourceId};
use super::syntax;

/// A scenario larger than this is refused unread: nobody writes 16 MiB of scenario; traces have files of their own.
const MAX_BYTES: usize = 16 << 20;

/// A value of the file, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// What a YAML node can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map, with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// An empty map at a place.
    pub(crate) fn empty_map(place: Place) -> Self {
        Self { value: Value::Map(Vec::new()), place }
    }

    /// The value under `key`, when this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text, when this is a text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Null, or an empty list or map: as good as absent.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// The size of its content as JSON without spaces, `behaviour` left out: that is none of AWS's.
    pub(crate) fn json_bytes(&self) -> usize {
        let between = |parts: usize| parts.saturating_sub(1);
        match &self.value {
            Value::Text(text) => format!("{text:?}").len(),
            Value::List(items) => 2 + between(items.len()) + items.iter().map(Self::json_bytes).sum::<usize>(),
            Value::Map(entries) => {
                let sent = || entries.iter().filter(|entry| entry.key != "behaviour");
                let fields: usize = sent().map(|entry| entry.key.len() + 3 + entry.value.json_bytes()).sum();
                2 + between(sent().count()) + fields
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => self.compact().len(),
        }
    }

    /// Its content on one line, to compare it by: places and layout do not count.
    pub(crate) fn compact(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(", ");
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", joined(items.iter().map(Self::compact).collect())),
            Value::Map(entries) => {
                let entry = |entry: &Entry| format!("{:?}: {}", entry.key, entry.value.compact());
                format!("{{{}}}", joined(entries.iter().map(entry).collect()))
            }
        }
    }

    /// What it is, in words, with scalars quoted.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the switch {value}"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) if text.chars().count() > 40 => {
                format!("the text \"{}…\"", text.chars().take(40).collect::<String>())
            }
            Value::Text(text) => format!("the text \"{text}\""),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// Parses the text of a source, YAML or JSON.
///
/// Reports and returns `None` when it is neither, when it is too large, nested deeper than 32 levels, or when its
/// aliases expand beyond all measure. An empty text is an empty map.
pub(crate) fn parse(source: SourceId, reading: &mut Reading) -> Option<Node> {
    let text = std::sync::Arc::clone(&reading.sources.get(source).text);
    let start = Place { source, start: 0, len: text.chars().next().map_or(0, char::len_utf8) };
    if text.len() > MAX_BYTES {
        reading.report(
            Problem::new(code::SYNTAX, start, format!("{} MiB is too much for a scenario", text.len() >> 20))
                .label("this is not read at all")
                .help(format!("at most {} MiB; long series belong in a trace file", MAX_BYTES >> 20)),
        );
        return None;
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        // Reading calls itself level by level, and has to fit into the stack of any thread.
        budget: serde_saphyr::budget! { max_depth: 32 },
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    };
    match serde_saphyr::from_str_with_options::<Spanned<RawNode>>(&text, options) {
        Ok(raw) => {
            let node = raw_to_node(raw, source);
            Some(if node.value == Value::Null { Node::empty_map(node.place) } else { node })
        }
        Err(error) => {
            let place = error.location().and_then(|at| byte_place(&text, source, &at)).unwrap_or(start);
            let message = error.to_string();
            // The place is shown by the caret.
            let message = message.split(" at line ").next().unwrap_or(&message);
            reading.report(syntax::explain(message, &text, source, place.start));
            None
        }
    }
}

fn byte_place(text: &str, source: SourceId, at: &serde_saphyr::Location) -> Option<Place> {
    let span = at.span();
    if let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len()) {
        let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
        return Some(Place { source, start, len: len.max(1) });
    }
    let line_start: usize =
        text.split_inclusive('\n').take(usize::try_from(at.line()).ok()?.checked_sub(1)?).map(str::len).sum();
    let column = usize::try_from(at.column()).ok()?.checked_sub(1)?;
    let within: usize = text.get(line_start..)?.chars().take(column).map(char::len_utf8).sum();
    Some(Place { source, start: line_start + within, len: 1 })
}

fn raw_to_node(raw: Spanned<RawNode>, source: SourceId) -> Node {
    // An alias is shown where it is defined: that is the text to be corrected.
    let span = raw.defined.span();
    let place = place_of(span, source);
    let value = match raw.value {
        RawNode::Scalar(value) => value,
        RawNode::List(items) => Value::List(items.into_iter().map(|item| raw_to_node(item, source)).collect()),
        RawNode::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_place: place_of(key.defined.span(), source),
                    key: key.value,
                    value: raw_to_node(value, source),
                })
                .collect(),
        ),
    };
    Node { value, place }
}

fn place_of(span: serde_saphyr::Span, source: SourceId) -> Place {
    let start = span.byte_offset().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
    let len = span.byte_len().and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
    Place { source, start, len: len.max(1) }
}

/// The tree as the parser gives it; depth and size are bounded by the parser's budget.
enum RawNode {
    Scalar(Value),
    List(Vec<Spanned<RawNode>>),
    Map(Vec<(Spanned<String>, Spanned<RawNode>)>),
}

impl<'de> Deserialize<'de> for RawNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawNode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawNode, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer)))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawNode, E> {
        Ok(RawNode::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<RawNode, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(RawNode::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RawNode, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(RawNode::Map(entries))
    }
}
