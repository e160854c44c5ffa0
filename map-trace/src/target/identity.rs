//! Whose program it is: the user to run as, that user's groups and environment.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::error::{Error, Result};

/// Most memory a passwd entry may take, bytes.
const MAX_PASSWD: usize = 1 << 20;
/// Most supplementary groups of a process (`NGROUPS_MAX`, include/uapi/linux/limits.h).
const MAX_GROUPS: usize = 65_536;

/// The user the program runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserChoice {
    /// The user who called sudo (`SUDO_UID`, `SUDO_GID`); without sudo, whoever map-trace runs as.
    #[default]
    SudoCaller,
    /// A user by name or number (`--user`).
    Named(String),
    /// Whoever map-trace runs as, which must be root (`--as-root`).
    Root,
}

/// What the child changes about itself before it runs the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The child must change its ids and groups; false when they are already these.
    pub drop: bool,
    /// Variables to set: `HOME`, `USER`, `LOGNAME`, `SHELL` of the user dropped to.
    pub environment: Vec<(OsString, OsString)>,
}

/// What sudo says about its caller, as found in the environment.
#[derive(Clone, Debug, Default)]
pub struct Sudo {
    pub uid: Option<OsString>,
    pub gid: Option<OsString>,
}

impl Sudo {
    /// Reads `SUDO_UID` and `SUDO_GID`.
    pub fn from_environment() -> Self {
        Self {
            uid: std::env::var_os("SUDO_UID"),
            gid: std::env::var_os("SUDO_GID"),
        }
    }
}

/// Decides who the program runs as.
///
/// # Errors
/// 125 when the user does not exist, sudo's variables are not numbers, or a change of user would need
/// root.
pub fn resolve(choice: &UserChoice, sudo: &Sudo) -> Result<Identity> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    match choice {
        UserChoice::SudoCaller => match &sudo.uid {
            Some(uid) if root => sudo_caller(uid, sudo.gid.as_deref()),
            _ => Ok(unchanged()),
        },
        UserChoice::Named(name) => named(name, root),
        UserChoice::Root if root => Ok(unchanged()),
        UserChoice::Root => Err(Error::failed(
            "cannot keep root for the program",
            format!("map-trace itself runs as uid {}", unchanged().uid),
        )
        .fix("run map-trace with sudo")),
    }
}

fn sudo_caller(uid: &OsStr, gid: Option<&OsStr>) -> Result<Identity> {
    let uid = number(uid).ok_or_else(|| not_a_number("SUDO_UID", uid))?;
    let gid = match gid {
        Some(gid) => Some(number(gid).ok_or_else(|| not_a_number("SUDO_GID", gid))?),
        None => None,
    };
    if uid == 0 {
        return Ok(unchanged());
    }
    let entry = passwd_by_uid(uid)?;
    let gid = gid
        .or(entry.as_ref().map(|entry| entry.gid))
        .ok_or_else(|| {
            Error::failed(
                "cannot run the program as the sudo caller",
                format!("uid {uid} has no passwd entry and SUDO_GID is not set"),
            )
            .fix("give --user NAME or --as-root")
        })?;
    Ok(dropped(uid, gid, entry))
}

fn named(name: &str, root: bool) -> Result<Identity> {
    let found = passwd_by_name(name)?;
    let found = match (found, number(OsStr::new(name))) {
        (Some(entry), _) => Some(entry),
        (None, Some(uid)) => passwd_by_uid(uid)?,
        (None, None) => None,
    };
    let entry = found.ok_or_else(|| {
        Error::failed(
            format!("cannot run the program as {name}"),
            "there is no such user",
        )
        .fix("getent passwd lists the users there are")
    })?;
    if !root {
        if entry.uid == unchanged().uid {
            return Ok(unchanged());
        }
        return Err(Error::failed(
            format!("cannot run the program as {name}"),
            format!(
                "changing the user needs root (running as uid {})",
                unchanged().uid
            ),
        )
        .fix("run map-trace with sudo"));
    }
    Ok(dropped(entry.uid, entry.gid, Some(entry)))
}

fn dropped(uid: u32, gid: u32, entry: Option<Passwd>) -> Identity {
    let (groups, environment) = match entry {
        Some(entry) => (
            groups_of(&entry.name, gid),
            vec![
                ("HOME".into(), entry.home),
                ("USER".into(), os(&entry.name)),
                ("LOGNAME".into(), os(&entry.name)),
                ("SHELL".into(), entry.shell),
            ],
        ),
        None => (vec![gid], Vec::new()),
    };
    Identity {
        uid,
        gid,
        groups,
        drop: true,
        environment,
    }
}

