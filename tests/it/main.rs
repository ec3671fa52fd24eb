//! Integration tests.

mod auto_scaling_groups;
mod calls;
mod cli;
mod cluster_autoscaling;
mod containers;
mod daemons;
mod deployments;
mod estates;
mod events;
mod explain;
mod group_machine;
mod invariants;
mod lab;
mod load;
mod metric_math;
mod predictive_scaling;
mod protection;
mod rebalancing;
mod scenario;
mod scheduled_scaling;
mod service_autoscaling;
mod service_metrics;
mod services;
mod spot;
mod tasks;
mod traces;
