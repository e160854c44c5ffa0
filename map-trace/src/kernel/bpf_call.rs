//! bpf(2), for what aya does not do.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Commands that answer with a descriptor (include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Command {
    MapCreate = 0,
    ProgLoad = 5,
    BtfLoad = 18,
    LinkCreate = 28,
}

/// The part of `union bpf_attr` for `BPF_PROG_LOAD` up to `attach_btf_id`.
#[repr(C)]
#[derive(Default)]
pub struct ProgramAttr {
    pub kind: u32,
    pub instructions: u32,
    pub instruction: u64,
    pub license: u64,
    pub log_level: u32,
    pub log_size: u32,
    pub log: u64,
    pub kernel_version: u32,
    pub flags: u32,
    pub name: [u8; 16],
    pub interface: u32,
    pub expected_attach_type: u32,
    pub btf: u32,
    pub func_info_size: u32,
    pub func_info: u64,
    pub func_info_count: u32,
    pub line_info_size: u32,
    pub line_info: u64,
    pub line_info_count: u32,
    pub attach_btf_id: u32,
}

/// Calls bpf(2).
///
/// # Errors
/// What the kernel answers.
///
/// # Safety
/// `T` is a prefix of `union bpf_attr` for the command, and what it points to is live and of the size it says.
pub unsafe fn descriptor<T>(command: Command, attr: &T) -> io::Result<OwnedFd> {
    let pointer = std::ptr::from_ref(attr);
    // SAFETY: the caller's promise; the kernel reads size_of::<T> bytes.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command as i32, pointer, size_of::<T>()) };
    match libc::c_int::try_from(fd) {
        // SAFETY: a non-negative answer of these commands is a new descriptor that nobody else owns.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
