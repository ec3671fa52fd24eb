//! The fluid model of a request workload: offered CPU demand, backlog, latency, failures.
//!
//! Requests are a fluid that like tasks drain; a step costs the same whatever the rate. Per step of length dt, with
//! arrival rate λ, CPU time s of a request (vCPU-seconds), capacity C (vCPUs of all healthy tasks) and backlog B:
//!
//! - **Throughput.** At most μ dt = C dt / s requests are served; what is left is backlog: B' = B + λ dt − served.
//! - **Utilisation.** CPU used is served · s, so at most C dt. C is what the tasks could get if they were greedy
//!   ([`cpu_shares`](crate::ecs::cpu_shares)): their hard caps (TD-9), or what their weights and the idle CPU of their
//!   hosts allow, which may be more than they reserve (ECSM-3).
//! - **Latency.** Floor + processor sharing + backlog. The tasks form k queues: one each under a hard cap; tasks that share
//!   a host's CPU freely are one together, since what one of them leaves the next takes. A request runs on one CPU at most,
//!   so a queue of c = C / k vCPUs serves it in s₁ = s / min(1, c) when alone, and is M/G/c processor sharing otherwise.
//!   Sharing makes the mean insensitive to the distribution of s (Kleinrock, *Queueing Systems* vol. 2, section 4.4;
//!   Harchol-Balter, *Performance Modeling and Design of Computer Systems*, chapters 14 and 30):
//!   T = s₁ (1 + Erlang C(c, ρ) / (c (1 − ρ))), which is s₁ / (1 − ρ) for c = 1. Between whole numbers of CPUs it is
//!   interpolated. ρ = λ s / C is kept at 0.98 at most: a step does not last long enough for the steady state beyond that,
//!   and the backlog, B / μ per request, takes over.
//! - **Spread.** Variance of the floor plus that of the shared part, cv² = cv_s² + 2ρ / (2 − ρ), exact for exponential s
//!   and c = 1 (Coffman, Muntz and Trotter, "Waiting Time Distributions for Processor-Sharing Systems", JACM 17(1), 1970)
//!   and taken for all; for more CPUs with the ρ of the single server that would be as slow. The shape is lognormal.
//! - **Failures.** With no healthy target, whatever arrives or waits fails at once. A request that would wait longer than
//!   the timeout leaves without having used CPU; one that finishes too late has used it, and fails all the same. So under
//!   overload goodput falls below capacity: part of the CPU goes into answers that nobody waits for any more.
//!
//! Limits: queues are alike and share a step perfectly, each as much as it can do; how a balancer divides the traffic between
//! targets that are not alike is [`routing`](super::routing)'s, and each part is a step of its own. Arrivals within a step are
//! Poisson; clients do not retry; a task that dies hands its backlog to the others.

use crate::engine::time::SimDuration;
pub use crate::workload::failed::Failed;

/// What a step of the model works with; all tasks are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offered {
    /// Length of the step.
    pub dt: SimDuration,
    /// Requests that arrive in the step; need not be whole. The latency formula allows for chance within a step already,
    /// so draw a [`poisson_count`](crate::workload::distribution::poisson_count) only for steps that see many requests.
    pub arrivals: f64,
    /// Healthy tasks.
    pub tasks: u32,
    /// Queues that they form: as many as tasks under a hard cap, else as many as hosts. 0 counts as 1.
    pub queues: u32,
    /// vCPUs that the healthy tasks could use together: with task-level CPU their hard cap (TD-9), without it what their
    /// weights and the idle CPU of their hosts allow (ECSM-3).
    pub capacity: f64,
    /// What a request is like.
    pub request: Request,
}

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Mean CPU time in vCPU-seconds.
    pub cpu: f64,
    /// Its coefficient of variation.
    pub cpu_cv: f64,
    /// Mean latency that does not depend on load, in seconds.
    pub floor: f64,
    /// Its coefficient of variation.
    pub floor_cv: f64,
    /// Requests slower than this fail, in seconds.
    pub timeout: f64,
}

/// What became of the requests of a step: arrived + backlog before = served + failed + backlog after.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepOutcome {
    /// Requests that came.
    pub arrived: f64,
    /// Requests answered in time.
    pub served: f64,
    /// Requests that failed.
    pub failed: Failed,
    /// Requests that wait at the end of the step.
    pub backlog: f64,
    /// CPU used, in vCPU-seconds.
    pub cpu_used: f64,
    /// Mean latency of the requests served, in seconds; zero when none was.
    pub latency_mean: f64,
    /// The latencies of the requests served: values in seconds, each with its number of requests.
    pub latency: [LatencyPoint; SLICES],
}

