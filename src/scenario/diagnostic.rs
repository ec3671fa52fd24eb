//! What is wrong with a scenario, and where: collected while it is read, shown all at once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, Severity};

use super::excerpt::{CONTEXT, Excerpt};
use super::source::{Place, Source, Sources};
use crate::catalog::InstanceType;
use crate::refused::Refused;

/// Codes of diagnostics: the kind of mistake, for scripts and for looking it up.
pub mod code {
    /// Not YAML, or beyond what a scenario may be in size and depth.
    pub const SYNTAX: &str = "ecsim::syntax";
    /// A file could not be read.
    pub const FILE: &str = "ecsim::file";
    /// Files that include each other.
    pub const INCLUDE_CYCLE: &str = "ecsim::include_cycle";
    /// A path of `--set` or of a variant leads nowhere.
    pub const UNKNOWN_PATH: &str = "ecsim::unknown_path";
    /// No variant of that name.
    pub const UNKNOWN_VARIANT: &str = "ecsim::unknown_variant";
    /// A key that neither AWS nor ecsim knows.
    pub const UNKNOWN_KEY: &str = "ecsim::unknown_key";
    /// A key that must be there and is not.
    pub const MISSING_KEY: &str = "ecsim::missing_key";
    /// A value of the wrong type.
    pub const WRONG_TYPE: &str = "ecsim::wrong_type";
    /// A word that is not one of those allowed.
    pub const UNKNOWN_VALUE: &str = "ecsim::unknown_value";
    /// A bare number where a unit is needed.
    pub const MISSING_UNIT: &str = "ecsim::missing_unit";
    /// A number out of its bounds, or not finite.
    pub const OUT_OF_RANGE: &str = "ecsim::out_of_range";
    /// A well-typed value that makes no sense.
    pub const INVALID: &str = "ecsim::invalid";
    /// Two entries of one name.
    pub const DUPLICATE: &str = "ecsim::duplicate";
    /// A name that names nothing.
    pub const UNKNOWN_NAME: &str = "ecsim::unknown_name";
    /// AWS would refuse it.
    pub const AWS_REFUSES: &str = "ecsim::aws_refuses";
    /// ecsim does not model it, and it would change the result.
    pub const NOT_MODELLED: &str = "ecsim::not_modelled";
    /// ecsim does not model it; the result is the same or nearly so.
    pub const IGNORED: &str = "ecsim::ignored";
    /// A trace that cannot be read or makes no sense.
    pub const TRACE: &str = "ecsim::trace";
    /// Legal, and most likely not what was meant.
    pub const SUSPICIOUS: &str = "ecsim::suspicious";
}

/// AWS's answer to a call that it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsRefusal {
    /// AWS's error code.
    pub(crate) code: &'static str,
    /// The rule of the specification.
    pub(crate) rule: &'static str,
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) warning: bool,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) place: Option<Place>,
    /// What the caret says.
    pub(crate) label: String,
    /// A second place that explains the first.
    pub(crate) also: Option<(Place, String)>,
    /// Set when it is AWS that refuses, not ecsim.
    pub(crate) refusal: Option<AwsRefusal>,
    /// Keys that the map at `place` lacks; see [`Reading::misspelt`].
    wanted: Vec<&'static str>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            warning: false,
            message: message.into(),
            help: None,
            place: Some(place),
            label: "here".to_owned(),
            also: None,
            refusal: None,
            wanted: Vec::new(),
        }
    }

    /// A mistake that has no place in a file: the file itself cannot be read.
    pub(crate) fn nowhere(code: &'static str, message: impl Into<String>) -> Self {
        Self { place: None, ..Self::new(code, Place::default(), message) }
    }

    /// AWS's own refusal, with its error code and the rule that knows it.
    pub(crate) fn aws(code: &'static str, rule: &'static str, place: Place, message: impl Into<String>) -> Self {
        let mut problem = Self::new(code::AWS_REFUSES, place, message);
        problem.label = format!("{code} ({rule})");
        problem.refusal = Some(AwsRefusal { code, rule });
        problem
    }

    /// A refusal that a rule of the model pronounced.
    pub(crate) fn refused(refused: Refused, place: Place) -> Self {
        Self::aws(refused.code, refused.rule, place, refused.message)
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The nearest of `known`, if one is near, as the hint; otherwise the whole list when it is short.
    pub(crate) fn nearest<'a>(self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(found, &known) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None if known.is_empty() || known.len() > 24 => self,
            None => self.help(format!("known here: {}", known.join(", "))),
        }
    }

    /// A hint for when there is no better one.
    pub(crate) fn help_if_none(mut self, help: &str) -> Self {
        self.help.get_or_insert_with(|| help.to_owned());
        self
    }

    pub(crate) fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also = Some((place, label.into()));
        self
    }

    /// Says that the map at this place lacks `key`: nothing is reported when the key is there and misspelt.
    pub(crate) fn for_want_of(mut self, key: &'static str) -> Self {
        self.wanted.push(key);
        self
    }

    pub(crate) fn into_warning(mut self) -> Self {
        self.warning = true;
        self
    }
}

/// The name of `known` that `found` most likely meant, or none that is near enough: a slip of the keyboard away, or
/// with the same beginning.
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded = found.to_lowercase();
    let slips = (folded.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|name| (name.to_lowercase(), *name))
        .filter(|(name, _)| {
            strsim::damerau_levenshtein(&folded, name) <= slips || strsim::jaro_winkler(&folded, name) >= 0.88
        })
        .max_by(|a, b| strsim::jaro_winkler(&folded, &a.0).total_cmp(&strsim::jaro_winkler(&folded, &b.0)))
        .map(|(_, name)| name)
}

