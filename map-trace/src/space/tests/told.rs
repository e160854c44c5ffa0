//! What is told once for many mappings comes to the same as if each was told.

use proptest::prelude::*;

use super::build::{PAGE, R, RW, assert_sound, mmap, mprotect, munmap, report};
use crate::space::{Space, Vma};

/// What happens to `length` pages from page `at`, and how long ago the call that did it began.
#[derive(Clone, Debug)]
struct Step {
    what: u32,
    at: u64,
    length: u64,
    prot: u64,
    ago: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let prot = prop::sample::select(vec![RW, RW, RW, R]);
    (0..7_u32, 0..12_u64, 1..12_u64, prot, 0..40_u64).prop_map(|(what, at, length, prot, ago)| {
        Step {
            what,
            at,
            length,
            prot,
            ago,
        }
    })
}

fn take(space: &mut Space, step: &Step, now: u64) {
    let (at, length) = (step.at * PAGE, step.length * PAGE);
    let window = (now.saturating_sub(step.ago), now);
    match step.what {
        0 => space.call(&mmap(window, at, length, step.prot)),
        1 => space.call(&munmap(window, at, length)),
        2 => space.call(&mprotect(window, at, length, step.prot)),
        3 => space.report(&report(window.0, at, length, step.prot, "//anon")),
        4 => space.report(&report(now, at, length, step.prot, "/file")),
        // What grows is reported from its beginning on.
        5 => space.report(&report(now, 0, at + length, RW, "//anon")),
        _ => space.report(&report(now, at, length, step.prot, "//anon")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_told_of_a_stretch_is_what_would_be_told_of_each(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let (mut space, mut each) = (Space::new(0), Space::new(0));
        for (index, step) in steps.iter().enumerate() {
            let now = 100 + index as u64 * 10;
            take(&mut space, step, now);
            take(&mut each, step, now);
            each.vmas.settle(0, u64::MAX);
            assert_sound(&space);
        }
        space.vmas.settle(0, u64::MAX);
        let all = |space: &Space| space.iter().cloned().collect::<Vec<Vma>>();
        prop_assert_eq!(all(&space), all(&each));
    }
}