impl StepOutcome {
    /// The latencies and their numbers of requests, ascending but for those that no request has.
    pub fn latencies(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.latency.iter().map(|point| (point.latency, point.weight))
    }
}

/// A latency and how many requests had it, for a weighted histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LatencyPoint {
    /// Seconds.
    pub latency: f64,
    /// Requests.
    pub weight: f64,
}

/// Number of slices that a step's latency distribution is cut into.
pub const SLICES: usize = 16;

/// Probability of each slice and the standard normal quantile at its middle; the slices are thinner in the tail, so that
/// the 99.9 % quantile of a histogram of them is near the real one.
const NORMAL_SLICES: [(f64, f64); SLICES] = [
    (0.1, -1.644_853_626_951_472_7),
    (0.1, -1.036_433_389_493_789_8),
    (0.1, -0.674_489_750_196_081_7),
    (0.1, -0.385_320_466_407_567_6),
    (0.1, -0.125_661_346_855_074),
    (0.1, 0.125_661_346_855_074),
    (0.1, 0.385_320_466_407_567_6),
    (0.1, 0.674_489_750_196_081_7),
    (0.1, 1.036_433_389_493_789_8),
    (0.05, 1.439_531_470_938_456),
    (0.025, 1.780_464_341_692_029_7),
    (0.015, 2.108_358_399_180_021),
    (0.005, 2.432_379_058_584_447_5),
    (0.004, 2.747_781_385_444_993),
    (0.000_9, 3.263_616_370),
    (0.000_1, 3.890_591_886_413_121),
];

/// The slice before this one whose quantile is the same below the middle: its exponential is the inverse of this one's, which
/// spares four of sixteen.
fn mirror(slice: usize) -> Option<usize> {
    (5..9).contains(&slice).then(|| 9 - slice)
}

/// Largest utilisation that the steady-state formulas are asked for.
const MAX_RHO: f64 = 0.98;

/// One step from `backlog` on; pure, and the same work whatever the load.
///
/// ```
/// use ecsim::engine::time::SimDuration;
/// use ecsim::workload::fluid::{Offered, Request, step};
///
/// let request = Request { cpu: 0.05, cpu_cv: 1.0, floor: 0.01, floor_cv: 0.0, timeout: 30.0 };
/// let offered = Offered { dt: SimDuration::from_secs(1), arrivals: 20.0, tasks: 2, queues: 2, capacity: 2.0, request };
/// let calm = step(0.0, &offered);
/// assert_eq!(calm.served, 20.0);
/// assert!((calm.latency_mean - (0.01 + 0.05 / (1.0 - 0.5))).abs() < 1e-9);
///
/// let flood = step(0.0, &Offered { arrivals: 100.0, ..offered });
/// assert!(flood.served <= 40.0 && flood.backlog >= 59.0); // two vCPUs serve 40 requests a second
/// ```
pub fn step(backlog: f64, offered: &Offered) -> StepOutcome {
    let Offered { dt, arrivals, tasks, capacity, request, .. } = *offered;
    let dt = dt.as_secs_f64();
    let present = backlog + arrivals;
    if tasks == 0 || capacity <= 0.0 {
        let failed = Failed { no_healthy_target: present, ..Failed::default() };
        return StepOutcome { arrived: arrivals, failed, ..StepOutcome::default() };
    }
    // Requests without CPU cost meet no queue: everything is served, at the floor.
    let per_second = if request.cpu > 0.0 { capacity / request.cpu } else { f64::INFINITY };
    let done = present.min(per_second * dt);
    let shared = shared_latency(offered, dt);
    let patience = (request.timeout - request.floor - shared.mean).max(0.0) * per_second;
    let left = (present - done).min(patience);
    let gave_up = present - done - left;

    let wait = if per_second.is_finite() { 0.5 * (backlog + left) / per_second } else { 0.0 };
    let mut latency = spread(&request, shared, wait);
    let mut step = StepOutcome {
        arrived: arrivals,
        failed: Failed { timeout: gave_up, ..Failed::default() },
        backlog: left,
        cpu_used: done * request.cpu,
        ..StepOutcome::default()
    };
    let mut seconds = 0.0;
    for point in &mut latency {
        point.weight *= done;
        if point.latency > request.timeout {
            step.failed.timeout += point.weight;
            *point = LatencyPoint::default();
        } else {
            step.served += point.weight;
            seconds += point.weight * point.latency;
        }
    }
    if latency.iter().all(|point| point.latency <= request.timeout && point.weight > 0.0) {
        step.served = done; // the slices add up to it but for rounding
    }
    step.latency_mean = if step.served > 0.0 { seconds / step.served } else { 0.0 };
    step.latency = latency;
    step
}

