//! The simulation loop: a model, its future event list, a stopping rule.
//!
//! A [`Model`] handles one event at a time and speaks to the future only through the [`Schedule`] it is handed. Events
//! are handled in order of (time, class, sequence): those of one instant by [`Class`], those of one class in the order
//! in which they were scheduled. An event scheduled for the present instant is handled at that instant, after the
//! present event, even when its class is lower.

use super::calendar::{Calendar, Class, EventKey};
use super::time::{SimDuration, SimTime};

/// Something that happens at one instant.
pub trait Event {
    /// The rank among events of the same instant.
    fn class(&self) -> Class;
}

/// What is simulated: state, and how it reacts to events.
pub trait Model {
    /// Everything that can happen to it.
    type Event: Event;

    /// Reacts to `event`, which happens at `schedule.now()`.
    fn handle(&mut self, event: Self::Event, schedule: &mut Schedule<Self::Event>);
}

/// The clock and the future, as a handler sees them.
#[derive(Clone, Debug)]
pub struct Schedule<E> {
    now: SimTime,
    calendar: Calendar<E>,
    stopped: bool,
}

impl<E: Event> Default for Schedule<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Event> Schedule<E> {
    /// Time zero, nothing to come.
    pub fn new() -> Self {
        Self { now: SimTime::ZERO, calendar: Calendar::new(), stopped: false }
    }

    /// The present instant.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Schedules `event` for the instant `time`.
    ///
    /// # Panics
    ///
    /// In debug builds, when `time` has passed: a bug in the model. Release builds take the present instant instead,
    /// so that the clock never runs backwards.
    pub fn at(&mut self, time: SimTime, event: E) -> EventKey {
        debug_assert!(time >= self.now, "an event is scheduled for {time:?}, which is before {:?}", self.now);
        self.calendar.schedule(time.max(self.now), event.class(), event)
    }

    /// Schedules `event` for `delay` from now; a delay past the end of time means [`SimTime::MAX`].
    pub fn after(&mut self, delay: SimDuration, event: E) -> EventKey {
        self.calendar.schedule(self.now.saturating_add(delay), event.class(), event)
    }

    /// Takes an event back; `None` if it has happened or was cancelled before.
    pub fn cancel(&mut self, key: EventKey) -> Option<E> {
        self.calendar.cancel(key)
    }

    /// True if the event of `key` is still to come.
    pub fn is_pending(&self, key: EventKey) -> bool {
        self.calendar.contains(key)
    }

    /// Events still to come.
    pub fn pending(&self) -> usize {
        self.calendar.len()
    }

    /// Ends the run after the present event. A later run goes on from there.
    pub fn stop(&mut self) {
        self.stopped = true;
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The end was reached, with events still to come.
    Finished,
    /// A handler called [`Schedule::stop`].
    Stopped,
    /// No event is left.
    Exhausted,
}

/// Watches a run from outside: an event log, a check of invariants. Both hooks do nothing unless overridden.
pub trait Observer<M: Model> {
    /// `event` is about to be handled.
    fn before(&mut self, model: &M, now: SimTime, event: &M::Event) {
        let _ = (model, now, event);
    }

    /// The event was handled.
    fn after(&mut self, model: &M, now: SimTime) {
        let _ = (model, now);
    }
}

/// Nobody watches; compiles to nothing.
impl<M: Model> Observer<M> for () {}

/// A model on its way through time.
#[derive(Clone, Debug)]
pub struct Simulation<M: Model> {
    model: M,
    schedule: Schedule<M::Event>,
    events_handled: u64,
}

impl<M: Model> Simulation<M> {
    /// `model` at time zero, nothing scheduled.
    pub fn new(model: M) -> Self {
        Self { model, schedule: Schedule::new(), events_handled: 0 }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model, to be changed between events.
    pub fn model_mut(&mut self) -> &mut M {
        &mut self.model
    }

    /// The model, for good.
    pub fn into_model(self) -> M {
        self.model
    }

    /// The clock and the future: the first events are scheduled here.
    pub fn schedule(&mut self) -> &mut Schedule<M::Event> {
        &mut self.schedule
    }

    /// The model and the schedule together, for a model that schedules its own first events.
    pub fn parts_mut(&mut self) -> (&mut M, &mut Schedule<M::Event>) {
        (&mut self.model, &mut self.schedule)
    }

    /// The present instant.
    pub fn now(&self) -> SimTime {
        self.schedule.now
    }

    /// Events handled so far.
    pub fn events_handled(&self) -> u64 {
        self.events_handled
    }

    /// Handles the next event, whenever it is; false if there is none.
    pub fn step(&mut self) -> bool {
        self.step_with(&mut ())
    }

    /// As [`Simulation::step`], watched.
    pub fn step_with(&mut self, observer: &mut impl Observer<M>) -> bool {
        let Some((time, event)) = self.schedule.calendar.pop() else { return false };
        self.schedule.now = time;
        self.events_handled += 1;
        observer.before(&self.model, time, &event);
        self.model.handle(event, &mut self.schedule);
        observer.after(&self.model, time);
        true
    }

    /// Handles events in [now, end); those of the instant `end` itself are left for a later run.
    ///
    /// The interval is half open so that runs join without overlap: `[0, 1h)` then `[1h, 2h)` is `[0, 2h)`, and a
    /// period of length T counts exactly T. The clock ends at `end`, unless a handler stopped the run: then it stays at
    /// the instant of that event. An `end` that has passed handles nothing and leaves the clock alone.
    pub fn run_until(&mut self, end: SimTime) -> Outcome {
        self.run_until_with(end, &mut ())
    }

    /// As [`Simulation::run_until`], watched.
    pub fn run_until_with(&mut self, end: SimTime, observer: &mut impl Observer<M>) -> Outcome {
        self.schedule.stopped = false;
        while self.schedule.calendar.peek_time().is_some_and(|time| time < end) {
            self.step_with(observer);
            if self.schedule.stopped {
                return Outcome::Stopped;
            }
        }
        self.schedule.now = self.schedule.now.max(end);
        if self.schedule.calendar.is_empty() { Outcome::Exhausted } else { Outcome::Finished }
    }

    /// Handles events until none is left or a handler stops the run; the clock stays at the last event.
    pub fn run(&mut self) -> Outcome {
        self.schedule.stopped = false;
        while self.step() {
            if self.schedule.stopped {
                return Outcome::Stopped;
            }
        }
        Outcome::Exhausted
    }
}
