//! From a command line to a running program: prepare, spawn suspended, release, wait.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::child::{self, Plan, REPORT_BYTES, Step};
use super::identity::{self, Identity, Sudo, UserChoice};
use super::limits::Limits;
use super::procfs::Process;
use super::surroundings::Surroundings;
use super::wait::{self, Usage, Waited};
use super::{executable, lookup};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;

/// What to run. The working directory is map-trace's own; so is all the rest where nothing else is said.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The program's name as typed, then its arguments.
    pub argv: Vec<OsString>,
    pub user: UserChoice,
    /// Limits map-trace raised for itself, to give back to the program.
    pub limits: Limits,
    pub surroundings: Surroundings,
    /// Standard input, output and error.
    pub streams: Option<Arc<[OwnedFd; 3]>>,
}

/// A program that was found and may be executed.
pub struct Prepared {
    path: PathBuf,
    identity: Identity,
    plan: Plan,
    /// Kept open until the child has them.
    _streams: Option<Arc<[OwnedFd; 3]>>,
}

/// The forked child, blocked before its exec. Dropping it ends the child; the program does not run.
pub struct Suspended {
    path: PathBuf,
    pid: u32,
    pidfd: Option<OwnedFd>,
    go: Option<OwnedFd>,
    report: OwnedFd,
    reaped: bool,
}

/// The running program. Dropping it does not harm the program.
#[derive(Debug)]
pub struct Running {
    pid: u32,
    pidfd: OwnedFd,
    before_exec: Usage,
    ended: Option<Waited>,
}

/// Finds the program and its user and checks that it can be executed.
///
/// # Errors
/// 2 for an empty command line, 127 when the program is not found, 126 when it cannot be executed, 125
/// when its user cannot be had.
pub fn prepare(command: &Command) -> Result<Prepared> {
    let Some(name) = command.argv.first() else {
        return Err(
            Error::usage("no program given", "the command line is empty")
                .fix("map-trace run -- PROGRAM [ARG...]"),
        );
    };
    let identity = identity::resolve(&command.user, &Sudo::from_environment())?;
    let path = lookup::find(name, command.surroundings.path().as_deref(), &identity)?;
    executable::check(&path, &identity)?;
    let argv = command.argv.iter().map(|argument| c_string(argument));
    let environment = environment(&identity, &command.surroundings);
    let user = identity
        .drop
        .then(|| (identity.groups.clone(), identity.gid, identity.uid));
    let plan = Plan {
        path: c_string(path.as_os_str())?,
        argv: argv.collect::<Result<_>>()?,
        environment: environment
            .iter()
            .map(|entry| c_string(entry))
            .collect::<Result<_>>()?,
        user,
        limits: command.limits.clone(),
        surroundings: command.surroundings.clone(),
        streams: command
            .streams
            .as_ref()
            .map(|streams| streams.each_ref().map(AsRawFd::as_raw_fd)),
    };
    Ok(Prepared {
        path,
        identity,
        plan,
        _streams: command.streams.clone(),
    })
}

impl Prepared {
    /// The file that will be executed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who it will run as.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Forks the child and waits until it is blocked.
    ///
    /// # Errors
    /// 125 when the fork or the change of user failed.
    pub fn spawn(self) -> Result<Suspended> {
        let forked = child::fork(&self.plan)
            .map_err(|error| Error::failed("cannot start a process", error))?;
        let mut suspended = Suspended {
            path: self.path,
            pid: forked.pid,
            pidfd: Some(forked.pidfd),
            go: Some(forked.go),
            report: forked.report,
            reaped: false,
        };
        match suspended.read_report()? {
            Some((Step::Ready, _)) => Ok(suspended),
            Some((step, errno)) => Err(Error::failed(
                format!("cannot {}", step.verb()),
                io::Error::from_raw_os_error(errno),
            )),
            None => Err(suspended.died_early()),
        }
    }
}

impl Suspended {
    /// The process id the program will have.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the child execute the program, and waits until it did.
    ///
    /// # Errors
    /// 126 or 127 when execve(2) failed, 125 when the child died before.
    pub fn release(mut self) -> Result<Running> {
        let before_exec = self.faults_so_far();
        if let Some(go) = self.go.take()
            && rustix::io::retry_on_intr(|| rustix::io::write(&go, b"g")).is_err()
        {
            return Err(self.died_early());
        }
        if let Some((_, errno)) = self.read_report()? {
            return Err(self.exec_failed(errno));
        }
        let Some(pidfd) = self.pidfd.take() else {
            return Err(self.died_early());
        };
        self.reaped = true;
        Ok(Running {
            pid: self.pid,
            pidfd,
            before_exec,
            ended: None,
        })
    }

