//! The rim: other programs that implement the crate's traits.

pub mod external_scheduler;
#[cfg(feature = "docker")]
pub mod http;
