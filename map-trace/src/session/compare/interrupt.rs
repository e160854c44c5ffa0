//! Ctrl-C between two runs, when no session watches for it.

use std::sync::atomic::{AtomicBool, Ordering};

static SEEN: AtomicBool = AtomicBool::new(false);

/// Notes SIGINT and SIGTERM from now on; the second of them ends map-trace.
///
/// To be called before the first session: what a session installs calls the handler it finds, too.
pub fn watch() {
    let handler: extern "C" fn(libc::c_int) = note;
    for number in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: `note` makes async-signal-safe calls only (signal-safety(7)).
        unsafe { libc::signal(number, handler as *const () as libc::sighandler_t) };
    }
}

extern "C" fn note(number: libc::c_int) {
    if SEEN.swap(true, Ordering::SeqCst) {
        // SAFETY: both calls are async-signal-safe and take plain integers.
        unsafe {
            libc::signal(number, libc::SIG_DFL);
            libc::raise(number);
        }
    }
}

/// Whether somebody wants an end.
pub fn seen() -> bool {
    SEEN.load(Ordering::SeqCst)
}
