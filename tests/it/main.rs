//! Integration tests.

mod cluster_autoscaling;
mod lab;
mod scenario;
mod traces;
