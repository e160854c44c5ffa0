//! Counting operations on maps by duty cycle, within a budget of the program's CPU time.
//!
//! A burst is a few execution breakpoints on the threads that work most, in functions that do operations on
//! maps; the next burst takes the next functions. Each breakpoint ends itself after a number of hits that the
//! budget allows even if all of them have as many, and nothing is set again before it is paid for.
//!
//! Not uprobes: to put one into a function and to take it off again, the kernel takes the page of text away
//! from the program for a moment each time. A program that is in that function then has a page fault, which it
//! would not have had: of 50 times, on 1 to 9. A debug register changes nothing in the program's memory.

mod ledger;
mod proc;

use std::collections::{BTreeMap, HashMap, HashSet};

use ledger::Ledger;

use super::structure::Structure;
use crate::kernel::breakpoints::{self, ExecutionBreakpoint};
use crate::maps::census::{COUNTED, Passed, passed};
use crate::model::summary::CensusSample;

/// Debug registers of an x86-64 thread, and how many of them are left to others.
const REGISTERS: usize = 4;
const LEFT: usize = 1;
/// Threads counted in at once: the one that worked most since it was last looked at.
const THREADS: usize = 1;
/// Processes whose CPU time is asked for.
const MAX_PROCESSES: usize = 256;
/// Programs remembered.
const MAX_PROGRAMS: usize = 256;
/// Bursts in a row that could not begin before it is given up.
const FAILURES: u32 = 8;
/// CPU time for which a process gets its turn.
const BUSY_NS: u64 = 1_000_000;

/// The counting of a session.
pub struct Duty {
    ledger: Ledger,
    at_once: usize,
    /// CPU time of each process when it was last asked, and what it used since it last had its turn.
    clocks: HashMap<u32, (u64, u64)>,
    threads: HashMap<u32, u64>,
    /// By device and inode: where to count, and whose turn it is.
    programs: HashMap<(u64, u64), (Vec<Passed>, usize)>,
    /// Of the processes.
    turn: usize,
    armed: Vec<(usize, ExecutionBreakpoint)>,
    /// What a hit costs; 0 while it is not known.
    hit_ns: u64,
    /// What a burst takes besides hits.
    overhead_ns: u64,
    hits: [u64; COUNTED.len()],
    bursts: u64,
    failures: u32,
    stopped: Option<String>,
}

impl Duty {
    /// Counts within `budget_ppm` millionths of the programs' CPU time; `watched` debug registers are taken.
    pub fn new(budget_ppm: u32, watched: usize) -> Self {
        let at_once = REGISTERS.saturating_sub(watched).min(REGISTERS - LEFT);
        Self {
            ledger: Ledger {
                budget_ppm,
                ..Ledger::default()
            },
            at_once,
            clocks: HashMap::new(),
            threads: HashMap::new(),
            programs: HashMap::new(),
            turn: 0,
            armed: Vec::new(),
            hit_ns: 0,
            overhead_ns: 0,
            hits: [0; COUNTED.len()],
            bursts: 0,
            failures: 0,
            stopped: (at_once == 0).then(|| "every debug register watches memory".to_owned()),
        }
    }

    /// To be called every few milliseconds: ends a burst, and begins one when it is paid for.
    pub fn tick(&mut self, alive: &HashSet<u32>, structure: &Structure) {
        if structure.is_empty() || self.stopped.is_some() {
            return;
        }
        let before = breakpoints::thread_cpu_ns();
        let ended = !self.armed.is_empty();
        self.end();
        self.ask(alive);
        if self.ledger.open() {
            self.begin(structure);
        }
        let mut took = breakpoints::thread_cpu_ns().saturating_sub(before);
        if ended || !self.armed.is_empty() {
            // The program's processor writes its debug registers while we wait for it: both are busy.
            took = took.saturating_mul(2);
            // A slow one is not forgotten at once.
            self.overhead_ns = took.max(self.overhead_ns - self.overhead_ns / 8);
        } else {
            self.overhead_ns -= self.overhead_ns / 64;
        }
        self.ledger.spent_ns = self.ledger.spent_ns.saturating_add(took);
    }

    /// Ends a burst.
    fn end(&mut self) {
        for (operation, mut breakpoint) in self.armed.drain(..) {
            let hits = breakpoint.hits().unwrap_or(0);
            if let Some(count) = self.hits.get_mut(operation) {
                *count = count.saturating_add(hits);
            }
            let cost = hits.saturating_mul(self.hit_ns);
            self.ledger.spent_ns = self.ledger.spent_ns.saturating_add(cost);
        }
    }

