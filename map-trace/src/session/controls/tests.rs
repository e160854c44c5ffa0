//! Controls that fail when they should.

use map_trace_common::record::kind;

use super::arena::Slot;
use super::judge::{Event, Lifts, Look, judge, made};
use super::observe::{Seen, Sightings};
use crate::model::event::{MemoryCallEvent, Mode, PageFaultEvent};
use crate::model::pte::PteLevel;
use crate::model::summary::Control;
use crate::model::vma::{VmaFacts, VmaKind};
use crate::model::{Address, Cause, FaultCode, Prot, Pte};
use crate::session::pipeline::no_stack;

/// An entry that looks as wanted.
fn entry(look: Look) -> Pte {
    let empty = Pte {
        raw: Address(0),
        level: PteLevel::Pte,
        present: false,
        writable: false,
        user: false,
        accessed: false,
        dirty: false,
        no_execute: false,
        zero_page: false,
        saved_dirty: false,
        empty: true,
        prot_none: false,
        uffd_wp: false,
        unstable: false,
    };
    let page = Pte {
        present: true,
        empty: false,
        no_execute: true,
        ..empty
    };
    let choices = [
        empty,
        Pte {
            empty: false,
            prot_none: true,
            ..empty
        },
        Pte {
            writable: true,
            ..page
        },
        page,
        Pte {
            zero_page: true,
            ..page
        },
        Pte {
            no_execute: false,
            ..page
        },
    ];
    choices.into_iter().find(look).unwrap()
}

fn fault(mode: Mode, cause: Cause, pte: Pte, prot: Prot) -> Seen {
    Seen::Fault(Box::new(PageFaultEvent {
        on: None,
        time_ns: 0,
        pid: 1,
        tid: 1,
        mode,
        address: Address(0),
        ip: Address(0),
        error_code: FaultCode(0),
        pte: Some(pte),
        vma: Some(VmaFacts { prot, ..vma() }),
        cause,
        cause_reason: None,
        interrupted: false,
        context: no_stack(),
        stall_ns: None,
    }))
}

fn vma() -> VmaFacts {
    VmaFacts {
        start: Address(0),
        end: Address(4096),
        prot: Prot::RW,
        kind: VmaKind::Anon,
        name: None,
        offset: 0,
        shared: false,
        flags: Vec::new(),
    }
}

fn call(kind: u32, prot: Prot, before: Pte, after: Pte) -> Seen {
    Seen::Call(
        kind,
        Box::new(MemoryCallEvent {
            time_ns: 0,
            duration_ns: Some(1),
            pid: 1,
            tid: 1,
            address: Address(0),
            length: 4096,
            prot: Some(prot),
            old_prot: None,
            flags: None,
            advice: None,
            new_address: None,
            new_length: None,
            pkey: None,
            fd: None,
            offset: None,
            result: Some(0),
            error: None,
            new_break: None,
            pte_before: Some(before),
            pte_after: Some(after),
            on: None,
            context: no_stack(),
        }),
    )
}

fn example(event: &Event) -> Seen {
    match *event {
        Event::Fault {
            mode,
            cause,
            entry: look,
        } => fault(mode, cause, entry(look), Prot::RW),
        Event::Refused { entry: look, prot } => {
            fault(Mode::User, Cause::Protection, entry(look), prot)
        }
        Event::Signal => Seen::Signal {
            number: libc::SIGSEGV,
            code: 2,
            handled: true,
        },
        Event::Call {
            kind,
            prot,
            before,
            after,
        } => call(kind, prot, entry(before), entry(after)),
    }
}

/// Everything the child makes, as it should look.
fn examples(follow_forks: bool, lifts: Lifts) -> Vec<(Slot, Seen)> {
    let made = made(follow_forks, lifts);
    let each = |times: u64| 0..times;
    made.iter()
        .flat_map(|made| each(made.times).map(|_| (made.slot, example(&made.event))))
        .collect()
}

fn failed(controls: &[Control]) -> Vec<&str> {
    controls
        .iter()
        .filter(|control| !control.passed)
        .map(|control| control.name.as_str())
        .collect()
}

/// Everything the child makes, as it should be seen.
fn exact(follow_forks: bool) -> Sightings {
    Sightings {
        seen: examples(follow_forks, Lifts::AtOnce),
        undecodable: 0,
        processes: vec![1],
    }
}

/// The verdicts after one event was changed.
fn after(change: impl FnOnce(&mut Vec<(Slot, Seen)>)) -> Vec<Control> {
    let mut sightings = exact(true);
    change(&mut sightings.seen);
    judge(&sightings, true, true)
}

