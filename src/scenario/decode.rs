//! From the tree to typed inputs: one declaration gives the reader, the check of keys and the JSON Schema.
//!
//! Reading goes on after a mistake, so that all of a file's mistakes are reported at once.

use std::ops::Deref;

use serde_json::{Map, Value as Json, json};

use super::diagnostic::{Problem, Reading, code, nearest};
use super::source::Place;
use super::tree::{Entry, Node, Value};

/// A type that a node of the file can be read as.
pub(crate) trait Decode: Sized {
    /// Reads `node`; reports what is wrong with it and returns `None` when there is no usable value.
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self>;

    /// The value of a key that is not there; `None` when it must be there.
    fn absent() -> Option<Self> {
        None
    }

    /// Its JSON Schema; objects put themselves into `definitions` and return a reference.
    fn schema(definitions: &mut Map<String, Json>) -> Json;
}

/// A value with its place, for checks that come later.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Decode> Decode for At<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        T::decode(node, reading).map(|value| Self { value, place: node.place })
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        T::schema(definitions)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        if node.value == Value::Null { Some(None) } else { T::decode(node, reading).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({ "anyOf": [T::schema(definitions), { "type": "null" }] })
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        T::decode(node, reading).map(Box::new)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        T::schema(definitions)
    }
}

/// A section of the file: one that cannot be read is reported and then taken as absent, so that the others are checked.
#[derive(Clone, Debug)]
pub(crate) struct Section<T>(T);

impl<T> Deref for Section<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Decode> Decode for Section<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        T::decode(node, reading).or_else(T::absent).map(Self)
    }

    fn absent() -> Option<Self> {
        T::absent().map(Self)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        T::schema(definitions)
    }
}

/// A list may be absent: it is then empty. An entry that cannot be read is reported and left out.
impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        match &node.value {
            Value::List(items) => Some(items.iter().filter_map(|item| T::decode(item, reading)).collect()),
            Value::Null => Some(Vec::new()),
            _ => wrong_type(node, "a list", reading),
        }
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({ "type": "array", "items": T::schema(definitions) })
    }
}

/// A map with keys of the user's own, in file order.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(At<String>, T)>);

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let entries = expect_map(node, "a map", reading)?;
        let read = |entry: &Entry, reading: &mut Reading| {
            let key = At { value: entry.key.clone(), place: entry.key_place };
            T::decode(&entry.value, reading).map(|value| (key, value))
        };
        Some(Self(entries.iter().filter_map(|entry| read(entry, reading)).collect()))
    }

    fn absent() -> Option<Self> {
        Some(Self(Vec::new()))
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(definitions) })
    }
}

impl Decode for bool {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => wrong_type(node, "true or false", reading),
        }
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({ "type": "boolean" })
    }
}

/// Numbers are taken as texts too, as written: versions and environment values often look like numbers.
impl Decode for String {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => Some(reading.sources.text(node.place).to_owned()),
            _ => wrong_type(node, "a text", reading),
        }
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({ "type": ["string", "number"] })
    }
}

impl Decode for f64 {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let value = match node.value {
            Value::Integer(value) => value as f64,
            Value::Float(value) => value,
            _ => return wrong_type(node, "a number", reading),
        };
        if value.is_finite() {
            return Some(value);
        }
        reading.report(Problem::new(code::OUT_OF_RANGE, node.place, "a number must be finite").label("this is not"));
        None
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({ "type": "number" })
    }
}

/// A whole number within the bounds that AWS documents for its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: i64, const MAX: i64>(i64);

/// A whole number that no document bounds.
pub(crate) type Count = Whole<0, 2_147_483_647>;

