//! `model: perRequest`: what it adds to `requests`, and what makes no sense there (design, section 3.2).

use super::decode::{At, Whole};
use super::diagnostic::{Problem, Reading, code};
use super::input::RequestsInput;
use super::source::Place;
use crate::control_plane::estate::RequestModel;
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::distribution::Distribution;
use crate::workload::per_request::PerRequest;
use crate::workload::rate::Rate;

/// How long an answer is waited for unless a workload says otherwise.
pub(super) const TIMEOUT: SimDuration = SimDuration::from_secs(30);

/// More requests a second than this are not simulated one by one: an hour of them would take hours.
const MOST: f64 = 1e6;

/// Requests one by one.
pub(super) fn model(input: &RequestsInput, rate: Option<&Rate>, reading: &mut Reading) -> RequestModel {
    check_rate(input, rate, reading);
    check_times(input, reading);
    check_limits(input, reading);
    let ratio = input.failure_ratio.as_ref().map_or(0.0, |ratio| ratio.value);
    if !(0.0..=1.0).contains(&ratio)
        && let Some(at) = &input.failure_ratio
    {
        let message = format!("{} is no share of the requests: between 0 and 1", at.value);
        reading.report(Problem::new(code::OUT_OF_RANGE, at.place, message));
    }
    RequestModel::PerRequest(Box::new(PerRequest {
        concurrency: input.concurrency.as_ref().map(|at| at.value.get()),
        backlog: input.backlog.as_ref().map(|at| at.value.get()),
        retries: input.retries.as_ref().map_or(0, |at| at.value.get()),
        retry_backoff: distribution(input.retry_backoff.as_ref(), PerRequest::RETRY_BACKOFF),
        memory_per_request: input.memory_per_request.as_ref().map_or(0.0, |size| size.value.value),
        memory_leak: input.memory_leak.as_ref().map_or(0.0, |size| size.value.value),
        failure_ratio: ratio,
        on_timeout: input.on_timeout.as_ref().map_or_else(Default::default, |at| at.value),
        clients: input.clients.as_ref().map(|at| at.value.get()),
        requests_per_session: input.requests_per_session.as_ref().map(|given| given.value.distribution.clone()),
        cpu_per_probe: distribution(input.cpu_per_probe.as_ref(), PerRequest::CPU_PER_PROBE),
    }))
}

fn distribution<K>(given: Option<&At<super::quantity::Dist<K>>>, default: f64) -> Distribution {
    given.map_or(Distribution::Constant(default), |given| given.value.distribution.clone())
}

fn check_rate(input: &RequestsInput, rate: Option<&Rate>, reading: &mut Reading) {
    let most = rate.map_or(0.0, |rate| rate.max_over(SimTime::ZERO, SimTime::MAX));
    if most > MOST {
        let message = format!("this rate reaches {most:e} requests a second; at most 1e6 are simulated one by one");
        let problem = Problem::new(code::INVALID, input.rate.0.place, message).label("too many");
        reading.report(problem.help("model: fluid, whose work does not grow with the rate"));
    }
}

fn check_times(input: &RequestsInput, reading: &mut Reading) {
    let cpu = &input.cpu_per_request;
    if cpu.value.distribution.mean() <= 0.0 {
        let problem = Problem::new(code::OUT_OF_RANGE, cpu.place, "a request that takes no CPU never waits for any");
        reading.report(problem.label("no time at all").help("cpuPerRequest: {exponential: {mean: 20ms}}"));
    }
    let timeout = input.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value);
    if let Some(floor) = &input.latency_floor
        && let Distribution::Constant(seconds) = floor.value.distribution
        && seconds >= timeout.as_secs_f64()
    {
        let message =
            format!("no request is answered within its timeout of {timeout}: each takes {seconds} s and CPU besides");
        reading.report(Problem::new(code::INVALID, floor.place, message).label("every request would fail"));
    }
}

/// Limits that contradict each other, or have nothing to limit.
fn check_limits(input: &RequestsInput, reading: &mut Reading) {
    let mut idle = |place: Place, message: &str, help: &str| {
        let problem = Problem::new(code::INVALID, place, message).label("has no effect");
        reading.report(problem.help(help));
    };
    if let (Some(backlog), None) = (&input.backlog, &input.concurrency) {
        let message = "nobody waits in a task that works on any number of requests at once";
        idle(backlog.place, message, "concurrency: 64 says how many it works on");
    }
    let tries = input.retries.as_ref().map_or(0, |at: &At<Whole<0, 100>>| at.value.get());
    if let (Some(backoff), 0) = (&input.retry_backoff, tries) {
        idle(backoff.place, "no client tries again", "retries: 2");
    }
    if let (Some(session), None) = (&input.requests_per_session, &input.clients) {
        let message = "each request is of a client of its own, whose session is over with it";
        idle(session.place, message, "clients: 500 says how many are there at once");
    }
}

/// Keys that only mean something to requests simulated one by one.
pub(super) fn refuse_keys(input: &RequestsInput, reading: &mut Reading) {
    let keys = [
        ("concurrency", input.concurrency.as_ref().map(|at| at.place)),
        ("backlog", input.backlog.as_ref().map(|at| at.place)),
        ("retries", input.retries.as_ref().map(|at| at.place)),
        ("retryBackoff", input.retry_backoff.as_ref().map(|at| at.place)),
        ("memoryPerRequest", input.memory_per_request.as_ref().map(|at| at.place)),
        ("memoryLeakPerRequest", input.memory_leak.as_ref().map(|at| at.place)),
        ("failureRatio", input.failure_ratio.as_ref().map(|at| at.place)),
        ("onTimeout", input.on_timeout.as_ref().map(|at| at.place)),
        ("clients", input.clients.as_ref().map(|at| at.place)),
        ("requestsPerSession", input.requests_per_session.as_ref().map(|at| at.place)),
        ("cpuPerProbe", input.cpu_per_probe.as_ref().map(|at| at.place)),
    ];
    for (key, place) in keys {
        if let Some(place) = place {
            let message = format!("a flow of requests has no `{key}`");
            let problem = Problem::new(code::INVALID, place, message).label("of the other model");
            reading.report(problem.help("model: perRequest simulates each request"));
        }
    }
}
