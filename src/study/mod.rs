//! Studies: many runs as one question. Which points, in what order, how many replications, and what the answer is worth.
//!
//! Pure: nothing here runs a scenario, reads a file or looks at a clock. [`design`] lays out the points, [`shard`] deals
//! them to machines, [`racing`] drops the points that are certainly not the best or miss a [`constraint`], [`precision`] says when a mean is
//! known well enough, [`tolerance`] judges one figure against another. `cli` runs the points, `report` writes the answer.

pub mod constraint;
pub mod design;
pub mod precision;
pub mod racing;
pub mod shard;
pub mod tolerance;
