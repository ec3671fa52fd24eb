//! The discrete-event kernel: time, events, chance. It has never heard of ECS.

pub mod calendar;
pub mod simulation;
pub mod streams;
pub mod time;
