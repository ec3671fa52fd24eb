//! The command line: one file a subcommand.

pub mod catalog;
pub mod table;
