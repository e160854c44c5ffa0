//! What is known of the runtimes of the followed processes between one record and the next.

use std::collections::HashMap;

use map_trace_common::record::MapOperationRecord;

use crate::model::runtime::SeenOnMap;
use crate::model::text::clean;

/// Processes remembered.
const MAX_PROCESSES: usize = 1 << 14;
/// Maps of which it is remembered who was at work on them.
const MAX_MAPS: usize = 1 << 14;
/// Goroutines remembered of a map.
const MAX_SEEN: usize = 8;
/// Threads about to say that a map is misused.
const MAX_ACCUSED: usize = 256;

/// The runtime of one process.
#[derive(Debug, Default)]
struct Process {
    /// Collections begun so far; none when it ran before it was followed.
    cycles: Option<u64>,
    /// When the collection under way began.
    collecting: Option<u64>,
    /// When the runtime set about stopping the world, and the reason it gave.
    stopping: Option<(u64, u64)>,
}

/// The runtimes of all processes.
#[derive(Debug, Default)]
pub struct Runtimes {
    processes: HashMap<u32, Process>,
    /// Maps found misused, by process and thread.
    accused: HashMap<(u32, u32), u64>,
    seen: HashMap<(u32, u64), Vec<SeenOnMap>>,
}

/// A collection's number and length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cycle {
    pub number: Option<u64>,
    pub duration_ns: Option<u64>,
}

impl Runtimes {
    /// A process begins a program: its collections are counted from here.
    pub fn begin(&mut self, tgid: u32) {
        self.end(tgid);
        if let Some(process) = self.process(tgid) {
            process.cycles = Some(0);
        }
    }

    /// A process ended or became another program.
    pub fn end(&mut self, tgid: u32) {
        self.processes.remove(&tgid);
        self.accused.retain(|(of, _), _| *of != tgid);
        self.seen.retain(|(of, _), _| *of != tgid);
    }

    fn process(&mut self, tgid: u32) -> Option<&mut Process> {
        let room = self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&tgid);
        room.then(|| self.processes.entry(tgid).or_default())
    }

    /// A collection begins.
    pub fn gc_start(&mut self, tgid: u32, ktime_ns: u64) -> Cycle {
        let Some(process) = self.process(tgid) else {
            return Cycle::default();
        };
        process.cycles = process.cycles.map(|cycles| cycles.saturating_add(1));
        process.collecting = Some(ktime_ns);
        Cycle {
            number: process.cycles,
            duration_ns: None,
        }
    }

    /// The collection under way ends.
    pub fn gc_end(&mut self, tgid: u32, ktime_ns: u64) -> Cycle {
        let Some(process) = self.processes.get_mut(&tgid) else {
            return Cycle::default();
        };
        let began = process.collecting.take();
        Cycle {
            number: process.cycles,
            duration_ns: began.map(|began| ktime_ns.saturating_sub(began)),
        }
    }

    /// The runtime sets about stopping the world; the reason is what the first argument holds.
    pub fn stop_begins(&mut self, tgid: u32, ktime_ns: u64, reason: u64) {
        if let Some(process) = self.process(tgid) {
            process.stopping = Some((ktime_ns, reason));
        }
    }

    /// The world goes on: when stopping it began, and why.
    pub fn stop_ends(&mut self, tgid: u32) -> Option<(u64, u64)> {
        self.processes.get_mut(&tgid)?.stopping.take()
    }

    /// A thread has found a map misused and is about to say so.
    pub fn accuse(&mut self, tgid: u32, tid: u32, map: u64) {
        if self.accused.len() < MAX_ACCUSED {
            self.accused.insert((tgid, tid), map);
        }
    }

    /// The map that a thread found misused.
    pub fn accused(&mut self, tgid: u32, tid: u32) -> Option<u64> {
        self.accused.remove(&(tgid, tid)).filter(|map| *map != 0)
    }

    /// A goroutine was seen at work on a map.
    pub fn saw(&mut self, tgid: u32, map: u64, seen: SeenOnMap) {
        let key = (tgid, map);
        if map == 0 || seen.goroutine == 0 {
            return;
        }
        if self.seen.len() >= MAX_MAPS && !self.seen.contains_key(&key) {
            self.seen.clear();
        }
        let of = self.seen.entry(key).or_default();
        of.retain(|other| other.goroutine != seen.goroutine);
        if of.len() >= MAX_SEEN {
            of.remove(0);
        }
        of.push(seen);
    }

    /// A map was made at an address: who was seen on what was there before says nothing.
    pub fn made(&mut self, tgid: u32, map: u64) {
        self.seen.remove(&(tgid, map));
    }

    /// Other goroutines that were seen on a map, the last first.
    pub fn seen(&self, tgid: u32, map: u64, but: Option<u64>) -> Vec<SeenOnMap> {
        let of = self.seen.get(&(tgid, map)).into_iter().flatten().rev();
        of.filter(|seen| Some(seen.goroutine) != but)
            .cloned()
            .collect()
    }
}

