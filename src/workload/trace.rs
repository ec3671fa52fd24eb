//! Traces: any CSV by column names.