/// Time on the CPU, shared with others.
#[derive(Clone, Copy, Debug)]
struct Shared {
    mean: f64,
    variance: f64,
}

fn shared_latency(offered: &Offered, dt: f64) -> Shared {
    let request = &offered.request;
    let cpus = offered.capacity / f64::from(offered.queues.max(1));
    let alone = request.cpu / cpus.min(1.0);
    let demand = if dt > 0.0 { offered.arrivals * request.cpu / dt } else { 0.0 };
    let rho = (demand / offered.capacity).min(MAX_RHO);
    let mean = alone * (1.0 + waiting_factor(cpus.max(1.0), rho));
    // The utilisation of a single server that would be as slow.
    let rho = if mean > 0.0 { 1.0 - alone / mean } else { 0.0 };
    let squared_cv = request.cpu_cv * request.cpu_cv + 2.0 * rho / (2.0 - rho);
    Shared { mean, variance: squared_cv * mean * mean }
}

/// Mean extra time of a processor-sharing queue with `servers` CPUs, in service times: Erlang C(c, ρ) / (c (1 − ρ)),
/// linear between whole numbers of CPUs.
pub fn waiting_factor(servers: f64, rho: f64) -> f64 {
    // Beyond this many CPUs a queue without backlog is not felt.
    const MOST: f64 = 256.0;
    let (below, part) = (servers.min(MOST).floor(), servers.min(MOST).fract());
    let factor = |servers: f64| erlang_c(servers as u32, rho) / (servers * (1.0 - rho));
    if part == 0.0 { factor(below) } else { (1.0 - part) * factor(below) + part * factor(below + 1.0) }
}

/// The probability of waiting in M/M/c, by the stable recursion over Erlang B (Harchol-Balter, section 14.6).
fn erlang_c(servers: u32, rho: f64) -> f64 {
    let load = rho * f64::from(servers);
    let blocking = (1..=servers).fold(1.0, |blocking, n| load * blocking / (f64::from(n) + load * blocking));
    blocking / (1.0 - rho * (1.0 - blocking))
}

