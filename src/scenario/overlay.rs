//! One tree out of many texts: included files first, then the file itself, the variant, and `--set`.
//!
//! Later texts win: maps are merged key by key; the lists of the sections are joined, an entry of the same name being
//! merged into the earlier one; every other value replaces what was there.

use std::path::{Path, PathBuf};

use super::diagnostic::{Problem, Reading, code};
use super::source::{Place, SourceId};
use super::tree::{Entry, Node, Value, parse};

/// The lists of the file, and the key that names their entries.
pub(crate) const NAMED_LISTS: [(&str, &str); 19] = [
    ("clusters", "clusterName"),
    ("capacityProviders", "name"),
    ("autoScalingGroups", "AutoScalingGroupName"),
    ("taskDefinitions", "family"),
    ("services", "serviceName"),
    ("targetGroups", "Name"),
    ("loadBalancers", "Name"),
    ("scalableTargets", "ResourceId"),
    ("scalingPolicies", "PolicyName"),
    ("asgPolicies", "PolicyName"),
    ("alarms", "AlarmName"),
    ("metrics", "MetricName"),
    ("workloads", "name"),
    ("eventRules", "Name"),
    ("slo", "metric"),
    ("scheduledActions", "ScheduledActionName"),
    ("asgScheduledActions", "ScheduledActionName"),
    ("lifecycleHooks", "LifecycleHookName"),
    ("warmPools", "AutoScalingGroupName"),
];

/// Keys that name an entry of a list further down, in the order they are looked for.
const NAME_KEYS: [&str; 15] = [
    "name",
    "serviceName",
    "clusterName",
    "AutoScalingGroupName",
    "family",
    "Name",
    // Before the resource that they scale, which several of them may share.
    "PolicyName",
    "ScheduledActionName",
    "ResourceId",
    "AlarmName",
    "MetricName",
    "capacityProvider",
    "containerName",
    "Key",
    "metric",
];

/// Reads a file and lays others over it, each with all it includes.
pub(crate) fn read_files(path: &Path, over: &[PathBuf], reading: &mut Reading) -> Option<Node> {
    let mut read = |path: &Path| read_included(path, path.display().to_string(), None, &mut Vec::new(), reading);
    let first = read(path);
    // Every mistake of every file is to be told.
    let others: Vec<Option<Node>> = over.iter().map(|path| read(path)).collect();
    others.into_iter().fold(first, |merged, over| Some(merge(merged?, over?, true)))
}

/// Merges what `node` includes below it; `chain` holds the files being read, outermost first.
pub(crate) fn resolve_includes(
    node: Node,
    folder: &Path,
    chain: &mut Vec<(PathBuf, String)>,
    reading: &mut Reading,
) -> Option<Node> {
    let Some(include) = node.get("include").cloned() else { return Some(node) };
    let files = match include.value {
        Value::List(items) => items,
        Value::Null => Vec::new(),
        _ => vec![include],
    };
    let mut merged: Option<Node> = None;
    let mut complete = true;
    for file in files {
        let Some(name) = file.as_text() else {
            let found = file.describe();
            reading.report(
                Problem::new(code::WRONG_TYPE, file.place, format!("`include` names files, and this is {found}"))
                    .help("include: [base.yaml]"),
            );
            complete = false;
            continue;
        };
        let path = folder.join(name);
        match read_included(&path, path.display().to_string(), Some(file.place), chain, reading) {
            Some(included) => merged = Some(merge_optional(merged, included, true)),
            None => complete = false,
        }
    }
    complete.then(|| merge_optional(merged, node, true))
}

fn read_included(
    path: &Path,
    name: String,
    from: Option<Place>,
    chain: &mut Vec<(PathBuf, String)>,
    reading: &mut Reading,
) -> Option<Node> {
    let at = |code, message: String| match from {
        Some(place) => Problem::new(code, place, message),
        None => Problem::nowhere(code, message),
    };
    let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(first) = chain.iter().position(|(earlier, _)| *earlier == identity) {
        let mut names: Vec<&str> = chain[first..].iter().map(|(_, name)| name.as_str()).collect();
        names.push(&name);
        let problem = at(code::INCLUDE_CYCLE, format!("files include each other: {}", names.join(" → ")));
        reading.report(problem.help("move what both need into a third file"));
        return None;
    }
    let text = match read_text(path) {
        Ok(text) => text,
        Err(why) => {
            let mut problem = at(code::FILE, format!("cannot read {name}: {why}"));
            if from.is_some() {
                problem = problem.help("paths start from the folder of the file they are written in");
            }
            reading.report(problem);
            return None;
        }
    };
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let source = reading.sources.add(name.clone(), text, &folder);
    let node = parse(source, reading)?;
    chain.push((identity, name));
    let node = resolve_includes(node, &folder, chain, reading);
    chain.pop();
    node
}

