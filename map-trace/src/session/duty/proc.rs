//! What /proc says of a process that is about to be counted in: its threads, and where its file is mapped.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Threads looked at.
const MAX_THREADS: usize = 64;
/// Threads whose CPU time is remembered.
const MAX_KNOWN: usize = 1 << 12;

/// The file that a process runs: device and inode.
pub fn identity(pid: u32) -> Option<(u64, u64)> {
    let found = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((found.dev(), found.ino()))
}

/// Somebody else debugs it, and may need every debug register.
pub fn traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_none_or(|tracer| tracer.trim() != "0")
}

/// The threads that used most CPU time since the last time they were looked at, at most `most`.
pub fn busiest(pid: u32, known: &mut HashMap<u32, u64>, most: usize) -> Vec<u32> {
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut used: Vec<(u64, u32)> = tasks
        .take(MAX_THREADS)
        .filter_map(|task| {
            let tid: u32 = task.ok()?.file_name().to_str()?.parse().ok()?;
            // "ns-on-cpu ns-waiting times" (Documentation/scheduler/sched-stats.rst).
            let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
            let now: u64 = text.split(' ').next()?.parse().ok()?;
            let before = known.insert(tid, now).unwrap_or(0);
            Some((now.saturating_sub(before), tid))
        })
        .filter(|(used, _)| *used != 0)
        .collect();
    used.sort_unstable_by(|a, b| b.cmp(a));
    used.into_iter().take(most).map(|(_, tid)| tid).collect()
}

/// Where the executable mappings of the process's own file are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
struct Piece {
    start: u64,
    end: u64,
    offset: u64,
}

impl Text {
    /// None when it cannot be read.
    pub fn of(pid: u32, inode: u64) -> Option<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        Some(Self::parse(&maps, inode, path.to_str().unwrap_or("")))
    }

    /// An overlay's file may show another inode there: then the path has to be the same.
    fn parse(maps: &str, inode: u64, path: &str) -> Self {
        let piece = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let access = words.next()?;
            let offset = u64::from_str_radix(words.next()?, 16).ok()?;
            let same = words.nth(1)?.parse() == Ok(inode) || {
                let named = line.find('/').and_then(|at| line.get(at..));
                !path.is_empty() && named == Some(path)
            };
            (access.contains('x') && same).then_some(Piece {
                start: u64::from_str_radix(start, 16).ok()?,
                end: u64::from_str_radix(end, 16).ok()?,
                offset,
            })
        };
        Self(maps.lines().filter_map(piece).collect())
    }

    /// The address at which a byte of the file is executed.
    pub fn address(&self, file_offset: u64) -> Option<u64> {
        self.0.iter().find_map(|piece| {
            let inside = file_offset.checked_sub(piece.offset)?;
            let address = piece.start.checked_add(inside)?;
            (address < piece.end).then_some(address)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
00400000-00401000 r--p 00000000 fe:00 77  /opt/a b
00401000-00403000 r-xp 00001000 fe:00 77  /opt/a b
7f0000000000-7f0000001000 r-xp 00001000 fe:00 78  /lib/libc.so
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0  [vdso]
";

    #[test]
    fn a_byte_of_the_file_is_where_its_executable_mapping_is() {
        for text in [
            Text::parse(MAPS, 77, ""),
            Text::parse(MAPS, 1234, "/opt/a b"),
        ] {
            assert_eq!(text.address(0x1000), Some(0x40_1000));
            assert_eq!(text.address(0x2fff), Some(0x40_2fff));
            assert_eq!(text.address(0x3000), None);
            assert_eq!(text.address(0xfff), None);
        }
    }

    #[test]
    fn another_file_and_nonsense_have_no_address() {
        assert_eq!(Text::parse(MAPS, 5, "/opt/b"), Text::default());
        let nonsense = "-\nzz-yy r-xp 0 0 77\n0-1 r-xp\n\u{0}\n1000-2000 r-xp 0 0 77 \n";
        let text = Text::parse(nonsense, 77, "");
        assert_eq!(text.address(0), Some(0x1000));
    }

    #[test]
    fn this_process_has_a_thread_that_worked_and_is_not_asked_twice_for_the_same() {
        let pid = std::process::id();
        let mut known = HashMap::new();
        assert!(!busiest(pid, &mut known, 4).is_empty());
        assert!(!known.is_empty());
        assert_eq!(busiest(0, &mut known, 4), Vec::<u32>::new());
    }
}
