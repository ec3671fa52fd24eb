//! The model: the AWS control plane as one event handler. It asks the policies and applies what they decide.

pub mod api;
pub mod estate;
pub mod record;
pub mod state;
