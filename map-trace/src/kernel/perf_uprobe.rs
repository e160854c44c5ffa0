//! A uprobe as a perf event, for kernels without `uprobe_multi` links (before 6.6).
//!
//! perf_event_open(2) with the `uprobe` event source; the program goes on it with a bpf link, which carries the
//! cookie (Linux 5.15).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::bpf_call::{self, Command};

/// `BPF_PERF_EVENT` (include/uapi/linux/bpf.h).
const PERF_EVENT: u32 = 41;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOSE_ON_EXEC: libc::c_ulong = 8;
/// Opened at once: each waits for the kernel more than it computes.
const AT_ONCE: usize = 32;

/// An attached uprobe; dropping it detaches.
pub struct PerfUprobe {
    _link: OwnedFd,
    _event: OwnedFd,
}

/// `struct perf_event_attr` (include/uapi/linux/perf_event.h), version 1 and up to `config2`.
#[repr(C)]
#[derive(Default)]
struct EventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    /// `uprobe_path`
    config1: u64,
    /// `probe_offset`
    config2: u64,
}

/// The part of `union bpf_attr` for `BPF_LINK_CREATE` with a perf event.
#[repr(C)]
#[derive(Default)]
struct LinkAttr {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    cookie: u64,
}

impl PerfUprobe {
    /// Attaches a program at offsets of a file, each with its cookie, all or none.
    ///
    /// # Errors
    /// The first refusal.
    pub fn open_all(path: &str, places: &[(u64, u64)], program: i32) -> io::Result<Vec<Self>> {
        let kind = std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/type")?;
        let kind: u32 = kind
            .trim()
            .parse()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let path = CString::new(path).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut opened = Vec::new();
        for some in places.chunks(AT_ONCE) {
            let results: Vec<io::Result<Self>> = std::thread::scope(|scope| {
                let open = |&(offset, cookie): &(u64, u64)| {
                    let path = &path;
                    scope.spawn(move || Self::open(kind, path, offset, cookie, program))
                };
                let workers: Vec<_> = some.iter().map(open).collect();
                let ended = |_| io::Error::from(io::ErrorKind::Other);
                let joined = workers
                    .into_iter()
                    .map(|worker| worker.join().map_err(ended)?);
                joined.collect()
            });
            for one in results {
                opened.push(one?);
            }
        }
        Ok(opened)
    }

    fn open(kind: u32, path: &CString, offset: u64, cookie: u64, program: i32) -> io::Result<Self> {
        let attr = EventAttr {
            kind,
            size: size_of::<EventAttr>() as u32,
            config1: path.as_ptr() as u64,
            config2: offset,
            ..EventAttr::default()
        };
        let pointer = std::ptr::from_ref(&attr);
        let (pid, cpu, group, flags) = (-1, 0, -1, CLOSE_ON_EXEC);
        // SAFETY: the attribute is live, of the size it says, and the path it points to is, too.
        let fd =
            unsafe { libc::syscall(libc::SYS_perf_event_open, pointer, pid, cpu, group, flags) };
        let event = match libc::c_int::try_from(fd) {
            // SAFETY: a new descriptor that nobody else owns.
            Ok(fd) if fd >= 0 => unsafe { OwnedFd::from_raw_fd(fd) },
            _ => return Err(io::Error::last_os_error()),
        };
        let attr = LinkAttr {
            program: program.cast_unsigned(),
            target: event.as_raw_fd().cast_unsigned(),
            attach_type: PERF_EVENT,
            cookie,
            ..LinkAttr::default()
        };
        // SAFETY: the attribute points to nothing.
        let link = unsafe { bpf_call::descriptor(Command::LinkCreate, &attr) }?;
        Ok(Self {
            _link: link,
            _event: event,
        })
    }
}
