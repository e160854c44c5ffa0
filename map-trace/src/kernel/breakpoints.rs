//! Execution breakpoints that count by themselves: a debug register of one thread, no change of the program's
//! text, no program in the kernel.
//!
//! Each switches itself off after a number of hits (`PERF_EVENT_IOC_REFRESH`, perf_event_open(2)), so that what
//! it costs is bounded however late anybody looks at it. It ends with the thread and at an exec.

use std::io;
use std::os::fd::AsRawFd;

use perf_event::events::Breakpoint;
use perf_event::{Builder, Counter};

/// `PERF_EVENT_IOC_REFRESH`, `_IO('$', 2)` (include/uapi/linux/perf_event.h).
const REFRESH: libc::c_ulong = 0x2402;
/// Calls by which the cost of a hit is measured.
const CALLS: u64 = 64;

/// A breakpoint on one thread.
pub struct ExecutionBreakpoint(Counter);

impl ExecutionBreakpoint {
    /// Counts how often a thread executes the instruction at an address, up to `most` times.
    ///
    /// # Errors
    /// The thread is gone, no debug register is free, or there are none.
    pub fn arm(tid: u32, address: u64, most: u64) -> io::Result<Self> {
        let tid = libc::pid_t::try_from(tid).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut builder = Builder::new(Breakpoint::execute(address));
        builder
            .observe_pid(tid)
            .any_cpu()
            .exclude_kernel(true)
            .remove_on_exec(true)
            .sample_period(most.max(1))
            .enabled(false);
        let counter = builder.build()?;
        // SAFETY: an ioctl of an event of our own, which takes a number.
        let armed = unsafe { libc::ioctl(counter.as_raw_fd(), REFRESH, 1) };
        if armed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(counter))
    }

    /// Hits so far; closing it ends them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn hits(&mut self) -> io::Result<u64> {
        self.0.disable()?;
        self.0.read()
    }
}

/// Nanoseconds a hit costs the thread that has it, measured on this one.
///
/// # Errors
/// There are no breakpoints here, or they do not count right.
pub fn hit_cost() -> io::Result<u64> {
    // SAFETY: asks for the caller's own id.
    let tid = unsafe { libc::gettid() }.cast_unsigned();
    let mut armed = ExecutionBreakpoint::arm(tid, landmark as *const () as u64, CALLS * 2)?;
    let before = thread_cpu_ns();
    for n in 0..CALLS {
        landmark(n);
    }
    let took = thread_cpu_ns().saturating_sub(before);
    match armed.hits()? {
        CALLS => Ok((took / CALLS).max(1)),
        hits => Err(io::Error::other(format!(
            "a breakpoint counted {hits} of {CALLS} calls"
        ))),
    }
}

#[inline(never)]
extern "C" fn landmark(n: u64) {
    std::hint::black_box(n);
}

/// CPU time of the calling thread, nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0)
}

/// CPU time of all threads of a process so far, nanoseconds; none when it is gone.
pub fn process_cpu_ns(pid: u32) -> Option<u64> {
    // clock_getcpuclockid(3): the complement of the id, three bits for the kind; 2 is the scheduler's.
    // An id too large for that would be another clock; the kernel has none beyond 2^22.
    let pid = libc::clockid_t::try_from(pid).ok()?;
    if pid >= 1 << 28 {
        return None;
    }
    cpu_ns((!pid << 3) | 2)
}

fn cpu_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec, which is live.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).ok()?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(u64::try_from(time.tv_nsec).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_this_process_is_known_and_grows() {
        let before = process_cpu_ns(std::process::id()).expect("this process is there");
        while process_cpu_ns(std::process::id()) == Some(before) {
            std::hint::black_box(before);
        }
    }

    #[test]
    fn a_process_that_is_not_there_has_no_cpu_time() {
        assert_eq!(process_cpu_ns(u32::MAX), None);
        assert_eq!(process_cpu_ns(0x3fff_ffff), None);
    }
}
