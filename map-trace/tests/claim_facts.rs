//! Facts of real Go programs, judged both ways: which system calls functions reach, and how structures are laid out.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test")]

mod support;

use map_trace::binary::Binary;
use map_trace::binary::reach::Through;
use map_trace::claim::facts::{BinaryFact, Layout, LayoutExpect, Presence, Reach, ReachExpect};
use map_trace::model::summary::VerdictWord::{self, Inconclusive, Refuted, Supported};
use support::{GO_BUILDS, GO_VERSIONS};

fn program(version: &str) -> Binary {
    Binary::open(&support::build_go(version, "go-maps", &GO_BUILDS[0])).unwrap()
}

fn reach(binary: &Binary, function: &str, call: &str, expect: ReachExpect) -> VerdictWord {
    let fact = BinaryFact::Reach(Reach {
        function: function.to_owned(),
        call: call.parse().unwrap(),
        expect,
        through: Through::Work,
    });
    fact.judge(binary).verdict
}

fn layout(
    binary: &Binary,
    structure: &str,
    field: Option<&str>,
    expect: LayoutExpect,
) -> VerdictWord {
    let fact = BinaryFact::Layout(Layout {
        structure: structure.to_owned(),
        field: field.map(str::to_owned),
        expect,
    });
    fact.judge(binary).verdict
}

#[test]
fn ways_to_system_calls_are_judged_both_ways() {
    for version in GO_VERSIONS {
        let binary = program(version);
        let of = |function, call, expect| reach(&binary, function, call, expect);
        // Assigning may need memory, which mmap gives.
        assert_eq!(
            of("runtime.mapassign", "mmap", ReachExpect::Yes),
            Supported,
            "{version}"
        );
        assert_eq!(
            of("runtime.mapassign", "mmap", ReachExpect::Never),
            Refuted,
            "{version}"
        );
        assert_eq!(
            of("runtime.mapassign", "mmap", ReachExpect::Gated),
            Refuted,
            "{version}"
        );
        // mprotect is behind a gate, or nowhere.
        assert_eq!(
            of("runtime.mapassign", "mprotect", ReachExpect::Gated),
            Supported,
            "{version}"
        );
        assert_eq!(
            of("runtime.mapassign", "mprotect", ReachExpect::Yes),
            Refuted,
            "{version}"
        );
        // From Go 1.23 on sysFault protects; before, it maps.
        let never = if version == "1.19.8" {
            Supported
        } else {
            Refuted
        };
        assert_eq!(
            of("runtime.mapassign", "mprotect", ReachExpect::Never),
            never,
            "{version}"
        );
        assert_eq!(
            of("runtime.nothing", "mprotect", ReachExpect::Never),
            Inconclusive,
            "{version}"
        );
    }
}

#[test]
fn layouts_are_judged_both_ways() {
    let there = |presence| LayoutExpect::There(presence);
    for version in GO_VERSIONS {
        let binary = program(version);
        let (map, field, offset, size) = match version {
            "1.27.3" => ("internal/runtime/maps.Map", "dirPtr", 16, None),
            _ => ("runtime.hmap", "buckets", 16, Some(48)),
        };
        let of = |field, expect| layout(&binary, map, field, expect);
        assert_eq!(
            of(Some(field), LayoutExpect::Offset(offset)),
            Supported,
            "{version}"
        );
        assert_eq!(
            of(Some(field), LayoutExpect::Offset(offset + 8)),
            Refuted,
            "{version}"
        );
        assert_eq!(
            of(Some(field), there(Presence::Present)),
            Supported,
            "{version}"
        );
        assert_eq!(
            of(Some(field), there(Presence::Absent)),
            Refuted,
            "{version}"
        );
        assert_eq!(
            of(Some("nothing"), there(Presence::Present)),
            Refuted,
            "{version}"
        );
        assert_eq!(
            of(Some("nothing"), there(Presence::Absent)),
            Supported,
            "{version}"
        );
        if let Some(size) = size {
            assert_eq!(of(None, LayoutExpect::Size(size)), Supported, "{version}");
        }
        assert_eq!(of(None, LayoutExpect::Size(7)), Refuted, "{version}");
        assert_eq!(of(None, LayoutExpect::Offset(0)), Inconclusive, "{version}");
        let none = |field, expect| layout(&binary, "runtime.nothing", field, expect);
        assert_eq!(none(None, there(Presence::Absent)), Supported, "{version}");
        assert_eq!(none(None, there(Presence::Present)), Refuted, "{version}");
        assert_eq!(
            none(Some("x"), there(Presence::Present)),
            Inconclusive,
            "{version}"
        );
    }
}
