//! Facts of the machine's kernel.

use std::fmt;

use super::{Presence, Ruling};
use crate::model::pte::bit;
use crate::model::summary::Control;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFact {
    /// A name in /proc/kallsyms.
    KernelSymbol { name: String, expect: Presence },
    /// A page-table entry has the bit of this meaning at this place.
    PteBit { name: String, bit: u32 },
}

/// What is known of the machine.
#[derive(Clone, Debug, Default)]
pub struct HostEvidence {
    /// /proc/kallsyms; none: it cannot be read.
    pub kernel_symbols: Option<String>,
    /// Self-tests of a recorded run.
    pub controls: Vec<Control>,
    /// Page-table entries could be read there.
    pub entries_usable: bool,
}

/// Bits with a name: their place, and the control that saw this kernel change or set them there.
const BITS: [(&str, u64, Option<&str>); 4] = [
    ("present", bit::PRESENT, Some("prot_none_read")),
    ("writable", bit::WRITABLE, Some("mprotect")),
    ("user", bit::USER, None),
    ("no_execute", bit::NO_EXECUTE, Some("prot_exec")),
];

impl HostFact {
    /// Whether a bit has that name.
    pub fn knows_bit(name: &str) -> bool {
        BITS.iter().any(|(known, ..)| *known == name)
    }

    pub fn judge(&self, evidence: &HostEvidence) -> Ruling {
        match self {
            Self::KernelSymbol { name, expect } => {
                let Some(symbols) = &evidence.kernel_symbols else {
                    return Ruling::open("/proc/kallsyms cannot be read");
                };
                let mut names = 0_u64;
                let mut there = false;
                for line in symbols.lines() {
                    names += 1;
                    there |= line.split_whitespace().nth(2) == Some(name);
                }
                if names == 0 {
                    return Ruling::open("/proc/kallsyms is empty");
                }
                let reason = match there {
                    true => format!("/proc/kallsyms has {name}"),
                    false => format!("no {name} among {names} kernel symbols"),
                };
                Ruling::of(expect.is(there), reason)
            }
            Self::PteBit { name, bit } => {
                let Some((_, mask, control)) = BITS.iter().find(|(known, ..)| known == name) else {
                    return Ruling::open(format!("no bit is called {name}"));
                };
                let place = mask.trailing_zeros();
                let seen = match control {
                    // Nothing a program may do changes it.
                    None => ", by the kernel's definition (_PAGE_BIT_USER)".to_owned(),
                    Some(control) => {
                        let found = evidence.controls.iter().find(|one| one.name == *control);
                        if found.is_none() {
                            return Ruling::open(format!(
                                "control \"{control}\" was not run: it is with every program that is"
                            ));
                        }
                        if !evidence.entries_usable || !found.is_some_and(|one| one.passed) {
                            return Ruling::open(format!(
                                "no run of this session saw the bit: control \"{control}\" did not pass"
                            ));
                        }
                        format!(", as control \"{control}\" saw it change")
                    }
                };
                Ruling::of(place == *bit, format!("{name} is bit {place}{seen}"))
            }
        }
    }
}

impl fmt::Display for HostFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelSymbol { name, expect } => write!(f, "kernel symbol {name} {expect}"),
            Self::PteBit { name, bit } => write!(f, "page-table entry: {name} is bit {bit}"),
        }
    }
}