/// A whole number whose bounds AWS checks with words of its own.
pub(crate) type AnyWhole = Whole<-2_147_483_648, 2_147_483_647>;

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// The number, when it is not negative by its type.
    pub(crate) fn get(self) -> u32 {
        u32::try_from(self.0).unwrap_or(0)
    }

    /// The number.
    pub(crate) fn signed(self) -> i64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> Decode for Whole<MIN, MAX> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let value = match node.value {
            Value::Integer(value) => value,
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => value as i64,
            _ => return wrong_type(node, "a whole number", reading),
        };
        if (MIN..=MAX).contains(&value) {
            return Some(Self(value));
        }
        let bound = if value < MIN {
            format!("Valid Range: Minimum value of {MIN}.")
        } else {
            format!("Valid Range: Maximum value of {MAX}.")
        };
        reading.report(
            Problem::aws("InvalidParameterException", "API", node.place, format!("{value} is out of range. {bound}"))
                .label(format!("{MIN} to {MAX}")),
        );
        None
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A whole number that AWS writes as a text, as the attributes of a queue are; a bare number is taken too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<const MIN: i64, const MAX: i64>(u64);

impl<const MIN: i64, const MAX: i64> Attribute<MIN, MAX> {
    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> Decode for Attribute<MIN, MAX> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let value = match &node.value {
            Value::Text(text) => text.trim().parse::<i64>().ok(),
            Value::Integer(value) => Some(*value),
            _ => None,
        };
        let Some(value) = value else { return wrong_type(node, "a whole number", reading) };
        if !(MIN..=MAX).contains(&value) {
            let message = format!("Invalid value for the attribute: {value} is not between {MIN} and {MAX}.");
            let problem = Problem::aws("InvalidAttributeValue", "API", node.place, message);
            reading.report(problem.label(format!("{MIN} to {MAX}")));
            return None;
        }
        u64::try_from(value).ok().map(Self)
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": MIN, "maximum": MAX },
            { "type": "string", "pattern": "^[0-9]+$" },
        ] })
    }
}

/// A key that AWS knows and whose value does not matter here.
#[derive(Clone, Debug)]
pub(crate) struct Opaque;

impl Decode for Opaque {
    fn decode(_: &Node, _: &mut Reading) -> Option<Self> {
        Some(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self)
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({})
    }
}

/// A node kept as it is, to be read once more is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw(pub(crate) Node);

impl Decode for Raw {
    fn decode(node: &Node, _: &mut Reading) -> Option<Self> {
        Some(Self(node.clone()))
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({})
    }
}

/// A value with all that the file says of it on one line, to tell a change by; an empty list says nothing.
#[derive(Clone, Debug)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) text: String,
}

impl<T: Decode> Decode for Said<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let text = if node.is_empty() { String::new() } else { node.compact() };
        T::decode(node, reading).map(|value| Self { value, text })
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        T::schema(definitions)
    }
}

/// A value with the size of what AWS would be sent of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured<T> {
    pub(crate) value: T,
    pub(crate) bytes: usize,
}

impl<T> Deref for Measured<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Decode> Decode for Measured<T> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        T::decode(node, reading).map(|value| Self { value, bytes: node.json_bytes() })
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        T::schema(definitions)
    }
}

/// Reports that `node` is not what it should be.
pub(crate) fn wrong_type<T>(node: &Node, expected: &str, reading: &mut Reading) -> Option<T> {
    let found = node.describe();
    let mut problem = Problem::new(code::WRONG_TYPE, node.place, format!("expected {expected}, found {found}"))
        .label(format!("not {expected}"));
    if let Value::Text(text) = &node.value {
        if expected.contains("number") && text.trim().parse::<f64>().is_ok() {
            problem = problem.help("a number is written without quotes");
        } else if expected == "true or false" && matches!(text.as_str(), "yes" | "no" | "on" | "off") {
            problem = problem.help("YAML 1.2 writes true and false");
        }
    }
    if expected == "a list" && matches!(node.value, Value::Map(_)) {
        problem = problem.help("begin each entry with `- `");
    }
    reading.report(problem);
    None
}

