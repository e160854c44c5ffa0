//! The replay against the running kernel.
//!
//! A forked child makes a seeded series of memory calls in its own address space through raw system calls,
//! notes arguments and results in memory shared with the test, and reads its own smaps. The child of a
//! program with threads may only do what a signal handler may: no allocation, no locks, no Rust I/O.

mod both;
mod child;
mod plan;
mod side_band;
mod stack;

use child::{Outcome, run};
use plan::{Step, plan};

use super::build::{assert_sound, visible};
use crate::space::{Call, MappingCall, Space, flag, parse_maps};

/// Replays a child's calls over its first smaps text.
fn replay(outcome: &Outcome) -> Space {
    let mut space = Space::from_maps(&outcome.before, outcome.taken_ns).expect("smaps");
    for call in &outcome.done {
        space.call(call);
        assert_sound(&space);
    }
    space
}

/// The calls that name an address of a range, or returned one.
fn calls_near(seed: u64, outcome: &Outcome, start: u64, end: u64) -> String {
    let near = |address: u64, length: u64| address < end && start < address.saturating_add(length);
    let calls: Vec<_> = outcome
        .done
        .iter()
        .filter(|call| {
            let [address, length, new_length, _, new, _] = call.args;
            let result = call.result.unwrap_or(0).cast_unsigned();
            near(address, length) || near(new, new_length) || near(result, length)
        })
        .map(|call| format!("  {:?} {:x?} = {:x?}", call.call, call.args, call.result))
        .collect();
    format!("seed {seed}; calls:\n{}", calls.join("\n"))
}

fn assert_equals_kernel(seed: u64, outcome: &Outcome, space: &Space) {
    let context = || calls_near(seed, outcome, 0, u64::MAX);
    for found in space
        .compare(&outcome.after)
        .expect("the kernel writes smaps")
    {
        // After a failure half way only the kernel knows how far it came, and the replay says so.
        let calls = calls_near(seed, outcome, found.start, found.end);
        assert!(!space.place(found.start).certain, "{found:x?} {calls}");
    }
    assert_eq!(space.contradictions(), 0, "{}", context());
    // A move that failed half way takes advice to where the replay cannot follow it.
    let half_moved = |call: &MappingCall| {
        call.call == Call::Mremap && call.args[3] & 2 != 0 && call.result < Some(0)
    };
    if outcome.done.iter().any(half_moved) && space.iter().any(|vma| vma.reported_ns != 0) {
        return;
    }
    for real in parse_maps(&outcome.after).expect("read before") {
        for held in space.range(real.start, real.end).filter(|held| !held.doubt) {
            let calls = calls_near(seed, outcome, held.start, held.end);
            // What MREMAP_DONTUNMAP unlocks depends on how the kernel merged the mappings around.
            let facts = |flags| flags & !flag::LOCKED;
            assert_eq!(
                facts(held.flags),
                facts(real.flags),
                "{held:x?} {real:x?} {calls}"
            );
        }
    }
}

#[test]
fn random_calls_replay_to_what_the_kernel_shows() {
    let (mut succeeded, mut failed, mut certain) = (0, 0, 0);
    for seed in 0..150 {
        let outcome = run(|arena, files| plan(seed, 120, arena, files));
        assert_eq!(outcome.done.len(), 120, "seed {seed}");
        let space = replay(&outcome);
        assert_equals_kernel(seed, &outcome, &space);
        let good = |call: &&MappingCall| call.result.is_some_and(|result| result >= 0);
        succeeded += outcome.done.iter().filter(good).count();
        failed += outcome.done.iter().filter(|call| !good(call)).count();
        certain += usize::from(space.iter().all(|vma| !vma.doubt));
    }
    assert!(
        succeeded > 6000 && failed > 3000,
        "{succeeded} succeeded, {failed} failed"
    );
    assert!(certain > 30, "only {certain} replays without any doubt");
}

/// Where a plan fails, the shortest prefix that fails says most; also, each prefix must agree.
#[test]
fn every_prefix_of_a_series_agrees_with_the_kernel() {
    for length in 1..40 {
        let outcome = run(|arena, files| plan(1000, length, arena, files));
        assert_equals_kernel(1000, &outcome, &replay(&outcome));
    }
}

#[test]
fn an_mprotect_that_meets_a_hole_has_changed_what_lies_before_it() {
    use super::build::{PAGE, PRIVATE_ANON, R, RW};
    use Call::{Mmap, Mprotect, Munmap};
    let outcome = run(|arena, _| {
        let fixed = PRIVATE_ANON | libc::MAP_FIXED as u64;
        vec![
            Step {
                call: Mmap,
                args: [arena, 8 * PAGE, RW, fixed, u64::MAX, 0],
            },
            Step {
                call: Munmap,
                args: [arena + 4 * PAGE, PAGE, 0, 0, 0, 0],
            },
            Step {
                call: Mprotect,
                args: [arena + 2 * PAGE, 6 * PAGE, R, 0, 0, 0],
            },
        ]
    });
    let results: Vec<_> = outcome
        .done
        .iter()
        .map(|call| call.result.unwrap_or(0))
        .collect();
    assert_eq!(results[1..], [0, -i64::from(libc::ENOMEM)]);
    assert_equals_kernel(0, &outcome, &replay(&outcome));
    let space = replay(&outcome);
    let arena = results[0].cast_unsigned();
    let prot = |page: u64| {
        space
            .lookup(arena + page * PAGE)
            .map(|vma| vma.prot.to_string())
    };
    let expected = [
        Some("rw-"),
        Some("rw-"),
        Some("r--"),
        Some("r--"),
        None,
        Some("rw-"),
    ];
    for (page, expected) in expected.into_iter().enumerate() {
        assert_eq!(
            prot(page as u64).as_deref(),
            expected,
            "page {page}: {:#?}",
            visible(&space)
        );
    }
}
