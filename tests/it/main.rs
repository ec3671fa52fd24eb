//! Integration tests.

mod auto_scaling_groups;
mod calls;
mod cli;
mod cluster_autoscaling;
mod deployments;
mod estates;
mod explain;
mod group_machine;
mod lab;
mod load;
mod metric_math;
mod predictive_scaling;
mod scenario;
mod scheduled_scaling;
mod service_autoscaling;
mod service_metrics;
mod services;
mod spot;
mod tasks;
mod traces;
