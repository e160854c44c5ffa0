//! The rules that only show when calls overlap, or when the stack grows.

use super::build::{PAGE, R, RW, call, mmap, mprotect, munmap, report, visible};
use crate::model::vma::VmaKind;
use crate::space::memory::Break;
use crate::space::{Call, MappingCall, Space, Vma, flag};

const AT: u64 = 0x7f00_0000_0000;

fn prot(space: &Space, address: u64) -> Option<String> {
    space.lookup(address).map(|vma| vma.prot.to_string())
}

/// munmap of one thread, then mmap of another that gets the address while the first is still returning.
#[test]
fn an_unmap_that_returns_late_spares_what_was_mapped_meanwhile() {
    let mut space = Space::new(0);
    space.call(&mmap((1, 2), AT, 4 * PAGE, RW));
    space.report(&report(20, AT, 4 * PAGE, 1, "/lib/x.so"));
    space.call(&munmap((10, 30), AT, 4 * PAGE));
    assert_eq!(space.lookup(AT).and_then(Vma::name), Some("/lib/x.so"));
    // An unmap that began after it takes it away.
    space.call(&munmap((40, 50), AT, 4 * PAGE));
    assert_eq!(space.lookup(AT), None);
}

/// The same memory again, so that the record cannot be told from a report of the old mapping: the unmap
/// takes it away until the mapping call returns, which is under way then.
#[test]
fn a_mapping_lost_to_a_racing_unmap_comes_back_with_its_file_when_its_call_returns() {
    let mut space = Space::new(0);
    space.report(&report(5, AT, PAGE, 1, "/lib/x.so"));
    space.report(&report(20, AT, PAGE, 1, "/lib/x.so"));
    space.call(&munmap((10, 30), AT, PAGE));
    let flags = libc::MAP_PRIVATE as u64;
    space.call(&call(
        (15, 40),
        Call::Mmap,
        [0, PAGE, R, flags, 3, 0],
        AT.cast_signed(),
    ));
    let vma = space.lookup(AT).expect("mapped");
    assert_eq!((vma.name(), vma.kind), (Some("/lib/x.so"), VmaKind::File));
}

#[test]
fn of_two_overlapping_mprotects_the_side_band_knows_the_last() {
    let mut space = Space::new(0);
    space.call(&mmap((1, 2), AT, PAGE, RW));
    space.report(&report(13, AT, PAGE, 1, "//anon"));
    space.report(&report(16, AT, PAGE, 3, "//anon"));
    space.call(&mprotect((14, 18), AT, PAGE, RW));
    space.call(&mprotect((11, 20), AT, PAGE, R));
    assert_eq!(prot(&space, AT).as_deref(), Some("rw-"));
}

#[test]
fn a_record_older_than_an_unmap_does_not_bring_the_range_back() {
    let mut space = Space::new(0);
    space.call(&mmap((10, 12), AT, 4 * PAGE, RW));
    space.call(&munmap((20, 22), AT + PAGE, 2 * PAGE));
    space.report(&report(11, AT, 4 * PAGE, 3, "//anon"));
    let held: Vec<_> = (0..4)
        .map(|page| space.lookup(AT + page * PAGE).is_some())
        .collect();
    assert_eq!(held, [true, false, false, true]);
}

#[test]
fn what_is_older_than_the_address_space_is_ignored() {
    let mut space = Space::new(100);
    space.call(&mmap((50, 60), AT, PAGE, RW));
    // Under way when another thread called exec.
    space.call(&mmap((99, 101), AT, PAGE, RW));
    space.report(&report(99, AT, PAGE, 3, "//anon"));
    assert!(space.is_empty());
}

#[test]
fn an_unmap_around_a_snapshot_leaves_doubt() {
    let maps = "7f0000000000-7f0000002000 rw-p 00000000 00:00 0\n";
    let mut space = Space::from_maps(maps, 100).expect("maps");
    space.call(&munmap((90, 110), AT, PAGE));
    assert!(!space.place(AT).certain);
    assert!(space.place(AT + PAGE).certain);
}

