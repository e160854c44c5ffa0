//! The control child as a process: forked, released, waited for, never left behind.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::arena::Arena;
use super::child::{self, Orders};

/// A child that takes longer than this for its milliseconds of work is stuck.
const PATIENCE_MS: i32 = 2_000;

/// The forked child. Dropped, it is killed and waited for.
pub struct Process {
    pid: libc::pid_t,
    pidfd: OwnedFd,
    go: OwnedFd,
    reaped: bool,
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did everything.
    Done,
    /// It tried everything.
    Partly,
    /// It did not get to its end.
    Broken,
}

/// All signals blocked in this thread, until dropped.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> Self {
        // SAFETY: zeroed is a valid set; sigfillset and pthread_sigmask are given live sets and, with
        // SIG_SETMASK, cannot fail.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the mask that was in force before.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}

impl Process {
    /// Forks the child, which waits for [`Self::release`].
    pub fn fork(arena: Arena, follow_forks: bool) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let orders = Orders {
            arena,
            go: read.as_raw_fd(),
            go_write: write.as_raw_fd(),
            follow_forks,
        };
        // Until the child has its own handler and mask, a signal must not run a handler of ours in it.
        let blocked = Blocked::all();
        let mut pidfd: libc::c_int = -1;
        let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: with these flags clone is fork: the child gets a copy of this address space and returns
        // here on a copy of this stack; the kernel writes the pidfd to `pidfd` in the parent.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
        if pid == 0 {
            // SAFETY: we are in the child of a fork; arena and descriptors were copied with us.
            unsafe { child::run(&orders) }
        }
        drop(blocked);
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: clone succeeded with CLONE_PIDFD, so this is a new descriptor that nobody else owns.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        Ok(Self {
            pid,
            pidfd,
            go: write,
            reaped: false,
        })
    }

    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// The go byte, and `more` bytes for the child to read.
    pub fn release(&self, more: u64) -> io::Result<()> {
        let bytes = vec![1; usize::try_from(more).map_err(io::Error::other)? + 1];
        // A pipe takes so few bytes whole.
        rustix::io::retry_on_intr(|| rustix::io::write(&self.go, &bytes))?;
        Ok(())
    }

    /// Waits for the end and tells how it came.
    pub fn wait(&mut self) -> io::Result<Ended> {
        let mut poll = libc::pollfd {
            fd: self.pidfd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let ready = rustix::io::retry_on_intr(|| {
            // SAFETY: one descriptor, which we own.
            match unsafe { libc::poll(&raw mut poll, 1, PATIENCE_MS) } {
                -1 => Err(
                    rustix::io::Errno::from_io_error(&io::Error::last_os_error())
                        .unwrap_or(rustix::io::Errno::IO),
                ),
                ready => Ok(ready),
            }
        })?;
        if ready == 0 {
            self.kill();
        }
        let status = self.reap()?;
        let exited = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        Ok(match exited {
            Some(child::DONE) => Ended::Done,
            Some(child::PARTLY) => Ended::Partly,
            _ => Ended::Broken,
        })
    }

    fn kill(&self) {
        let _gone = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
    }

    /// The wait status.
    fn reap(&mut self) -> io::Result<i32> {
        let mut status = 0;
        // SAFETY: a child of ours that was not waited for, and a writable status.
        while unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) } == -1 {
            let why = io::Error::last_os_error();
            if why.kind() != io::ErrorKind::Interrupted {
                self.reaped = true;
                return Err(why);
            }
        }
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _gone = self.reap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forked(follow_forks: bool) -> Process {
        let arena = Arena::map().unwrap();
        let process = Process::fork(arena, follow_forks).unwrap();
        arena.unmap();
        process
    }

    #[test]
    fn the_child_does_everything_by_itself_and_says_so() {
        for follow_forks in [true, false] {
            let mut process = forked(follow_forks);
            process.release(child::TIMES).unwrap();
            let ended = process.wait().unwrap();
            assert_eq!(ended, Ended::Done, "follow_forks {follow_forks}");
        }
    }

    #[test]
    fn the_child_says_when_it_could_not_do_everything() {
        let mut process = forked(false);
        // A page that is to be read into gets no byte: the pipe ends before.
        process.release(child::TIMES - 1).unwrap();
        let (_, other) = rustix::pipe::pipe().unwrap();
        drop(std::mem::replace(&mut process.go, other));
        assert_eq!(process.wait().unwrap(), Ended::Partly);
    }

    #[test]
    fn a_child_that_is_never_released_ends_with_map_trace() {
        let mut process = forked(true);
        let (_, other) = rustix::pipe::pipe().unwrap();
        drop(std::mem::replace(&mut process.go, other));
        assert_eq!(process.wait().unwrap(), Ended::Broken);
    }

    #[test]
    fn a_child_that_is_dropped_is_gone() {
        let process = forked(true);
        let pid = process.pid;
        drop(process);
        // SAFETY: signal 0 only asks whether the process is there.
        assert_eq!(unsafe { libc::kill(pid, 0) }, -1);
    }
}
