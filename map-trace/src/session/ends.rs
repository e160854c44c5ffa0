//! How processes that were attached to ended. They are no children of ours, so that only their exit records tell.

use std::collections::HashSet;

/// The attached processes, until each has ended.
#[derive(Debug, Default)]
pub struct Ends {
    awaited: HashSet<u32>,
    last: Option<i32>,
}

/// What is known of the end of attached processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All have ended, the last one with this status, as wait(2) encodes it.
    Known(i32),
    /// One of them still runs.
    Running,
    /// None runs, and of one the end was not seen.
    Unseen,
}

impl Ends {
    /// This process is attached to.
    pub fn await_end_of(&mut self, tgid: u32) {
        self.awaited.insert(tgid);
    }

    /// The last thread of a process ended.
    pub fn note(&mut self, tgid: u32, status: i32) {
        if self.awaited.remove(&tgid) {
            self.last = Some(status);
        }
    }

    /// What it came to, with those that are alive now.
    pub fn end(&self, alive: &HashSet<u32>) -> End {
        match self.last {
            Some(status) if self.awaited.is_empty() => End::Known(status),
            _ if self.awaited.is_disjoint(alive) => End::Unseen,
            _ => End::Running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_attached_processes_decides_and_their_children_do_not() {
        let mut ends = Ends::default();
        ends.await_end_of(4);
        ends.await_end_of(5);
        let alive = HashSet::from([5, 6]);
        ends.note(6, 9 << 8);
        ends.note(4, 3 << 8);
        assert_eq!(ends.end(&alive), End::Running);
        assert_eq!(ends.end(&HashSet::from([6])), End::Unseen);
        ends.note(5, libc::SIGTERM);
        // The number now belongs to another process.
        ends.note(4, 1 << 8);
        assert_eq!(ends.end(&HashSet::from([6])), End::Known(libc::SIGTERM));
    }
}
