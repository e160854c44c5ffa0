//! What this process may do, and the one line that says what it lacks.

use std::ffi::OsString;

use crate::error::{Error, Result};

/// Longest command line repeated in a remedy, bytes.
const MAX_REMEDY: usize = 200;

/// A capability (include/uapi/linux/capability.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    pub name: &'static str,
    number: u32,
    /// `CAP_SYS_ADMIN` includes it.
    in_sys_admin: bool,
    pub needed_for: &'static str,
}

const SYS_ADMIN: u32 = 21;

/// What tracing needs.
pub const NEEDED: [Capability; 4] = [
    Capability {
        name: "CAP_BPF",
        number: 39,
        in_sys_admin: true,
        needed_for: "loading the probes",
    },
    Capability {
        name: "CAP_PERFMON",
        number: 38,
        in_sys_admin: true,
        needed_for: "attaching the probes, reading kernel memory, perf events",
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        number: 19,
        in_sys_admin: false,
        needed_for: "reading the program's mappings",
    },
    Capability {
        name: "CAP_SYS_ADMIN",
        number: SYS_ADMIN,
        in_sys_admin: true,
        needed_for: "page frame numbers (PTE evidence), uprobes",
    },
];

/// Effective user and capabilities of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privilege {
    pub uid: u32,
    /// `CapEff` of /proc/self/status.
    effective: u64,
}

impl Privilege {
    /// Of this process; no capabilities when /proc is not readable.
    pub fn current() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // SAFETY: geteuid has no preconditions and cannot fail.
        let uid = unsafe { libc::geteuid() };
        Self {
            uid,
            effective: effective(&status),
        }
    }

    fn has(self, capability: &Capability) -> bool {
        let bit = |number: u32| self.effective & 1 << number != 0;
        bit(capability.number) || capability.in_sys_admin && bit(SYS_ADMIN)
    }

    /// Needed capabilities that are not there.
    pub fn lacking(self) -> Vec<&'static Capability> {
        NEEDED.iter().filter(|needed| !self.has(needed)).collect()
    }

    /// Names of those, for a message.
    pub fn lacking_names(self) -> String {
        let names: Vec<&str> = self.lacking().iter().map(|one| one.name).collect();
        names.join(", ")
    }
}

fn effective(status: &str) -> u64 {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// Refuses a session that could not work. `arguments` are map-trace's own, for the remedy.
///
/// # Errors
/// 125 with the command that would work.
pub fn require(arguments: &[OsString]) -> Result<()> {
    check(Privilege::current(), arguments)
}

fn check(privilege: Privilege, arguments: &[OsString]) -> Result<()> {
    let lacking = privilege.lacking_names();
    if lacking.is_empty() {
        return Ok(());
    }
    if privilege.uid != 0 {
        return Err(Error::failed(
            "cannot trace",
            format!("needs root (running as uid {})", privilege.uid),
        )
        .fix(sudo(arguments)));
    }
    Err(Error::failed(
        "cannot trace",
        format!("root lacks {lacking} here, as in a container"),
    )
    .fix("run on the host, or start the container with --privileged --pid=host"))
}

/// `sudo map-trace run ...`, quoted for a shell.
fn sudo(arguments: &[OsString]) -> String {
    let mut line = String::from("sudo map-trace");
    for argument in arguments {
        let word = quoted(&argument.to_string_lossy());
        if line.len() + word.len() > MAX_REMEDY {
            line.push_str(" ...");
            break;
        }
        line.push(' ');
        line.push_str(&word);
    }
    line
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(uid: u32, effective: u64) -> Privilege {
        Privilege { uid, effective }
    }

    #[test]
    fn root_with_everything_may_trace() {
        assert_eq!(Privilege::current().lacking(), Vec::<&Capability>::new());
        require(&[]).unwrap();
    }

    #[test]
    fn a_user_is_given_the_command_that_works() {
        let arguments = ["run", "--", "./my app", "it's"].map(OsString::from);
        let error = check(with(1000, 0), &arguments).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot trace: needs root (running as uid 1000); \
             sudo map-trace run -- './my app' 'it'\\''s'"
        );
        assert_eq!(error.code.0, 125);
    }

    #[test]
    fn a_long_command_line_is_cut() {
        let arguments = vec![OsString::from("x".repeat(50)); 10];
        let line = sudo(&arguments);
        assert!(
            line.len() <= MAX_REMEDY + 4 && line.ends_with(" ..."),
            "{line}"
        );
    }

    #[test]
    fn root_in_a_container_is_told_what_it_lacks() {
        let error = check(with(0, 1 << 19), &[]).unwrap_err().to_string();
        assert!(
            error.contains("CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN"),
            "{error}"
        );
        assert!(!error.contains("PTRACE"), "{error}");
    }

    #[test]
    fn capabilities_are_enough_without_root_and_sys_admin_includes_the_newer_ones() {
        let full = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 21;
        assert!(check(with(1000, full), &[]).is_ok());
        assert!(check(with(1000, 1 << 21 | 1 << 19), &[]).is_ok());
    }

    #[test]
    fn a_status_without_the_line_has_no_capabilities() {
        assert_eq!(effective("Name:\tx\nCapEff:\tzz\n"), 0);
        assert_eq!(effective("CapEff:\t000001fffeffffff\n"), 0x1ff_feff_ffff);
    }
}
