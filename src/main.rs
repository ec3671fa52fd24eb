//! The `ecsim` binary.

fn main() {}
