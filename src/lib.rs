//! ecsim: a discrete-event simulator of Amazon ECS cluster scheduling and autoscaling.

pub mod catalog;
pub mod cli;
pub mod control_plane;
pub mod ec2;
pub mod ecs;
pub mod engine;
pub mod placement;
pub mod report;
pub mod scaling;
pub mod scenario;
pub mod stats;
pub mod units;
pub mod workload;
