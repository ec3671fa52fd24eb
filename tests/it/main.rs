//! Integration tests.

mod traces;
