//! A cluster: its container instances and the indices that placement asks.
