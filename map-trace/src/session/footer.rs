//! The footer: totals, loss, witnesses.

use std::collections::BTreeMap;

use map_trace_common::record::kind;

use crate::kernel::totals::{Totals, kind_word};
use crate::model::header::{Calibration, FooterLine};
use crate::model::loss::Loss;
use crate::model::summary::{
    CensusRow, CensusSample, Control, Count, Executable, PerfWitness, RusageWitness, Status,
    TracepointWitness, Witnesses,
};
use crate::model::watched::WatchedMemory;

/// Everything a footer is made of.
pub struct Ending {
    pub duration_ns: u64,
    pub status: Status,
    pub totals: Totals,
    pub perf: Option<PerfWitness>,
    pub rusage: Option<RusageWitness>,
    pub executables: Vec<Executable>,
    pub calibration: Calibration,
    pub controls: Vec<Control>,
    /// How often each operation ran.
    pub counts: BTreeMap<String, Count>,
    pub census: BTreeMap<String, CensusRow>,
    pub census_sample: Option<CensusSample>,
    pub write_barrier_flushes: Option<u64>,
    pub not_counted: Vec<String>,
    /// Entries into functions, by glob.
    pub entries: BTreeMap<String, u64>,
    pub controls_ns: u64,
    /// Functions known in each region.
    pub regions: BTreeMap<String, u64>,
    pub watched: Vec<WatchedMemory>,
    pub stopped_early: Option<String>,
    /// What user space lost, or found lost.
    pub undecodable: u64,
    pub unattributed: u64,
    pub blind_ns: u64,
    pub mappings: u64,
    pub mappings_read_again: u64,
    /// Facts about maps that did not fit.
    pub maps: u64,
    /// Records that reached user space.
    pub received: u64,
}

/// The footer of a session.
pub fn footer(ending: Ending) -> FooterLine {
    let loss = loss(&ending);
    FooterLine {
        duration_ns: ending.duration_ns,
        status: ending.status,
        witnesses: Witnesses {
            tracepoint: tracepoints(&ending.totals),
            perf: ending.perf,
            rusage: ending.rusage,
            ..Witnesses::default()
        },
        loss,
        totals: words(&ending.totals),
        fault_codes: ending.totals.fault_codes_by_word(),
        executables: ending.executables,
        controls: ending.controls,
        counts: ending.counts,
        census: ending.census,
        census_sample: ending.census_sample,
        write_barrier_flushes: ending.write_barrier_flushes,
        not_counted: ending.not_counted,
        entries: ending.entries,
        controls_ns: ending.controls_ns,
        regions: ending.regions,
        watched: ending.watched,
        calibration: ending.calibration,
        stopped_early: ending.stopped_early,
        probe_ns: ending.totals.probe_ns(),
        ..FooterLine::default()
    }
}

/// Faults as the tracepoints saw them. What perf does not count either is kept apart.
fn tracepoints(totals: &Totals) -> TracepointWitness {
    let counted = |kind: u32| {
        totals
            .kinds
            .get(kind as usize)
            .map_or(0, |kind| kind.counted)
    };
    let kernel_address = totals.faults_at_kernel_address;
    TracepointWitness {
        page_fault_user: counted(kind::PAGE_FAULT_USER).saturating_sub(kernel_address),
        page_fault_kernel: counted(kind::PAGE_FAULT_KERNEL),
        kernel_address,
    }
}

fn words(totals: &Totals) -> BTreeMap<String, u64> {
    let kinds = (0u32..)
        .zip(&totals.kinds)
        .filter(|(_, kind)| kind.counted != 0);
    let counted = kinds.map(|(kind, totals)| (kind_word(kind).to_owned(), totals.counted));
    let apart = [
        ("faults_before_exec", totals.faults_before_exec),
        ("faults_disabled", totals.faults_disabled),
        ("nested", totals.nested),
        ("pte_walks", totals.walks),
        ("pte_walks_unstable", totals.walks_unstable),
    ];
    counted
        .chain(apart.map(|(word, count)| (word.to_owned(), count)))
        .collect()
}

fn loss(ending: &Ending) -> Loss {
    let mut loss = Loss {
        undecodable: ending.undecodable,
        unattributed: ending.unattributed,
        blind_ns: ending.blind_ns,
        stacks: ending.totals.stacks_dropped,
        mappings: ending.mappings,
        mappings_read_again: ending.mappings_read_again,
        maps: ending.maps,
        compat_calls: ending.totals.compat_calls,
        unseen_madvise: ending.totals.unseen_madvise,
        table_full: ending.totals.table_full,
        ..Loss::default()
    };
    for kind in &ending.totals.kinds {
        loss.counted += kind.counted;
        loss.delivered += kind.delivered;
        loss.aggregated += kind.aggregated;
        loss.dropped += kind.dropped;
    }
    // What the kernel put in the ring and nobody took out is lost all the same.
    let missing = loss.delivered.saturating_sub(ending.received);
    loss.delivered -= missing;
    loss.dropped += missing;
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::totals::KindTotals;

    fn ending(received: u64) -> Ending {
        let mut totals = Totals::default();
        let kind = |counted, delivered, aggregated| KindTotals {
            counted,
            delivered,
            aggregated,
            dropped: counted - delivered - aggregated,
        };
        totals.kinds[kind::PAGE_FAULT_USER as usize] = kind(10, 6, 4);
        totals.kinds[kind::MMAP as usize] = kind(3, 2, 0);
        totals.faults_at_kernel_address = 1;
        Ending {
            duration_ns: 1,
            status: Status::Exited(0),
            totals,
            perf: None,
            rusage: None,
            executables: Vec::new(),
            calibration: Calibration::default(),
            controls: Vec::new(),
            counts: BTreeMap::new(),
            census: BTreeMap::new(),
            census_sample: None,
            write_barrier_flushes: None,
            not_counted: Vec::new(),
            entries: BTreeMap::new(),
            controls_ns: 0,
            regions: BTreeMap::new(),
            watched: Vec::new(),
            stopped_early: None,
            undecodable: 0,
            unattributed: 0,
            blind_ns: 0,
            mappings: 0,
            mappings_read_again: 0,
            maps: 0,
            received,
        }
    }

    #[test]
    fn what_the_programs_took_is_told_from_the_runs_that_were_timed() {
        let mut ending = ending(8);
        ending.totals.runs = 63;
        assert_eq!(footer(ending).probe_ns, None);
        let mut ending = self::ending(8);
        let totals = &mut ending.totals;
        (totals.runs, totals.runs_timed, totals.timed_ns) = (640, 10, 5_000);
        assert_eq!(footer(ending).probe_ns, Some(320_000));
    }

    #[test]
    fn every_counted_event_is_somewhere() {
        let footer = footer(ending(8));
        assert!(footer.loss.sums());
        let Loss {
            counted,
            delivered,
            aggregated,
            dropped,
            ..
        } = footer.loss;
        assert_eq!((counted, delivered, aggregated, dropped), (13, 8, 4, 1));
        assert_eq!(footer.witnesses.tracepoint.page_fault_user, 9);
        assert_eq!(footer.witnesses.tracepoint.kernel_address, 1);
        assert_eq!(footer.totals["mmap"], 3);
    }

    #[test]
    fn a_record_that_never_arrived_is_dropped_not_delivered() {
        let footer = footer(ending(7));
        assert!(footer.loss.sums());
        assert_eq!((footer.loss.delivered, footer.loss.dropped), (7, 2));
        assert!(!footer.loss.complete());
    }
}
