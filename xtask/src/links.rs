//! Links between the repository's own pages, and from the source to them, lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::workspace;

/// Files with these extensions are read.
const READ: [&str; 4] = ["md", "rs", "toml", "snap"];

/// Every file of the repository that may name a page.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, found);
            }
        } else if path
            .extension()
            .is_some_and(|own| READ.iter().any(|read| own == *read))
        {
            found.push(path);
        }
    }
}

/// The pages a text names as `docs/x.md`, from the repository's root.
fn named(text: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
    text.match_indices("docs/")
        .filter(|(at, _)| !text[..*at].ends_with(word))
        .map(|(at, _)| text[at..].split(|c| !word(c)).next().unwrap_or(""))
        .filter(|path| path.ends_with(".md") || path.ends_with(".json"))
        .map(str::to_owned)
        .collect()
}

/// Relative targets of a Markdown page's links, without anchors.
fn linked(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap_or(target).to_owned())
        .collect()
}

#[test]
fn every_page_that_is_named_or_linked_exists() {
    let root = workspace();
    let mut found = Vec::new();
    files(root, &mut found);
    let (mut broken, mut checked) = (Vec::new(), 0);
    for file in found {
        // This file's own samples.
        if file.ends_with("xtask/src/links.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let mut targets: Vec<_> = named(&text).iter().map(|page| root.join(page)).collect();
        if file.extension().is_some_and(|extension| extension == "md") {
            let folder = file.parent().unwrap();
            targets.extend(linked(&text).iter().map(|target| folder.join(target)));
        }
        checked += targets.len();
        broken.extend(
            targets
                .into_iter()
                .filter(|target| !target.exists())
                .map(|target| (file.clone(), target)),
        );
    }
    assert!(checked > 10, "{checked} links found");
    assert_eq!(broken, []);
}

#[test]
fn links_and_names_are_found_where_they_stand() {
    assert_eq!(
        named("see docs/a.md, (docs/b-c.md). https://x/docs/d.md docs/"),
        ["docs/a.md", "docs/b-c.md"]
    );
    assert_eq!(
        linked("[a](b.md#c) [d](https://e) [f](#g) [h](../i.md)"),
        ["b.md", "../i.md"]
    );
}
