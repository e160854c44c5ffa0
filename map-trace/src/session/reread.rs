//! Mappings read again from /proc, once changes of them were lost.
//!
//! A replay with a hole is worth nothing, so that no stack after it would have a name. What /proc shows right after
//! the loss was seen is the truth from then on. For events from before, which are still to be told, it is the best
//! there is: it names their stacks, and nothing is concluded from it, since something else may have lain there.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use super::clock::now_ns;
use super::modules;
use super::pipeline::Pipeline;

/// Processes read at once.
const MAX_PROCESSES: usize = 256;
/// Bytes of one maps file: of 100,000 mappings and more.
const MAX_BYTES: u64 = 16 << 20;
/// Reading rests fifty times as long as it took: on a machine that loses records all the time it takes 2 %.
const REST: u32 = 50;

/// When to read, and how often it was done.
#[derive(Debug, Default)]
pub struct Reread {
    wanted: bool,
    resting: Option<(Instant, Duration)>,
    /// Maps files read.
    pub files: u64,
}

impl Reread {
    /// Changes were lost.
    pub const fn want(&mut self) {
        self.wanted = true;
    }

    /// Reads the mappings of the processes that live, if that is wanted and not too soon; at the end it never is.
    pub fn serve(&mut self, pipeline: &mut Pipeline, at_end: bool) {
        let rests = |&(since, rest): &(Instant, Duration)| since.elapsed() < rest;
        if !self.wanted || (!at_end && self.resting.as_ref().is_some_and(rests)) {
            return;
        }
        self.wanted = false;
        let start = Instant::now();
        let mut alive: Vec<u32> = pipeline.alive().iter().copied().collect();
        alive.sort_unstable();
        for tgid in alive.into_iter().take(MAX_PROCESSES) {
            let Some(text) = maps(tgid) else {
                continue;
            };
            if pipeline.mappings_read(tgid, text, now_ns()) {
                self.files += 1;
                modules::open_hidden(tgid, &pipeline.spaces, pipeline.stacks.symbolizer());
            } else {
                // Mappings were split or joined while they were read.
                self.wanted = true;
            }
        }
        self.resting = Some((Instant::now(), start.elapsed().saturating_mul(REST)));
    }
}

/// The maps file of a process; none of one that is gone, or has more mappings than are replayed.
fn maps(tgid: u32) -> Option<String> {
    let file = File::open(format!("/proc/{tgid}/maps")).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let whole = !bytes.is_empty() && u64::try_from(bytes.len()).is_ok_and(|len| len < MAX_BYTES);
    whole.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mappings_of_a_living_process_are_had_and_of_none_other() {
        let own = maps(std::process::id()).expect("we live");
        assert!(own.contains("[stack]"));
        assert_eq!(maps(0), None);
    }
}
