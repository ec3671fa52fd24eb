//! The simulation loop: a model, its future event list, a stopping rule.
