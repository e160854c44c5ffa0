use super::build::{PAGE, RW, call, mmap, munmap, report};
use crate::model::vma::VmaKind;
use crate::space::{Call, ExecFacts, Spaces};

const AT: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7ffd_0000_0000;

fn parent() -> Spaces {
    let mut spaces = Spaces::new();
    spaces.add(1, 0);
    spaces.call(1, &mmap((1, 2), AT, 4 * PAGE, RW));
    spaces
}

fn mapped(spaces: &Spaces, tgid: u32, page: u64) -> bool {
    spaces.place(tgid, AT + page * PAGE).vma.is_some()
}

#[test]
fn a_forked_child_has_its_own_copy() {
    let mut spaces = parent();
    spaces.fork(1, 2, false, 10);
    spaces.call(2, &munmap((11, 12), AT, PAGE));
    spaces.call(1, &munmap((11, 12), AT + PAGE, PAGE));
    assert!(mapped(&spaces, 1, 0) && !mapped(&spaces, 1, 1));
    assert!(!mapped(&spaces, 2, 0) && mapped(&spaces, 2, 1));
}

#[test]
fn a_vfork_child_shares_until_it_execs_and_the_parent_keeps_its_own() {
    let mut spaces = parent();
    spaces.fork(1, 2, true, 10);
    spaces.call(2, &munmap((11, 12), AT, PAGE));
    assert!(!mapped(&spaces, 1, 0), "the child's unmap is the parent's");
    spaces.exec_started(2, 20);
    let mut loaded = (*report(21, AT, PAGE, 5, "/bin/true")).clone();
    loaded.tgid = 2;
    assert!(spaces.report(&loaded.into()));
    spaces.exec(
        2,
        &ExecFacts {
            ktime_ns: 30,
            ..ExecFacts::default()
        },
    );
    assert!(
        mapped(&spaces, 2, 0),
        "the loader's record came before the exec event"
    );
    assert!(!mapped(&spaces, 1, 0) && mapped(&spaces, 1, 1));
    spaces.exit(2);
    assert!(mapped(&spaces, 1, 1) && spaces.space(2).is_none());
}

#[test]
fn a_shared_address_space_lives_as_long_as_one_process_does() {
    let mut spaces = parent();
    spaces.fork(1, 2, true, 10);
    spaces.exit(1);
    assert!(mapped(&spaces, 2, 3));
    spaces.exit(2);
    assert_eq!(spaces.processes().count(), 0);
}

#[test]
fn mappings_marked_so_are_absent_from_a_child() {
    let mut spaces = parent();
    let advice = libc::MADV_DONTFORK as u64;
    spaces.call(
        1,
        &call((3, 4), Call::Madvise, [AT, PAGE, advice, 0, 0, 0], 0),
    );
    spaces.fork(1, 2, false, 10);
    assert!(!mapped(&spaces, 2, 0) && mapped(&spaces, 2, 1));
    assert!(mapped(&spaces, 1, 0));
}

#[test]
fn exec_forgets_the_old_image_and_knows_heap_and_stack() {
    let mut spaces = parent();
    spaces.exec_started(1, 10);
    spaces.report(&report(11, STACK, 33 * PAGE, 3, "[stack]"));
    let start_brk = 0x5500_0000_0000;
    let facts = ExecFacts {
        ktime_ns: 20,
        start_stack: STACK + 32 * PAGE + 8,
        start_brk,
        brk: 0,
        stack_limit: 64 * PAGE,
    };
    spaces.exec(1, &facts);
    assert!(!mapped(&spaces, 1, 0));
    let stack = spaces.place(1, STACK);
    assert!(stack.certain);
    let stack = stack.vma.expect("mapped");
    assert_eq!((stack.kind, stack.end), (VmaKind::Stack, STACK + 33 * PAGE));
    let lowest = STACK + 33 * PAGE - 64 * PAGE;
    assert!(spaces.place(1, lowest).below_stack);
    assert!(!spaces.place(1, lowest - 1).below_stack, "beyond the limit");
    let brk = start_brk + PAGE;
    spaces.call(
        1,
        &call((21, 22), Call::Brk, [brk, 0, 0, 0, 0, 0], brk.cast_signed()),
    );
    let heap = spaces.place(1, start_brk).vma.expect("mapped");
    assert_eq!(heap.kind, VmaKind::Heap);
}

