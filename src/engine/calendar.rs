//! The future event list, ordered by (time, class, sequence), with cancellation.
