//! Signal dispositions as map-trace's caller left them.
//!
//! execve(2) keeps ignored signals ignored and resets caught ones. Rust's runtime ignores SIGPIPE before
//! `main`, so what the caller wanted has to be read earlier.

use std::sync::atomic::{AtomicBool, Ordering};

static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`, hence before Rust's runtime touches SIGPIPE (an entry of `.init_array`, called by
/// the C library's start code).
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = {
    extern "C" fn at_start() {
        if handler_of(libc::SIGPIPE) == Some(libc::SIG_IGN) {
            SIGPIPE_WAS_IGNORED.store(true, Ordering::Relaxed);
        }
    }
    at_start
};

/// Whether the caller started map-trace with SIGPIPE ignored.
pub(super) fn sigpipe_was_ignored() -> bool {
    SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed)
}

/// Signals this process catches now; the child must not run these handlers.
pub(super) fn caught() -> Vec<i32> {
    (1..=64)
        .filter(|signal| {
            handler_of(*signal)
                .is_some_and(|handler| handler != libc::SIG_DFL && handler != libc::SIG_IGN)
        })
        .collect()
}

/// `None` for numbers that the C library keeps to itself.
fn handler_of(signal: i32) -> Option<libc::sighandler_t> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the new action is null, so nothing changes; the old one is written to `action`.
    let done = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: success means that `action` was filled in.
    done.then(|| unsafe { action.assume_init() }.sa_sigaction)
}

/// All signals blocked in this thread, until dropped.
pub(super) struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    pub(super) fn all() -> Self {
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset fills the set it is given; pthread_sigmask reads it and fills `before`;
        // with SIG_SETMASK and valid pointers neither can fail.
        let before = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            before.assume_init()
        };
        Self { before }
    }

    /// The mask to give the program.
    pub(super) const fn before(&self) -> &libc::sigset_t {
        &self.before
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` was filled by pthread_sigmask.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}