#[test]
fn a_call_that_never_returned_leaves_doubt() {
    for kind in [Call::Munmap, Call::Mprotect, Call::Mremap] {
        let mut space = Space::new(0);
        space.call(&mmap((1, 2), AT, PAGE, RW));
        let args = [AT, PAGE, R, 0, 0, 0];
        space.call(&MappingCall {
            result: None,
            ..call((5, 9), kind, args, 0)
        });
        assert!(!space.place(AT).certain, "{kind:?}");
    }
}

#[test]
fn a_successful_mprotect_of_unknown_memory_is_a_contradiction_and_no_certainty() {
    let mut space = Space::new(0);
    space.call(&mprotect((1, 2), AT, PAGE, R));
    assert_eq!(space.contradictions(), 1);
    assert!(!space.place(AT).certain);
}

fn stack(limit: u64) -> Space {
    let mut space = Space::new(0);
    space.set_stack_limit(limit);
    space.report(&report(1, AT, 4 * PAGE, 3, "[stack]"));
    space
}

#[test]
fn a_stack_that_grows_page_by_page_is_a_few_pieces() {
    let mut space = stack(u64::MAX);
    for page in 1..5000 {
        let start = AT - page * PAGE;
        assert!(space.touch(start, 2 * page));
        // The kernel tells of all of it each time.
        let length = (page + 4) * PAGE;
        space.report(&report(2 * page + 1, start, length, 3, "[stack]"));
    }
    assert!(space.iter().count() <= 2, "{}", space.iter().count());
    let whole = space.place(AT - 4999 * PAGE).vma.expect("mapped");
    assert_eq!((whole.start, whole.end), (AT - 4999 * PAGE, AT + 4 * PAGE));
}

#[test]
fn a_stack_grows_to_a_touch_below_it_within_its_limit() {
    let mut space = stack(10 * PAGE);
    let below = AT - 6 * PAGE;
    let place = space.place(below + 8);
    assert!(place.below_stack && place.certain && place.vma.is_some());
    assert!(!space.place(below - 1).below_stack, "beyond the limit");
    assert_eq!(space.place(below - 1).vma, None);
    assert!(space.touch(below + 8, 5));
    assert!(!space.place(below).below_stack && space.place(below).vma.is_some());
    assert!(!space.touch(below, 6), "mapped by now");
    assert_eq!(space.place(AT).vma.map(|vma| vma.start), Some(below));
}

#[test]
fn a_stack_keeps_its_gap_to_accessible_memory_only() {
    let gap = 256 * PAGE;
    for (rights, grows) in [(RW, false), (0, true)] {
        let mut space = stack(8 << 20);
        let below = AT - gap - 4 * PAGE;
        space.call(&mmap((2, 3), below, PAGE, rights));
        let near = below + 2 * PAGE;
        assert_eq!(space.place(near).below_stack, grows, "prot {rights}");
        assert!(
            space.place(below + PAGE + gap).below_stack,
            "just beyond the gap"
        );
    }
}

#[test]
fn a_side_band_report_of_a_grown_stack_and_a_touch_come_to_the_same() {
    let (mut touched, mut told) = (stack(8 << 20), stack(8 << 20));
    touched.touch(AT - 2 * PAGE, 5);
    told.report(&report(5, AT - 2 * PAGE, 6 * PAGE, 3, "[stack]"));
    assert_eq!(visible(&touched), visible(&told));
    told.touch(AT - 2 * PAGE, 6);
    assert_eq!(visible(&touched), visible(&told));
    assert!(
        told.lookup(AT - 2 * PAGE)
            .is_some_and(|vma| vma.has(flag::GROWS_DOWN))
    );
}