/// The text of a file, refusing what is no regular file, no text, or much too large before it is all in memory.
fn read_text(path: &Path) -> Result<String, String> {
    const MAX_FILE_BYTES: u64 = 64 << 20;
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if about.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if about.len() > MAX_FILE_BYTES {
        return Err(format!(
            "{} MiB is too much for a scenario; long series belong in a trace file",
            about.len() >> 20
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

fn merge_optional(base: Option<Node>, over: Node, top: bool) -> Node {
    match base {
        Some(base) => merge(base, over, top),
        None => over,
    }
}

/// `over` on top of `base`.
fn merge(base: Node, over: Node, top: bool) -> Node {
    let (base_place, over_place) = (base.place, over.place);
    match (base.value, over.value) {
        (Value::Map(mut base), Value::Map(over)) => {
            for entry in over {
                match base.iter_mut().find(|earlier| earlier.key == entry.key) {
                    Some(earlier) => {
                        let below = std::mem::replace(&mut earlier.value, Node::empty_map(base_place));
                        let name_key = NAMED_LISTS.iter().find(|(list, _)| top && *list == entry.key);
                        earlier.value = match name_key {
                            Some((_, name_key)) => join(below, entry.value, name_key),
                            None => merge(below, entry.value, false),
                        };
                        earlier.key_place = entry.key_place;
                    }
                    None => base.push(entry),
                }
            }
            Node { value: Value::Map(base), place: over_place }
        }
        (_, over) => Node { value: over, place: over_place },
    }
}

/// Two lists of a section, joined by name. A family of task definitions may come twice: that is its next revision, unless the
/// second has no containers, which makes it a change of the one before.
fn join(base: Node, over: Node, name_key: &str) -> Node {
    let place = over.place;
    match (base.value, over.value) {
        (Value::List(mut base), Value::List(over)) => {
            for item in over {
                let name = item.get(name_key).and_then(Node::as_text).map(str::to_owned);
                let same = base
                    .iter_mut()
                    .rev()
                    .find(|earlier| name.is_some() && earlier.get(name_key).and_then(Node::as_text) == name.as_deref());
                match same {
                    Some(earlier) if name_key != "family" || item.get("containerDefinitions").is_none() => {
                        let below = std::mem::replace(earlier, Node::empty_map(place));
                        *earlier = merge(below, item, false);
                    }
                    _ => base.push(item),
                }
            }
            Node { value: Value::List(base), place }
        }
        (Value::List(base), Value::Null) => Node { value: Value::List(base), place },
        (_, over) => Node { value: over, place },
    }
}

/// Applies the `set` of one variant.
pub(crate) fn apply_variant(root: &mut Node, variant: &str, reading: &mut Reading) {
    let variants = root.get("variants").cloned().unwrap_or_else(|| Node::empty_map(root.place));
    let names: Vec<&str> = match &variants.value {
        Value::Map(entries) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    };
    let Some(chosen) = variants.get(variant) else {
        let problem = Problem::new(code::UNKNOWN_VARIANT, variants.place, format!("there is no variant `{variant}`"));
        let problem =
            if names.is_empty() { problem.help("this file has no variants") } else { problem.nearest(variant, names) };
        reading.report(problem);
        return;
    };
    if let Some(Node { value: Value::Map(changes), .. }) = chosen.get("set") {
        for change in changes {
            set_path(root, &change.key, change.key_place, change.value.clone(), reading);
        }
    }
}

/// Applies one `PATH=VALUE` of the command line.
pub(crate) fn apply_set(root: &mut Node, assignment: &str, folder: &Path, reading: &mut Reading) {
    let Some((path, value)) = assignment.split_once('=') else {
        let source = reading.sources.add("--set".to_owned(), assignment.to_owned(), folder);
        reading.report(
            Problem::new(
                code::UNKNOWN_PATH,
                whole(source, reading),
                format!("`{assignment}` sets nothing: it has no `=`"),
            )
            .help("--set services.web.desiredCount=22"),
        );
        return;
    };
    let name = format!("--set {assignment}");
    let path_source = reading.sources.add(name.clone(), path.to_owned(), folder);
    let value_source = reading.sources.add(name, value.to_owned(), folder);
    let Some(node) = parse(value_source, reading) else { return };
    // An empty value is null, which an empty text would not be.
    let node = if value.trim().is_empty() { Node { value: Value::Null, ..node } } else { node };
    set_path(root, path.trim(), whole(path_source, reading), node, reading);
}

fn whole(source: SourceId, reading: &Reading) -> Place {
    Place { source, start: 0, len: reading.sources.get(source).text.len().max(1) }
}

/// Puts `value` at `path`, which walks names; `place` is where the path is written.
fn set_path(root: &mut Node, path: &str, place: Place, value: Node, reading: &mut Reading) {
    if let Err(problem) = descend(root, path, place, value, true) {
        reading.report(*problem);
    }
}

fn descend(node: &mut Node, path: &str, place: Place, value: Node, top: bool) -> Result<(), Box<Problem>> {
    if path.is_empty() {
        *node = value;
        return Ok(());
    }
    let lost = |message: String| Box::new(Problem::new(code::UNKNOWN_PATH, place, message).label("this path"));
    let found = node.describe();
    let (segment, rest) = first_segment(path);
    match &mut node.value {
        Value::List(items) => {
            // Every name of every entry: a scaling policy has its own and that of its resource.
            let names: Vec<(usize, String)> = items
                .iter()
                .enumerate()
                .flat_map(|(index, item)| names_of(item).map(move |name| (index, name.to_owned())))
                .collect();
            let by_name = || {
                let (found, rest) = longest_prefix(path, names.iter().map(|(_, name)| name.as_str()))?;
                Some((names[found].0, rest))
            };
            let Some((index, rest)) = list_index(path, items.len()).or_else(by_name) else {
                let message = format!("no entry of this list is named `{segment}`");
                let known = names.iter().map(|(_, name)| name.as_str()).filter(|name| !name.is_empty());
                return Err(Box::new(lost(message).nearest(segment, known)));
            };
            let len = items.len();
            match items.get_mut(index) {
                Some(item) => descend(item, rest, place, value, false),
                None => Err(lost(format!("this list has {len} entries, counted from 0"))),
            }
        }
        Value::Map(entries) => {
            if let Some((index, rest)) = longest_prefix(path, entries.iter().map(|entry| entry.key.as_str())) {
                return descend(&mut entries[index].value, rest, place, value, false);
            }
            if segment.is_empty() {
                return Err(lost(format!("`{path}` is no path")));
            }
            if !rest.is_empty() && top && NAMED_LISTS.iter().any(|(list, _)| *list == segment) {
                return Err(lost(format!("the scenario has no `{segment}`")));
            }
            // A key that is not there yet is made; whether it may be there is checked with all the others.
            let mut made = Node::empty_map(place);
            descend(&mut made, rest, place, value, false)?;
            entries.push(Entry { key: segment.to_owned(), key_place: place, value: made });
            Ok(())
        }
        Value::Null => {
            *node = Node::empty_map(node.place);
            descend(node, path, place, value, top)
        }
        _ => Err(lost(format!("`{segment}` is looked for in {found}, which has no keys"))),
    }
}

/// The names of an entry of a list, under whichever keys its kind has them.
fn names_of(node: &Node) -> impl Iterator<Item = &str> {
    NAME_KEYS.iter().filter_map(|key| node.get(key).and_then(Node::as_text))
}

/// `[3].rest` or `3.rest`: an index and the rest of the path.
fn list_index(path: &str, len: usize) -> Option<(usize, &str)> {
    let (index, rest) = match path.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => path.split_once('.').unwrap_or((path, "")),
    };
    let index: usize = index.parse().ok()?;
    (index < len || path.starts_with('[')).then(|| (index, rest.strip_prefix('.').unwrap_or(rest)))
}

/// The key that `path` begins with, the longest when several do: keys such as `m5.large` hold dots themselves.
fn longest_prefix<'p, 'k>(path: &'p str, keys: impl Iterator<Item = &'k str>) -> Option<(usize, &'p str)> {
    keys.enumerate()
        .filter(|(_, key)| !key.is_empty())
        .filter_map(|(index, key)| {
            let rest = path.strip_prefix(key)?;
            let rest = if rest.is_empty() || rest.starts_with('[') { rest } else { rest.strip_prefix('.')? };
            Some((key.len(), index, rest))
        })
        .max_by_key(|(len, index, _)| (*len, std::cmp::Reverse(*index)))
        .map(|(_, index, rest)| (index, rest))
}

/// `a.b.c` to `a` and `b.c`; a segment in double quotes may hold dots.
fn first_segment(path: &str) -> (&str, &str) {
    if let Some((segment, rest)) = path.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        return (segment, rest.strip_prefix('.').unwrap_or(rest));
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let rest = &path[end..];
    (&path[..end], rest.strip_prefix('.').unwrap_or(rest))
}
