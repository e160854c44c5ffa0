//! The fork and the child's side of a launch.
//!
//! Between fork and exec the child of a process with threads may only make async-signal-safe calls
//! (signal-safety(7)). It makes none at all: everything it needs is prepared before the fork, and it
//! enters the kernel by the `syscall` instruction, so that it touches neither the C library's state nor
//! more pages than the few it stands on. Those would count as faults of the program in its rusage.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::limits::Limits;
use super::signals;
use super::surroundings::Surroundings;
use super::syscall::{exit, syscall};

/// What the child says through the report pipe: which step, and the errno of its failure.
///
/// The bytes stay within this process's image (a fork), so the layout is ours alone.
pub(super) const REPORT_BYTES: usize = 8;

/// The child's steps, as numbers in its reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Suspended, waiting to be released.
    Ready = 0,
    Limits = 1,
    Groups = 2,
    Gid = 3,
    Uid = 4,
    Signals = 5,
    Exec = 6,
    HugePages = 7,
    Nice = 8,
    Cpus = 9,
    Streams = 10,
}

impl Step {
    pub(super) fn from_number(number: u32) -> Option<Self> {
        [
            Self::Ready,
            Self::Limits,
            Self::Groups,
            Self::Gid,
            Self::Uid,
            Self::Signals,
            Self::Exec,
            Self::HugePages,
            Self::Nice,
            Self::Cpus,
            Self::Streams,
        ]
        .into_iter()
        .find(|step| *step as u32 == number)
    }

    /// What failed, for an error line.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Ready => "suspend the program",
            Self::Limits => "restore the resource limits",
            Self::Groups => "set the user's groups",
            Self::Gid => "set the group",
            Self::Uid => "set the user",
            Self::Signals => "restore the signals",
            Self::Exec => "execute the program",
            Self::HugePages => "set the program's transparent huge pages",
            Self::Nice => "set the program's priority",
            Self::Cpus => "set the program's CPUs",
            Self::Streams => "redirect the standard streams",
        }
    }
}

/// Everything the child uses.
pub(super) struct Plan {
    pub(super) path: CString,
    pub(super) argv: Vec<CString>,
    pub(super) environment: Vec<CString>,
    /// Group list, group and user to change to.
    pub(super) user: Option<(Vec<u32>, u32, u32)>,
    pub(super) limits: Limits,
    pub(super) surroundings: Surroundings,
    /// Descriptors that become standard input, output and error; none: map-trace's own.
    pub(super) streams: Option<[RawFd; 3]>,
}

/// A child that was just forked, with our ends of its pipes.
pub(super) struct Forked {
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    pub(super) go: OwnedFd,
    pub(super) report: OwnedFd,
}

/// The kernel's `struct sigaction` on x86-64 (arch/x86/include/uapi/asm/signal.h), not the C library's.
#[repr(C)]
struct KernelSigaction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// What the child holds on its stack: raw views of the plan.
struct View<'a> {
    path: *const c_char,
    argv: *const *const c_char,
    environment: *const *const c_char,
    user: Option<(&'a [u32], u32, u32)>,
    limits: &'a Limits,
    surroundings: &'a Surroundings,
    streams: Option<[RawFd; 3]>,
    reset: &'a [i32],
    ignore_sigpipe: bool,
    mask: u64,
    go: RawFd,
    go_write: RawFd,
    report: RawFd,
    report_read: RawFd,
}

