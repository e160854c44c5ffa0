//! Every prerequisite, its state and its remedy: the facts of `map-trace doctor`.
//!
//! One row a check. A probe looks; it changes nothing that stays.

use std::path::Path;

use super::bpf_probe::{self, ProgramType};
use super::btf::Btf;
use super::privilege::Privilege;
use super::support_probes as probes;
use crate::model::check::{Check, CheckState};

/// The oldest kernel this tracer is meant for: BPF ring buffers and CAP_BPF came with 5.8, and 5.10 is
/// the first long-term release with both.
pub const KERNEL_FLOOR: (u32, u32) = (5, 10);

/// What probes share.
pub(super) struct Context {
    pub(super) privilege: Privilege,
    pub(super) btf: Result<Btf, String>,
}

/// What a probe found.
pub(super) struct Finding {
    pub(super) state: CheckState,
    pub(super) found: String,
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self {
            state: CheckState::Ok,
            found: found.into(),
            fix: None,
        }
    }
    pub(super) fn degraded(found: impl Into<String>) -> Self {
        Self {
            state: CheckState::Degraded,
            ..Self::ok(found)
        }
    }
    pub(super) fn missing(found: impl Into<String>) -> Self {
        Self {
            state: CheckState::Missing,
            ..Self::ok(found)
        }
    }
    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A row: name, what it is needed for, and the probe.
struct Row {
    name: &'static str,
    needed_for: &'static str,
    probe: fn(&Context) -> Finding,
}

const fn row(name: &'static str, needed_for: &'static str, probe: fn(&Context) -> Finding) -> Row {
    Row {
        name,
        needed_for,
        probe,
    }
}

const ROWS: &[Row] = &[
    row("privilege", "tracing at all", probes::privilege),
    row("kernel", "tracing at all", probes::kernel),
    row(
        "lockdown",
        "tracing at all: every probe reads the kernel",
        probes::lockdown,
    ),
    row("btf", "field offsets, tp_btf probes", probes::btf),
    row("offsets", "PTE evidence, signal details", probes::offsets),
    row(
        "tracepoints",
        "faults, memory calls, signals",
        probes::tracepoints,
    ),
    row("ring-buffer", "events", |_| {
        probes::loads(bpf_probe::ring_buffer(), CheckState::Missing)
    }),
    row("tp-btf", "the cheapest probes", probes::tp_btf),
    row("raw-tracepoint", "probes where tp_btf is refused", |_| {
        probes::loads(
            bpf_probe::program(ProgramType::RawTracepoint),
            CheckState::Degraded,
        )
    }),
    row("programs", "tracing at all", probes::programs),
    row("timer-programs", "PTE sampling on a timer", |_| {
        probes::loads(
            bpf_probe::program(ProgramType::PerfEvent),
            CheckState::Degraded,
        )
    }),
    row(
        "uprobes",
        "structure probes and the census",
        probes::uprobes,
    ),
    row("tracefs", "comparing tracepoint formats", probes::tracefs),
    row("perf-events", "the perf witness", probes::perf_events),
    row(
        "mapping-records",
        "symbols: which file is mapped where",
        probes::mapping_records,
    ),
    row("breakpoints", "--watch", probes::breakpoints),
    row("pagemap", "PTE evidence: calibration", probes::pagemap),
    row(
        "page-tables",
        "how PTE evidence is to be read",
        probes::page_tables,
    ),
    row(
        "userfaultfd",
        "the userfaultfd controls",
        probes::userfaultfd,
    ),
    row("memlock", "rings and maps", probes::memlock),
    row("open-files", "perf events", probes::open_files),
    row(
        "huge-pages",
        "nothing: a fact that changes fault counts",
        probes::huge_pages,
    ),
    row(
        "swap",
        "nothing: a fact that changes fault counts",
        probes::swap,
    ),
    row(
        "pointers",
        "nothing: kernel addresses are not used",
        probes::pointers,
    ),
    row(
        "hypervisor",
        "nothing: a fact about PTE evidence",
        probes::hypervisor,
    ),
    row("go", "building Go workloads only", probes::go),
];

/// Looks at everything. Takes some 200 ms, most of them for the verifier.
pub fn checks() -> Vec<Check> {
    let context = Context {
        privilege: Privilege::current(),
        btf: Btf::running().map_err(|error| error.to_string()),
    };
    ROWS.iter()
        .map(|row| {
            let finding = (row.probe)(&context);
            Check {
                name: row.name.into(),
                state: finding.state,
                found: finding.found,
                needed_for: row.needed_for.into(),
                fix: finding.fix,
            }
        })
        .collect()
}

/// Where tracefs is mounted.
pub fn tracefs() -> Option<&'static Path> {
    super::tracepoint_args::TRACEFS
        .iter()
        .map(Path::new)
        .find(|root| root.join("events").is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_row_says_something() {
        let checks = checks();
        assert_eq!(checks.len(), ROWS.len());
        let mut names: Vec<_> = checks.iter().map(|check| check.name.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        for check in checks {
            assert!(!check.found.is_empty() && !check.needed_for.is_empty());
            let complete = check.state == CheckState::Ok || check.fix.is_some();
            assert!(complete, "{} has no remedy: {}", check.name, check.found);
        }
    }

    #[test]
    fn nothing_that_tracing_needs_is_missing_where_these_tests_run() {
        let missing: Vec<_> = checks()
            .into_iter()
            .filter(|check| check.state == CheckState::Missing)
            .collect();
        assert_eq!(missing, []);
    }
}
