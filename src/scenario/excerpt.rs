//! What a diagnostic shows of a text: its lines, and of long lines the surroundings of the caret.

use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Lines of more characters than this are cut,
const LONGEST: usize = 160;
/// to this many.
const WIDTH: usize = 120;
/// Of them, those before the caret.
const BEFORE: usize = 60;
/// Lines shown before and after those with a caret.
pub(crate) const CONTEXT: usize = 1;

/// A text to draw carets in. Lines that are much too long have been cut; what is said of line and column holds for the
/// whole text all the same.
#[derive(Debug, Clone)]
pub(crate) struct Excerpt {
    name: String,
    text: Arc<str>,
    /// Line and column of the first caret in the whole text, from 0.
    at: (usize, usize),
}

/// A text with pieces left out.
struct Cut {
    text: String,
    /// What is left: where it was, and where it is now.
    kept: Vec<(Range<usize>, usize)>,
}

impl Excerpt {
    /// The text called `name` around `spans`, of which the first is at line and column `at`; the spans are moved to
    /// where they are in the excerpt. `None` stands for a span that is not shown, far from the first on a long line.
    pub(crate) fn new(name: &str, text: &Arc<str>, at: (usize, usize), spans: &mut [Option<Range<usize>>]) -> Self {
        let excerpt = |text| Self { name: name.to_owned(), text, at };
        let shown: Vec<Range<usize>> = shown_lines(text, spans.iter().flatten());
        if shown.iter().all(|line| text[line.clone()].chars().take(LONGEST + 1).count() <= LONGEST) {
            return excerpt(Arc::clone(text));
        }
        let mut cut = Cut { text: String::new(), kept: Vec::new() };
        let mut done = 0;
        for line in shown {
            cut.keep(text, done..line.start);
            let window = window(
                &text[line.clone()],
                spans
                    .iter()
                    .flatten()
                    .find(|span| line.contains(&span.start))
                    .map_or(0, |span| span.start - line.start),
            );
            let window = line.start + window.start..line.start + window.end;
            if window.start > line.start {
                cut.text.push('…');
            }
            cut.keep(text, window.clone());
            if window.end < line.end {
                cut.text.push('…');
            }
            done = line.end;
        }
        cut.keep(text, done..text.len());
        for span in spans {
            *span = span.take().and_then(|span| cut.place(&span));
        }
        excerpt(cut.text.into())
    }
}

/// The lines with a span and those around them, without their ends, in order.
fn shown_lines<'a>(text: &str, spans: impl Iterator<Item = &'a Range<usize>>) -> Vec<Range<usize>> {
    let end_of = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end);
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let mut lines: Vec<Range<usize>> = Vec::new();
    for span in spans {
        let mut start = floor(span.start);
        for _ in 0..=CONTEXT {
            start = text[..start].rfind('\n').unwrap_or(0);
        }
        let last = span.end.saturating_sub(1).max(span.start).min(text.len());
        let mut line = if text[start..].starts_with('\n') { start + 1 } else { start };
        let mut after = 0;
        while after <= CONTEXT && line <= text.len() {
            let end = end_of(line);
            lines.push(line..end);
            after += usize::from(end >= last);
            line = end + 1;
        }
    }
    lines.sort_by_key(|line| line.start);
    lines.dedup();
    lines
}

/// The part of a line that is shown: all of it, or of a long one [`WIDTH`] characters around byte `anchor`.
fn window(line: &str, anchor: usize) -> Range<usize> {
    let starts: Vec<usize> = line.char_indices().map(|(at, _)| at).chain([line.len()]).collect();
    let len = starts.len() - 1;
    if len <= LONGEST {
        return 0..line.len();
    }
    let caret = starts.partition_point(|start| *start <= anchor) - 1;
    let from = caret.saturating_sub(BEFORE).min(len - WIDTH);
    starts[from]..starts[from + WIDTH]
}

impl Cut {
    fn keep(&mut self, whole: &str, range: Range<usize>) {
        self.kept.push((range.clone(), self.text.len()));
        self.text.push_str(&whole[range]);
    }

    /// Where a span is now: as much of it as is left after its start.
    fn place(&self, span: &Range<usize>) -> Option<Range<usize>> {
        // What ends too early is at the end of the text, which is in no part of it.
        let end = self.kept.last().filter(|(kept, _)| kept.end == span.start);
        let (kept, now) = self.kept.iter().find(|(kept, _)| kept.contains(&span.start)).or(end)?;
        let start = now + (span.start - kept.start);
        Some(start..start + (span.end.min(kept.end).saturating_sub(span.start)))
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = SourceCode::read_span(&*self.text, span, context_lines_before, context_lines_after)?;
        // Without context it is asked where the first caret is.
        let (line, column) = if context_lines_before == 0 { self.at } else { (found.line(), found.column()) };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            line,
            column,
            found.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, spans: &[(usize, usize)]) -> (String, Vec<Option<String>>) {
        let mut spans: Vec<Option<Range<usize>>> = spans.iter().map(|(start, end)| Some(*start..*end)).collect();
        let excerpt = Excerpt::new("x", &text.into(), (0, 0), &mut spans);
        let shown = spans.into_iter().map(|span| span.map(|span| excerpt.text[span].to_owned())).collect();
        (excerpt.text.to_string(), shown)
    }

    #[test]
    fn short_lines_are_shown_whole() {
        let text = "a: 1\nb: 2\nc: 3\n";
        assert_eq!(excerpt(text, &[(5, 6)]), (text.to_owned(), vec![Some("b".to_owned())]));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("a\n{}wrong{}\nb\n", "é".repeat(5000), "y".repeat(5000));
        let at = text.find("wrong").unwrap();
        let (shown, spans) = excerpt(&text, &[(at, at + 5)]);
        assert_eq!(shown, format!("a\n…{}wrong{}…\nb\n", "é".repeat(60), "y".repeat(55)));
        assert_eq!(spans, [Some("wrong".to_owned())]);
    }

    #[test]
    fn a_long_line_beside_the_caret_is_cut_at_its_end() {
        let text = format!("{}\nwrong\n{}", "x".repeat(500), "y".repeat(500));
        let (shown, spans) = excerpt(&text, &[(501, 506)]);
        assert_eq!(shown, format!("{}…\nwrong\n{}…", "x".repeat(120), "y".repeat(120)));
        assert_eq!(spans, [Some("wrong".to_owned())]);
    }

    #[test]
    fn a_second_caret_far_from_the_first_is_left_out() {
        let text = format!("first{}again{}", "-".repeat(500), "-".repeat(500));
        let (shown, spans) = excerpt(&text, &[(505, 510), (0, 5)]);
        assert_eq!(spans, [Some("again".to_owned()), None]);
        assert_eq!(shown.chars().count(), 122);
    }

    #[test]
    fn a_span_that_is_longer_than_the_excerpt_ends_with_it() {
        let (_, spans) = excerpt(&"z".repeat(1000), &[(10, 900)]);
        assert_eq!(spans, [Some("z".repeat(110))]);
    }
}
