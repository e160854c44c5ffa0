//! Transparent huge pages as a condition (Documentation/admin-guide/mm/transhuge.rst).
//!
//! A process can be given fewer huge pages than the system allows, by prctl(2), and that touches nobody else. It cannot
//! be given more. So the system's setting is raised, for the time of the comparison, only when a condition asks for
//! more than it allows; a shell puts it back, whatever happens to map-trace.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::error::{Error, Result};
use crate::target::surroundings::HugePages;

const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// Waits until its standard input ends, which happens when map-trace ends in any way, and puts the setting back.
const KEEPER: &str = r#"trap '' HUP INT TERM; while read -r _; do :; done; printf %s "$1" > "$2""#;

/// A value of the setting, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    Never,
    Madvise,
    Always,
}

impl Wanted {
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "never" => Some(Self::Never),
            "madvise" => Some(Self::Madvise),
            "always" => Some(Self::Always),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Madvise => "madvise",
            Self::Always => "always",
        }
    }
}

/// What the system allows during the comparison.
pub struct SystemSetting {
    allowed: Wanted,
    /// Puts back what was there.
    keeper: Option<Child>,
}

impl SystemSetting {
    /// Makes the system allow all that is wanted; `None` when nothing is.
    pub fn for_all(wanted: &[Wanted]) -> Result<Option<Self>> {
        let Some(most) = wanted.iter().max().copied() else {
            return Ok(None);
        };
        let text = fs::read_to_string(SETTING).unwrap_or_default();
        let Some(now) = chosen(&text) else {
            let error = Error::usage(
                "cannot vary THP",
                "this kernel has no transparent huge pages",
            );
            return Err(error);
        };
        if now >= most {
            return Ok(Some(Self {
                allowed: now,
                keeper: None,
            }));
        }
        let keeper = keeper(now).map_err(|why| Error::failed("cannot start sh", why))?;
        let raised = Self {
            allowed: most,
            keeper: Some(keeper),
        };
        fs::write(SETTING, most.word())
            .map_err(|why| Error::failed(format!("cannot write {SETTING}"), why))?;
        Ok(Some(raised))
    }

    /// What a program gets of its own so that it sees the wanted setting.
    pub fn own(&self, wanted: Wanted) -> Option<HugePages> {
        match wanted {
            _ if wanted == self.allowed => None,
            Wanted::Never => Some(HugePages::Never),
            Wanted::Madvise => Some(HugePages::Advised),
            Wanted::Always => None,
        }
    }
}

impl Drop for SystemSetting {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            drop(keeper.stdin.take());
            // It ends by itself; when it is gone already, so is the reason to wait.
            let _ended = keeper.wait();
        }
    }
}

fn keeper(before: Wanted) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", KEEPER, "map-trace-keeper", before.word(), SETTING])
        // Out of reach of the terminal's Ctrl-C.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// The word in brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<Wanted> {
    let (_, rest) = text.split_once('[')?;
    Wanted::from_word(rest.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_in_brackets_is_the_setting() {
        assert_eq!(chosen("always [madvise] never\n"), Some(Wanted::Madvise));
        assert_eq!(chosen("[always] madvise never\n"), Some(Wanted::Always));
        for text in ["", "always madvise never", "[", "[often]"] {
            assert_eq!(chosen(text), None, "{text}");
        }
    }

    #[test]
    fn a_program_is_given_less_than_the_system_allows_never_more() {
        let allows = |allowed| SystemSetting {
            allowed,
            keeper: None,
        };
        let always = allows(Wanted::Always);
        assert_eq!(always.own(Wanted::Always), None);
        assert_eq!(always.own(Wanted::Madvise), Some(HugePages::Advised));
        assert_eq!(always.own(Wanted::Never), Some(HugePages::Never));
        let madvise = allows(Wanted::Madvise);
        assert_eq!(madvise.own(Wanted::Madvise), None);
        assert_eq!(madvise.own(Wanted::Never), Some(HugePages::Never));
        assert_eq!(allows(Wanted::Never).own(Wanted::Never), None);
    }
}