    /// What the launcher itself has cost: charged to the program by the kernel, but not its doing.
    fn faults_so_far(&self) -> Usage {
        let stat = Process::open(self.pid).and_then(|process| process.stat());
        stat.map_or_else(
            |_| Usage::default(),
            |stat| Usage {
                minor_faults: stat.minor_faults,
                major_faults: stat.major_faults,
                ..Usage::default()
            },
        )
    }

    /// One message of the child; `None` at end of file: exec closed the pipe, or the child is dead.
    fn read_report(&mut self) -> Result<Option<(Step, i32)>> {
        let mut message = [0; REPORT_BYTES];
        let mut filled = 0;
        while let Some(rest) = message.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::io::retry_on_intr(|| rustix::io::read(&self.report, &mut *rest)) {
                Ok(0) => return Ok(None),
                Ok(count) => filled += count,
                Err(error) => return Err(Error::failed("cannot start the program", error)),
            }
        }
        let [a, b, c, d, e, f, g, h] = message;
        let step = u32::from_ne_bytes([a, b, c, d]);
        let errno = u32::from_ne_bytes([e, f, g, h]);
        let step = Step::from_number(step).unwrap_or(Step::Exec);
        Ok(Some((step, i32::try_from(errno).unwrap_or(libc::EINVAL))))
    }

    fn died_early(&mut self) -> Error {
        self.go = None;
        self.reaped = true;
        let how = match wait::wait4(self.pid, 0) {
            Ok(Some(waited)) => match waited.status {
                crate::model::summary::Status::Signaled(signal) => format!("killed by {signal}"),
                _ => format!("wait status {}", waited.raw),
            },
            Ok(None) => "it vanished".into(),
            Err(error) => error.to_string(),
        };
        Error::failed(
            format!("cannot run {}", self.path.display()),
            format!("its process ended before it was released ({how})"),
        )
    }

    fn exec_failed(&self, errno: i32) -> Error {
        let refused = |why: &str| lookup::cannot_run(&self.path, why);
        match errno {
            libc::ENOENT => {
                refused("no such file, or its interpreter or dynamic loader is missing")
                    .code(ExitCode::NOT_FOUND)
                    .fix("check the path; file(1) names the loader a program needs")
            }
            libc::EACCES => refused("its user may not execute it, or a security module forbids it")
                .fix("check the permissions, or choose the user with --user NAME or --as-root"),
            libc::ENOEXEC => executable::unknown_format(&self.path),
            libc::E2BIG => refused("its arguments and environment are too long")
                .fix("give fewer arguments, or raise ulimit -s"),
            libc::ETXTBSY => refused("the file is open for writing")
                .fix("wait until it is written; fuser(1) tells who writes it"),
            other => refused(&io::Error::from_raw_os_error(other).to_string()),
        }
    }
}

impl Drop for Suspended {
    /// Closing the go pipe would make the child exit, unless a process forked meanwhile holds a copy of
    /// it: so it is killed, and waited for.
    fn drop(&mut self) {
        self.go = None;
        if !self.reaped {
            if let Some(pidfd) = &self.pidfd {
                let _gone =
                    rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
            }
            // An error means that there is no such child any more.
            let _gone = wait::wait4(self.pid, 0);
        }
    }
}

impl Running {
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// What rusage holds from before the exec; subtract it to compare with counters enabled at exec.
    pub const fn before_exec(&self) -> Usage {
        self.before_exec
    }

    /// Blocks until the program ends.
    ///
    /// # Errors
    /// 125 when wait4(2) failed: someone else waited for the program.
    pub fn wait(&mut self) -> Result<Waited> {
        self.wait_with(0)?
            .ok_or_else(|| Error::failed("cannot wait for the program", "it did not end"))
    }

    /// How the program ended, or `None` while it runs.
    ///
    /// # Errors
    /// As for [`Self::wait`].
    pub fn try_wait(&mut self) -> Result<Option<Waited>> {
        self.wait_with(libc::WNOHANG)
    }

    fn wait_with(&mut self, options: i32) -> Result<Option<Waited>> {
        if self.ended.is_none() {
            self.ended = wait::wait4(self.pid, options)
                .map_err(|error| Error::failed("cannot wait for the program", error))?;
        }
        Ok(self.ended.clone())
    }
}

/// The pidfd: readable once the program has ended (pidfd_open(2)).
impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Running {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

/// `NAME=value` strings: ours, in our order, with the user's own in place and the wanted changes.
fn environment(identity: &Identity, surroundings: &Surroundings) -> Vec<OsString> {
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for (name, value) in &identity.environment {
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1.clone_from(value),
            None => variables.push((name.clone(), value.clone())),
        }
    }
    surroundings.change(&mut variables);
    variables
        .into_iter()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        })
        .collect()
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| {
        Error::usage(
            "cannot pass an argument",
            format!("{text:?} holds a zero byte"),
        )
    })
}
