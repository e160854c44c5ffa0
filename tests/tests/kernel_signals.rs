//! Signals that faults and traps turn into.

use map_trace::model::Cause;
use map_trace::model::event::{EventKind, Mode, SignalEvent};
use map_trace::model::summary::Status;
use map_trace_tests::{Session, Traced, c, kill};

fn traced(program: &str, arguments: &[&str]) -> Traced {
    Session::run(c(program))
        .arguments(arguments)
        .in_full()
        .traced()
        .sound()
}

/// The signals at addresses of the program's range; each must have been handled.
fn caught<'a>(traced: &'a Traced, signal: &str, code: &str) -> Vec<&'a SignalEvent> {
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    let range = traced.said.range();
    let events: Vec<_> = traced
        .trace
        .signals()
        .filter(|event| {
            event
                .address
                .is_some_and(|address| range.contains(address.0))
        })
        .collect();
    for event in &events {
        assert_eq!((event.signal.as_str(), event.code.as_str()), (signal, code));
        assert_eq!(event.handled, Some(true), "{event:?}");
    }
    assert_eq!(
        traced.summary.events.signal.get(signal).copied(),
        Some(events.len() as u64)
    );
    events
}

/// Causes of the faults in the program's range, without the one that made its page.
fn refused(traced: &Traced) -> u64 {
    let causes = traced.trace.causes_in(traced.said.range());
    causes
        .iter()
        .filter(|((_, cause), _)| cause.is_refused())
        .map(|(_, count)| count)
        .sum()
}

#[test]
fn a_write_to_a_read_only_page_is_a_protection_fault_and_a_signal() {
    let traced = traced("segv", &["25", "accerr"]);
    assert_eq!(caught(&traced, "SIGSEGV", "SEGV_ACCERR").len(), 25);
    let causes = traced.trace.causes_in(traced.said.range());
    assert_eq!(
        causes.get(&(Mode::User, Cause::Protection)),
        Some(&25),
        "{causes:?}"
    );
    assert_eq!(
        traced
            .trace
            .calls_in(EventKind::Mprotect, traced.said.range())
            .len(),
        50
    );
    assert_eq!(traced.summary.witnesses.refused, 25);
}

#[test]
fn an_access_to_nothing_is_unmapped() {
    let traced = traced("segv", &["25", "maperr"]);
    assert_eq!(caught(&traced, "SIGSEGV", "SEGV_MAPERR").len(), 25);
    let causes = traced.trace.causes_in(traced.said.range());
    assert_eq!(
        causes.get(&(Mode::User, Cause::Unmapped)),
        Some(&25),
        "{causes:?}"
    );
    assert_eq!(traced.summary.witnesses.refused, 25);
}

#[test]
fn every_way_to_forbid_an_access_is_a_protection_fault() {
    for how in ["none", "nx", "overlay"] {
        let traced = traced("segv", &["15", how]);
        assert_eq!(caught(&traced, "SIGSEGV", "SEGV_ACCERR").len(), 15, "{how}");
        let causes = traced.trace.causes_in(traced.said.range());
        assert_eq!(
            causes.get(&(Mode::User, Cause::Protection)),
            Some(&15),
            "{how}: {causes:?}"
        );
        assert_eq!(refused(&traced), 15, "{how}");
    }
}

#[test]
fn a_call_into_data_is_an_instruction_fetch() {
    let traced = traced("segv", &["5", "nx"]);
    let faults = traced.trace.faults_in(traced.said.range());
    let fetches: Vec<_> = faults
        .iter()
        .filter(|fault| fault.error_code.instruction())
        .collect();
    assert_eq!(fetches.len(), 5);
    assert!(
        fetches.iter().all(|fault| fault.ip == fault.address),
        "{:?}",
        fetches[0]
    );
}

#[test]
fn a_read_beyond_a_files_end_is_a_bus_error() {
    let traced = traced("sigbus", &["12"]);
    assert_eq!(caught(&traced, "SIGBUS", "BUS_ADRERR").len(), 12);
    assert_eq!(traced.trace.faults_in(traced.said.range()).len(), 12);
}

#[test]
fn a_fatal_fault_is_recorded_and_reported_as_the_programs_end() {
    let traced = traced("end", &["segv"]);
    assert_eq!(traced.status(), 128 + libc::SIGSEGV);
    assert_eq!(
        traced.summary.program.status,
        Status::Signaled("SIGSEGV".to_owned())
    );
    let signals: Vec<_> = traced.trace.signals().collect();
    assert_eq!(signals.len(), 1, "{signals:?}");
    assert_eq!(signals[0].address.map(|address| address.0), Some(16));
    assert_eq!(signals[0].handled, Some(false));
    assert_eq!(signals[0].code, "SEGV_MAPERR");
}

#[test]
fn traps_and_bad_instructions_are_recorded() {
    for (how, signal, number) in [
        ("ill", "SIGILL", libc::SIGILL),
        ("trap", "SIGTRAP", libc::SIGTRAP),
    ] {
        let traced = traced("end", &[how]);
        assert_eq!(traced.status(), 128 + number, "{how}");
        assert_eq!(traced.summary.events.signal.get(signal), Some(&1), "{how}");
    }
}

#[test]
fn a_signal_that_somebody_sent_has_no_fault_address() {
    let number = libc::SIGSEGV.to_string();
    let traced = traced("end", &["kill", &number]);
    assert_eq!(traced.status(), 128 + libc::SIGSEGV);
    let signals: Vec<_> = traced.trace.signals().collect();
    assert_eq!(signals.len(), 1);
    assert_eq!(
        (signals[0].address, signals[0].code.as_str()),
        (None, "SI_USER")
    );
    assert_eq!(traced.summary.witnesses.refused, 0);
}

#[test]
fn ctrl_c_ends_the_program_and_leaves_a_whole_trace() {
    let mut live = Session::run(c("wait_signal")).argument("default").live();
    live.wait_for("ready");
    live.signal_all(libc::SIGINT);
    let traced = live.finish();
    assert_eq!(traced.status(), 128 + libc::SIGINT, "{}", traced.stderr());
    assert!(traced.summary.events.page_fault > 10);
    assert!(traced.summary.loss.sums(), "{:?}", traced.summary.loss);
    assert_eq!(
        traced.trace.footer().loss.counted,
        traced.summary.loss.counted
    );
    assert!(
        traced.stderr().contains("page faults"),
        "no report: {}",
        traced.stderr()
    );
}

#[test]
fn a_program_that_handles_ctrl_c_keeps_its_own_status() {
    let mut live = Session::run(c("wait_signal")).argument("handle").live();
    live.wait_for("ready");
    live.signal_all(libc::SIGINT);
    live.wait_for("signal=2");
    let traced = live.finish();
    assert_eq!(traced.status(), 7, "{}", traced.stderr());
}

#[test]
fn a_signal_to_map_trace_alone_ends_the_recording_not_the_report_nor_the_program() {
    let mut live = Session::run(c("wait_signal")).argument("handle").live();
    let pid: u32 = live.wait_for("pid=").parse().expect("a process id");
    live.wait_for("ready");
    live.signal(libc::SIGTERM);
    live.wait();
    // The program was left alone: it is there and answers.
    kill(pid, libc::SIGINT);
    live.wait_for("signal=2");
    let traced = live.finish();
    assert!(
        traced.summary.stopped_early.is_some(),
        "{:?}",
        traced.summary
    );
    assert!(traced.summary.loss.sums(), "{:?}", traced.summary.loss);
    traced.trace.footer();
}
