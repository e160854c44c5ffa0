//! Sums under the names that a summary has for them.

use std::collections::BTreeMap;

use super::MAX_NAMES;
use crate::evidence::rows::{OTHER, Rows};
use crate::model::event::EventKind;
use crate::model::summary::EventTotals;

/// Longest name of one count, bytes.
const MAX_NAME: usize = 64;

/// The kernel's total of a kind; page faults are counted by mode there.
pub fn kernel_total(totals: &BTreeMap<String, u64>, kind: EventKind) -> u64 {
    let of = |word: &str| totals.get(word).copied().unwrap_or(0);
    match kind {
        EventKind::PageFault => of("page_fault")
            .saturating_add(of("page_fault_user"))
            .saturating_add(of("page_fault_kernel")),
        kind => of(kind.word()),
    }
}

pub fn totals(rows: &Rows, signal: BTreeMap<String, u64>) -> EventTotals {
    let of = |kind| rows.total.kind(kind);
    EventTotals {
        page_fault: of(EventKind::PageFault),
        mprotect: of(EventKind::Mprotect),
        pkey_mprotect: of(EventKind::PkeyMprotect),
        mmap: of(EventKind::Mmap),
        munmap: of(EventKind::Munmap),
        mremap: of(EventKind::Mremap),
        brk: of(EventKind::Brk),
        madvise: of(EventKind::Madvise),
        signal,
        exec: of(EventKind::Exec),
        fork: of(EventKind::Fork),
        exit: of(EventKind::Exit),
        pte_sample: of(EventKind::PteSample),
        watch_hit: of(EventKind::WatchHit),
        map_make: of(EventKind::MapMake),
        map_grow: of(EventKind::MapGrow),
        iteration: of(EventKind::Iteration),
        map_clear: of(EventKind::MapClear),
        runtime: of(EventKind::Runtime),
        fatal_error: of(EventKind::FatalError),
    }
}

/// Codes of the modes that have any, as the words of a summary.
pub fn code_names(codes: [BTreeMap<u64, u64>; 3]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let modes = ["user", "kernel", OTHER].into_iter().zip(codes);
    modes
        .filter(|(_, codes)| !codes.is_empty())
        .map(|(mode, codes)| {
            let name = |code: u64| {
                if code == u64::MAX {
                    OTHER.to_owned()
                } else {
                    code.to_string()
                }
            };
            let named = codes.into_iter().map(|(code, count)| (name(code), count));
            (mode.to_owned(), named.collect())
        })
        .collect()
}

/// Adds to a name's count, in bounded memory.
pub fn count_name(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    if let Some(total) = counts.get_mut(name) {
        *total = total.saturating_add(count);
        return;
    }
    let fits = name.len() <= MAX_NAME && counts.len() < MAX_NAMES;
    let name = if fits { name } else { OTHER };
    let total = counts.entry(name.to_owned()).or_default();
    *total = total.saturating_add(count);
}
