//! Small experiments with bpf(2): what this kernel lets us load.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::bpf_call::{self, Command, MultiLinkAttr, ProgramAttr};
use super::btf::{Btf, Kind};
use super::programs::UPROBE_MULTI;

/// `BPF_MAP_TYPE_RINGBUF` (Linux 5.8).
const RINGBUF: u32 = 27;
/// `BPF_PROG_TYPE_TRACING`
const TRACING: u32 = 26;
/// `BPF_TRACE_RAW_TP`
const TRACE_RAW_TP: u32 = 23;
/// `r0 = 0; exit`: the shortest program.
const NOTHING: [u64; 2] = [0xb7, 0x95];
/// `call bpf_get_attach_cookie`, whose argument, the context, is in place at the start.
const CALL_COOKIE: u64 = 0x85 | 174 << 32;

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
    // SAFETY: the attribute points to nothing.
    unsafe { bpf_call::descriptor(Command::MapCreate, &attr) }.map(drop)
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
    .map(drop)
}

/// Whether `uprobe_multi` links can be had (Linux 6.6). Kernels that do not know them load a program for them, too,
/// as any other of its type; so a link is asked for, to a path that is no file.
///
/// # Errors
/// What bpf(2) answered to the program; `EINVAL` when it does not know such links.
pub fn uprobe_multi() -> io::Result<()> {
    let program = load(ProgramAttr {
        kind: ProgramType::Kprobe as u32,
        expected_attach_type: UPROBE_MULTI,
        ..ProgramAttr::default()
    })?;
    let offset = 0_u64;
    let attr = MultiLinkAttr {
        program: program.as_raw_fd().cast_unsigned(),
        attach_type: UPROBE_MULTI,
        path: c"/".as_ptr() as u64,
        offsets: std::ptr::from_ref(&offset) as u64,
        count: 1,
        ..MultiLinkAttr::default()
    };
    // SAFETY: the path is static, and the one offset lives until the end of this function.
    match unsafe { bpf_call::descriptor(Command::LinkCreate, &attr) } {
        Err(why) if why.raw_os_error() != Some(libc::EBADF) => Err(why),
        _ => Ok(()),
    }
}

/// Whether a uprobe's program can tell at which place it was hit (`bpf_get_attach_cookie`, Linux 5.15).
///
/// # Errors
/// What bpf(2) answered.
pub fn cookie() -> io::Result<()> {
    let code = [CALL_COOKIE, NOTHING[0], NOTHING[1]];
    let kind = ProgramType::Kprobe as u32;
    load_code(
        ProgramAttr {
            kind,
            ..ProgramAttr::default()
        },
        &code,
    )
    .map(drop)
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
    .map(drop)
}

/// Loads and drops a program of these instructions.
///
/// # Errors
/// What bpf(2) answered.
pub fn instructions(code: &[u64]) -> io::Result<()> {
    let kind = ProgramType::RawTracepoint as u32;
    load_code(
        ProgramAttr {
            kind,
            ..ProgramAttr::default()
        },
        code,
    )
    .map(drop)
}

fn load(attr: ProgramAttr) -> io::Result<OwnedFd> {
    load_code(attr, &NOTHING)
}

fn load_code(mut attr: ProgramAttr, code: &[u64]) -> io::Result<OwnedFd> {
    let license = c"Dual MIT/GPL";
    attr.instructions = code.len() as u32;
    attr.instruction = code.as_ptr() as u64;
    attr.license = license.as_ptr() as u64;
    // SAFETY: the license that the attribute points to is static, the program the caller's.
    unsafe { bpf_call::descriptor(Command::ProgLoad, &attr) }
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
        cookie().unwrap();
        tracepoint_btf(&Btf::running().unwrap(), "page_fault_user").unwrap();
    }

    #[test]
    fn a_tracepoint_that_does_not_exist_is_not_found() {
        let error = tracepoint_btf(&Btf::running().unwrap(), "no_such_thing").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}
