//! What the control child does, all of it between a fork and its end.
//!
//! A fork of a process with threads may make async-signal-safe calls only (signal-safety(7)). This one
//! allocates nothing, takes no lock and cannot panic; it enters the kernel by the `syscall` instruction and
//! touches, besides its stack, only the arena that was mapped for it.
//!
//! Each access stands in the code by itself, not in a loop: the kernel half tells events apart by their
//! instruction, so that none is held back by a small `--detail`.

use std::arch::asm;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::arena::{Arena, PAGE, Slot};
use crate::target::syscall::{exit, syscall};

/// How often each thing is done: once on each of this many pages.
pub const TIMES: u64 = 4;

/// Exit status of a child that did everything it was to do.
pub const DONE: i32 = 0;
/// Exit status of one that went through every step, some of which did not do what they should: a security
/// module may forbid memory that is executable, for instance. What is missing then is not seen either.
pub const PARTLY: i32 = 1;
/// map-trace is gone.
const ABANDONED: usize = 2;
/// A fault outside of the arena, which no step makes.
const STRAY: usize = 3;
/// It could not prepare itself.
const UNPREPARED: usize = 4;

/// Where refused accesses are expected, and how many there were.
static ARENA_START: AtomicUsize = AtomicUsize::new(0);
static ARENA_END: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicU32 = AtomicU32::new(0);
/// A step did not do what it should.
static SHORT: AtomicBool = AtomicBool::new(false);

/// What the child is given.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    pub arena: Arena,
    /// The pipe that a byte arrives on when it may begin, then [`TIMES`] more bytes to read into fresh pages.
    pub go: i32,
    /// The writing end, which the child must not hold.
    pub go_write: i32,
    /// Children of the traced program are followed, so the fork is made to copy pages too.
    pub follow_forks: bool,
}

/// The statement once for each page, each with code of its own.
macro_rules! each_page {
    ($slot:expr, $page:ident => $body:expr) => {{
        each_page!(@one $slot, 0, $page => $body);
        each_page!(@one $slot, 1, $page => $body);
        each_page!(@one $slot, 2, $page => $body);
        each_page!(@one $slot, 3, $page => $body);
    }};
    (@one $slot:expr, $number:expr, $page:ident => $body:expr) => {{
        let $page = $slot.wrapping_add($number * PAGE);
        $body;
    }};
}

/// Waits for the go byte, does every step, ends.
///
/// # Safety
/// Only in the child of a fork, where nothing else runs; the arena is mapped and the descriptors are open.
pub unsafe fn run(orders: &Orders) -> ! {
    // SAFETY: by this function's contract.
    unsafe {
        prepare(orders);
        let mut byte = 0_u8;
        if read(orders.go, &raw mut byte as usize) != 1 {
            exit(ABANDONED);
        }
        touches(&orders.arena);
        flips(&orders.arena);
        refusals(&orders.arena);
        copies(orders);
        let fresh = orders.arena.slot(Slot::KernelRead);
        each_page!(fresh, page => should(read(orders.go, page) == 1));
        should(u64::from(REFUSED.load(Ordering::Relaxed)) == 3 * TIMES);
        let short = SHORT.load(Ordering::Relaxed);
        exit(if short { PARTLY } else { DONE } as usize)
    }
}

/// First touches; reads of untouched pages, then writes to them.
unsafe fn touches(arena: &Arena) {
    // SAFETY: the pages are the child's own and writable.
    unsafe {
        let fresh = arena.slot(Slot::FirstTouch);
        each_page!(fresh, page => write_to(page));
        let zero = arena.slot(Slot::ZeroPage);
        each_page!(zero, page => read_from(page));
        each_page!(zero, page => write_to(page));
    }
}

/// Protection changed and changed back, without an access in between.
unsafe fn flips(arena: &Arena) {
    let (read, write, execute) = (
        libc::PROT_READ as usize,
        libc::PROT_WRITE as usize,
        libc::PROT_EXEC as usize,
    );
    // SAFETY: the pages are the child's own; only their protection changes.
    unsafe {
        let page = arena.slot(Slot::Mprotect);
        write_to(page);
        for prot in [read, read | write, read, read | write] {
            protect(page, prot);
        }
        let page = arena.slot(Slot::ProtExec);
        write_to(page);
        for prot in [read | execute, read, read | execute, read] {
            protect(page, prot);
        }
    }
}

/// Accesses that the kernel refuses: SIGSEGV, caught, goes on behind the instruction.
unsafe fn refusals(arena: &Arena) {
    // SAFETY: the pages are the child's own; each refused access is caught.
    unsafe {
        let page = arena.slot(Slot::ReadOnly);
        write_to(page);
        protect(page, libc::PROT_READ as usize);
        each_page!(page, _unused => write_to(page));

        let page = arena.slot(Slot::ProtNone);
        write_to(page);
        protect(page, libc::PROT_NONE as usize);
        each_page!(page, _unused => read_from(page));

        let overlaid = arena.slot(Slot::MapFixed);
        each_page!(overlaid, page => {
            write_to(page);
            overlay(page);
            read_from(page);
            write_to(page)
        });
    }
}

