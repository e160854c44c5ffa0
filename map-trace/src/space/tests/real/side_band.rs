//! A perf event that records a child's mappings, and its records.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use super::super::build::PAGE;
use crate::space::{Device, SideBandMapping};

/// Pages of the ring's data.
const PAGES: usize = 512;

/// What the side band tells.
#[derive(Clone, Debug)]
pub enum Record {
    Mapping(Arc<SideBandMapping>),
    /// A new program image begins.
    Exec {
        ktime_ns: u64,
    },
}

impl Record {
    pub fn ktime_ns(&self) -> u64 {
        match self {
            Self::Mapping(mapping) => mapping.ktime_ns,
            Self::Exec { ktime_ns } => *ktime_ns,
        }
    }
}

/// The side band of one process.
pub struct SideBand {
    fd: OwnedFd,
    ring: *mut u8,
}

impl SideBand {
    /// Opens a dummy software event with mapping and comm records, stamped with CLOCK_MONOTONIC
    /// (perf_event_open(2), include/uapi/linux/perf_event.h).
    pub fn of(pid: i32) -> Self {
        const SOFTWARE: u32 = 1;
        const DUMMY: u64 = 9;
        const TID_AND_TIME: u64 = 2 | 4;
        // exclude_kernel, mmap, comm, mmap_data, sample_id_all, mmap2, comm_exec, use_clockid.
        let flags = [5, 8, 9, 17, 18, 23, 24, 25]
            .iter()
            .fold(0_u64, |flags, bit| flags | 1 << bit);
        let mut attr = [0_u8; 112];
        let mut put = |at: usize, bytes: &[u8]| attr[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &SOFTWARE.to_ne_bytes());
        put(4, &112_u32.to_ne_bytes());
        put(8, &DUMMY.to_ne_bytes());
        put(24, &TID_AND_TIME.to_ne_bytes());
        put(40, &flags.to_ne_bytes());
        put(92, &libc::CLOCK_MONOTONIC.to_ne_bytes());
        // SAFETY: the attribute is as long as its size field says.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), pid, -1, -1, 0) };
        assert!(
            fd >= 0,
            "perf_event_open: {}",
            std::io::Error::last_os_error()
        );
        // SAFETY: just opened, owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        // SAFETY: a new mapping of the event's ring.
        let ring = unsafe {
            let bytes = (1 + PAGES) * PAGE as usize;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                prot,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        assert_ne!(ring, libc::MAP_FAILED);
        Self {
            fd,
            ring: ring.cast(),
        }
    }

    /// All records, once the process has ended.
    pub fn records(self) -> Vec<Record> {
        const DATA_HEAD: usize = 1024;
        // SAFETY: inside the ring's first page; the writer is gone, so nothing changes under the read.
        let head = unsafe { self.ring.add(DATA_HEAD).cast::<u64>().read_volatile() } as usize;
        assert!(head < PAGES * PAGE as usize, "the ring is full");
        // SAFETY: the written part of the data pages, which no one changes any more.
        let data = unsafe { std::slice::from_raw_parts(self.ring.add(PAGE as usize), head) };
        let mut records = Vec::new();
        let mut rest = data;
        while rest.len() >= 8 {
            let size = usize::from(u16::from_ne_bytes([rest[6], rest[7]]));
            let (record, next) = rest.split_at(size);
            records.extend(parse(record));
            rest = next;
        }
        records
    }
}

impl Drop for SideBand {
    fn drop(&mut self) {
        // SAFETY: mapped in `of` with this length; no slice of it lives on.
        unsafe { libc::munmap(self.ring.cast(), (1 + PAGES) * PAGE as usize) };
        let _ = self.fd.as_raw_fd();
    }
}

fn parse(record: &[u8]) -> Option<Record> {
    const COMM: u32 = 3;
    const LOST: u32 = 2;
    const MMAP2: u32 = 10;
    const COMM_EXEC: u32 = 1 << 13;
    let word = |at: usize| u32::from_ne_bytes(record[at..at + 4].try_into().expect("4 bytes"));
    let long = |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().expect("8 bytes"));
    let ktime_ns = long(record.len() - 8);
    assert_ne!(word(0), LOST, "records were lost");
    match word(0) {
        COMM if word(4) & COMM_EXEC != 0 => Some(Record::Exec { ktime_ns }),
        MMAP2 => {
            let name = record[72..record.len() - 16]
                .split(|byte| *byte == 0)
                .next()?;
            let device = Device {
                major: word(40),
                minor: word(44),
            };
            let file = long(48) != 0;
            Some(Record::Mapping(Arc::new(SideBandMapping {
                ktime_ns,
                tgid: word(8),
                start: long(16),
                length: long(24),
                offset: long(32),
                prot: word(64),
                flags: word(68),
                filename: String::from_utf8_lossy(name).into(),
                device: file.then_some(device),
                inode: file.then_some(long(48)),
                build_id: None,
            })))
        }
        _ => None,
    }
}