/// A lognormal with mean and variance of floor and shared part, behind the `wait` of the backlog; weights add up to 1.
fn spread(request: &Request, shared: Shared, wait: f64) -> [LatencyPoint; SLICES] {
    let mean = request.floor + shared.mean;
    let floor_deviation = request.floor * request.floor_cv;
    let variance = shared.variance + floor_deviation * floor_deviation;
    let sigma = if mean > 0.0 { libm::sqrt(libm::log1p(variance / (mean * mean))) } else { 0.0 };
    let mut points = [LatencyPoint::default(); SLICES];
    let mut total = 0.0;
    for (place, (probability, quantile)) in NORMAL_SLICES.into_iter().enumerate() {
        let latency = match mirror(place) {
            Some(other) => 1.0 / points[other].latency,
            None => libm::exp(sigma * quantile),
        };
        points[place] = LatencyPoint { latency, weight: probability };
        total += probability * latency;
    }
    // Middles of slices are a little below their means; scaling gives the mean back exactly.
    for point in &mut points {
        point.latency = wait + mean * point.latency / total;
    }
    points
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::workload::distribution::normal_quantile;

    const REQUEST: Request = Request { cpu: 0.1, cpu_cv: 1.0, floor: 0.0, floor_cv: 0.0, timeout: 1e6 };

    fn offered(arrivals: f64, tasks: u32, capacity: f64) -> Offered {
        Offered { dt: SimDuration::from_secs(1), arrivals, tasks, queues: tasks, capacity, request: REQUEST }
    }

    fn quantile(step: &StepOutcome, q: f64) -> f64 {
        let mut points = step.latency;
        points.sort_by(|a, b| a.latency.total_cmp(&b.latency));
        let mut left = q * step.served;
        for point in points {
            left -= point.weight;
            if left <= 0.0 {
                return point.latency;
            }
        }
        points[SLICES - 1].latency
    }

    #[test]
    fn the_slices_are_the_normal_distribution() {
        let mut below = 0.0;
        for (probability, at) in NORMAL_SLICES {
            assert!((normal_quantile(below + probability / 2.0) - at).abs() < 1e-9, "{below}: {at}");
            below += probability;
        }
        assert!((below - 1.0).abs() < 1e-12);
    }

    #[test]
    fn mirrored_slices_are_each_others_inverse() {
        let pairs: Vec<(usize, usize)> = (0..SLICES).filter_map(|slice| Some((mirror(slice)?, slice))).collect();
        assert_eq!(pairs, [(4, 5), (3, 6), (2, 7), (1, 8)]);
        for (below, above) in pairs {
            for sigma in [0.0, 1e-3, 0.5, 1.0, 3.0] {
                let [below, above] = [below, above].map(|slice| libm::exp(sigma * NORMAL_SLICES[slice].1));
                assert!((1.0 / below / above - 1.0).abs() < 1e-15, "{below} {above}");
            }
        }
    }

    #[test]
    fn utilisation_is_lambda_times_service_time_over_capacity() {
        for (arrivals, capacity) in [(0.0, 2.0), (5.0, 2.0), (19.0, 2.0), (3.0, 0.5)] {
            let step = step(0.0, &offered(arrivals, 2, capacity));
            assert!((step.cpu_used / capacity - arrivals * 0.1 / capacity).abs() < 1e-12);
            assert_eq!((step.served, step.backlog), (arrivals, 0.0));
        }
    }

    #[test]
    fn processor_sharing_has_the_mean_of_m_m_1() {
        for rho in [0.1, 0.5, 0.8, 0.95] {
            // Four tasks of one vCPU each are four queues of one server.
            let step = step(0.0, &offered(40.0 * rho, 4, 4.0));
            assert!((step.latency_mean - 0.1 / (1.0 - rho)).abs() < 1e-9, "{rho}: {}", step.latency_mean);
        }
    }

    #[test]
    fn less_than_a_cpu_slows_a_request_and_more_than_one_does_not_speed_it_up() {
        let alone = |tasks, capacity| step(0.0, &offered(1e-9, tasks, capacity)).latency_mean;
        assert!((alone(4, 1.0) - 0.4).abs() < 1e-6);
        assert!((alone(1, 8.0) - 0.1).abs() < 1e-6);
    }

    #[test]
    fn erlang_c_matches_the_tables() {
        for (servers, rho, expected) in [(1, 0.7, 0.7), (2, 0.5, 1.0 / 3.0), (2, 0.8, 0.711_111), (5, 0.8, 0.554_113)] {
            assert!((erlang_c(servers, rho) - expected).abs() < 1e-6, "{servers} {rho}");
        }
        let between = waiting_factor(1.5, 0.6);
        assert!(waiting_factor(1.0, 0.6) > between && between > waiting_factor(2.0, 0.6));
        assert!((waiting_factor(1.0, 0.6) - 0.6 / 0.4).abs() < 1e-12);
    }

    #[test]
    fn idle_latency_spreads_as_the_service_time_does() {
        let even = Request { cpu_cv: 0.0, floor: 0.02, ..REQUEST };
        let calm = step(0.0, &Offered { request: even, ..offered(1e-6, 1, 1.0) });
        assert!((quantile(&calm, 0.99) - 0.12).abs() < 1e-3, "nothing varies");
        // Exponential service, one CPU: the 50 % and 99 % quantiles of the exponential are 0.069 and 0.46.
        let varied = step(0.0, &offered(1e-6, 1, 1.0));
        assert!((0.06..0.08).contains(&quantile(&varied, 0.5)), "{}", quantile(&varied, 0.5));
        assert!((0.40..0.55).contains(&quantile(&varied, 0.99)), "{}", quantile(&varied, 0.99));
    }

    #[test]
    fn overload_serves_at_capacity_and_the_timeout_bounds_the_backlog() {
        let request = Request { timeout: 10.0, ..REQUEST };
        let offered = |arrivals, tasks, capacity| Offered { request, ..offered(arrivals, tasks, capacity) };
        let mut backlog = 0.0;
        for second in 0..100 {
            let step = step(backlog, &offered(30.0, 2, 2.0));
            assert!((step.cpu_used - 2.0).abs() < 1e-9, "busy throughout");
            assert!(step.backlog <= 10.0 * 20.0, "{}", step.backlog);
            if second > 40 {
                assert!((step.served + step.failed.timeout - 30.0).abs() < 1e-6, "steady: {step:?}");
                assert!(step.latency_mean > 4.0 && step.latency_mean <= 10.0, "{}", step.latency_mean);
            }
            backlog = step.backlog;
        }
        // Five more vCPUs, and the queue drains at 70 - 30 requests a second.
        let before = backlog;
        let drained = step(backlog, &offered(30.0, 7, 7.0));
        assert!((before - drained.backlog - 40.0).abs() < 1e-9);
        for _ in 0..10 {
            backlog = step(backlog, &offered(30.0, 7, 7.0)).backlog;
        }
        assert_eq!(backlog, 0.0);
    }

    #[test]
    fn without_a_healthy_target_everything_fails() {
        for nothing in [offered(12.0, 0, 0.0), offered(12.0, 3, 0.0)] {
            let step = step(8.0, &nothing);
            assert_eq!(step.failed, Failed { no_healthy_target: 20.0, ..Failed::default() });
            assert_eq!((step.served, step.backlog, step.cpu_used), (0.0, 0.0, 0.0));
        }
    }

    #[test]
    fn requests_without_cpu_take_the_floor() {
        let free = Request { cpu: 0.0, floor: 0.05, ..REQUEST };
        let step = step(0.0, &Offered { request: free, ..offered(1000.0, 1, 0.25) });
        assert_eq!((step.served, step.cpu_used, step.backlog), (1000.0, 0.0, 0.0));
        assert!((step.latency_mean - 0.05).abs() < 1e-12);
    }

    #[test]
    fn tasks_that_share_a_host_are_one_queue_of_all_its_cpus() {
        // Four tasks on one host of two vCPUs: a request alone has a whole CPU, not the half that is a task's part.
        let together = |arrivals| Offered { queues: 1, ..offered(arrivals, 4, 2.0) };
        assert!((step(0.0, &together(1e-9)).latency_mean - 0.1).abs() < 1e-6);
        let apart = step(0.0, &offered(10.0, 4, 2.0)).latency_mean;
        let shared = step(0.0, &together(10.0)).latency_mean;
        assert!((shared - 0.1 * (1.0 + waiting_factor(2.0, 0.5))).abs() < 1e-9 && shared < apart / 2.0);
    }

    #[test]
    fn late_answers_fail_though_they_used_cpu() {
        let hasty = Request { timeout: 0.2, ..REQUEST };
        let step = step(0.0, &Offered { request: hasty, ..offered(8.0, 1, 1.0) });
        assert!(step.failed.timeout > 1.0 && step.served > 1.0);
        assert!(step.served * 0.1 < 0.75 * step.cpu_used, "goodput is below capacity");
        assert!((step.cpu_used - 0.8).abs() < 1e-12);
        assert!(step.latency.iter().all(|point| point.latency <= 0.2));
    }

    proptest! {
        #[test]
        fn requests_are_conserved_and_cpu_is_never_overspent(
            backlog in 0.0f64..1e5,
            arrivals in 0.0f64..1e5,
            tasks in 0u32..50,
            per_task in 0.05f64..16.0,
            cpu in 0.0f64..2.0,
            cpu_cv in 0.0f64..4.0,
            floor in 0.0f64..1.0,
            timeout in 0.001f64..60.0,
            millis in 1u64..600_000,
        ) {
            let request = Request { cpu, cpu_cv, floor, floor_cv: 0.3, timeout };
            let capacity = f64::from(tasks) * per_task;
            let dt = SimDuration::from_millis(millis);
            let step = step(backlog, &Offered { dt, arrivals, tasks, queues: tasks.div_ceil(3), capacity, request });
            let after = step.served + step.failed.total() + step.backlog;
            prop_assert!((backlog + arrivals - after).abs() <= 1e-9 * (backlog + arrivals).max(1.0), "{step:?}");
            prop_assert!(step.cpu_used <= capacity * dt.as_secs_f64() * (1.0 + 1e-12));
            prop_assert!(step.latency.iter().all(|point| point.latency <= timeout && point.weight >= 0.0));
            let weight: f64 = step.latency.iter().map(|point| point.weight).sum();
            prop_assert!((weight - step.served).abs() <= 1e-9 * step.served.max(1.0));
            prop_assert!(step.latency_mean >= 0.0 && step.latency_mean <= timeout * (1.0 + 1e-9));
        }
    }
}
