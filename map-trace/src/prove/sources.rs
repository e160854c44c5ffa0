//! The programs' sources, unpacked.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::workspace::failed;
use crate::claim::catalogue::embedded_workloads;
use crate::error::Result;

/// Largest file taken from a user's folder, bytes; most files.
const MAX_FILE: u64 = 1 << 20;
const MAX_FILES: usize = 2_000;
/// Folders looked at.
const FOLDERS: [&str; 4] = ["go", "rust", "c", "snippets"];

/// Files by path, and where they lie.
#[derive(Debug, Default)]
pub struct Sources {
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl Sources {
    /// Writes the embedded programs, or a copy of the user's, into `folder`.
    pub fn unpack(user: Option<&Path>, folder: &Path) -> Result<Self> {
        let files: BTreeMap<String, Vec<u8>> = match user {
            None => embedded_workloads()
                .iter()
                .map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()))
                .collect(),
            Some(user) => read(user)?,
        };
        for (path, bytes) in &files {
            let file = folder.join(path);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent).map_err(|why| failed(parent, why))?;
            }
            fs::write(&file, bytes).map_err(|why| failed(&file, why))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            files,
        })
    }

    /// The file or folder of a program; none: there is no such program.
    pub fn path(&self, program: &str) -> Option<PathBuf> {
        self.of(program).next()?;
        Some(self.folder.join(program))
    }

    /// The files of a program: itself, or all in its folder.
    pub fn of<'a>(&'a self, program: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.files
            .iter()
            .filter(move |(path, _)| {
                path.strip_prefix(program)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }
}

fn read(user: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders: Vec<String> = FOLDERS.map(str::to_owned).into();
    while let Some(inside) = folders.pop() {
        let folder = user.join(&inside);
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(|why| failed(&folder, why))? {
            let path = entry.map_err(|why| failed(&folder, why))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let name = format!("{inside}/{name}");
            let kind = fs::symlink_metadata(&path).map_err(|why| failed(&path, why))?;
            // Programs share files by links; a folder behind one may have no end.
            let is_file = kind.is_file() || (kind.is_symlink() && path.is_file());
            if kind.is_dir() {
                folders.push(name);
            } else if is_file && files.len() < MAX_FILES {
                let mut bytes = Vec::new();
                let file = fs::File::open(&path).map_err(|why| failed(&path, why))?;
                file.take(MAX_FILE)
                    .read_to_end(&mut bytes)
                    .map_err(|why| failed(&path, why))?;
                files.insert(name, bytes);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_that_programs_share_by_links_are_taken_and_linked_folders_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("go/one");
        fs::create_dir_all(&program).unwrap();
        fs::write(folder.path().join("go/shared.go"), "package main").unwrap();
        symlink("../shared.go", program.join("shared.go")).unwrap();
        symlink("nowhere", program.join("dangling.go")).unwrap();
        symlink("..", program.join("up")).unwrap();
        let files = read(folder.path()).unwrap();
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(paths, ["go/one/shared.go", "go/shared.go"]);
    }
}