/// Forks the suspended child.
///
/// # Errors
/// What pipe2(2) or clone(2) answered.
pub(super) fn fork(plan: &Plan) -> io::Result<Forked> {
    let (go_read, go_write) = pipe()?;
    let (report_read, report_write) = pipe()?;
    let argv = pointers(&plan.argv);
    let environment = pointers(&plan.environment);
    let reset = signals::caught();
    // Until the child has reset the handlers, a signal must not run one of ours in it.
    let blocked = signals::Blocked::all();
    let view = View {
        path: plan.path.as_ptr(),
        argv: argv.as_ptr(),
        environment: environment.as_ptr(),
        user: plan
            .user
            .as_ref()
            .map(|(groups, gid, uid)| (groups.as_slice(), *gid, *uid)),
        limits: &plan.limits,
        surroundings: &plan.surroundings,
        streams: plan.streams,
        reset: &reset,
        ignore_sigpipe: signals::sigpipe_was_ignored(),
        mask: kernel_mask(blocked.before()),
        go: go_read.as_raw_fd(),
        go_write: go_write.as_raw_fd(),
        report: report_write.as_raw_fd(),
        report_read: report_read.as_raw_fd(),
    };
    let mut pidfd: libc::c_int = -1;
    let flags = libc::CLONE_PIDFD as usize | libc::SIGCHLD as usize;
    // SAFETY: with these flags clone is fork: the child gets a copy of this address space and returns
    // here on a copy of this stack; the kernel writes the pidfd to `pidfd` in the parent.
    let pid = unsafe {
        syscall(
            libc::SYS_clone,
            [flags, 0, &raw mut pidfd as usize, 0, 0, 0],
        )
    };
    if pid == 0 {
        // SAFETY: we are in the child of a fork; the views point into memory that was copied with us.
        unsafe { run(&view) }
    }
    drop(blocked);
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(
            i32::try_from(-pid).unwrap_or(libc::EINVAL),
        ));
    }
    // SAFETY: clone succeeded with CLONE_PIDFD, so `pidfd` is a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Forked {
        pid: u32::try_from(pid).unwrap_or(0),
        pidfd,
        go: go_write,
        report: report_read,
    })
}

/// # Safety
/// Only in the child of a fork, with views of memory that outlives it.
unsafe fn run(view: &View<'_>) -> ! {
    // SAFETY: every call is a plain system call on descriptors, ids and memory of this view.
    unsafe {
        close(view.go_write);
        close(view.report_read);
        surround(view);
        become_caller(view);
        report(view, Step::Ready, 0);
        let mut byte = 0_u8;
        let released = loop {
            let arguments = [view.go as usize, &raw mut byte as usize, 1, 0, 0, 0];
            match syscall(libc::SYS_read, arguments) {
                1 => break true,
                code if code == -(libc::EINTR as isize) => {}
                // End of file: map-trace is gone.
                _ => break false,
            }
        };
        if !released {
            exit(125);
        }
        let arguments = [
            view.path as usize,
            view.argv as usize,
            view.environment as usize,
            0,
            0,
            0,
        ];
        let code = syscall(libc::SYS_execve, arguments);
        report(view, Step::Exec, code);
        exit(126)
    }
}

/// Takes on the program's surroundings, as root still: a user may not raise a priority.
///
/// # Safety
/// As for `run`.
unsafe fn surround(view: &View<'_>) {
    let wanted = view.surroundings;
    // SAFETY: by this function's contract; the set's words are live and of the length given.
    unsafe {
        if let Some(huge_pages) = wanted.huge_pages {
            let option = libc::PR_SET_THP_DISABLE as usize;
            let arguments = [option, 1, huge_pages.flags(), 0, 0, 0];
            check(view, Step::HugePages, syscall(libc::SYS_prctl, arguments));
        }
        if let Some(nice) = wanted.nice {
            let who = libc::PRIO_PROCESS as usize;
            let arguments = [who, 0, nice as isize as usize, 0, 0, 0];
            check(view, Step::Nice, syscall(libc::SYS_setpriority, arguments));
        }
        if let Some(cpus) = &wanted.cpus {
            let words = cpus.words();
            let arguments = [0, size_of_val(words), words.as_ptr() as usize, 0, 0, 0];
            check(
                view,
                Step::Cpus,
                syscall(libc::SYS_sched_setaffinity, arguments),
            );
        }
    }
}

