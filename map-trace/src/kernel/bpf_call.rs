//! bpf(2), for what aya does not do.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

/// Commands that answer with a descriptor (include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Command {
    MapCreate = 0,
    ProgLoad = 5,
    RawTracepointOpen = 17,
    BtfLoad = 18,
    LinkCreate = 28,
}

/// Commands that answer with success.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Order {
    MapUpdate = 2,
    TestRun = 10,
    MapFreeze = 22,
}

/// The part of `union bpf_attr` for `BPF_BTF_LOAD`.
#[repr(C)]
#[derive(Default)]
pub struct BtfAttr {
    pub btf: u64,
    pub log: u64,
    pub size: u32,
    pub log_size: u32,
    pub log_level: u32,
    pub reserved: u32,
}

/// The part of `union bpf_attr` for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
#[derive(Default)]
pub struct RawTracepointAttr {
    /// 0 for a program of a type that knows its tracepoint.
    pub name: u64,
    pub program: u32,
    pub reserved: u32,
}

/// The part of `union bpf_attr` for `BPF_MAP_UPDATE_ELEM`; the first member alone for `BPF_MAP_FREEZE`.
#[repr(C)]
#[derive(Default)]
pub struct ElementAttr {
    pub map: u32,
    pub reserved: u32,
    pub key: u64,
    pub value: u64,
    pub flags: u64,
}

/// The part of `union bpf_attr` for `BPF_PROG_TEST_RUN` of a program without data and context.
#[repr(C)]
#[derive(Default)]
pub struct TestRunAttr {
    pub program: u32,
    pub answer: u32,
    pub data: [u64; 3],
    pub repeat: u32,
    pub duration: u32,
    pub context: [u64; 3],
    pub flags: u32,
    pub cpu: u32,
}

/// The part of `union bpf_attr` for `BPF_LINK_CREATE` with `uprobe_multi`.
#[repr(C)]
#[derive(Default)]
pub struct MultiLinkAttr {
    pub program: u32,
    pub target: u32,
    pub attach_type: u32,
    pub flags: u32,
    pub path: u64,
    pub offsets: u64,
    pub ref_ctr_offsets: u64,
    pub cookies: u64,
    pub count: u32,
    pub multi_flags: u32,
    pub pid: u32,
    pub reserved: u32,
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
    patiently(|| {
        // SAFETY: the caller's promise; the kernel reads size_of::<T> bytes.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, command as i32, pointer, size_of::<T>()) };
        match libc::c_int::try_from(fd) {
            // SAFETY: a non-negative answer of these commands is a new descriptor that nobody else owns.
            Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// The verifier gives up with EAGAIN when a signal waits for the thread (kernel/bpf/verifier.c, `do_check`): it
/// says nothing of the program. libbpf tries five times; signals may come for longer, and the tries cost nothing.
fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        match call() {
            Err(why) if why.raw_os_error() == Some(libc::EAGAIN) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            answer => return answer,
        }
    }
    call()
}

/// Calls bpf(2) for a command without a descriptor for an answer.
///
/// # Errors
/// What the kernel answers.
///
/// # Safety
/// As for [`descriptor`]; what the kernel writes into `attr` or behind its pointers may be written there.
pub unsafe fn order<T>(order: Order, attr: &mut T) -> io::Result<()> {
    let pointer = std::ptr::from_mut(attr);
    // SAFETY: the caller's promise; the kernel reads and writes size_of::<T> bytes.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, order as i32, pointer, size_of::<T>()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_interrupted_call_is_made_again_and_not_for_ever() {
        let answered = |errors: &[i32]| {
            let mut calls = 0;
            let answer = patiently(|| {
                calls += 1;
                match errors.get(calls - 1) {
                    Some(number) => Err(io::Error::from_raw_os_error(*number)),
                    None => Ok(()),
                }
            });
            (answer.map_err(|why| why.raw_os_error()), calls)
        };
        assert_eq!(answered(&[]), (Ok(()), 1));
        assert_eq!(answered(&[libc::EAGAIN; 3]), (Ok(()), 4));
        assert_eq!(answered(&[libc::EINVAL]), (Err(Some(libc::EINVAL)), 1));
        assert_eq!(answered(&[libc::EAGAIN; 99]), (Err(Some(libc::EAGAIN)), 20));
    }
}
