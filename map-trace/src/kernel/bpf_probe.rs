//! Small experiments with bpf(2): what this kernel lets us load.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::btf::{Btf, Kind};
use super::uprobe_program::UPROBE_MULTI;

/// `BPF_MAP_CREATE`, `BPF_PROG_LOAD` (include/uapi/linux/bpf.h).
const MAP_CREATE: libc::c_int = 0;
const PROG_LOAD: libc::c_int = 5;
/// `BPF_MAP_TYPE_RINGBUF` (Linux 5.8).
const RINGBUF: u32 = 27;
/// `BPF_PROG_TYPE_TRACING`
const TRACING: u32 = 26;
/// `BPF_TRACE_RAW_TP`
const TRACE_RAW_TP: u32 = 23;
/// `r0 = 0; exit`: the shortest program.
const NOTHING: [u64; 2] = [0xb7, 0x95];

/// Program types that need nothing but a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProgramType {
    /// uprobes.
    Kprobe = 2,
    Tracepoint = 5,
    /// The sampling timer.
    PerfEvent = 7,
    RawTracepoint = 17,
}

/// The part of `union bpf_attr` for `BPF_MAP_CREATE` that is used.
#[repr(C)]
#[derive(Default)]
struct MapAttr {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

/// The part of `union bpf_attr` for `BPF_PROG_LOAD` up to `attach_btf_id`.
#[repr(C)]
#[derive(Default)]
struct ProgramAttr {
    kind: u32,
    instructions: u32,
    instruction: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
    btf: u32,
    func_info_size: u32,
    func_info: u64,
    func_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    attach_btf_id: u32,
}

/// Makes and drops the smallest ring buffer.
///
/// # Errors
/// `EPERM` without privilege, `EINVAL` before Linux 5.8, `ENOSYS` without bpf(2).
pub fn ring_buffer() -> io::Result<()> {
    let attr = MapAttr {
        kind: RINGBUF,
        max_entries: 4096,
        ..MapAttr::default()
    };
    bpf(MAP_CREATE, &attr).map(drop)
}

/// Loads and drops an empty program of this type.
///
/// # Errors
/// What bpf(2) answered.
pub fn program(kind: ProgramType) -> io::Result<()> {
    load(ProgramAttr {
        kind: kind as u32,
        ..ProgramAttr::default()
    })
}

/// Loads and drops an empty program for `uprobe_multi` links (Linux 6.6).
///
/// # Errors
/// What bpf(2) answered.
pub fn uprobe_multi() -> io::Result<()> {
    load(ProgramAttr {
        kind: ProgramType::Kprobe as u32,
        expected_attach_type: UPROBE_MULTI,
        ..ProgramAttr::default()
    })
}

/// Loads and drops an empty `tp_btf` program for a tracepoint.
///
/// # Errors
/// `ENOENT` when BTF does not describe the tracepoint; else what bpf(2) answered.
pub fn tracepoint_btf(btf: &Btf, tracepoint: &str) -> io::Result<()> {
    let name = format!("btf_trace_{tracepoint}");
    let found = btf.find(&[(Kind::Typedef, name.as_str())]);
    let id = found.iter().flatten().next();
    load(ProgramAttr {
        kind: TRACING,
        expected_attach_type: TRACE_RAW_TP,
        attach_btf_id: *id.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?,
        ..ProgramAttr::default()
    })
}

fn load(mut attr: ProgramAttr) -> io::Result<()> {
    let license = c"Dual MIT/GPL";
    attr.instructions = NOTHING.len() as u32;
    attr.instruction = NOTHING.as_ptr() as u64;
    attr.license = license.as_ptr() as u64;
    bpf(PROG_LOAD, &attr).map(drop)
}

fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<OwnedFd> {
    let pointer = std::ptr::from_ref(attr);
    // SAFETY: the attribute is a live prefix of union bpf_attr of the size given, and what it points to
    // (a static program and license) outlives the call; the kernel only reads it.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size_of::<T>()) };
    match libc::c_int::try_from(fd) {
        // SAFETY: a non-negative answer of these commands is a new descriptor that nobody else owns.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_loads_what_tracing_needs() {
        ring_buffer().unwrap();
        for kind in [
            ProgramType::Kprobe,
            ProgramType::Tracepoint,
            ProgramType::PerfEvent,
            ProgramType::RawTracepoint,
        ] {
            program(kind).unwrap();
        }
        uprobe_multi().unwrap();
        tracepoint_btf(&Btf::running().unwrap(), "page_fault_user").unwrap();
    }

    #[test]
    fn a_tracepoint_that_does_not_exist_is_not_found() {
        let error = tracepoint_btf(&Btf::running().unwrap(), "no_such_thing").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}
