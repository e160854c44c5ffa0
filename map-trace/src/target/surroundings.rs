//! What a program finds around it, where it is to differ from what map-trace itself has.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem;

/// Differences from map-trace's own surroundings; the default is none.
///
/// All of them are the program's alone and pass on to its children: the child takes them on between fork and
/// exec, map-trace keeps its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Variables to set, or with `None` to take away.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// Scheduling priority, -20 to 19 (setpriority(2)).
    pub nice: Option<i32>,
    /// The CPUs it may run on.
    pub cpus: Option<Cpus>,
    pub huge_pages: Option<HugePages>,
}

/// Transparent huge pages of one process, by prctl(2) `PR_SET_THP_DISABLE`. It can only take away what the
/// system's setting allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// None, whatever the system's setting.
    Never,
    /// Only where the program asks with madvise(2) `MADV_HUGEPAGE`: flag `PR_THP_DISABLE_EXCEPT_ADVISED` of
    /// Linux 6.18 (include/uapi/linux/prctl.h).
    Advised,
}

impl HugePages {
    /// The prctl's third argument.
    pub(super) const fn flags(self) -> usize {
        match self {
            Self::Never => 0,
            Self::Advised => 1 << 1,
        }
    }
}

/// A set of CPUs, as sched_setaffinity(2) takes it: one bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus(Vec<u64>);

impl Cpus {
    /// The first `count` of the CPUs that map-trace may run on; `None` when there are not as many.
    ///
    /// # Errors
    /// What sched_getaffinity(2) answered.
    pub fn first(count: usize) -> io::Result<Option<Self>> {
        Ok(Self::allowed()?.take(count))
    }

    fn allowed() -> io::Result<Self> {
        // 1,024 words hold 65,536 CPUs; no x86-64 kernel is built for more than 8,192 (CONFIG_NR_CPUS).
        let mut words = vec![0_u64; 1024];
        let bytes = mem::size_of_val(words.as_slice());
        // SAFETY: the kernel writes at most `bytes` bytes to `words`; 0 is the calling thread.
        let result = unsafe {
            libc::syscall(
                libc::SYS_sched_getaffinity,
                0,
                bytes,
                words.as_mut_ptr().cast::<libc::c_ulong>(),
            )
        };
        let filled = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        words.truncate(filled / mem::size_of::<u64>());
        Ok(Self(words))
    }

    fn take(mut self, count: usize) -> Option<Self> {
        let mut left = count;
        for word in &mut self.0 {
            let mut kept = 0;
            for bit in (0..u64::BITS).map(|bit| 1 << bit) {
                if *word & bit != 0 && left > 0 {
                    kept |= bit;
                    left -= 1;
                }
            }
            *word = kept;
        }
        (left == 0 && count > 0).then_some(self)
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }
}

impl Surroundings {
    /// Puts the program's variables in place of ours.
    pub(super) fn change(&self, variables: &mut Vec<(OsString, OsString)>) {
        for (name, value) in &self.environment {
            variables.retain(|(known, _)| known != name);
            if let Some(value) = value {
                variables.push((name.clone(), value.clone()));
            }
        }
    }

    /// What the program is searched in: its own PATH, as env(1) does it.
    pub(super) fn path(&self) -> Option<OsString> {
        let own = self
            .environment
            .iter()
            .rfind(|(name, _)| name == OsStr::new("PATH"));
        match own {
            Some((_, value)) => value.clone(),
            None => std::env::var_os("PATH"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cpus_are_those_with_the_lowest_numbers() {
        let set = || Cpus(vec![0b1011_0000, 1]);
        assert_eq!(set().take(1), Some(Cpus(vec![0b1_0000, 0])));
        assert_eq!(set().take(4), Some(Cpus(vec![0b1011_0000, 1])));
        assert_eq!(set().take(5), None);
        assert_eq!(set().take(0), None);
        let own = Cpus::first(1).unwrap().unwrap();
        assert_eq!(own.0.iter().map(|word| word.count_ones()).sum::<u32>(), 1);
    }

    #[test]
    fn a_variable_is_set_changed_or_taken_away() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let mut variables = vec![
            pair("A", "1"),
            pair("B", "2"),
            pair("B", "3"),
            pair("C", "4"),
        ];
        let surroundings = Surroundings {
            environment: vec![
                ("B".into(), Some("5".into())),
                ("C".into(), None),
                ("D".into(), Some("x=y".into())),
            ],
            ..Surroundings::default()
        };
        surroundings.change(&mut variables);
        assert_eq!(
            variables,
            [pair("A", "1"), pair("B", "5"), pair("D", "x=y")]
        );
    }
}
