//! Capacity provider strategies: base and weight (CP-*).
