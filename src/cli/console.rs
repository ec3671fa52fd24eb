//! Talk with the user: warnings and errors on stderr, progress bars, colour where it is welcome.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize;

use crate::cli::{ColorChoice, Globals};
use crate::engine::time::SimTime;
use crate::report::format::span;
use crate::scenario::Diagnostics;

/// The one place that writes to stderr.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    globals: Globals,
    color_stdout: bool,
    color_stderr: bool,
}

impl Console {
    /// A console as the global options say.
    pub fn new(globals: Globals) -> Self {
        let wanted = |terminal: bool| match globals.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            // https://no-color.org: any non-empty value counts.
            ColorChoice::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self {
            globals,
            color_stdout: wanted(std::io::stdout().is_terminal()),
            color_stderr: wanted(std::io::stderr().is_terminal()),
        }
    }

    /// Whether stdout shall be JSON.
    pub fn json(&self) -> bool {
        self.globals.json
    }

    /// Whether nothing but errors is welcome.
    pub fn quiet(&self) -> bool {
        self.globals.quiet
    }

    /// Whether stdout may be coloured.
    pub fn color(&self) -> bool {
        self.color_stdout
    }

    /// Whether stderr may be coloured.
    pub fn color_stderr(&self) -> bool {
        self.color_stderr
    }

    /// A line for the user, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.globals.quiet {
            line(text);
        }
    }

    /// A warning, unless quiet.
    pub fn warn(&self, text: &str) {
        if self.globals.quiet {
            return;
        }
        if self.color_stderr {
            line(&format!("{}: {text}", "warning".yellow().bold()));
        } else {
            line(&format!("warning: {text}"));
        }
    }

    /// An error with its causes.
    pub fn error(&self, error: &anyhow::Error) {
        // A scenario's diagnostics bring their own headline and places.
        if let Some(diagnostics) = error.downcast_ref::<Diagnostics>() {
            self.diagnostics_always(diagnostics);
            return;
        }
        let text = told(error);
        if self.color_stderr {
            line(&format!("{}: {text}", "error".red().bold()));
        } else {
            line(&format!("error: {text}"));
        }
    }

    /// A scenario's warnings, unless quiet.
    pub fn diagnostics(&self, diagnostics: &Diagnostics) {
        if !self.globals.quiet && !diagnostics.findings().is_empty() {
            self.diagnostics_always(diagnostics);
        }
    }

    /// What is wrong with a scenario.
    pub fn diagnostics_always(&self, diagnostics: &Diagnostics) {
        line(diagnostics.render(self.color_stderr).trim_end());
    }

    /// A console that says errors only.
    pub fn silent(&self) -> Self {
        Self { globals: Globals { quiet: true, ..self.globals }, ..*self }
    }

    /// Data on stdout, with a line's end.
    pub fn print(&self, text: &str) -> anyhow::Result<()> {
        writeln!(std::io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Text on stdout as it is, unless quiet.
    pub fn print_unless_quiet(&self, text: &str) -> anyhow::Result<()> {
        if !self.globals.quiet {
            write!(std::io::stdout().lock(), "{text}")?;
        }
        Ok(())
    }

    /// A progress bar over so many seconds of virtual time; hidden when stderr is no terminal.
    pub fn progress(&self, seconds: u64) -> Progress {
        let bar = ProgressBar::new(seconds.max(1));
        if self.globals.quiet || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{spinner} {bar:32} {percent:>3} %  {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Progress { bar, console: *self }
    }
}

/// How often a study says on a stderr that is no terminal, such as the log of a batch job, how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(30);

impl Console {
    /// Progress over so many runs: a bar with rate and time left on a terminal, a line now and then elsewhere.
    pub fn runs(&self, runs: u64) -> RunsProgress {
        let bar = ProgressBar::new(runs.max(1));
        let terminal = std::io::stderr().is_terminal();
        if self.globals.quiet || !terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{spinner} {bar:32} {pos}/{len} runs  {per_sec}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        let told = (!terminal && !self.globals.quiet).then(|| Arc::new(Mutex::new(Instant::now())));
        RunsProgress { bar, console: *self, started: Instant::now(), told }
    }
}

/// A bar that advances run by run.
#[derive(Clone, Debug)]
pub struct RunsProgress {
    bar: ProgressBar,
    console: Console,
    started: Instant,
    /// When the last line was said, where lines are.
    told: Option<Arc<Mutex<Instant>>>,
}

impl RunsProgress {
    /// More runs will follow.
    pub fn expect(&self, runs: u64) {
        self.bar.inc_length(runs);
    }

    /// One run is done.
    pub fn done(&self) {
        self.bar.inc(1);
        let Some(mut told) = self.told.as_ref().and_then(|told| told.try_lock().ok()) else { return };
        if told.elapsed() >= TOLD_EVERY {
            *told = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            self.console.say(&how_far(done, all, self.started.elapsed()));
        }
    }

    /// A warning while the bar is there, unless quiet.
    pub fn warn(&self, text: &str) {
        self.bar.suspend(|| self.console.warn(text));
    }

    /// Done: the bar goes.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// `12 of 40 runs, 3.0/s, 9 s left`.
fn how_far(done: u64, all: u64, since: Duration) -> String {
    let rate = done as f64 / since.as_secs_f64().max(1e-9);
    let left = all.saturating_sub(done) as f64 / rate.max(1e-9);
    format!("{done} of {all} runs, {rate:.1}/s, {} left", span(left))
}

/// An error and its causes, each said once: a message that quotes its cause is followed by that cause in the chain.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

// A closed stderr is no reason to fail.
fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A bar that advances in virtual time.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    console: Console,
}

impl Progress {
    /// A function for one replication that moves the bar as virtual time passes.
    pub fn follow(&self) -> impl FnMut(SimTime) + use<> {
        let bar = self.bar.clone();
        let mut seen = 0;
        move |now: SimTime| {
            let secs = now.as_nanos() / 1_000_000_000;
            bar.inc(secs - seen);
            seen = secs;
        }
    }

    /// What is being done.
    pub fn message(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// So many seconds of virtual time more will follow.
    pub fn expect(&self, seconds: u64) {
        self.bar.inc_length(seconds);
    }

    /// A warning while the bar is there, unless quiet.
    pub fn warn(&self, text: &str) {
        self.bar.suspend(|| self.console.warn(text));
    }

    /// Done: the bar goes.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_log_reads_how_far_a_study_is() {
        assert_eq!(how_far(12, 40, Duration::from_secs(4)), "12 of 40 runs, 3.0/s, 9.33 s left");
    }

    #[test]
    fn a_cause_that_a_message_quotes_is_said_once() {
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let quoting = crate::report::OutputError::Io { action: "create", path: "out".into(), source: missing() };
        assert_eq!(told(&quoting.into()), "cannot create `out`: entity not found");
        let wrapped = Err::<(), _>(missing()).context("cannot start").unwrap_err();
        assert_eq!(told(&wrapped), "cannot start: entity not found");
    }
}