/// Gives back what map-trace changed and becomes the user.
///
/// # Safety
/// As for `run`.
unsafe fn become_caller(view: &View<'_>) {
    // SAFETY: by this function's contract; all pointers are to live memory of the sizes the calls expect.
    unsafe {
        for saved in &view.limits.0 {
            let new = &raw const saved.before as usize;
            let arguments = [0, saved.resource as usize, new, 0, 0, 0];
            check(view, Step::Limits, syscall(libc::SYS_prlimit64, arguments));
        }
        if let Some((groups, gid, uid)) = view.user {
            let (gid, uid) = (gid as usize, uid as usize);
            let arguments = [groups.len(), groups.as_ptr() as usize, 0, 0, 0, 0];
            check(view, Step::Groups, syscall(libc::SYS_setgroups, arguments));
            let arguments = [gid, gid, gid, 0, 0, 0];
            check(view, Step::Gid, syscall(libc::SYS_setresgid, arguments));
            let arguments = [uid, uid, uid, 0, 0, 0];
            check(view, Step::Uid, syscall(libc::SYS_setresuid, arguments));
        }
        if let Some(streams) = view.streams {
            for (target, source) in streams.iter().enumerate() {
                let arguments = [*source as usize, target, 0, 0, 0, 0];
                check(view, Step::Streams, syscall(libc::SYS_dup2, arguments));
            }
        }
        for signal in view.reset {
            check(view, Step::Signals, set_handler(*signal, libc::SIG_DFL));
        }
        let pipe_handler = if view.ignore_sigpipe {
            libc::SIG_IGN
        } else {
            libc::SIG_DFL
        };
        check(
            view,
            Step::Signals,
            set_handler(libc::SIGPIPE, pipe_handler),
        );
        let mask = &raw const view.mask as usize;
        let arguments = [libc::SIG_SETMASK as usize, mask, 0, 8, 0, 0];
        check(
            view,
            Step::Signals,
            syscall(libc::SYS_rt_sigprocmask, arguments),
        );
    }
}

/// # Safety
/// As for `run`.
unsafe fn set_handler(signal: i32, handler: usize) -> isize {
    let action = KernelSigaction {
        handler,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    let arguments = [signal as usize, &raw const action as usize, 0, 8, 0, 0];
    // SAFETY: the action is readable, the old one is not asked for, 8 is the kernel's mask size.
    unsafe { syscall(libc::SYS_rt_sigaction, arguments) }
}

/// Reports a failed step and ends the child.
///
/// # Safety
/// As for `run`.
unsafe fn check(view: &View<'_>, step: Step, code: isize) {
    if code < 0 {
        // SAFETY: by this function's contract.
        unsafe {
            report(view, step, code);
            exit(125)
        }
    }
}

/// # Safety
/// As for `run`.
unsafe fn report(view: &View<'_>, step: Step, code: isize) {
    let message = [step as u32, code.wrapping_neg() as u32];
    let arguments = [
        view.report as usize,
        message.as_ptr() as usize,
        REPORT_BYTES,
        0,
        0,
        0,
    ];
    // SAFETY: the message is REPORT_BYTES long. A pipe takes it whole; if the reader is gone, SIGPIPE
    // or EPIPE end this child, which is right.
    unsafe { syscall(libc::SYS_write, arguments) };
}

/// # Safety
/// As for `run`.
unsafe fn close(descriptor: RawFd) {
    // SAFETY: the child's own copy of a descriptor, not used again.
    unsafe { syscall(libc::SYS_close, [descriptor as usize, 0, 0, 0, 0, 0]) };
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// The kernel's 64-bit signal set of a C library's set.
fn kernel_mask(set: &libc::sigset_t) -> u64 {
    (1..=64)
        // SAFETY: the set is initialised and the number a signal's.
        .filter(|signal| unsafe { libc::sigismember(set, *signal) } == 1)
        .fold(0, |mask, signal| mask | 1 << (signal - 1))
}
