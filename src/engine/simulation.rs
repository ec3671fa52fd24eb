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

    /// When the next event is.
    pub fn next_time(&self) -> Option<SimTime> {
        self.schedule.calendar.peek_time()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::{Stream, Streams};
    use crate::stats::{Estimate, TimeWeighted, Welford};
    use std::collections::VecDeque;

    /// Writes down what happens.
    #[derive(Default)]
    struct Diary {
        entries: Vec<(u64, &'static str)>,
    }

    #[derive(Clone, Copy)]
    enum Note {
        Plain(&'static str, u8),
        /// Schedules the second for the same instant.
        Leads(&'static str, &'static str),
        Stop,
    }

    impl Event for Note {
        fn class(&self) -> Class {
            match self {
                Self::Plain(_, class) => Class(*class),
                Self::Leads(..) | Self::Stop => Class(1),
            }
        }
    }

    impl Model for Diary {
        type Event = Note;

        fn handle(&mut self, event: Note, schedule: &mut Schedule<Note>) {
            let name = match event {
                Note::Plain(name, _) => name,
                Note::Leads(name, next) => {
                    schedule.after(SimDuration::ZERO, Note::Plain(next, 0));
                    name
                }
                Note::Stop => {
                    schedule.stop();
                    "stop"
                }
            };
            self.entries.push((schedule.now().as_nanos(), name));
        }
    }

    fn diary(notes: &[(u64, Note)]) -> Simulation<Diary> {
        let mut simulation = Simulation::new(Diary::default());
        for &(at, note) in notes {
            simulation.schedule().at(SimTime::from_nanos(at), note);
        }
        simulation
    }

    #[test]
    fn an_event_for_the_present_instant_is_handled_in_it_after_the_present_one() {
        let mut simulation =
            diary(&[(5, Note::Leads("leads", "led")), (5, Note::Plain("last", 2)), (6, Note::Plain("later", 0))]);
        assert_eq!(simulation.run(), Outcome::Exhausted);
        assert_eq!(simulation.model().entries, [(5, "leads"), (5, "led"), (5, "last"), (6, "later")]);
        assert_eq!((simulation.now().as_nanos(), simulation.events_handled()), (6, 4));
    }

    #[test]
    fn a_run_leaves_the_events_of_its_end_for_the_next() {
        let mut simulation = diary(&[(1, Note::Plain("a", 0)), (5, Note::Plain("b", 0)), (7, Note::Plain("c", 0))]);
        assert_eq!(simulation.run_until(SimTime::from_nanos(5)), Outcome::Finished);
        assert_eq!((simulation.model().entries.len(), simulation.now().as_nanos()), (1, 5));
        assert_eq!(simulation.run_until(SimTime::from_nanos(6)), Outcome::Finished);
        assert_eq!(simulation.model().entries, [(1, "a"), (5, "b")]);
        // An end that has passed changes nothing.
        assert_eq!(simulation.run_until(SimTime::from_nanos(2)), Outcome::Finished);
        assert_eq!(simulation.now().as_nanos(), 6);
        assert_eq!(simulation.run_until(SimTime::from_nanos(9)), Outcome::Exhausted);
        assert_eq!((simulation.model().entries.len(), simulation.now().as_nanos()), (3, 9));
    }

    #[test]
    fn a_stopped_run_goes_on_where_it_stopped() {
        let mut simulation = diary(&[(1, Note::Plain("a", 0)), (2, Note::Stop), (2, Note::Plain("b", 2))]);
        assert_eq!(simulation.run_until(SimTime::from_nanos(9)), Outcome::Stopped);
        assert_eq!((simulation.now().as_nanos(), simulation.schedule().pending()), (2, 1));
        assert_eq!(simulation.run_until(SimTime::from_nanos(9)), Outcome::Exhausted);
        assert_eq!(simulation.into_model().entries, [(1, "a"), (2, "stop"), (2, "b")]);
    }

    #[test]
    fn a_cancelled_event_does_not_happen() {
        let mut simulation = diary(&[(1, Note::Plain("a", 0))]);
        let key = simulation.schedule().after(SimDuration::from_nanos(2), Note::Plain("b", 0));
        assert!(simulation.schedule().is_pending(key));
        assert!(matches!(simulation.schedule().cancel(key), Some(Note::Plain("b", 0))));
        assert!(!simulation.schedule().is_pending(key));
        assert!(simulation.step() && !simulation.step());
        assert!(simulation.schedule().cancel(key).is_none());
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "which is before"))]
    fn the_past_is_refused_or_becomes_the_present() {
        let mut simulation = diary(&[]);
        simulation.run_until(SimTime::from_nanos(10));
        simulation.schedule().at(SimTime::from_nanos(3), Note::Plain("late", 0));
        simulation.step();
        assert_eq!(simulation.model().entries, [(10, "late")]);
    }

    #[test]
    fn an_observer_sees_each_event_before_and_the_model_after() {
        #[derive(Default)]
        struct Watch(Vec<(u64, &'static str, usize)>);
        impl Observer<Diary> for Watch {
            fn before(&mut self, model: &Diary, now: SimTime, event: &Note) {
                assert!(matches!(event, Note::Plain("a" | "b", 0)));
                self.0.push((now.as_nanos(), "before", model.entries.len()));
            }
            fn after(&mut self, model: &Diary, now: SimTime) {
                self.0.push((now.as_nanos(), "after", model.entries.len()));
            }
        }
        let mut watch = Watch::default();
        let mut simulation = diary(&[(1, Note::Plain("a", 0)), (4, Note::Plain("b", 0))]);
        simulation.run_until_with(SimTime::from_nanos(9), &mut watch);
        assert_eq!(watch.0, [(1, "before", 0), (1, "after", 1), (4, "before", 1), (4, "after", 2)]);
    }

    /// The M/M/c queue, first come first served: times in seconds, one server's rate is 1.
    struct Queue {
        arrival_rate: f64,
        servers: usize,
        /// No customer comes from this instant on.
        closes: SimTime,
        /// Waits of customers who come before this instant are left out.
        warm_up: SimTime,
        arrivals: Stream,
        services: Stream,
        busy: usize,
        waiting: VecDeque<SimTime>,
        waits: Welford,
        in_system: TimeWeighted,
        arrived: u64,
        /// Sum over customers of the time from arrival to departure, in whole nanoseconds.
        time_in_system: u128,
    }

    enum Customer {
        Arrives,
        Departs { arrived: SimTime },
    }

    impl Event for Customer {
        fn class(&self) -> Class {
            match self {
                Self::Departs { .. } => Class(0),
                Self::Arrives => Class(1),
            }
        }
    }

    fn exponential(stream: &mut Stream, rate: f64) -> SimDuration {
        SimDuration::from_secs_f64(-libm::log(stream.open_uniform()) / rate)
    }

    impl Queue {
        fn simulation(arrival_rate: f64, servers: usize, closes: SimTime, replication: u64) -> Simulation<Self> {
            let streams = Streams::new(2_024, replication);
            let mut simulation = Simulation::new(Self {
                arrival_rate,
                servers,
                closes,
                warm_up: SimTime::from_nanos(closes.as_nanos() / 10),
                arrivals: streams.named("arrivals"),
                services: streams.named("services"),
                busy: 0,
                waiting: VecDeque::new(),
                waits: Welford::new(),
                in_system: TimeWeighted::new(SimTime::ZERO, 0.0),
                arrived: 0,
                time_in_system: 0,
            });
            simulation.schedule().at(SimTime::ZERO, Customer::Arrives);
            simulation
        }

        fn serve(&mut self, arrived: SimTime, schedule: &mut Schedule<Customer>) {
            self.busy += 1;
            if arrived >= self.warm_up {
                self.waits.push((schedule.now() - arrived).as_secs_f64());
            }
            schedule.after(exponential(&mut self.services, 1.0), Customer::Departs { arrived });
        }
    }

    impl Model for Queue {
        type Event = Customer;

        fn handle(&mut self, event: Customer, schedule: &mut Schedule<Customer>) {
            let now = schedule.now();
            match event {
                Customer::Arrives => {
                    let next = now + exponential(&mut self.arrivals, self.arrival_rate);
                    if next < self.closes {
                        schedule.at(next, Customer::Arrives);
                    }
                    self.arrived += 1;
                    self.in_system.add(now, 1.0);
                    if self.busy < self.servers {
                        self.serve(now, schedule);
                    } else {
                        self.waiting.push_back(now);
                    }
                }
                Customer::Departs { arrived } => {
                    self.time_in_system += u128::from((now - arrived).as_nanos());
                    self.in_system.add(now, -1.0);
                    self.busy -= 1;
                    if let Some(next) = self.waiting.pop_front() {
                        self.serve(next, schedule);
                    }
                }
            }
        }
    }

    /// Mean wait before service in M/M/c with service rate 1 (Erlang C; Kleinrock, *Queueing Systems* I, section 3.5).
    fn erlang_c_wait(arrival_rate: f64, servers: usize) -> f64 {
        let mut term = 1.0;
        let mut sum = 0.0;
        for k in 0..servers {
            sum += term;
            term *= arrival_rate / (k + 1) as f64;
        }
        let spare = servers as f64 - arrival_rate;
        let all_busy = term * servers as f64 / spare;
        all_busy / (sum + all_busy) / spare
    }

    fn check_mean_wait(arrival_rate: f64, servers: usize) {
        let means: Vec<f64> = (0..20)
            .map(|replication| {
                let mut simulation = Queue::simulation(arrival_rate, servers, SimTime::from_secs(10_000), replication);
                simulation.run();
                simulation.model().waits.mean().expect("customers came after the warm-up")
            })
            .collect();
        let estimate = Estimate::from_samples(&means).expect("20 replications");
        let expected = erlang_c_wait(arrival_rate, servers);
        let half_width = estimate.half_width.expect("20 replications have an interval");
        assert!(estimate.contains(expected), "{estimate:?} does not hold the formula's {expected}");
        assert!(half_width < 0.1 * expected, "{estimate:?} is too wide to tell");
    }

    #[test]
    fn mean_wait_in_m_m_1_agrees_with_the_formula() {
        assert!((erlang_c_wait(0.8, 1) - 4.0).abs() < 1e-12, "rho / (mu - lambda)");
        check_mean_wait(0.8, 1);
    }

    #[test]
    fn mean_wait_in_m_m_3_agrees_with_the_formula() {
        // Erlang C for a = 2 erlangs on 3 servers is 4/9.
        assert!((erlang_c_wait(2.0, 3) - 4.0 / 9.0).abs() < 1e-12);
        check_mean_wait(2.0, 3);
    }

    /// L = lambda W holds on every path that begins and ends empty, not only on average (Little, 1961; Stidham, 1974).
    #[test]
    fn littles_law_holds_on_each_run() {
        for (arrival_rate, servers) in [(0.8, 1), (2.0, 3), (5.0, 3)] {
            let mut simulation = Queue::simulation(arrival_rate, servers, SimTime::from_secs(5_000), 1);
            assert_eq!(simulation.run(), Outcome::Exhausted);
            let (now, queue) = (simulation.now(), simulation.model());
            assert_eq!((queue.busy, queue.waiting.len(), queue.in_system.value()), (0, 0, 0.0));
            let length = queue.in_system.mean(now);
            let rate = queue.arrived as f64 / now.as_secs_f64();
            let sojourn = queue.time_in_system as f64 / 1e9 / queue.arrived as f64;
            let error = (length / (rate * sojourn) - 1.0).abs();
            assert!(error < 1e-9, "L = {length}, lambda = {rate}, W = {sojourn}");
        }
    }

    #[test]
    fn a_run_cut_in_pieces_is_the_same_run() {
        let end = SimTime::from_secs(2_000);
        let run = |cuts: u64| {
            let mut simulation = Queue::simulation(0.9, 1, end, 0);
            for piece in 1..=cuts {
                simulation.run_until(SimTime::from_nanos(end.as_nanos() / cuts * piece));
            }
            let handled = simulation.events_handled();
            let queue = simulation.into_model();
            (handled, queue.arrived, queue.time_in_system, queue.waits.mean(), queue.in_system.integral(end))
        };
        let whole = run(1);
        assert!(whole.0 > 3_000, "{whole:?}");
        assert_eq!(run(7), run(1_000));
        assert_eq!(run(4), whole);
    }
}