#[test]
fn what_the_child_makes_passes_every_control_in_the_contracts_order() {
    for (follow_forks, copies) in [(true, 8), (false, 4)] {
        let controls = judge(&exact(follow_forks), true, follow_forks);
        assert_eq!(failed(&controls), Vec::<&str>::new());
        let names: Vec<_> = controls
            .iter()
            .map(|control| control.name.as_str())
            .collect();
        let expected = [
            "first_touch",
            "zero_page_read",
            "zero_page_cow",
            "mprotect",
            "read_only_write",
            "prot_none_read",
            "prot_exec",
            "map_fixed",
            "fork_cow",
            "kernel_read",
        ];
        assert_eq!(names, expected);
        for control in controls {
            let times = if control.name == "fork_cow" {
                copies
            } else {
                4
            };
            assert_eq!(
                (control.expected, control.seen),
                (times, times),
                "{}",
                control.name
            );
            assert_eq!(control.invalidates, None);
        }
    }
}

#[test]
fn every_single_event_that_is_missing_fails_a_control_and_says_what_that_voids() {
    let count = exact(true).seen.len();
    for missing in 0..count {
        let controls = after(|seen| drop(seen.remove(missing)));
        let failed: Vec<_> = controls.iter().filter(|control| !control.passed).collect();
        assert!(
            (1..=2).contains(&failed.len()),
            "without event {missing}: {failed:?}"
        );
        assert!(failed.iter().all(|control| control.invalidates.is_some()));
    }
}

#[test]
fn an_event_that_nobody_made_fails_the_control_it_fell_on() {
    let controls = after(|seen| {
        let mut more = examples(true, Lifts::AtOnce);
        more.retain(|(slot, _)| *slot == Slot::KernelRead);
        let (_, stray) = more.remove(0);
        seen.push((Slot::ProtExec, stray));
    });
    assert_eq!(failed(&controls), ["prot_exec"]);
    let control = controls.iter().find(|control| !control.passed).unwrap();
    assert_eq!((control.expected, control.seen), (4, 4));
    assert!(
        control
            .invalidates
            .as_ref()
            .unwrap()
            .ends_with("nobody made: 1)"),
        "{control:?}"
    );
}

#[test]
fn a_wrong_cause_fails() {
    let controls = after(|seen| {
        for (slot, event) in seen {
            if let (Slot::ForkCow, Seen::Fault(fault)) = (*slot, event)
                && fault.cause == Cause::AnonCow
            {
                fault.cause = Cause::Unknown;
                return;
            }
        }
    });
    assert_eq!(failed(&controls), ["fork_cow"]);
    assert_eq!(controls[8].seen, 7);
}

#[test]
fn an_mprotect_without_its_effect_on_the_entry_fails_unless_entries_are_not_read() {
    let stays_writable = |seen: &mut Vec<(Slot, Seen)>| {
        for (slot, event) in seen {
            if let (Slot::Mprotect, Seen::Call(kind::MPROTECT, call)) = (*slot, event) {
                call.pte_after = call.pte_before;
                return;
            }
        }
    };
    assert_eq!(failed(&after(stays_writable)), ["mprotect"]);
    let mut sightings = exact(true);
    stays_writable(&mut sightings.seen);
    assert_eq!(failed(&judge(&sightings, false, true)), Vec::<&str>::new());
}

#[test]
fn a_kernel_that_lifts_protection_at_the_next_write_passes_and_one_that_does_neither_fails() {
    let mut sightings = Sightings {
        seen: examples(true, Lifts::Later),
        ..exact(true)
    };
    let controls = judge(&sightings, true, true);
    assert_eq!(failed(&controls), Vec::<&str>::new());
    assert_eq!((controls[3].expected, controls[3].seen), (4, 4));
    // One entry that became writable among those that stayed read-only.
    for (slot, event) in &mut sightings.seen {
        if let (Slot::Mprotect, Seen::Call(kind::MPROTECT, call)) = (*slot, event)
            && call.prot == Some(Prot::RW)
        {
            call.pte_after = Some(entry(|pte| pte.writable));
            break;
        }
    }
    assert_eq!(failed(&judge(&sightings, true, true)), ["mprotect"]);
}

#[test]
fn a_child_that_did_not_finish_or_was_not_seen_at_all_fails_everything() {
    let controls = judge(&exact(true).incomplete(), true, true);
    assert_eq!(failed(&controls).len(), 10);
    let controls = judge(&Sightings::default(), true, true);
    assert_eq!(failed(&controls).len(), 10);
    assert!(
        controls
            .iter()
            .all(|control| control.seen == 0 && control.expected > 0)
    );
}