/// The state of reading one scenario: its texts, and what was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) sources: Sources,
    pub(crate) problems: Vec<Problem>,
    warned: BTreeSet<String>,
    misspelt: BTreeSet<(Place, &'static str)>,
    /// Instance types that the scenario describes itself (EC2-5).
    pub(crate) instance_types: Vec<InstanceType>,
}

impl Reading {
    /// Reports a problem, unless it only follows from a key that was reported as misspelt.
    pub(crate) fn report(&mut self, problem: Problem) {
        let follows =
            problem.place.is_some_and(|place| problem.wanted.iter().any(|key| self.misspelt.contains(&(place, *key))));
        if !follows {
            self.problems.push(problem);
        }
    }

    /// An unknown key of the map at `place` most likely means `key`: that it is missing is not said as well.
    pub(crate) fn misspelt(&mut self, place: Place, key: &'static str) {
        self.misspelt.insert((place, key));
    }

    /// Reports a warning unless one about the same `subject` was reported before.
    pub(crate) fn warn_once(&mut self, subject: &str, problem: Problem) {
        if self.warned.insert(subject.to_owned()) {
            self.problems.push(problem.into_warning());
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| !problem.warning)
    }

    /// Ends the reading: everything reported, slips of the keyboard first, for others may follow from them; warnings
    /// last; each kind in the order of the text.
    pub(crate) fn finish(self) -> Diagnostics {
        let sources = self.sources;
        let mut problems = self.problems;
        let slip = |problem: &Problem| matches!(problem.code, code::SYNTAX | code::UNKNOWN_KEY | code::UNKNOWN_PATH);
        problems.sort_by_key(|problem| {
            let place = problem.place.map(|place| (place.source, place.start));
            (problem.warning, !slip(problem), place)
        });
        Diagnostics(problems.into_iter().map(|problem| Finding::new(problem, &sources)).collect())
    }
}

/// Everything found wrong in one scenario, each with its place: misspelt keys, other errors, warnings.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics(Vec<Finding>);

/// One diagnostic, ready to be shown.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The kind of mistake, one of [`code`].
    pub code: &'static str,
    /// Whether the scenario is accepted all the same.
    pub warning: bool,
    /// What is wrong.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
    /// The file as the user named it; empty when the file itself cannot be read.
    pub file: String,
    /// Line from 1, or 0 without a place.
    pub line: usize,
    /// Column from 1, in characters, or 0 without a place.
    pub column: usize,
    text: Option<Arc<Excerpt>>,
    labels: Vec<LabeledSpan>,
}

impl Finding {
    fn new(problem: Problem, sources: &Sources) -> Self {
        let mut hint = problem.help;
        let Some(place) = problem.place else {
            return Self {
                code: problem.code,
                warning: problem.warning,
                message: problem.message,
                hint,
                file: String::new(),
                line: 0,
                column: 0,
                text: None,
                labels: Vec::new(),
            };
        };
        let source: &Source = sources.get(place.source);
        let (line, column) = sources.line_and_column(place);
        let range = |place: Place| place.start..place.start + place.len;
        let other = problem.also.as_ref().map(|(other, _)| *other).filter(|other| other.source == place.source);
        let mut spans = [Some(range(place)), other.map(range)];
        let excerpt = Excerpt::new(&source.name, &source.text, (line - 1, column - 1), &mut spans);
        let [span, other_span] = spans.map(|span| span.map(|span| (span.start, span.len())));
        let mut labels = Vec::new();
        labels.extend(span.map(|span| LabeledSpan::new_primary_with_span(Some(problem.label), span)));
        if let Some((other, label)) = problem.also {
            if let Some(span) = other_span {
                labels.push(LabeledSpan::new_with_span(Some(label), span));
            } else {
                let (line, column) = sources.line_and_column(other);
                let note = format!("{label}: {}:{line}:{column}", sources.get(other.source).name);
                hint = Some(hint.map_or(note.clone(), |hint| format!("{hint} ({note})")));
            }
        }
        Self {
            code: problem.code,
            warning: problem.warning,
            message: problem.message,
            hint,
            file: source.name.clone(),
            line,
            column,
            text: Some(Arc::new(excerpt)),
            labels,
        }
    }
}

impl Diagnostics {
    /// The findings: misspelt keys, other errors, warnings, each kind in the order of the text.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// How many of the findings are errors.
    pub fn error_count(&self) -> usize {
        self.0.iter().filter(|finding| !finding.warning).count()
    }

    /// The findings as text: each with code, message, the lines concerned with a caret, and the hint.
    ///
    /// Without `color` the drawing is the same in plain characters.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false).with_context_lines(CONTEXT);
        let mut text = String::new();
        for finding in &self.0 {
            if !text.is_empty() {
                text.push('\n');
            }
            // A span that miette cannot draw still leaves the message and the place.
            if handler.render_report(&mut text, finding).is_err() {
                text.push_str(&finding.to_string());
                text.push('\n');
            }
        }
        text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Finding {}

impl Diagnostic for Finding {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(if self.warning { Severity::Warning } else { Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.text.as_deref().map(|text| text as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if finding.line > 0 {
                write!(f, "{}:{}:{}: ", finding.file, finding.line, finding.column)?;
            }
            write!(f, "{}", finding.message)?;
            if let Some(hint) = &finding.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