    /// Asks for the CPU time of the processes.
    fn ask(&mut self, alive: &HashSet<u32>) {
        self.clocks.retain(|pid, _| alive.contains(pid));
        for &pid in alive.iter().take(MAX_PROCESSES) {
            let Some(now) = breakpoints::process_cpu_ns(pid) else {
                continue;
            };
            // What it used before it was first asked may be from before the recording.
            let (last, used) = self.clocks.entry(pid).or_insert((now, 0));
            let since = now.saturating_sub(*last);
            self.ledger.cpu_ns = self.ledger.cpu_ns.saturating_add(since);
            (*last, *used) = (now, used.saturating_add(since));
        }
    }

    /// Begins a burst in one of the processes that work, if it can be afforded.
    fn begin(&mut self, structure: &Structure) {
        if self.hit_ns == 0 {
            match breakpoints::hit_cost() {
                Ok(cost) => self.hit_ns = cost,
                Err(why) => self.stopped = Some(format!("no breakpoint can be had: {why}")),
            }
            return;
        }
        let many = u64::try_from(THREADS * self.at_once).unwrap_or(u64::MAX);
        let Some(most) = self.ledger.hits(many, self.hit_ns, 2 * self.overhead_ns) else {
            return;
        };
        let busy = self.clocks.iter().filter(|(_, (_, used))| *used >= BUSY_NS);
        let mut busy: Vec<u32> = busy.map(|(pid, _)| *pid).collect();
        busy.sort_unstable();
        let turn = self.turn;
        let chosen = busy.get(turn.checked_rem(busy.len()).unwrap_or(0)).copied();
        self.turn = turn.wrapping_add(1);
        let Some(pid) = chosen else {
            return;
        };
        if let Some((_, used)) = self.clocks.get_mut(&pid) {
            *used = 0;
        }
        let Some(identity) = proc::identity(pid) else {
            return;
        };
        if !self.programs.contains_key(&identity) {
            // To read it takes as long as a burst: that is another time.
            let places = structure.binary(identity).map(|binary| passed(&binary));
            if self.programs.len() < MAX_PROGRAMS {
                self.programs
                    .insert(identity, (places.unwrap_or_default(), 0));
            }
            return;
        }
        if !proc::traced(pid) {
            self.arm(pid, identity, most);
        }
    }

    /// Sets breakpoints in the functions whose turn it is.
    fn arm(&mut self, pid: u32, identity: (u64, u64), most: u64) {
        let program = self.programs.get_mut(&identity);
        let Some((places, next)) = program.filter(|(places, _)| !places.is_empty()) else {
            return;
        };
        let Some(text) = proc::Text::of(pid, identity.1) else {
            return;
        };
        let chosen = places.iter().cycle().skip(*next);
        *next = (*next + self.at_once) % places.len();
        let mut refused = None;
        let threads = proc::busiest(pid, &mut self.threads, THREADS);
        for place in chosen.take(self.at_once.min(places.len())) {
            let Some(address) = text.address(place.file_offset) else {
                continue;
            };
            for &tid in &threads {
                match ExecutionBreakpoint::arm(tid, address, most) {
                    Ok(armed) => self.armed.push((place.operation, armed)),
                    // Ended meanwhile.
                    Err(why) if why.raw_os_error() == Some(libc::ESRCH) => {}
                    Err(why) => refused = Some(why),
                }
            }
        }
        match refused.filter(|_| self.armed.is_empty()) {
            Some(why) if self.failures >= FAILURES => {
                self.stopped = Some(format!("no breakpoint can be had: {why}"));
            }
            Some(_) => self.failures += 1,
            None => {
                self.failures = 0;
                self.bursts += u64::from(!self.armed.is_empty());
            }
        }
    }

    /// Ends the counting: what it came to; nothing when it never began.
    pub fn finish(&mut self) -> Option<CensusSample> {
        self.end();
        let hits = COUNTED.iter().zip(self.hits).filter(|(_, hits)| *hits != 0);
        let hits: BTreeMap<String, u64> = hits
            .map(|(operation, hits)| (operation.word().to_owned(), hits))
            .collect();
        (self.bursts != 0 || self.stopped.is_some()).then(|| CensusSample {
            budget: f64::from(self.ledger.budget_ppm) / 1e6,
            cpu_ns: self.ledger.cpu_ns,
            spent_ns: self.ledger.spent_ns,
            hit_ns: self.hit_ns,
            bursts: self.bursts,
            hits,
            stopped: self.stopped.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_every_debug_register_taken_it_says_that_nothing_is_counted() {
        let told = Duty::new(20_000, 4).finish().expect("a reason");
        assert_eq!(told.bursts, 0);
        assert!(
            told.stopped
                .is_some_and(|why| why.contains("debug register"))
        );
    }

    #[test]
    fn one_debug_register_is_left_to_others() {
        let at_once = [0, 1, 2, 3, 4].map(|watched| Duty::new(1, watched).at_once);
        assert_eq!(at_once, [3, 3, 2, 1, 0]);
        assert_eq!(Duty::new(1, 0).finish(), None);
    }
}
