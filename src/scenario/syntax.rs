//! What is wrong with a text that is no YAML, in the words of those who write it: the parser's own are for programmers,
//! and its places are where it noticed.

use super::diagnostic::{Problem, code};
use super::source::{Place, SourceId};

/// The problem behind the parser's `message`, which it gave at byte `at` of `text`.
pub(crate) fn explain(message: &str, text: &str, source: SourceId, at: usize) -> Problem {
    // The end of the text is no place for a caret: what ends too early is its last character.
    let end = text.trim_end().char_indices().next_back().map_or(0, |(last, _)| last);
    let at = at.min(end);
    let place = |start: usize, len: usize| Place { source, start, len };
    let syntax = |place: Place, message: &str| Problem::new(code::SYNTAX, place, message);
    let says = |part: &str| message.contains(part);
    if (says(" tab") || message.starts_with("tab")) && !says("quot") {
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let tab =
            text[at..].find('\t').map(|found| at + found).or_else(|| text[line..].find('\t').map(|found| line + found));
        return syntax(place(tab.unwrap_or(at), 1), "a tab, where YAML takes spaces only")
            .label("this is a tab")
            .help("indent with spaces");
    }
    if says("multiple YAML documents") {
        let start = text[..at].rfind("\n---").map_or(at, |line_end| line_end + 1);
        return syntax(place(start, 3), "a scenario is one YAML document, and here a second one begins")
            .help("take the line `---` out, or put what follows into a file of its own and `include` it");
    }
    if (says("quoted scalar") || says("unclosed quote"))
        && !says("escape")
        && !says("surrogate")
        && !says("hexadecimal")
        && let Some(quote) = open_quote(text, at)
    {
        return syntax(place(quote, 1), "a quote is opened here and not closed").help("close it on the same line");
    }
    if let Some(open) = message.strip_prefix("unclosed bracket ") {
        let open = open.trim_matches('\'');
        let close = if open == "{" { "}" } else { "]" };
        return syntax(place(at, 1), &format!("`{open}` is opened here and not closed"))
            .help(format!("`{close}` closes it"));
    }
    let (what, help) = if says("did not find expected key") || says("did not find expected '-' indicator") {
        (
            "this line goes neither with the one above nor with the one below",
            "entries of one map or list are indented alike",
        )
    } else if says("simple key expected") || says("simple key is no longer valid") {
        ("a key without its colon", "keys are written `key: value`")
    } else if says("mapping values are not allowed") {
        (
            "a colon in a place where no key can be",
            "a text that holds `: ` is quoted; entries of one map are indented alike",
        )
    } else if says("flow mapping, did not find expected") {
        ("a comma or `}` is missing here", "{key: value, key: value}")
    } else if says("flow sequence, expected") {
        ("a comma or `]` is missing here", "[one, two]")
    } else if says("unknown anchor") {
        ("nothing above has this anchor", "`*name` repeats what is marked `&name` before it")
    } else if says("recursion limit") || says("Depth {") {
        ("nested deeper than any scenario", "at most 32 levels")
    } else if says("budget breached") || says("alias") {
        ("this repeats itself beyond all measure", "an alias, `*name`, stands for all that it repeats")
    } else if let Some(key) = message.strip_prefix("duplicate mapping key: ") {
        let key = key.split([',', ' ']).next().unwrap_or(key);
        let problem = Problem::new(code::DUPLICATE, place(at, key.len()), format!("the key `{key}` is there already"));
        return problem.label("again");
    } else {
        return syntax(place(at, 1), message);
    };
    syntax(place(at, 1), what).help(help)
}

/// The quote that is still open at the end of the last line before `at` that leaves one open.
fn open_quote(text: &str, at: usize) -> Option<usize> {
    let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let mut end = line_end;
    loop {
        let start = text[..end].rfind('\n').map_or(0, |before| before + 1);
        if let Some(quote) = opened_in(&text[start..end]) {
            return Some(start + quote);
        }
        end = start.checked_sub(1)?;
    }
}

