//! What the README and the pages below it lead to is there.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md")];
    for folder in ["docs", "benches", "examples/slurm"] {
        let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder");
        let names = entries.map(|entry| Path::new(folder).join(entry.expect("an entry").file_name()));
        pages.extend(names.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    pages.sort();
    pages
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let mut links = 0;
    for page in pages() {
        let text = fs::read_to_string(Path::new(ROOT).join(&page)).expect("a page");
        let folder = page.parent().expect("a folder");
        for found in link.captures_iter(&text) {
            let target = found[1].split('#').next().unwrap_or_default();
            if target.is_empty() || target.starts_with("https://") {
                continue;
            }
            links += 1;
            let path = Path::new(ROOT).join(folder).join(target);
            assert!(path.exists(), "{}: `{target}` leads nowhere", page.display());
        }
    }
    assert!(links >= 15, "only {links} links were found");
}

#[test]
fn every_scenario_is_listed_once() {
    let list = fs::read_to_string(Path::new(ROOT).join("docs/scenarios.md")).expect("the list");
    let mut listed: Vec<&str> =
        list.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(name, _)| name).collect();
    listed.sort_unstable();
    let mut files: Vec<String> = fs::read_dir(Path::new(ROOT).join("scenarios"))
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .collect();
    files.sort_unstable();
    assert_eq!(listed, files);
}
