//! The state of ECS and its legal transitions: no policy, no clock of its own.

pub mod agent;
pub mod capability;
pub mod capacity_provider;
pub mod cluster;
pub mod container;
pub mod container_instance;
pub mod cpu_shares;
pub mod deployment;
pub mod ebs;
pub mod host_ports;
pub mod ids;
pub mod image;
pub mod image_store;
pub mod instance_table;
pub mod pace;
pub mod quota;
pub mod service;
pub mod service_events;
pub mod shared_link;
pub mod subnet;
pub mod target_group;
pub mod task;
pub mod task_definition;
pub mod task_set;
pub mod throttling;
pub mod traffic_shift;