fn unchanged() -> Identity {
    // SAFETY: geteuid and getegid have no preconditions and cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let mut groups = vec![0; MAX_GROUPS];
    // SAFETY: the buffer has room for as many groups as a process can have, which is the count passed.
    let count = unsafe { libc::getgroups(MAX_GROUPS as libc::c_int, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Identity {
        uid,
        gid,
        groups,
        drop: false,
        environment: Vec::new(),
    }
}

fn not_a_number(variable: &str, value: &OsStr) -> Error {
    Error::failed(
        "cannot tell who called sudo",
        format!("{variable} is {value:?}, not a number"),
    )
    .fix("give --user NAME or --as-root")
}

/// Digits only; `-1` means "no change" to setresuid(2) and is refused.
fn number(text: &OsStr) -> Option<u32> {
    let text = text.to_str()?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number != u32::MAX)
}

fn os(name: &CStr) -> OsString {
    OsStr::from_bytes(name.to_bytes()).to_owned()
}

/// The parts of a passwd(5) entry that a change of user needs.
struct Passwd {
    name: CString,
    uid: u32,
    gid: u32,
    home: OsString,
    shell: OsString,
}

fn passwd_by_uid(uid: u32) -> Result<Option<Passwd>> {
    lookup(|entry, buffer, length, found| {
        // SAFETY: `lookup` passes a writable entry, a buffer of `length` bytes and a result pointer.
        unsafe { libc::getpwuid_r(uid, entry, buffer, length, found) }
    })
}

fn passwd_by_name(name: &str) -> Result<Option<Passwd>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    lookup(|entry, buffer, length, found| {
        // SAFETY: as in `passwd_by_uid`; the name is a C string that outlives the call.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, length, found) }
    })
}

fn lookup(
    call: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> libc::c_int,
) -> Result<Option<Passwd>> {
    let mut size = 1024;
    loop {
        let mut buffer = vec![0 as libc::c_char; size];
        let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        let code = call(entry.as_mut_ptr(), buffer.as_mut_ptr(), size, &mut found);
        match code {
            libc::ERANGE if size < MAX_PASSWD => size *= 2,
            libc::EINTR => {}
            // "Not found" has many codes (getpwnam(3), ERRORS); all mean that there is no entry.
            0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM if found.is_null() => {
                return Ok(None);
            }
            0 => {
                // SAFETY: success with a non-null result means that `entry` was filled in and its
                // strings point into `buffer`, which is still alive.
                return Ok(Some(unsafe { copy(entry.assume_init_ref()) }));
            }
            code => {
                return Err(Error::failed(
                    "cannot look the user up",
                    std::io::Error::from_raw_os_error(code),
                ));
            }
        }
    }
}

/// # Safety
/// The entry's strings must be null or valid C strings.
unsafe fn copy(entry: &libc::passwd) -> Passwd {
    let text = |pointer: *const libc::c_char| {
        if pointer.is_null() {
            CString::default()
        } else {
            // SAFETY: by this function's contract.
            unsafe { CStr::from_ptr(pointer) }.to_owned()
        }
    };
    Passwd {
        name: text(entry.pw_name),
        uid: entry.pw_uid,
        gid: entry.pw_gid,
        home: OsString::from_vec(text(entry.pw_dir).into_bytes()),
        shell: OsString::from_vec(text(entry.pw_shell).into_bytes()),
    }
}

/// The groups initgroups(3) would set.
fn groups_of(name: &CStr, gid: u32) -> Vec<u32> {
    let mut room = 64;
    loop {
        let mut groups = vec![0; room];
        let mut count = libc::c_int::try_from(room).unwrap_or(libc::c_int::MAX);
        // SAFETY: the name is a C string and `groups` has room for `count` entries.
        let fits =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        if fits >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return groups;
        }
        if room >= MAX_GROUPS {
            return groups;
        }
        room *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sudo(uid: &str, gid: &str) -> Sudo {
        Sudo {
            uid: Some(uid.into()),
            gid: Some(gid.into()),
        }
    }

    #[test]
    fn without_sudo_nothing_changes() {
        let identity = resolve(&UserChoice::SudoCaller, &Sudo::default()).unwrap();
        assert!(!identity.drop);
        assert_eq!(identity.environment, []);
    }

    #[test]
    fn the_sudo_caller_is_dropped_to_with_home_and_groups() {
        let identity = resolve(&UserChoice::SudoCaller, &sudo("65534", "65534")).unwrap();
        assert!(identity.drop, "these tests run as root");
        assert_eq!((identity.uid, identity.gid), (65_534, 65_534));
        assert!(identity.groups.contains(&65_534));
        let names: Vec<_> = identity.environment.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["HOME", "USER", "LOGNAME", "SHELL"]);
        assert_eq!(identity.environment[1].1, "nobody");
    }

    #[test]
    fn a_caller_without_a_passwd_entry_keeps_the_environment() {
        let identity = resolve(&UserChoice::SudoCaller, &sudo("54321", "54322")).unwrap();
        assert_eq!((identity.uid, identity.gid), (54_321, 54_322));
        assert_eq!(identity.groups, [54_322]);
        assert_eq!(identity.environment, []);
    }

    #[test]
    fn variables_of_sudo_that_are_not_numbers_are_refused_rather_than_root_kept() {
        for bad in ["", "x", "-1", "4294967295", "+5", "99999999999"] {
            // An empty text parses as no number too.
            let error = resolve(&UserChoice::SudoCaller, &sudo(bad, "0")).unwrap_err();
            assert!(error.to_string().contains("SUDO_UID"), "{bad}: {error}");
        }
    }

    #[test]
    fn sudo_called_by_root_keeps_root() {
        let identity = resolve(&UserChoice::SudoCaller, &sudo("0", "0")).unwrap();
        assert_eq!((identity.uid, identity.drop), (0, false));
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number_and_unknown_names_are_said() {
        let by_name = resolve(&UserChoice::Named("nobody".into()), &Sudo::default()).unwrap();
        let by_number = resolve(&UserChoice::Named("65534".into()), &Sudo::default()).unwrap();
        assert_eq!(by_name, by_number);
        let error =
            resolve(&UserChoice::Named("no such user".into()), &Sudo::default()).unwrap_err();
        assert!(error.to_string().contains("no such user"));
    }
}
