//! Metrics to decisions: metric math, alarms, target tracking, step, scheduled, predictive and managed scaling, all pure.
//!
//! Nothing here changes state or knows the clock's owner: a policy is given what it may see and returns a value that
//! the control plane applies.

pub mod alarm;
pub mod formula;
pub mod idle;
pub mod managed_scaling;
pub mod metric;
pub mod metric_math;
pub mod policy;
pub mod predictive_scaling;
pub mod scalable_target;
pub mod scheduled_action;
pub mod statistic;
pub mod step_scaling;
pub mod target_tracking;
