//! EC2: instances, Auto Scaling groups, and which instance launches where and which one goes (ASG-*, EC2-*).
//!
//! Decisions here are pure: they look at a group and return zones or victims; the control plane applies them.

pub mod auto_scaling_group;
pub mod capacity_pool;
pub mod group_definition;
pub mod instance;
pub mod instance_refresh;
pub mod launch;
pub mod launch_template;
pub mod lifecycle_hook;
pub mod rebalancing;
pub mod replacement;
pub mod scaling_process;
pub mod termination_policy;
pub mod warm_pool;
