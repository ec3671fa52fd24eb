//! Integration tests.

mod cli;
mod cluster_autoscaling;
mod estates;
mod lab;
mod scenario;
mod service_autoscaling;
mod traces;
