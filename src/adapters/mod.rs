//! The rim: other programs that implement the crate's traits, and engines that run what the model only decides.

#[cfg(feature = "docker")]
pub mod containers;
pub mod external_scheduler;
#[cfg(feature = "docker")]
pub mod http;
