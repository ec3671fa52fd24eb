//! The fluid model of a request workload: offered CPU demand, backlog, latency, failures.
