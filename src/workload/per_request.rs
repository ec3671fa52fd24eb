//! Requests one by one: what a workload says of them, and what became of those of a moment.
//!
//! A request arrives (Poisson, at the workload's rate), is sent to a target by its balancer (see
//! [`balancer`](super::balancer)), and there takes a slot or waits for one ([`slots`](super::slots)). In its slot it first
//! waits for others, `latencyFloor`, then computes, `cpuPerRequest`, on CPU that it shares with the other requests there
//! ([`processor_sharing`](super::processor_sharing)). With one slot for each of c CPUs a task is an M/G/c queue, without a
//! limit an M/G/1 processor-sharing one, whose mean time is s / (1 - ρ) whatever the distribution of s.
//!
//! The [`fluid`](super::fluid) model of the same workload says the same of means under load that lasts; this one adds
//! chance, slots, memory, retries and the exact tail.

use crate::stats::WeightedHistogram;
use crate::workload::distribution::Distribution;
use crate::workload::failed::Failed;

/// What `model: perRequest` adds to a `requests` workload.
#[derive(Clone, Debug, PartialEq)]
pub struct PerRequest {
    /// Requests that a task works on at once; without bound when absent.
    pub concurrency: Option<u32>,
    /// Requests that wait in a task for a slot; without bound when absent. More are refused.
    pub backlog: Option<u32>,
    /// How often a client tries again after a failure.
    pub retries: u32,
    /// From a failure to the next try, in seconds.
    pub retry_backoff: Distribution,
    /// Memory that a request takes while it is in a task [MiB].
    pub memory_per_request: f64,
    /// Memory that a task never gives back after a request [MiB].
    pub memory_leak: f64,
    /// Share of the requests that the application answers with an error.
    pub failure_ratio: f64,
    /// What a task does with a request whose client has gone.
    pub on_timeout: OnTimeout,
    /// Clients that are there at once; each request is of a client of its own when absent.
    pub clients: Option<u32>,
    /// Requests that a client sends before another takes its place; without end when absent.
    pub requests_per_session: Option<Distribution>,
    /// CPU seconds (of one vCPU) that the probe of a load balancer takes: it shares slots and CPU with the requests.
    pub cpu_per_probe: Distribution,
}

impl Default for PerRequest {
    /// Tasks without limits, clients that do not try again.
    fn default() -> Self {
        Self {
            concurrency: None,
            backlog: None,
            retries: 0,
            retry_backoff: Distribution::Constant(Self::RETRY_BACKOFF),
            memory_per_request: 0.0,
            memory_leak: 0.0,
            failure_ratio: 0.0,
            on_timeout: OnTimeout::default(),
            clients: None,
            requests_per_session: None,
            cpu_per_probe: Distribution::Constant(Self::CPU_PER_PROBE),
        }
    }
}

impl PerRequest {
    /// From a failure to the next try unless a workload says otherwise [s].
    pub const RETRY_BACKOFF: f64 = 0.1;

    /// CPU time of a probe unless a workload says otherwise [s].
    pub const CPU_PER_PROBE: f64 = 0.001;

    /// What the client does, the tasks' own ways left out: real ones have theirs.
    pub fn of_the_client(&self) -> Self {
        Self {
            retries: self.retries,
            retry_backoff: self.retry_backoff.clone(),
            clients: self.clients,
            requests_per_session: self.requests_per_session.clone(),
            ..Self::default()
        }
    }
}

/// What a task does with a request that nobody waits for any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// It notices, and stops working on it.
    #[default]
    Abandon,
    /// It works on, for nothing.
    Finish,
}

/// What became of the requests of a service since the last step: those in flight before + arrived = served + failed + in
/// flight now, in whole numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestStep {
    /// Requests that came, their retries not counted.
    pub arrived: u64,
    /// Requests answered well, at the first try or a later one.
    pub served: u64,
    /// Requests that failed at their last try, by the cause of that.
    pub failed: Failed,
    /// Tries after the first.
    pub retried: u64,
    /// Requests in flight at the end of the step, those between two tries included.
    pub in_flight: u64,
    /// Of these, requests that wait in a task for a slot.
    pub waiting: u64,
    /// Tries that were sent to a balancer.
    pub sent: u64,
    /// CPU used, in vCPU-seconds.
    pub cpu_used: f64,
    /// Seconds from the first try to the answer, of the requests served.
    pub latency: WeightedHistogram,
}
