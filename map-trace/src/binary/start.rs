//! Where a file begins, when nothing else says so: the dynamic loader of a distribution has neither a symbol nor a frame
//! description for its first instructions.

use super::Binary;

/// Offset of `e_entry` in the header of an ELF64 file (elf(5)).
const ENTRY: u64 = 24;
/// `_start` and `_dl_start_user` of glibc's loader together are 57 bytes (sysdeps/x86_64/dl-machine.h), and of a program's
/// `_start` none has more.
const BYTES: u64 = 64;

impl Binary {
    /// Whether an address is in the code where the file begins, which nothing calls, and which has no name of its own.
    pub(super) fn is_nameless_start(&self, svma: u64) -> bool {
        let Some(entry) = self.elf.image.u64(ENTRY).filter(|&entry| entry != 0) else {
            return false;
        };
        svma.checked_sub(entry).is_some_and(|at| at < BYTES)
            && self.function_at(svma).is_none()
            && self.cfi().and_then(|cfi| cfi.rule(svma)).is_none()
    }
}

/// The name it has in every source.
pub(super) const START: &str = "_start";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The loader that this very test runs with.
    #[test]
    fn nothing_calls_where_the_loader_begins() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mut paths = maps
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5));
        let Some(path) = paths.find(|path| path.contains("/ld-linux")) else {
            panic!("no loader: {maps}")
        };
        let Ok(loader) = Binary::open(Path::new(path)) else {
            panic!("{path} cannot be read")
        };
        let Some(entry) = loader.elf.image.u64(ENTRY) else {
            panic!("{path} has no entry")
        };
        let mut frames = Vec::new();
        loader.frames(entry, &mut frames);
        let names: Vec<&str> = frames.iter().map(|frame| frame.function.as_str()).collect();
        assert_eq!(names, [START]);
        assert_eq!(
            loader.return_slot(entry).place,
            super::super::SlotPlace::Outermost
        );
        for outside in [entry - 1, entry + BYTES] {
            assert!(!loader.is_nameless_start(outside));
        }
    }
}