/// Pages shared after a fork, written by both processes, one after the other.
unsafe fn copies(orders: &Orders) {
    let pages = orders.arena.slot(Slot::ForkCow);
    // SAFETY: the pages are the child's own; the grandchild is a fork like the child itself.
    unsafe {
        each_page!(pages, page => write_to(page));
        let grandchild = syscall(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]);
        if grandchild == 0 {
            if orders.follow_forks {
                each_page!(pages, page => write_to(page));
            }
            exit(DONE as usize);
        }
        let mut status = 0_i32;
        let arguments = [grandchild as usize, &raw mut status as usize, 0, 0, 0, 0];
        if grandchild > 0 {
            should(syscall(libc::SYS_wait4, arguments) == grandchild && status == DONE);
            each_page!(pages, page => write_to(page));
        }
        should(grandchild > 0);
    }
}

/// Dies with map-trace; catches SIGSEGV; leaves every other signal blocked, as they were at the fork.
unsafe fn prepare(orders: &Orders) {
    ARENA_START.store(orders.arena.start, Ordering::Relaxed);
    ARENA_END.store(orders.arena.end(), Ordering::Relaxed);
    // SAFETY: plain calls; the action and the masks live until they return.
    unsafe {
        must(syscall(libc::SYS_close, [orders.go_write as usize, 0, 0, 0, 0, 0]) == 0);
        let kill = libc::SIGKILL as usize;
        let death = [libc::PR_SET_PDEATHSIG as usize, kill, 0, 0, 0, 0];
        must(syscall(libc::SYS_prctl, death) == 0);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = caught as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        must(libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) == 0);
        // The kernel's set of 64 signals, all but SIGSEGV: one blocked when it is raised would kill.
        let mask = !(1_u64 << (libc::SIGSEGV - 1));
        let arguments = [
            libc::SIG_SETMASK as usize,
            &raw const mask as usize,
            0,
            8,
            0,
            0,
        ];
        must(syscall(libc::SYS_rt_sigprocmask, arguments) == 0);
    }
}

/// Goes on where r9 says: [`write_to`] and [`read_from`] leave the address behind them there.
extern "C" fn caught(_signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes both, valid until the handler returns; SIGSEGV has an address.
    unsafe {
        let address = (*info).si_addr() as usize;
        let expected = ARENA_START.load(Ordering::Relaxed)..ARENA_END.load(Ordering::Relaxed);
        if !expected.contains(&address) {
            exit(STRAY);
        }
        let registers = &mut (*context).uc_mcontext.gregs;
        registers[libc::REG_RIP as usize] = registers[libc::REG_R9 as usize];
    }
    REFUSED.fetch_add(1, Ordering::Relaxed);
}

/// Writes a byte, or is refused.
///
/// # Safety
/// The page is in the arena.
#[inline(always)]
unsafe fn write_to(page: usize) {
    // SAFETY: a write to the arena, which holds nothing; refused, the handler resumes at the label.
    unsafe {
        asm!(
            "lea r9, [rip + 2f]",
            "mov byte ptr [{page}], 1",
            "2:",
            page = in(reg) page,
            out("r9") _,
        );
    }
}

/// Reads a byte, or is refused.
///
/// # Safety
/// The page is in the arena.
#[inline(always)]
unsafe fn read_from(page: usize) {
    // SAFETY: as for `write_to`.
    unsafe {
        asm!(
            "lea r9, [rip + 2f]",
            "mov {byte}, byte ptr [{page}]",
            "2:",
            page = in(reg) page,
            byte = out(reg_byte) _,
            out("r9") _,
        );
    }
}

#[inline(always)]
unsafe fn protect(page: usize, prot: usize) {
    // SAFETY: a page of the arena, which holds nothing.
    let result = unsafe { syscall(libc::SYS_mprotect, [page, PAGE, prot, 0, 0, 0]) };
    should(result == 0);
}

/// Puts a fresh page that is read-only in the place of another.
#[inline(always)]
unsafe fn overlay(page: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let arguments = [
        page,
        PAGE,
        libc::PROT_READ as usize,
        flags as usize,
        usize::MAX,
        0,
    ];
    // SAFETY: a page of the arena, which holds nothing.
    let result = unsafe { syscall(libc::SYS_mmap, arguments) };
    should(result == page as isize);
}

/// Reads one byte to an address.
#[inline(always)]
unsafe fn read(descriptor: i32, to: usize) -> isize {
    // SAFETY: one writable byte of the child's own.
    unsafe { syscall(libc::SYS_read, [descriptor as usize, to, 1, 0, 0, 0]) }
}

#[inline(always)]
fn must(held: bool) {
    if !held {
        // SAFETY: in the child, see `run`.
        unsafe { exit(UNPREPARED) }
    }
}

#[inline(always)]
fn should(held: bool) {
    if !held {
        SHORT.store(true, Ordering::Relaxed);
    }
}
