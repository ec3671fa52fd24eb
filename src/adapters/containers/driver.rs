//! The loop of a run with real containers: simulated events wait for the wall clock, and what the engine tells happens at
//! the simulated instant of now.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::crew::{Crew, Told};
use super::engine::ContainerEngine;
use super::labels::RunLabels;
use super::measurements::{Measurements, UsageReading};
use super::pacer::Pacer;
use crate::control_plane::Session;
use crate::control_plane::execution::ContainerNews;
use crate::engine::time::SimTime;

/// ECSM-5: a task's use is read about so often, in simulated time.
const READING_SECS: u64 = 20;
/// Readings are no closer than that on the wall, nor further apart.
const READING_RANGE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// How a run with real containers is driven.
#[derive(Clone, Debug)]
pub struct DriveOptions {
    /// How fast the simulated clock goes.
    pub pacer: Pacer,
    /// The most containers at once.
    pub max_containers: usize,
    /// How long, on the wall, an engine that has gone may take to come back.
    pub engine_patience: Duration,
    /// The folder that the containers' logs are written into.
    pub logs: Option<PathBuf>,
}

/// How a run with real containers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has lasted its duration.
    Complete,
    /// Somebody has broken it off.
    Interrupted,
    /// The engine has gone and not come back.
    EngineLost,
}

/// What a run with real containers has left beside its records.
#[derive(Clone, Debug, PartialEq)]
pub struct Driven {
    /// How it ended.
    pub ending: Ending,
    /// What was measured.
    pub measurements: Measurements,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Something else that takes part in a run: real requests to its containers.
///
/// It works on its own and wakes the loop through the [`Notify`] that [`drive`] is given; its turn comes after each round.
pub trait Companion {
    /// Looks at the run at the present instant, and puts in what has happened.
    fn turn(&mut self, session: &mut Session<'_>, clock: &RunClock);
}

/// Nobody else takes part.
impl Companion for () {
    fn turn(&mut self, _: &mut Session<'_>, _: &RunClock) {}
}

/// The clocks of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    begin: Instant,
    pacer: Pacer,
}

impl RunClock {
    /// Both clocks begin now.
    pub fn start(pacer: Pacer) -> Self {
        Self { begin: Instant::now(), pacer }
    }

    /// How they belong together.
    pub const fn pacer(&self) -> Pacer {
        self.pacer
    }

    /// The simulated instant of now.
    pub fn now(&self) -> SimTime {
        self.pacer.simulated(self.begin.elapsed())
    }

    /// When an instant of the simulation is.
    pub fn instant(&self, time: SimTime) -> Instant {
        // Far enough for any run, and within what the system's clock can hold.
        self.begin + self.pacer.wall(time).min(Duration::from_secs(u64::from(u32::MAX)))
    }

    /// The simulated time of an instant.
    pub fn simulated(&self, instant: Instant) -> SimTime {
        self.pacer.simulated(instant.saturating_duration_since(self.begin))
    }
}

/// Drives a session with real containers to its end, or until `interrupted` is ready, and takes everything down.
///
/// `wake` gives the companion a turn.
#[allow(clippy::too_many_arguments, reason = "each is a part of the run of its own, borrowed in its own way")]
pub async fn drive<E: ContainerEngine>(
    engine: Arc<E>,
    run: &RunLabels,
    session: &mut Session<'_>,
    options: &DriveOptions,
    companion: &mut dyn Companion,
    wake: Arc<Notify>,
    interrupted: impl Future<Output = ()>,
    mut progress: impl FnMut(SimTime),
) -> Driven {
    let (mut crew, mut told) = Crew::new(engine, run.clone(), options);
    let clock = RunClock::start(options.pacer);
    let mut driver = Driver { measurements: Measurements::default(), warnings: Vec::new(), lost: None };
    let reading = options.pacer.wall(SimTime::from_secs(READING_SECS)).clamp(READING_RANGE.0, READING_RANGE.1);
    let mut next_reading = Instant::now() + reading;
    let end = clock.instant(session.end());
    let mut interrupted = std::pin::pin!(interrupted);
    let ending = loop {
        session.run_until(clock.now().min(session.end()));
        while let Ok(news) = told.try_recv() {
            driver.hear(news, session);
        }
        handle_the_present(session);
        companion.turn(session, &clock);
        handle_the_present(session);
        for command in session.take_commands() {
            crew.carry_out(command);
        }
        progress(session.now());
        if let Some(reason) = &driver.lost {
            session.lose_engine(&format!("CannotInspectContainerError: {reason}"));
            break Ending::EngineLost;
        }
        if session.now() >= session.end() {
            break Ending::Complete;
        }
        if Instant::now() >= next_reading {
            crew.read_usage();
            next_reading = Instant::now() + reading;
        }
        let due = session.next_time().map_or(end, |time| clock.instant(time)).min(end).min(next_reading);
        tokio::select! {
            biased;
            () = &mut interrupted => break Ending::Interrupted,
            news = told.recv() => {
                if let Some(news) = news {
                    session.run_until(clock.now().min(session.end()));
                    driver.hear(news, session);
                }
            }
            () = wake.notified() => {}
            () = sleep_until(due) => {}
        }
    };
    if ending == Ending::Interrupted {
        session.run_until(clock.now().min(session.end()));
    }
    if ending == Ending::EngineLost {
        crew.give_up().await;
    } else {
        crew.finish().await;
    }
    driver.drain(&mut told, session);
    Driven { ending, measurements: driver.measurements, warnings: driver.warnings }
}

/// Handles what the present instant still holds: what was reported at it.
fn handle_the_present(session: &mut Session<'_>) {
    while session.next_time() == Some(session.now()) {
        session.step();
    }
}

struct Driver {
    measurements: Measurements,
    warnings: Vec<String>,
    lost: Option<String>,
}

impl Driver {
    /// Puts into the session what the crew tells.
    fn hear(&mut self, told: Told, session: &mut Session<'_>) {
        match told {
            Told::Report(report) => session.report(report),
            Told::Usage(report, known) => {
                if let ContainerNews::Usage(usage) = report.news {
                    self.measurements.usage.push(UsageReading {
                        at: session.now(),
                        task_number: known.spec.task_number,
                        definition: known.spec.definition.clone(),
                        container: known.spec.name.clone(),
                        usage,
                    });
                }
                session.report(report);
            }
            Told::Span(span) => self.measurements.spans.push(span),
            Told::Warning(warning) => self.warnings.push(warning),
            Told::EngineGone(reason) => self.lost = Some(reason),
        }
    }

    /// What was told while everything was taken down: of the containers nothing is of interest any more.
    fn drain(&mut self, told: &mut UnboundedReceiver<Told>, session: &mut Session<'_>) {
        while let Ok(news) = told.try_recv() {
            if !matches!(news, Told::Report(_) | Told::Usage(..)) {
                self.hear(news, session);
            }
        }
    }
}
