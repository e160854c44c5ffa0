//! `.go.buildinfo`: the Go version and the settings a binary was built with.
//!
//! Layout: `debug/buildinfo/buildinfo.go`. Magic, pointer size, flags; with flag bit 1 (Go 1.18 and
//! later) two length-prefixed strings at +32. The experiments follow the version: `go1.24.11
//! X:noswissmap` before Go 1.26, `go1.27.3-X:mapsplitgroup` after.

use std::ops::ControlFlow;

use gimli::Reader;

use crate::binary::elf::{Elf, abi};
use crate::binary::name::clean;
use crate::binary::window::Window;

const MAGIC: &[u8; 14] = b"\xff Go buildinf:";
/// Longest version and module information taken.
const MAX_VERSION: u64 = 256;
const MAX_MODULES: u64 = 1 << 20;

/// What the Go linker says of a binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::binary) struct BuildInfo {
    /// `go1.23.9`, or `devel ...`; without the experiments.
    pub version: String,
    /// GOEXPERIMENT values that differ from the default, such as `noswissmap`.
    pub experiments: Vec<String>,
    /// `build` settings in file order: `-ldflags`, `CGO_ENABLED`, `vcs.revision`, `DefaultGODEBUG`, ...
    pub settings: Vec<(String, String)>,
}

impl BuildInfo {
    pub fn read(elf: &Elf) -> Option<Self> {
        let (at, end) = place(elf)?;
        let head: [u8; 32] = elf.image.array(at)?;
        if !head.starts_with(MAGIC) || head[15] & 2 == 0 {
            return None;
        }
        let mut window = Window::new(&elf.image, at + 32, end.checked_sub(at + 32)?);
        let version = string(elf, &mut window, MAX_VERSION)?;
        let modules = string(elf, &mut window, MAX_MODULES).unwrap_or_default();
        let (version, experiments) = split_version(&clean(&String::from_utf8_lossy(&version)));
        Some(Self {
            version,
            experiments,
            settings: settings(&modules),
        })
    }

    /// 23 of `go1.23.9`.
    pub fn minor(&self) -> Option<u32> {
        let rest = self.version.strip_prefix("go1.")?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }
}

fn place(elf: &Elf) -> Option<(u64, u64)> {
    if let Some(section) = elf.section(".go.buildinfo") {
        return Some((section.offset, section.offset.checked_add(section.size)?));
    }
    if !elf.sections.is_empty() {
        return None;
    }
    elf.loads()
        .filter(|s| s.flags & abi::PF_W != 0)
        .find_map(|load| {
            let end = load.offset.saturating_add(load.file_size);
            elf.image.scan(load.offset, end, 15, &mut |base, piece| {
                let hit = piece.windows(16).enumerate().find_map(|(i, window)| {
                    let at = base + i as u64;
                    (window.starts_with(MAGIC) && at.is_multiple_of(16)).then_some((at, end))
                });
                hit.map_or(ControlFlow::Continue(()), ControlFlow::Break)
            })
        })
}

fn string(elf: &Elf, window: &mut Window, limit: u64) -> Option<Vec<u8>> {
    let len = window.varint()?;
    let at = window.position();
    window.skip(usize::try_from(len).ok()?).ok()?;
    elf.image.bytes(at, len, limit)
}

fn split_version(text: &str) -> (String, Vec<String>) {
    let at = text.find(" X:").or_else(|| text.find("-X:"));
    let (version, experiments) = match at {
        Some(at) => (&text[..at], &text[at + 3..]),
        None => (text, ""),
    };
    let experiments = experiments
        .split([',', ' '])
        .filter(|e| !e.is_empty())
        .map(str::to_owned)
        .collect();
    (version.to_owned(), experiments)
}

/// The `build` lines; the text stands between two 16-byte marks.
fn settings(modules: &[u8]) -> Vec<(String, String)> {
    let inner = modules
        .len()
        .checked_sub(16)
        .and_then(|end| modules.get(16..end))
        .unwrap_or_default();
    String::from_utf8_lossy(inner)
        .lines()
        .filter_map(|line| line.strip_prefix("build\t"))
        .filter_map(|line| {
            // A key or value with special characters is quoted as a Go string.
            let (key, value) = line.split_once('=')?;
            Some((clean(key), clean(value.trim_matches('"'))))
        })
        .take(256)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_and_its_experiments_are_told_apart() {
        for (text, version, experiments) in [
            ("go1.23.9", "go1.23.9", &[][..]),
            ("go1.24.11 X:noswissmap", "go1.24.11", &["noswissmap"][..]),
            ("go1.27.3-X:a,b", "go1.27.3", &["a", "b"][..]),
        ] {
            let (v, e) = split_version(text);
            assert_eq!(
                (v.as_str(), e.as_slice()),
                (
                    version,
                    &experiments
                        .iter()
                        .map(|&e| e.to_owned())
                        .collect::<Vec<_>>()[..]
                )
            );
        }
    }

    #[test]
    fn the_middle_number_survives_release_candidates() {
        for (version, minor) in [
            ("go1.27.3", Some(27)),
            ("go1.21rc2", Some(21)),
            ("devel", None),
        ] {
            let info = BuildInfo {
                version: version.into(),
                ..BuildInfo::default()
            };
            assert_eq!(info.minor(), minor);
        }
    }
}
