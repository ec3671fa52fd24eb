//! A custom scheduler that is a program of its own, in any language.
//!
//! It is started once per replication and cluster, and spoken to in JSON lines: each line on its standard input is a
//! [`SchedulingRequest`], and it answers each with one line `{"decisions": [...]}` of [`SchedulingDecision`]s on its
//! standard output. What it writes to standard error is shown as it comes. When its input ends, it shall end.
//!
//! A program that does not answer in time, ends or answers something else is stopped and started anew for the next
//! request; after [`MAX_FAILURES`] failures in a row it is given up, and its tasks wait.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::placement::scheduler::{Scheduler, SchedulerFailure, SchedulingDecision, SchedulingRequest};

/// Failures in a row after which a program is asked no more.
pub const MAX_FAILURES: u32 = 3;

/// How much of a wrong answer is repeated.
const EXCERPT: usize = 80;

/// What to start, and how long to wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalScheduler {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it is started: the folder of the scenario.
    pub folder: PathBuf,
    /// The longest it may take for one answer, by the wall clock.
    pub timeout: Duration,
}

impl ExternalScheduler {
    /// The scheduler of one replication; the program starts with the first request.
    pub fn start(self) -> Box<dyn Scheduler> {
        Box::new(Running { setup: self, process: None, failures: 0 })
    }
}

struct Running {
    setup: ExternalScheduler,
    process: Option<Process>,
    /// In a row.
    failures: u32,
}

struct Process {
    child: Child,
    input: ChildStdin,
    /// Lines of its standard output; ends with it.
    lines: Receiver<std::io::Result<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    decisions: Vec<SchedulingDecision>,
}

impl Scheduler for Running {
    fn schedule(&mut self, request: &SchedulingRequest) -> Result<Vec<SchedulingDecision>, SchedulerFailure> {
        if self.failures >= MAX_FAILURES {
            return Err(SchedulerFailure::GivenUp(self.failures));
        }
        let answer = self.ask(request);
        if answer.is_ok() {
            self.failures = 0;
        } else {
            self.failures += 1;
            // Whatever it still says would answer the wrong question.
            self.process = None;
        }
        answer
    }
}

impl Running {
    fn ask(&mut self, request: &SchedulingRequest) -> Result<Vec<SchedulingDecision>, SchedulerFailure> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Process::start(&self.setup)?),
        };
        let mut line = serde_json::to_string(request).expect("a request has only strings for keys");
        line.push('\n');
        // A program that has ended closes the pipe; why it ended is what its output's end tells.
        let _ = process.input.write_all(line.as_bytes()).and_then(|()| process.input.flush());
        let line = match process.lines.recv_timeout(self.setup.timeout) {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => return Err(SchedulerFailure::Unreadable(error.to_string())),
            Err(RecvTimeoutError::Timeout) => return Err(SchedulerFailure::TimedOut(self.setup.timeout.as_secs())),
            Err(RecvTimeoutError::Disconnected) => return Err(SchedulerFailure::Ended(process.status())),
        };
        serde_json::from_str::<Answer>(&line).map(|answer| answer.decisions).map_err(|error| {
            let start: String = line.chars().take(EXCERPT).collect();
            SchedulerFailure::Unreadable(format!("{error}, in `{start}`"))
        })
    }
}

impl Process {
    fn start(setup: &ExternalScheduler) -> Result<Self, SchedulerFailure> {
        let not_started = |reason: &dyn std::fmt::Display| {
            SchedulerFailure::NotStarted(format!("`{}`: {reason}", setup.command.join(" ")))
        };
        let (program, arguments) = setup.command.split_first().ok_or_else(|| not_started(&"no program is named"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&setup.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| not_started(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(not_started(&"its pipes are missing"));
        };
        let (sender, lines) = channel();
        // A thread of its own, for reading has no time limit; it ends with the program's output.
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, lines })
    }

    /// How it ended, once its output has.
    fn status(&mut self) -> String {
        match self.child.try_wait() {
            Ok(Some(status)) => status.to_string(),
            _ => "it closed its output".to_owned(),
        }
    }
}

impl Drop for Process {
    /// A program that reads its input to the end would end by itself; one that does not is not waited for.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Box<dyn Scheduler> {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        ExternalScheduler { command, folder: ".".into(), timeout: Duration::from_secs(1) }.start()
    }

    #[test]
    fn a_line_is_answered_by_a_line() {
        let mut scheduler =
            shell(r#"while read line; do echo '{"decisions":[{"action":"StopTask","task":"a"}]}'; done"#);
        for _ in 0..3 {
            let answer = scheduler.schedule(&SchedulingRequest::default());
            assert_eq!(answer, Ok(vec![SchedulingDecision::StopTask { task: "a".into(), reason: None }]));
        }
    }

    #[test]
    fn what_goes_wrong_is_said_and_the_program_started_anew() {
        let mut ends = shell("read line; exit 3");
        let first = ends.schedule(&SchedulingRequest::default());
        assert!(matches!(&first, Err(SchedulerFailure::Ended(_))), "{first:?}");
        let mut talks = shell("while read line; do echo hello; done");
        let first = talks.schedule(&SchedulingRequest::default()).unwrap_err().to_string();
        assert!(first.starts_with("not an answer: expected value at line 1 column 1, in `hello`"), "{first}");
        let mut sleeps = shell("sleep 100");
        assert_eq!(sleeps.schedule(&SchedulingRequest::default()), Err(SchedulerFailure::TimedOut(1)));
        // A file tells the second start from the first.
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        let mut recovers = shell(&format!(
            r#"echo >> {path}; if [ $(wc -l < {path}) -lt 2 ]; then exit 1; fi; while read line; do echo '{{"decisions":[]}}'; done"#
        ));
        assert!(recovers.schedule(&SchedulingRequest::default()).is_err());
        assert_eq!(recovers.schedule(&SchedulingRequest::default()), Ok(Vec::new()));
    }

    #[test]
    fn a_program_that_always_fails_is_given_up() {
        let command = vec!["no-such-program-as-this".to_owned()];
        let setup = ExternalScheduler { command, folder: ".".into(), timeout: Duration::from_secs(1) };
        let mut scheduler = setup.start();
        let failures: Vec<String> = (0..=MAX_FAILURES)
            .map(|_| scheduler.schedule(&SchedulingRequest::default()).unwrap_err().to_string())
            .collect();
        assert!(failures[0].starts_with("cannot start: `no-such-program-as-this`: "), "{failures:?}");
        assert_eq!(failures[MAX_FAILURES as usize], "given up after 3 failures in a row");
    }
}