/// The entries of a map, or a report that it is none.
pub(crate) fn expect_map<'a>(node: &'a Node, expected: &str, reading: &mut Reading) -> Option<&'a [Entry]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        _ => wrong_type(node, expected, reading),
    }
}

/// What is said of a key that is known and not modelled.
pub(crate) struct Unmodelled {
    pub(crate) key: &'static str,
    pub(crate) why: &'static str,
}

/// Checks the keys of the map at `place` against those known: unknown ones are errors, ignored ones warnings, refused
/// ones errors unless their value is empty.
pub(crate) fn check_keys(
    place: Place,
    entries: &[Entry],
    known: &[&'static str],
    ignored: &[Unmodelled],
    refused: &[Unmodelled],
    what: &str,
    reading: &mut Reading,
) {
    for entry in entries {
        let key = entry.key.as_str();
        if known.contains(&key) {
            continue;
        }
        if let Some(note) = ignored.iter().find(|note| note.key == key) {
            if !entry.value.is_empty() {
                reading.warn_once(
                    key,
                    Problem::new(
                        code::IGNORED,
                        entry.key_place,
                        format!("`{key}` is accepted and not modelled: {}", note.why),
                    )
                    .label("without effect on the run"),
                );
            }
        } else if let Some(note) = refused.iter().find(|note| note.key == key) {
            if !entry.value.is_empty() && entry.value.value != Value::Bool(false) {
                reading.report(
                    Problem::new(
                        code::NOT_MODELLED,
                        entry.key_place,
                        format!("`{key}` is not modelled yet: {}", note.why),
                    )
                    .label("would change the result")
                    .help("take it out to run without it"),
                );
            }
        } else {
            let all: Vec<&'static str> = known
                .iter()
                .copied()
                .chain(ignored.iter().map(|note| note.key))
                .chain(refused.iter().map(|note| note.key))
                .collect();
            if let Some(meant) = nearest(key, &all) {
                reading.misspelt(place, meant);
            }
            reading.report(
                Problem::new(code::UNKNOWN_KEY, entry.key_place, format!("{what} has no key `{key}`"))
                    .label("unknown key")
                    .nearest(key, all),
            );
        }
    }
}

/// The value of one field of an object.
pub(crate) fn field<T: Decode>(
    place: Place,
    entries: &[Entry],
    key: &'static str,
    what: &str,
    reading: &mut Reading,
) -> Option<T> {
    match entries.iter().find(|entry| entry.key == key) {
        Some(entry) => T::decode(&entry.value, reading),
        None => T::absent().or_else(|| {
            reading.report(
                Problem::new(code::MISSING_KEY, place, format!("{what} needs `{key}`"))
                    .label(format!("`{key}` is missing"))
                    .for_want_of(key),
            );
            None
        }),
    }
}

/// Whether a field of this type may be left out.
pub(crate) fn may_be_absent<T: Decode>() -> bool {
    T::absent().is_some()
}

/// Declares an object of the file: its fields with their keys and meanings, the keys that AWS knows and ecsim does
/// not model with the reason, split into those ignored with a warning and those refused.
macro_rules! object {
    (
        $(#[doc = $doc:literal])+
        $vis:vis struct $name:ident ($what:literal) {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty = $key:literal,)*
        }
        $(ignored { $($ignored:literal: $ignored_why:literal,)* })?
        $(refused { $($refused:literal: $refused_why:literal,)* })?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        #[allow(dead_code, reason = "fields that are only checked are declared like those that are used")]
        $vis struct $name {
            $vis place: $crate::scenario::source::Place,
            $($(#[doc = $field_doc])* $vis $field: $type,)*
        }

        impl $crate::scenario::decode::Decode for $name {
            fn decode(
                node: &$crate::scenario::tree::Node,
                reading: &mut $crate::scenario::diagnostic::Reading,
            ) -> Option<Self> {
                use $crate::scenario::decode::{Unmodelled, check_keys, expect_map, field};
                const IGNORED: &[Unmodelled] = &[$($(Unmodelled { key: $ignored, why: $ignored_why },)*)?];
                const REFUSED: &[Unmodelled] = &[$($(Unmodelled { key: $refused, why: $refused_why },)*)?];
                let entries = expect_map(node, concat!("a map: ", $what), reading)?;
                check_keys(node.place, entries, &[$($key,)*], IGNORED, REFUSED, $what, reading);
                // Every field is read before any is required, so that one mistake does not hide another.
                $(let $field = field(node.place, entries, $key, $what, reading);)*
                Some(Self { place: node.place, $($field: $field?,)* })
            }

            fn schema(definitions: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
                let name = stringify!($name);
                if !definitions.contains_key(name) {
                    let description = $crate::scenario::decode::prose(&[$($doc),+]);
                    definitions.insert(name.to_owned(), serde_json::Value::Null);
                    #[allow(unused_mut, reason = "an object may have no keys of one kind")]
                    let mut properties = serde_json::Map::new();
                    #[allow(unused_mut, reason = "an object may have no keys of one kind")]
                    let mut required: Vec<&str> = Vec::new();
                    $(
                        let schema = <$type as $crate::scenario::decode::Decode>::schema(definitions);
                        properties.insert($key.to_owned(), $crate::scenario::decode::described(schema, &[$($field_doc),*]));
                        if !$crate::scenario::decode::may_be_absent::<$type>() {
                            required.push($key);
                        }
                    )*
                    $($(
                        let why = concat!("Accepted and not modelled: ", $ignored_why, ".");
                        properties.insert($ignored.to_owned(), serde_json::json!({ "description": why }));
                    )*)?
                    definitions.insert(name.to_owned(), serde_json::json!({
                        "type": "object",
                        "description": description,
                        "properties": properties,
                        "required": required,
                        "additionalProperties": false,
                    }));
                }
                serde_json::json!({ "$ref": format!("#/$defs/{name}") })
            }
        }
    };
}

/// Declares a closed set of words: a type of their own, or with `impl` the words of a type of the model.
macro_rules! keyword {
    ($(#[doc = $doc:literal])+ $vis:vis enum $name:ident { $($(#[doc = $word_doc:literal])* $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[doc = $word_doc])* $variant,)+ }

        $crate::scenario::decode::keyword! { impl $name { $($variant = $word,)+ } }
    };
    (impl $name:ident { $($variant:ident = $word:literal,)+ }) => {
        impl $crate::scenario::decode::Decode for $name {
            fn decode(
                node: &$crate::scenario::tree::Node,
                reading: &mut $crate::scenario::diagnostic::Reading,
            ) -> Option<Self> {
                match node.as_text() {
                    $(Some($word) => Some(Self::$variant),)+
                    _ => $crate::scenario::decode::unknown_word(node, &[$($word),+], reading),
                }
            }

            fn schema(_: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),+] })
            }
        }
    };
}

pub(crate) use {keyword, object};

/// Reports a word that is not one of those allowed.
pub(crate) fn unknown_word<T>(node: &Node, known: &[&str], reading: &mut Reading) -> Option<T> {
    let found = match node.as_text() {
        Some(text) => format!("`{text}`"),
        None => node.describe(),
    };
    let mut problem =
        Problem::new(code::UNKNOWN_VALUE, node.place, format!("{found} is not one of {}", known.join(", ")))
            .label("unknown value");
    if let Some(text) = node.as_text() {
        problem = problem.nearest(text, known.iter().copied());
    }
    reading.report(problem);
    None
}

/// The lines of a doc comment as one text, for people who read no Markdown.
pub(crate) fn prose(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").replace('`', "")
}

/// A schema with the description of the field that has it.
pub(crate) fn described(schema: Json, doc: &[&str]) -> Json {
    let text = prose(doc);
    match schema {
        Json::Object(mut map) if !text.is_empty() => {
            map.insert("description".to_owned(), Json::String(text));
            Json::Object(map)
        }
        schema => schema,
    }
}
