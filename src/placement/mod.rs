//! Placement: constraints filter, strategies rank, a refusal says why (PLACE-*, CQL-*).
//!
//! [`constraint`] asks "may it?", [`strategy`] "which is best?", [`failure`] "why not?". All of it reads the cluster
//! and changes nothing.

pub mod constraint;
pub mod failure;
pub mod query;
pub mod strategy;
