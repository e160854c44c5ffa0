//! Names of code a just-in-time compiler made: `/tmp/perf-PID.map`.
//!
//! Format (linux tools/perf/Documentation/jit-interface.txt): one `START SIZE NAME` a line, both
//! numbers hexadecimal. The traced program writes it, so size and count are bounded and the file is
//! opened without following what it may have been replaced by.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::name::clean;

/// Bytes read and rows kept, at most.
const MAX_BYTES: u64 = 8 << 20;
const MAX_ROWS: usize = 65_536;
const MAX_NAME: usize = 512;

/// The functions of a JIT map, by address.
#[derive(Clone, Debug, Default)]
pub struct JitMap {
    /// Start, end and name, sorted by start.
    rows: Vec<(u64, u64, Box<str>)>,
}

impl JitMap {
    /// Where the map of a process is, seen through its own root directory. The number in the name is the
    /// process id in its own namespace.
    pub fn path(tgid: u32, tgid_in_namespace: u32) -> PathBuf {
        format!("/proc/{tgid}/root/tmp/perf-{tgid_in_namespace}.map").into()
    }

    /// Reads a map; none when there is none or it is not a regular file.
    pub fn read(path: &Path) -> Option<Self> {
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY)
            .open(path)
            .ok()?;
        file.metadata().ok()?.is_file().then(|| Self::parse(file))
    }

    fn parse(source: impl Read) -> Self {
        let mut rows = Vec::new();
        for line in BufReader::new(source.take(MAX_BYTES)).split(b'\n') {
            let Ok(line) = line else { break };
            if rows.len() >= MAX_ROWS {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let mut words = text.splitn(3, ' ');
            let number = |word: Option<&str>| {
                let word = word?;
                u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
            };
            let (start, size) = (number(words.next()), number(words.next()));
            if let (Some(start), Some(size), Some(name)) = (start, size, words.next())
                && let Some(end) = start.checked_add(size)
            {
                let name: String = clean(name).chars().take(MAX_NAME).collect();
                rows.push((start, end, name.into()));
            }
        }
        // Code is replaced: the last row written for an address is the valid one.
        rows.reverse();
        rows.sort_by_key(|(start, _, _)| *start);
        rows.dedup_by_key(|(start, _, _)| *start);
        Self { rows }
    }

    /// The function at a runtime address.
    pub fn at(&self, address: u64) -> Option<&str> {
        let upto = self.rows.partition_point(|(start, _, _)| *start <= address);
        let (_, end, name) = self.rows[..upto].last()?;
        (address < *end).then_some(name)
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_name_of_the_row_written_last() {
        let text = "1000 10 old\n2000 20 LazyCompile:~f a.js:1\nnot a row\n0x1000 10 new\nffffffffffffffff 2 overflow\n";
        let map = JitMap::parse(text.as_bytes());
        assert_eq!(map.at(0x100f), Some("new"));
        assert_eq!(map.at(0x1010), None);
        assert_eq!(map.at(0x2000), Some("LazyCompile:~f a.js:1"));
        assert_eq!(map.at(0xfff), None);
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn a_map_without_end_is_cut() {
        let map = JitMap::parse(std::io::repeat(b'1'));
        assert!(map.is_empty());
        let rows = "1 1 a\n".repeat(100_000);
        assert_eq!(JitMap::parse(rows.as_bytes()).len(), 1);
    }
}
