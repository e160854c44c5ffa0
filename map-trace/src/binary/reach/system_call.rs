//! System calls by name and number.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A system call of x86-64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SystemCall {
    pub name: String,
    pub number: u32,
}

/// Those that change or ask about memory, and the others Go's runtime makes
/// (arch/x86/entry/syscalls/syscall_64.tbl).
const NAMES: [(&str, u32); 32] = [
    ("read", 0),
    ("write", 1),
    ("open", 2),
    ("close", 3),
    ("mmap", 9),
    ("mprotect", 10),
    ("munmap", 11),
    ("brk", 12),
    ("rt_sigaction", 13),
    ("rt_sigprocmask", 14),
    ("rt_sigreturn", 15),
    ("sched_yield", 24),
    ("mremap", 25),
    ("mincore", 27),
    ("madvise", 28),
    ("nanosleep", 35),
    ("getpid", 39),
    ("clone", 56),
    ("exit", 60),
    ("kill", 62),
    ("sigaltstack", 131),
    ("mlock", 149),
    ("prctl", 157),
    ("arch_prctl", 158),
    ("gettid", 186),
    ("futex", 202),
    ("clock_gettime", 228),
    ("exit_group", 231),
    ("tgkill", 234),
    ("openat", 257),
    ("pkey_mprotect", 329),
    ("process_madvise", 440),
];

/// The highest number believed.
const MAX_NUMBER: u32 = 1023;

impl SystemCall {
    /// The calls that `inspect` tells of when nothing is asked: those that change mappings Go makes.
    pub fn memory() -> Vec<Self> {
        ["mprotect", "mmap", "munmap", "madvise"]
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect()
    }
}

/// Neither a known name nor a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCall;

impl fmt::Display for UnknownCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no system call known here; its x86-64 number can be given instead")
    }
}

impl std::error::Error for UnknownCall {}

impl FromStr for SystemCall {
    type Err = UnknownCall;

    fn from_str(text: &str) -> Result<Self, UnknownCall> {
        let by_name = NAMES.iter().find(|(name, _)| *name == text);
        let number = match by_name {
            Some(&(_, number)) => number,
            None if text.starts_with('+') => return Err(UnknownCall),
            None => text.parse().map_err(|_| UnknownCall)?,
        };
        let name = NAMES.iter().find(|&&(_, known)| known == number);
        (number <= MAX_NUMBER)
            .then(|| Self {
                name: name.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned()),
                number,
            })
            .ok_or(UnknownCall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_name_and_by_number() {
        let by_name: SystemCall = "mprotect".parse().unwrap();
        assert_eq!(by_name, "10".parse().unwrap());
        assert_eq!("999".parse::<SystemCall>().unwrap().name, "999");
        for wrong in ["", "mprotekt", "-1", "+10", "1024", "99999999999"] {
            assert_eq!(wrong.parse::<SystemCall>(), Err(UnknownCall), "{wrong}");
        }
        assert_eq!(SystemCall::memory().len(), 4);
    }

    #[test]
    fn the_numbers_are_those_of_this_machine() {
        for (name, number) in [
            ("mprotect", libc::SYS_mprotect),
            ("mmap", libc::SYS_mmap),
            ("pkey_mprotect", libc::SYS_pkey_mprotect),
            ("process_madvise", libc::SYS_process_madvise),
            ("mincore", libc::SYS_mincore),
            ("prctl", libc::SYS_prctl),
        ] {
            let call: SystemCall = name.parse().unwrap();
            assert_eq!(i64::from(call.number), number, "{name}");
        }
    }
}
