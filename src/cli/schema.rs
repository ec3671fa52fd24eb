//! `ecsim schema`: the JSON Schema of the scenario file, with which editors complete and check.

use std::io::Write;

use clap::Args;

use crate::scenario::json_schema;

/// Arguments of `ecsim schema`.
#[derive(Args, Clone, Copy, Debug)]
pub struct SchemaArgs {}

/// Writes the schema to `out`.
pub fn run(_args: SchemaArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &json_schema())?;
    writeln!(out)?;
    Ok(())
}
