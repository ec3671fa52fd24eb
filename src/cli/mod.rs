//! The command line: one file a subcommand.

pub mod catalog;
pub mod schema;
pub mod table;
pub mod validate;
