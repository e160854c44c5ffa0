//! The forked child that makes the calls.

use std::fs::File;
use std::io::{PipeWriter, Write, pipe};
use std::os::fd::AsRawFd;

use super::super::build::PAGE;
use super::plan::{ARENA_PAGES, Files, Step};
use crate::space::{Call, MappingCall};

/// What the child did and saw.
pub struct Outcome {
    /// Its smaps before the first call and after the last.
    pub before: String,
    pub after: String,
    /// When `before` was read.
    pub taken_ns: u64,
    pub done: Vec<MappingCall>,
}

const TEXT_BYTES: usize = 4 << 20;
const MAX_STEPS: usize = 512;

/// Shared with the child.
#[repr(C)]
struct Shared {
    steps_done: usize,
    taken_ns: u64,
    /// Entry, exit, result.
    results: [(u64, u64, i64); MAX_STEPS],
    before: usize,
    after: usize,
    texts: [[u8; TEXT_BYTES]; 2],
}

/// Makes the calls of a plan in a child and waits for it.
pub fn run(plan: impl FnOnce(u64, Files) -> Vec<Step>) -> Outcome {
    run_watched(plan, |_| ()).0
}

/// The same; `watch` is called with the child's process id before the child does anything.
pub fn run_watched<W>(
    plan: impl FnOnce(u64, Files) -> Vec<Step>,
    watch: impl FnOnce(i32) -> W,
) -> (Outcome, W) {
    let mut file = tempfile::tempfile().expect("a file to map");
    file.write_all(&[7; 32 * PAGE as usize]).expect("fill it");
    let read_only =
        File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("open it again");
    let zero = File::options()
        .read(true)
        .write(true)
        .open("/dev/zero")
        .expect("/dev/zero");
    // SAFETY: a syscall without pointers; the result is checked by use.
    let brk = unsafe { libc::syscall(libc::SYS_brk, 0) }.cast_unsigned();
    let files = Files {
        fds: [file.as_raw_fd(), read_only.as_raw_fd(), zero.as_raw_fd()],
        // Above what the plan itself may take from the heap: the child reads it from there.
        brk: brk + (4 << 20),
    };
    let shared = share();
    let arena = find_room();
    let steps = plan(arena, files);
    assert!(steps.len() <= MAX_STEPS);
    // SAFETY: `shared` is mapped, and no one else uses it until the parent has waited.
    let (pid, release) = fork_held(|| unsafe { work(shared, &steps) });
    let watched = watch(pid);
    drop(release);
    wait(pid);
    // SAFETY: mapped above, and the child, the only other user, is gone.
    let outcome = collect(unsafe { &*shared }, steps);
    // SAFETY: mapped by `share`, and nothing refers to it any more.
    unsafe { libc::munmap(shared.cast(), size_of::<Shared>()) };
    (outcome, watched)
}

/// Lets a held child go when dropped. By a byte, since other children may hold the pipe open, too.
pub struct Release(PipeWriter);

impl Drop for Release {
    fn drop(&mut self) {
        let _ = self.0.write_all(&[1]);
    }
}

/// Forks a child that does its work once what is returned with its process id is dropped. The work may do
/// only what a signal handler may.
pub fn fork_held(work: impl FnOnce()) -> (i32, Release) {
    let (reader, writer) = pipe().expect("a pipe");
    // SAFETY: the child makes only system calls and ends with _exit; see the module's comment.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        // SAFETY: the child's own copy of the descriptor; the buffer is as long as said.
        unsafe {
            let mut byte = 0_u8;
            libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1);
            work();
            libc::_exit(99)
        }
    }
    (pid, Release(writer))
}

/// Waits for a child, which must end well.
pub fn wait(pid: i32) {
    let mut status = 0;
    // SAFETY: our child; `status` outlives the call.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the child failed");
}

/// CLOCK_MONOTONIC, nanoseconds.
fn now() -> u64 {
    // SAFETY: plain data, filled by the call.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

fn share() -> *mut Shared {
    // SAFETY: a new mapping at a place of the kernel's choice.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size_of::<Shared>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(at, libc::MAP_FAILED);
    at.cast()
}

/// An address with nothing mapped for a good way on either side. Another thread of this process may map
/// there before the fork; the child's first smaps shows it and the replay starts from that.
pub fn find_room() -> u64 {
    let bytes = (ARENA_PAGES * PAGE * 16) as usize;
    // SAFETY: a new mapping, unmapped again at once.
    let at = unsafe {
        let at = libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(at, libc::MAP_FAILED);
        libc::munmap(at, bytes);
        at
    };
    // Far from the search for free addresses, which goes downwards from the top.
    (at as u64).saturating_sub(1 << 40) & !(PAGE - 1)
}

/// # Safety
/// `shared` must be mapped and used by nobody else; to be called in a forked child only.
unsafe fn work(shared: *mut Shared, steps: &[Step]) -> ! {
    // SAFETY: by the contract of this function.
    let shared = unsafe { &mut *shared };
    shared.before = read_smaps(&mut shared.texts[0]);
    shared.taken_ns = now();
    for (step, result) in steps.iter().zip(&mut shared.results) {
        let enter_ns = now();
        let made = make(step);
        *result = (enter_ns, now(), made);
        shared.steps_done += 1;
    }
    shared.after = read_smaps(&mut shared.texts[1]);
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

/// The kernel's answer, negative errno on failure, as a tracer sees it.
fn make(step: &Step) -> i64 {
    let number = match step.call {
        Call::Mmap => libc::SYS_mmap,
        Call::Munmap => libc::SYS_munmap,
        Call::Mprotect => libc::SYS_mprotect,
        Call::PkeyMprotect => libc::SYS_pkey_mprotect,
        Call::Mremap => libc::SYS_mremap,
        Call::Brk => libc::SYS_brk,
        Call::Madvise => libc::SYS_madvise,
    };
    let [a, b, c, d, e, f] = step.args;
    // SAFETY: the calls touch the arena, the heap the child does not use, and addresses the kernel chose;
    // none holds anything the child needs.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 {
        // SAFETY: errno of this thread.
        -i64::from(unsafe { *libc::__errno_location() })
    } else {
        result
    }
}

/// Reads into the buffer without allocating; 0 when it does not fit or cannot be read.
fn read_smaps(buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    // SAFETY: a constant path, a buffer of the length given, a descriptor closed once.
    unsafe {
        let fd = libc::open(c"/proc/self/smaps".as_ptr(), libc::O_RDONLY);
        while fd >= 0 && filled < buffer.len() {
            let room = &mut buffer[filled..];
            let read = libc::read(fd, room.as_mut_ptr().cast(), room.len());
            if read <= 0 {
                break;
            }
            filled += read as usize;
        }
        libc::close(fd);
    }
    if filled < buffer.len() { filled } else { 0 }
}

fn collect(shared: &Shared, steps: Vec<Step>) -> Outcome {
    let text = |index: usize, length: usize| {
        String::from_utf8_lossy(&shared.texts[index][..length]).into_owned()
    };
    let results = shared.results.iter().copied().take(shared.steps_done);
    Outcome {
        before: text(0, shared.before),
        after: text(1, shared.after),
        taken_ns: shared.taken_ns,
        done: steps
            .into_iter()
            .zip(results)
            .map(|(step, (enter_ns, exit_ns, result))| MappingCall {
                enter_ns,
                exit_ns,
                call: step.call,
                args: step.args,
                result: Some(result),
            })
            .collect(),
    }
}