/// Where a line opens a quote that it does not close.
fn opened_in(line: &str) -> Option<usize> {
    let mut open: Option<(usize, char)> = None;
    let (mut before, mut escaped) = (' ', false);
    for (at, c) in line.char_indices() {
        match open {
            Some((_, '"')) if escaped => escaped = false,
            Some((_, '"')) if c == '\\' => escaped = true,
            Some((_, quote)) if c == quote => open = None,
            // Elsewhere a quote is a character like any other, as in `it's`.
            None if matches!(c, '"' | '\'') && (before.is_whitespace() || "[{,".contains(before)) => {
                open = Some((at, c));
            }
            None if c == '#' && before.is_whitespace() => return None,
            _ => {}
        }
        before = c;
    }
    open.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::scenario::diagnostic::Reading;
    use crate::scenario::tree::parse;

    /// Message, line, column and hint of what is said of a text that is no YAML.
    fn said(text: &str) -> (String, usize, usize, String) {
        let mut reading = Reading::default();
        let source = reading.sources.add("x.yaml".to_owned(), text.to_owned(), Path::new(""));
        assert!(parse(source, &mut reading).is_none(), "{text:?} is YAML");
        let diagnostics = reading.finish();
        let finding = &diagnostics.findings()[0];
        assert!(diagnostics.render(false).contains(&finding.message.split('\n').next().unwrap()[..10]));
        (finding.message.clone(), finding.line, finding.column, finding.hint.clone().unwrap_or_default())
    }

    #[test]
    fn a_tab_is_shown_where_it_is() {
        for (text, line, column) in
            [("a:\n  - b: web\n\tc: 1\n", 3, 1), ("a:\n\tb: 1\n", 2, 1), ("a:\n  b: 1\n \tc: 2\n", 3, 2)]
        {
            let (message, found_line, found_column, hint) = said(text);
            assert_eq!((found_line, found_column), (line, column), "{text:?}: {message}");
            assert_eq!(hint, "indent with spaces", "{text:?}: {message}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_shown_where_it_opens() {
        for (text, line, column) in [
            ("name: x\nnote: \"unclosed\n", 2, 7),
            ("name: x\nnote: 'unclosed\nnext: it's\n", 2, 7),
            ("a: [\"b\", \"c]\nd: 1\n", 1, 10),
            ("a: \"b\\\"\nd: 1\n", 1, 4),
        ] {
            let (message, found_line, found_column, _) = said(text);
            assert_eq!(message, "a quote is opened here and not closed", "{text:?}");
            assert_eq!((found_line, found_column), (line, column), "{text:?}");
        }
    }

    #[test]
    fn a_second_document_is_shown_where_it_begins() {
        let (message, line, column, hint) = said("name: x\n---\nname: y\n");
        assert_eq!(message, "a scenario is one YAML document, and here a second one begins");
        assert_eq!((line, column), (2, 1));
        assert!(hint.contains("include"), "{hint}");
    }

    #[test]
    fn other_slips_are_said_in_plain_words() {
        let tenfold =
            |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
        let repeating = format!("a0: &a0 [x, x, x, x, x]\n{}", (1..9).map(tenfold).collect::<String>());
        for (text, expected, line) in [
            ("a: {b: 1\n", "`{` is opened here and not closed", 1),
            ("a: {b: 1\nc: 2\n", "a comma or `}` is missing here", 2),
            ("a: [1, 2\n", "`[` is opened here and not closed", 1),
            ("a: 1\n  b: 2\n", "a colon in a place where no key can be", 2),
            ("a:\n    b: 1\n  c: 2\n", "this line goes neither with the one above nor with the one below", 3),
            ("a: 1\nb\nc: 2\n", "a key without its colon", 2),
            ("a: *b\n", "nothing above has this anchor", 1),
            ("a: 1\nb: 2\na: 3\n", "the key `a` is there already", 3),
            (&"[".repeat(1000), "nested deeper than any scenario", 1),
            (&format!("{}1{}", "{a: ".repeat(40), "}".repeat(40)), "nested deeper than any scenario", 1),
            (&repeating, "this repeats itself beyond all measure", 6),
        ] {
            let (message, found, ..) = said(text);
            assert_eq!((message.as_str(), found), (expected, line), "{text:?}");
        }
    }

    #[test]
    fn no_message_is_meant_for_programmers() {
        for text in [
            "a: 1\n---\nb: 2\n",
            "a: 1\na: 2\n",
            "[[[",
            "{{{",
            "a: \"\\q\"\n",
            "%x\n",
            "- a\nb: 1\n",
            "\u{0}",
            "a: !x y\nb",
        ] {
            let (message, ..) = said(text);
            for word in ["from_str", "Policy", "set ", "budget", "serde", " at line "] {
                assert!(!message.contains(word), "{text:?}: {message}");
            }
        }
    }
}
