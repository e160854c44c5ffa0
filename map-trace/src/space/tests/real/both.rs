//! Side band and calls together.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::AsRawFd;

use super::super::build::assert_sound;
use super::assert_equals_kernel;
use super::child::{Outcome, fork_held, run_watched, wait};
use super::plan::plan;
use super::side_band::{Record, SideBand};
use crate::space::{DifferenceKind, ExecFacts, Space, Spaces};

/// How the records of one call stand to the call.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Side-band records at their time, calls at their return: as a sorted stream has them.
    ByTime,
    /// Each call before the records made inside it.
    CallFirst,
    /// Records a few calls late. Not where an mprotect failed half way and its memory was moved before the
    /// record came.
    Late,
}

fn replay(outcome: &Outcome, records: &[Record], order: Order) -> Space {
    let mut space = Space::from_maps(&outcome.before, outcome.taken_ns).expect("smaps");
    let mut records = records.iter().peekable();
    for (index, call) in outcome.done.iter().enumerate() {
        let until = match order {
            Order::ByTime => call.exit_ns,
            Order::CallFirst => call.enter_ns,
            Order::Late => outcome.done[index.saturating_sub(3)].enter_ns,
        };
        while let Some(record) = records.next_if(|record| record.ktime_ns() <= until) {
            apply(&mut space, record);
        }
        space.call(call);
        assert_sound(&space);
    }
    for record in records {
        apply(&mut space, record);
    }
    space
}

fn apply(space: &mut Space, record: &Record) {
    if let Record::Mapping(mapping) = record {
        space.report(mapping);
    }
}

#[test]
fn side_band_and_calls_together_replay_to_what_the_kernel_shows_in_any_order() {
    let mut reported = 0;
    for seed in 0..100 {
        let make = |arena, files| plan(seed, 120, arena, files);
        let (outcome, side_band) = run_watched(make, SideBand::of);
        let records = side_band.records();
        reported += records.len();
        let denied = Some(-i64::from(libc::EACCES));
        let half_done = outcome.done.iter().any(|call| call.result == denied);
        let late = if half_done {
            Order::ByTime
        } else {
            Order::Late
        };
        for order in [Order::ByTime, Order::CallFirst, late] {
            let space = replay(&outcome, &records, order);
            assert_equals_kernel(seed, &outcome, &space);
        }
    }
    assert!(reported > 1000, "only {reported} records");
}

/// Runs a program that prints its own maps file, and gives that and its records.
fn program_that_prints_its_maps() -> (u32, String, Vec<Record>) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let path = CString::new("/bin/cat").expect("no NUL");
    let maps = CString::new("/proc/self/maps").expect("no NUL");
    let args = [path.as_ptr(), maps.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    let output = writer.as_raw_fd();
    let (pid, release) = fork_held(|| {
        // SAFETY: system calls with arguments made before the fork, NUL terminated.
        unsafe {
            libc::dup2(output, 1);
            libc::execve(path.as_ptr(), args.as_ptr(), environment.as_ptr());
        }
    });
    let side_band = SideBand::of(pid);
    drop(release);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("maps are text");
    wait(pid);
    (pid.cast_unsigned(), text, side_band.records())
}

/// Nothing but unmaps, which the side band does not tell, may differ: the dynamic linker unmaps its cache.
fn assert_image(spaces: &Spaces, tgid: u32, maps: &str) {
    let differences = spaces.compare(tgid, maps).expect("a maps file");
    for found in &differences {
        let name = found.replayed.as_ref().and_then(|vma| vma.name());
        assert_eq!(found.kind, DifferenceKind::Extra, "{found:x?}\n{maps}");
        assert_eq!(name, Some("/etc/ld.so.cache"), "{found:x?}\n{maps}");
    }
}

#[test]
fn the_side_band_alone_tells_what_an_exec_maps() {
    let (tgid, maps, records) = program_that_prints_its_maps();
    let mut spaces = Spaces::new();
    spaces.add(tgid, 0);
    let mut special = false;
    for record in &records {
        match record {
            Record::Exec { ktime_ns } => spaces.exec_started(tgid, *ktime_ns),
            Record::Mapping(mapping) => {
                // The kernel's loader maps the vDSO last; then the program runs.
                if special && !mapping.filename.starts_with('[') {
                    special = false;
                    let ktime_ns = mapping.ktime_ns - 1;
                    spaces.exec(
                        tgid,
                        &ExecFacts {
                            ktime_ns,
                            ..ExecFacts::default()
                        },
                    );
                }
                special |= mapping.filename.starts_with("[v");
                assert!(spaces.report(mapping));
            }
        }
    }
    assert_image(&spaces, tgid, &maps);
    let stack = maps
        .lines()
        .find(|line| line.ends_with("[stack]"))
        .expect("a stack");
    let top = u64::from_str_radix(&stack[13..25], 16).expect("hex") - 8;
    let place = spaces.place(tgid, top);
    assert!(
        place.certain
            && place
                .vma
                .is_some_and(|vma| vma.has(crate::space::flag::GROWS_DOWN))
    );
}

#[test]
fn an_exec_whose_beginning_was_not_told_is_found_by_its_new_stack() {
    let (tgid, maps, records) = program_that_prints_its_maps();
    let mut spaces = Spaces::new();
    spaces.add(tgid, 0);
    // A mapping of the program before.
    let junk = super::super::build::report(1, 0x1000_0000, 0x1000, 3, "//anon");
    spaces.space_mut(tgid).expect("followed").report(&junk);
    for record in &records {
        if let Record::Mapping(mapping) = record {
            spaces.report(mapping);
        }
    }
    let ktime_ns = records.last().expect("records").ktime_ns();
    spaces.exec(
        tgid,
        &ExecFacts {
            ktime_ns,
            ..ExecFacts::default()
        },
    );
    assert!(
        spaces
            .space(tgid)
            .expect("followed")
            .lookup(0x1000_0000)
            .is_none()
    );
    assert_image(&spaces, tgid, &maps);
}
