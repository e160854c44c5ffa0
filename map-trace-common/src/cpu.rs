//! The one value of the per-CPU map.

use crate::counters::Counters;
use crate::limits::WINDOW_WORDS;
use crate::record::{Aggregate, PageFaultRecord, StackRecord};

/// What one CPU owns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Cpu {
    /// `pid_tgid + 1` of the task whose program runs here, 0 when none: a fault that one of our own reads
    /// raises is not the program's.
    pub busy: u64,
    /// When the run that is timed began; 0: this one is not.
    pub begun_ns: u64,
    pub counters: Counters,
    pub stack: StackRecord,
    /// The user stack from rsp upward, read at once: most frame links lie in it.
    pub window: [u64; WINDOW_WORDS],
    /// What of it was read.
    pub read: Read,
    /// The hash of the frames followed so far, between calls that each follow some of them.
    pub far_hash: u64,
    /// Room to put a fault and a new group together in: a program's stack has none for them.
    pub fault: PageFaultRecord,
    pub aggregate: Aggregate,
}

/// What of the window was read for the stack at hand.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Read {
    /// Words that have one behind them.
    pub links: u64,
    pub words: u64,
    /// 1 when a library's code runs.
    pub library: u64,
}
