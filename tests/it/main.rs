//! Integration tests.

mod scenario;
mod traces;
