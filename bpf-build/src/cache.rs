//! Where set-up keeps what it builds or fetches.

use std::env;
use std::path::PathBuf;

/// `$XDG_CACHE_HOME/map-trace`, else `~/.cache/map-trace`.
///
/// Under sudo this is the cache of the user who called sudo, so that set-up done as root and builds
/// done by that user find the same files. `None` when there is no home directory at all.
pub fn cache_dir() -> Option<PathBuf> {
    if let Some(home) = sudo_caller().and_then(|name| home_of(&name)) {
        return Some(home.join(".cache/map-trace"));
    }
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("map-trace"))
}

/// The user who called sudo, unless that was root.
fn sudo_caller() -> Option<String> {
    env::var("SUDO_USER").ok().filter(|name| name != "root")
}

/// Home directory of a user of /etc/passwd (passwd(5): the sixth field).
fn home_of(name: &str) -> Option<PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    home_in(&passwd, name)
}

fn home_in(passwd: &str, name: &str) -> Option<PathBuf> {
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(5).map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_of_a_user_is_the_sixth_field() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:,,,:/home/ann:/bin/sh\n";
        assert_eq!(home_in(passwd, "ann"), Some("/home/ann".into()));
        assert_eq!(home_in(passwd, "an"), None);
        assert_eq!(home_in("short:x\n", "short"), None);
    }
}
