//! Records to summary, tables and pictures.
