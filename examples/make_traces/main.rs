//! Writes the synthetic traces of `scenarios/traces`: `cargo run --example make_traces`.

mod traces;

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/traces");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in traces::all() {
        let path = folder.join(name);
        std::fs::write(&path, &text)?;
        eprintln!("{}: {} rows, {} bytes", path.display(), text.lines().count() - 1, text.len());
    }
    Ok(())
}