#[test]
fn a_stack_the_side_band_did_not_tell_of_is_made_up_and_doubted_until_a_snapshot() {
    let mut spaces = parent();
    spaces.exec_started(1, 10);
    let facts = ExecFacts {
        ktime_ns: 20,
        start_stack: STACK + 8,
        ..ExecFacts::default()
    };
    spaces.exec(1, &facts);
    let place = spaces.place(1, STACK - PAGE);
    assert_eq!(place.vma.map(|vma| vma.kind), Some(VmaKind::Stack));
    assert!(!place.certain);
    let above = spaces.place(1, STACK + 64 * PAGE);
    assert!(
        above.vma.is_none() && !above.certain,
        "arguments may reach up there"
    );
    let maps = "7ffcfffe0000-7ffd00002000 rw-p 00000000 00:00 0    [stack]\n";
    spaces.load_snapshot(1, maps, 30).expect("maps");
    assert!(spaces.place(1, STACK - PAGE).certain);
    assert!(spaces.place(1, STACK + 64 * PAGE).certain);
}

#[test]
fn a_second_segment_of_the_loader_ends_the_first_as_the_kernel_does() {
    let mut spaces = parent();
    spaces.exec_started(1, 10);
    // The whole extent with the first segment, then text behind a hole, and nothing after it.
    spaces.report(&report(11, AT, 16 * PAGE, 1, "/bin/x"));
    spaces.report(&report(12, AT + 4 * PAGE, 2 * PAGE, 5, "/bin/x"));
    assert!(mapped(&spaces, 1, 0) && mapped(&spaces, 1, 5));
    assert!(!mapped(&spaces, 1, 6) && !mapped(&spaces, 1, 15));
    spaces.exec(
        1,
        &ExecFacts {
            ktime_ns: 20,
            ..ExecFacts::default()
        },
    );
    // The same from the program itself is a plain MAP_FIXED.
    spaces.report(&report(21, AT + 32 * PAGE, 16 * PAGE, 1, "/lib/x"));
    spaces.report(&report(22, AT + 36 * PAGE, 2 * PAGE, 5, "/lib/x"));
    assert!(mapped(&spaces, 1, 47));
}

#[test]
fn lost_records_make_everything_uncertain_until_a_snapshot_or_exec() {
    let mut spaces = parent();
    assert!(spaces.place(1, AT).certain);
    spaces.lose_all(15);
    assert!(!spaces.place(1, AT).certain);
    spaces
        .load_snapshot(1, "7f0000000000-7f0000001000 rw-p 00000000 00:00 0\n", 20)
        .expect("maps");
    assert!(spaces.place(1, AT).certain);
}

#[test]
fn an_exec_of_before_a_loss_was_seen_is_as_uncertain_as_what_was_there() {
    let mut spaces = parent();
    spaces.lose_all(30);
    for (began, certain) in [(20, false), (40, true)] {
        spaces.exec_started(1, began);
        spaces.report(&report(began + 1, AT, PAGE, 5, "/bin/x"));
        let facts = ExecFacts {
            ktime_ns: began + 2,
            ..ExecFacts::default()
        };
        spaces.exec(1, &facts);
        let place = spaces.place(1, AT);
        assert_eq!(place.vma.expect("a mapping").name(), Some("/bin/x"));
        assert_eq!(place.certain, certain);
        // Where nothing is known something may be mapped all the same.
        assert_eq!(spaces.place(1, AT + PAGE).certain, certain);
    }
}

#[test]
fn mappings_read_too_late_name_what_lies_there_and_nothing_is_certain() {
    let mut spaces = parent();
    spaces.lose_all(15);
    let text = "7f0000000000-7f0000001000 r-xp 00000000 08:01 7 /lib/x\n";
    spaces.guess(1, text, 20).expect("maps");
    let place = spaces.place(1, AT);
    assert!(!place.certain);
    assert_eq!(place.vma.expect("a mapping").name(), Some("/lib/x"));
    assert!(!spaces.place(1, AT + PAGE).certain);
    // What is read of changes before the snapshot counts is in it already.
    spaces.call(1, &mmap((10, 11), AT + PAGE, PAGE, RW));
    assert!(spaces.place(1, AT + PAGE).vma.is_none());
    spaces.load_snapshot(1, text, 20).expect("maps");
    assert!(spaces.place(1, AT).certain);
    assert!(spaces.guess(1, "nonsense\n", 30).is_err());
    assert!(spaces.place(1, AT).certain);
}

#[test]
fn a_process_not_followed_is_uncertain_and_takes_no_room() {
    let mut spaces = Spaces::new();
    assert!(!spaces.place(7, AT).certain);
    assert!(!spaces.call(7, &mmap((1, 2), AT, PAGE, RW)));
    spaces.fork(7, 8, false, 1);
    assert_eq!(spaces.processes().count(), 0);
}

#[test]
fn more_processes_than_there_is_room_for_are_counted() {
    let mut spaces = Spaces::new();
    let most = map_trace_common::limits::MAX_PROCESSES;
    spaces.add(1, 0);
    for tgid in 2..most + 3 {
        spaces.fork(1, tgid, tgid % 2 == 0, 1);
    }
    assert!(spaces.processes().count() <= most as usize);
    assert_eq!(spaces.refused(), 2);
}