/// Why the world was stopped, by the number it is given from Go 1.21 on (`stwReason`, Go 1.23 runtime/proc.go:1345,
/// the same up to 1.27).
pub fn stop_reason(number: u64) -> Option<&'static str> {
    const REASONS: [&str; 12] = [
        "unknown",
        "GC mark termination",
        "GC sweep termination",
        "write heap dump",
        "goroutine profile",
        "goroutine profile cleanup",
        "all goroutines stack trace",
        "read mem stats",
        "AllThreadsSyscall",
        "GOMAXPROCS",
        "start trace",
        "stop trace",
    ];
    // The rest of the register is not part of it.
    REASONS.get(usize::from(number as u8)).copied()
}

/// What began a collection (`gcTriggerKind`, Go 1.23 runtime/mgc.go:583, the same from Go 1.19 to 1.27).
pub fn trigger(kind: u64) -> Option<&'static str> {
    match kind {
        0 => Some("heap"),
        1 => Some("time"),
        2 => Some("forced"),
        _ => None,
    }
}

/// A text whose pieces, from `first` on, were read one behind the other; whether it is longer than they are.
pub fn text(record: &MapOperationRecord, first: usize, length: u64) -> Option<(String, bool)> {
    let mut bytes = Vec::new();
    let pieces = record.words.iter().enumerate().skip(first);
    for (_, words) in pieces.take_while(|(n, _)| record.read >> n & 1 == 1) {
        bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    }
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes.is_empty() && wanted != 0 {
        return None;
    }
    let cut = bytes.len() < wanted;
    bytes.truncate(wanted);
    if cut {
        // A character may be cut, too.
        while bytes.last().is_some_and(|byte| byte & 0xc0 == 0x80) {
            bytes.pop();
        }
        if bytes.last().is_some_and(|byte| *byte >= 0xc0) {
            bytes.pop();
        }
    }
    Some((clean(&String::from_utf8_lossy(&bytes)), cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8], length: u64) -> Option<(String, bool)> {
        let mut record = MapOperationRecord::default();
        for (n, piece) in bytes.chunks(64).enumerate() {
            let mut whole = [0; 64];
            whole[..piece.len()].copy_from_slice(piece);
            for (word, eight) in record.words[n].iter_mut().zip(whole.chunks(8)) {
                *word = u64::from_ne_bytes(eight.try_into().unwrap());
            }
            record.read |= 1 << n;
        }
        text(&record, 0, length)
    }

    #[test]
    fn a_text_ends_where_its_length_says() {
        let whole = said(b"concurrent map writesconcurrent map read", 21);
        assert_eq!(whole, Some(("concurrent map writes".to_owned(), false)));
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let long = "\u{e9}".repeat(200);
        let (text, cut) = said(&long.as_bytes()[..191], 400).unwrap();
        assert!(cut);
        assert!(
            text.chars()
                .all(|c| c == '\u{e9}' || c == '\0' || c == '\u{fffd}'),
            "{text}"
        );
        let odd = said(&[&[b'x'; 191][..], &[0xc3]].concat(), 400).unwrap();
        assert_eq!(odd, ("x".repeat(191), true));
    }

    #[test]
    fn what_a_terminal_would_act_on_is_taken_out() {
        let (text, _) = said(b"a\x1b[31mb\nc\x9b", 10).unwrap();
        assert!(!text.contains(['\x1b', '\n']), "{text:?}");
        assert!(text.starts_with("a\u{fffd}[31mb\u{fffd}c"), "{text:?}");
    }

    #[test]
    fn a_text_that_could_not_be_read_is_none() {
        assert_eq!(text(&MapOperationRecord::default(), 0, 5), None);
        assert_eq!(said(b"", 0), Some((String::new(), false)));
    }

    #[test]
    fn collections_have_numbers_only_in_a_process_followed_from_its_start() {
        let mut runtimes = Runtimes::default();
        assert_eq!(runtimes.gc_start(1, 10).number, None);
        runtimes.begin(2);
        assert_eq!(runtimes.gc_start(2, 10).number, Some(1));
        let ended = runtimes.gc_end(2, 25);
        assert_eq!((ended.number, ended.duration_ns), (Some(1), Some(15)));
        assert_eq!(runtimes.gc_end(2, 30).duration_ns, None);
    }

    #[test]
    fn of_the_goroutines_seen_on_a_map_the_last_come_first_and_each_once() {
        let mut runtimes = Runtimes::default();
        let seen = |goroutine, time_ns| SeenOnMap {
            goroutine,
            operation: "iterate".to_owned(),
            time_ns,
        };
        for n in 0..100 {
            runtimes.saw(1, 0x1000, seen(n % 20 + 1, n));
        }
        let told = runtimes.seen(1, 0x1000, Some(20));
        assert_eq!(told.len(), MAX_SEEN - 1);
        assert_eq!((told[0].goroutine, told[0].time_ns), (19, 98));
        runtimes.made(1, 0x1000);
        assert!(runtimes.seen(1, 0x1000, None).is_empty());
    }
}
