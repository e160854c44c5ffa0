use proptest::prelude::*;

use crate::model::vma::VmaKind;
use crate::space::{Space, Spaces, flag, parse_maps};

const MAPS: &str = "\
55e265a00000-55e265a02000 r--p 00000000 fe:00 247030                     /usr/bin/a b
55e26ba04000-55e26ba25000 rw-p 00000000 00:00 0                          [heap]
7fb45a2d7000-7fb45a2f9000 rw-p 00000000 00:00 0
7fb45a2f9000-7fb45a350000 rw-s 00003000 00:01 1041                       /dev/zero (deleted)
7fb45a350000-7fb45a351000 r--s 00000000 00:01 77                         /memfd:x (deleted)
7fb45a351000-7fb45a352000 rw-p 00000000 00:06 4                          /dev/zero
7fb45a549000-7fb45a54d000 r--p 00000000 00:00 0                          [vvar]
7fb45a54f000-7fb45a551000 r-xp 00000000 00:00 0                          [vdso]
7ffd3b761000-7ffd3b782000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

#[test]
fn maps_lines_become_mappings() {
    let vmas = parse_maps(MAPS).expect("as the kernel writes it");
    let kinds: Vec<_> = vmas.iter().map(|vma| vma.kind).collect();
    use VmaKind::{Anon, File, Heap, SharedAnon, Special, Stack};
    assert_eq!(
        kinds,
        [
            File, Heap, Anon, SharedAnon, File, Anon, Special, Special, Stack, Special
        ]
    );
    assert_eq!(vmas[0].name(), Some("/usr/bin/a b"));
    assert_eq!(vmas[2].name(), None);
    assert!(vmas[3].shared && vmas[3].offset == 0x3000);
    assert!(vmas[8].has(flag::GROWS_DOWN));
}

#[test]
fn a_loaded_snapshot_has_no_difference_to_itself() {
    let space = Space::from_maps(MAPS, 5).expect("as the kernel writes it");
    assert_eq!(space.compare(MAPS).expect("the same text"), []);
    let place = space.place(0x55e2_6ba0_4000);
    assert_eq!(place.vma.as_ref().map(|vma| vma.kind), Some(VmaKind::Heap));
    assert_eq!(
        place.vma.as_ref().and_then(|vma| vma.name()),
        Some("[heap]")
    );
    let stack = space.place(0x7ffd_3b76_2000).vma.expect("mapped");
    assert_eq!(
        (stack.kind, stack.name()),
        (VmaKind::Stack, Some("[stack]"))
    );
    assert_eq!(stack.facts().flags, ["gd"]);
}

#[test]
fn smaps_adds_the_flags() {
    let smaps = "\
7f0000000000-7f0000200000 rw-p 00000000 00:00 0
Size:               2048 kB
THPeligible:           1
VmFlags: rd wr mr mw me ac um uw hg dd
ProtectionKey:         0
7f0000400000-7f0000401000 rw-p 00000000 00:00 0
VmFlags: rd wr mr mw me ac
";
    let vmas = parse_maps(smaps).expect("smaps");
    let all = flag::UFFD_MISSING | flag::UFFD_WP | flag::HUGEPAGE | flag::DONT_DUMP;
    assert_eq!((vmas[0].flags, vmas[1].flags), (all, 0));
}

#[test]
fn a_plain_snapshot_keeps_the_flags_that_were_known() {
    let maps = "7f0000000000-7f0000200000 rw-p 00000000 00:00 0\n";
    let mut spaces = Spaces::new();
    spaces.load_snapshot(1, maps, 1).expect("maps");
    let space = spaces.space_mut(1).expect("followed");
    space.set_userfaultfd(0x7f00_0000_0000, 0x1000, flag::UFFD_MISSING);
    spaces.load_snapshot(1, maps, 2).expect("maps");
    let at = |address| spaces.place(1, address).vma.map(|vma| vma.flags);
    assert_eq!(at(0x7f00_0000_0000), Some(flag::UFFD_MISSING));
    assert_eq!(at(0x7f00_0000_1000), Some(0));
}

#[test]
fn lines_that_are_no_mappings_are_errors_that_say_where() {
    for (text, line) in [
        ("nonsense", 1),
        ("1000-2000 rw-p 0 00:00 0\n1000-3000 rw-p 0 00:00 0\n", 2),
        ("2000-1000 rw-p 0 00:00 0\n", 1),
        ("1000-1001 rw-p 0 00:00 0\n", 1),
        ("1000-2000 rwxq 0 00:00 0\n", 1),
        ("1000-2000 rw-p 0 00:00\n", 1),
        ("+1000-2000 rw-p 0 00:00 0\n", 1),
        ("1000-11111111111111111 rw-p 0 00:00 0\n", 1),
        ("VmFlags: rd\n", 1),
    ] {
        let error = parse_maps(text).expect_err(text);
        assert_eq!(error.line, line, "{text}");
    }
}

#[test]
fn a_bad_snapshot_leaves_what_was_known() {
    let mut spaces = Spaces::new();
    spaces.load_snapshot(1, MAPS, 1).expect("maps");
    spaces
        .load_snapshot(1, "nonsense", 2)
        .expect_err("not maps");
    assert_eq!(spaces.compare(1, MAPS), Ok(vec![]));
}

#[test]
fn error_texts_hold_no_raw_control_characters() {
    let error = parse_maps("\u{1b}[2J").expect_err("not maps");
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

#[test]
fn this_process_can_be_read() {
    for file in ["/proc/self/maps", "/proc/self/smaps"] {
        // Other tests change our mappings while the text is made: then it is not whole.
        let read = || parse_maps(&std::fs::read_to_string(file).expect("our own"));
        let whole = (0..100).find_map(|_| read().ok()).expect(file);
        assert!(whole.len() > 5);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[0-9a-f:rwxps/\\- \\[\\]\n]{0,200}") {
        if let Ok(vmas) = parse_maps(&text) {
            prop_assert!(vmas.windows(2).all(|two| two[0].end <= two[1].start));
        }
    }
}
