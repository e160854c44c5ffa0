//! Finding the program as execvp(3) does, and whether its user may execute it.
//!
//! The kernel has the last word at exec. What is refused here is what it would certainly refuse, said
//! before any probe is armed and with the reason, which an errno does not give.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::identity::Identity;
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;

/// Where execvp looks when `PATH` is not set (confstr(3), `_CS_PATH`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Finds the file to execute for the name a user typed.
///
/// # Errors
/// 127 when there is none, 126 when there is one that this user may not execute.
pub(super) fn find(name: &OsStr, path: Option<&OsStr>, user: &Identity) -> Result<PathBuf> {
    if name.is_empty() {
        return Err(not_found(name, "the name is empty").fix("name a program after --"));
    }
    if name.as_bytes().contains(&b'/') {
        return named_file(name, user);
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut refused = None;
    for directory in path.as_bytes().split(|byte| *byte == b':') {
        let candidate = candidate(directory, name);
        match check(&candidate, user) {
            Ok(()) => return Ok(candidate),
            Err(Refusal::Missing) => {}
            Err(refusal) => {
                refused.get_or_insert((candidate, refusal));
            }
        }
    }
    let shown = path.to_string_lossy();
    Err(match refused {
        Some((candidate, refusal)) => refusal.error(&candidate, user),
        None if Path::new(name).is_file() => not_found(name, &format!("not in PATH ({shown})"))
            .fix(format!(
                "the file in this directory is ./{}",
                name.to_string_lossy()
            )),
        None => not_found(name, &format!("not in PATH ({shown})"))
            .fix("check the spelling, or give the path of the program"),
    })
}

fn named_file(name: &OsStr, user: &Identity) -> Result<PathBuf> {
    let file = PathBuf::from(name);
    match check(&file, user) {
        Ok(()) => Ok(file),
        Err(refusal) => Err(refusal.error(&file, user)),
    }
}

/// An empty entry of PATH is the current directory.
fn candidate(directory: &[u8], name: &OsStr) -> PathBuf {
    let mut joined = OsString::from(OsStr::from_bytes(directory));
    if !directory.is_empty() {
        joined.push("/");
    }
    joined.push(name);
    joined.into()
}

/// Why a path cannot be executed by a user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing,
    Directory,
    /// Neither a file nor a directory.
    Special,
    /// Not one execute bit.
    NoExecuteBit,
    /// Execute bits, but not for this user.
    NotForUser,
    /// A directory on the way that this user may not enter.
    Closed(PathBuf),
    /// On a file system mounted noexec.
    NoExec,
    /// stat(2) failed for another reason.
    Failed(String),
}

impl Refusal {
    /// As the line a user reads.
    pub(super) fn error(self, file: &Path, user: &Identity) -> Error {
        let shown = file.display();
        let uid = user.uid;
        let refused = |why: String| cannot_run(file, &why);
        match self {
            Self::Missing => not_found(file.as_os_str(), "no such file").fix("check the path"),
            Self::Directory => {
                refused("it is a directory".into()).fix("name a program file inside it")
            }
            Self::Special => refused("it is not a regular file".into()).fix("name a program file"),
            Self::NoExecuteBit => {
                refused("it has no execute permission".into()).fix(format!("chmod +x {shown}"))
            }
            Self::NotForUser => refused(format!("uid {uid} has no execute permission for it")).fix(
                format!("chmod a+rx {shown}, or choose the user with --user NAME or --as-root"),
            ),
            Self::Closed(directory) => refused(format!(
                "uid {uid} may not enter the directory {}",
                directory.display()
            ))
            .fix(format!(
                "chmod a+x {}, or choose the user with --user NAME or --as-root",
                directory.display()
            )),
            Self::NoExec => refused("its file system is mounted noexec".into())
                .fix("copy it elsewhere, or mount -o remount,exec that file system"),
            Self::Failed(why) => refused(why),
        }
    }
}

/// Whether `user` may execute `file`, by mode bits; where an access-control list decides, the answer is
/// left to the kernel.
pub(super) fn check(file: &Path, user: &Identity) -> Result<(), Refusal> {
    let facts = match std::fs::metadata(file) {
        Ok(facts) => facts,
        Err(error) => {
            return Err(match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => Refusal::Missing,
                _ => Refusal::Failed(error.to_string()),
            });
        }
    };
    if facts.is_dir() {
        return Err(Refusal::Directory);
    }
    if !facts.is_file() {
        return Err(Refusal::Special);
    }
    if facts.mode() & 0o111 == 0 && !has_access_list(file) {
        return Err(Refusal::NoExecuteBit);
    }
    if let Some(closed) = closed_directory(file, user) {
        return Err(Refusal::Closed(closed));
    }
    if !may_execute(&facts, user) && !has_access_list(file) {
        return Err(Refusal::NotForUser);
    }
    if mounted_noexec(file) {
        return Err(Refusal::NoExec);
    }
    Ok(())
}

/// The first directory on the way to `file`, symbolic links resolved, that `user` may not enter.
fn closed_directory(file: &Path, user: &Identity) -> Option<PathBuf> {
    if user.uid == 0 {
        return None;
    }
    let real = std::fs::canonicalize(file).ok()?;
    let mut directories: Vec<&Path> = real.ancestors().skip(1).collect();
    directories.reverse();
    directories
        .into_iter()
        .find(|directory| {
            std::fs::metadata(directory).is_ok_and(|facts| !may_execute(&facts, user))
                && !has_access_list(directory)
        })
        .map(Path::to_path_buf)
}

/// The owner's bit decides for the owner, else the group's for members, else the others'; root needs any
/// of them (path_resolution(7)).
fn may_execute(facts: &std::fs::Metadata, user: &Identity) -> bool {
    let mode = facts.mode();
    let bit = if user.uid == 0 {
        0o111
    } else if facts.uid() == user.uid {
        0o100
    } else if facts.gid() == user.gid || user.groups.contains(&facts.gid()) {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

fn has_access_list(file: &Path) -> bool {
    let mut none = [0_u8; 0];
    rustix::fs::getxattr(file, c"system.posix_acl_access", &mut none).is_ok()
}

fn mounted_noexec(file: &Path) -> bool {
    let Ok(path) = CString::new(file.as_os_str().as_bytes()) else {
        return false;
    };
    rustix::fs::statvfs(path.as_c_str())
        .is_ok_and(|facts| facts.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

fn not_found(name: &OsStr, why: &str) -> Error {
    cannot_run(Path::new(name), why).code(ExitCode::NOT_FOUND)
}

/// 126 with the usual opening.
pub(super) fn cannot_run(file: &Path, why: &str) -> Error {
    let shown = if file.as_os_str().is_empty() {
        "''".into()
    } else {
        file.display().to_string()
    };
    Error::failed(format!("cannot run {shown}"), why).code(ExitCode::CANNOT_EXECUTE)
}