#[test]
fn heap_is_what_overlaps_the_break() {
    let mut space = Space::new(0);
    let start = 0x5500_0000_0000;
    space.brk = Some(Break { start, end: start });
    space.call(&call(
        (1, 2),
        Call::Brk,
        [start + 0x21000, 0, 0, 0, 0, 0],
        (start + 0x21000).cast_signed(),
    ));
    let heap = space.place(start).vma.expect("mapped");
    assert_eq!(
        (heap.kind, heap.name(), heap.end - start),
        (VmaKind::Heap, Some("[heap]"), 0x21000)
    );
    // A refused brk answers with the old break.
    space.call(&call(
        (3, 4),
        Call::Brk,
        [start - 1, 0, 0, 0, 0, 0],
        (start + 0x21000).cast_signed(),
    ));
    space.call(&call(
        (5, 6),
        Call::Brk,
        [start + 10, 0, 0, 0, 0, 0],
        (start + 10).cast_signed(),
    ));
    assert_eq!(
        space.place(start).vma.map(|vma| vma.end - start),
        Some(PAGE)
    );
}

#[test]
fn a_million_small_mappings_are_joined() {
    let mut space = Space::new(0);
    let second = 1_000_000_000;
    for page in 0..100_000_u64 {
        let time = page * second / 1000;
        space.call(&mmap((time + 1, time + 2), AT + page * PAGE, PAGE, RW));
    }
    assert!(space.len() < 10_000, "{} held", space.len());
    let whole = space.place(AT + 50_000 * PAGE).vma.expect("mapped");
    assert!(whole.end - whole.start > 4096 * PAGE);
}

#[test]
fn a_report_of_memory_that_grew_looks_at_what_is_new_only() {
    let mut space = Space::new(0);
    for page in 0..900_u64 {
        let (enter, exit) = (page * 10 + 1, page * 10 + 3);
        space.report(&report(enter + 1, AT, (page + 1) * PAGE, RW, "//anon"));
        space.call(&mmap((enter, exit), AT + page * PAGE, PAGE, RW));
    }
    let looked_at = space.iter().filter(|vma| vma.reported_ns > 8000);
    assert!(looked_at.count() < 200, "each record looked at all");
    // A call under way while the last record was made does not undo what that says.
    space.call(&mprotect((8990, 8999), AT, 900 * PAGE, R));
    assert_eq!(prot(&space, AT).as_deref(), Some("rw-"));
    space.call(&mprotect((9000, 9001), AT, 900 * PAGE, R));
    assert_eq!(prot(&space, AT).as_deref(), Some("r--"));
}

#[test]
fn too_many_mappings_lose_the_replay_and_not_the_process() {
    let mut space = Space::new(0);
    // Every other page, so that nothing joins.
    for page in 1..=crate::space::MAX_VMAS as u64 {
        let at = 2 * page * PAGE;
        space
            .vmas
            .put(Vma::anonymous(at, at + PAGE, crate::model::Prot::RW, 1));
    }
    space.call(&mmap((2, 3), AT, PAGE, RW));
    assert!(space.is_lost() && space.is_empty());
    assert!(!space.place(PAGE).certain);
    space.call(&mmap((3, 4), AT, PAGE, RW));
    assert!(space.is_empty(), "nothing is believed until a snapshot");
}

#[test]
fn hugetlb_lengths_are_rounded_up_to_huge_pages() {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB) as u64;
    for (size, bytes) in [(0_u64, 2 << 20), (21, 2 << 20), (30, 1 << 30)] {
        let mut space = Space::new(0);
        let args = [0, 1, RW, flags | size << 26, u64::MAX, 0];
        space.call(&call((1, 2), Call::Mmap, args, AT.cast_signed()));
        let vma = space.lookup(AT).expect("mapped");
        assert_eq!((vma.end - vma.start, vma.has(flag::HUGETLB)), (bytes, true));
    }
}

#[test]
fn a_place_is_found_among_many_mappings() {
    let mut space = Space::new(0);
    for page in 0..1000_u64 {
        let rights = if page % 2 == 0 { RW } else { R };
        space.call(&mmap((1, 2), AT + page * PAGE, PAGE, rights));
    }
    for page in 0..1000 {
        let vma = space.place(AT + page * PAGE + 17).vma.expect("mapped");
        assert_eq!(
            (vma.start, vma.end),
            (AT + page * PAGE, AT + (page + 1) * PAGE)
        );
    }
}
