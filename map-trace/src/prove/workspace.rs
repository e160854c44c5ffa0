//! The folder a proof works in, and the cache of built programs.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::ProveSettings;
use super::sources::Sources;
use super::toolchain;
use crate::error::{Error, Result};

/// Folders of one proof. Removed at its end unless the user named them.
#[derive(Debug)]
pub struct Workspace {
    folder: PathBuf,
    /// Named by the user: kept, with traces.
    pub kept: bool,
    cache: PathBuf,
    /// Programs, as files.
    pub sources: Sources,
}

impl Workspace {
    pub fn create(settings: &ProveSettings) -> Result<Self> {
        let folder = match &settings.output {
            Some(folder) => {
                fs::create_dir_all(folder).map_err(|why| failed(folder, why))?;
                folder.canonicalize().map_err(|why| failed(folder, why))?
            }
            None => private_folder()?,
        };
        let mut workspace = Self {
            cache: toolchain::cache_dir()
                .map_or_else(|| folder.join("built"), |cache| cache.join("prove")),
            kept: settings.output.is_some(),
            sources: Sources::default(),
            folder,
        };
        workspace.sources = Sources::unpack(
            settings.workloads.as_deref(),
            &workspace.folder.join("sources"),
        )?;
        fs::create_dir_all(&workspace.cache).map_err(|why| failed(&workspace.cache, why))?;
        Ok(workspace)
    }

    /// A file of one run: `1.23.9-range.stdout`.
    pub fn file(&self, go: Option<&str>, run: &str, end: &str) -> PathBuf {
        let name = match go {
            Some(go) => format!("{go}-{run}{end}"),
            None => format!("{run}{end}"),
        };
        self.folder.join(name)
    }

    pub fn scratch(&self) -> &Path {
        &self.folder
    }

    /// Where built programs and compilers' caches stay.
    pub fn cache(&self) -> &Path {
        &self.cache
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // Nothing can be done about a folder that stays.
        let _gone = match self.kept {
            true => fs::remove_dir_all(self.folder.join("sources")),
            false => fs::remove_dir_all(&self.folder),
        };
    }
}

/// A folder of our own that nobody else can have put there.
fn private_folder() -> Result<PathBuf> {
    let base = std::env::temp_dir();
    for number in 0..100 {
        let folder = base.join(format!("map-trace-prove-{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(failed(&folder, why)),
        }
    }
    Err(Error::failed("cannot make a folder", base.display()))
}

pub fn failed(path: &Path, why: std::io::Error) -> Error {
    Error::failed(format!("cannot use {}", path.display()), why)
}
