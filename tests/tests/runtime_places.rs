//! Where Go programs are probed for what their runtime does and how they end, in every way they are built.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::BTreeSet;

use map_trace::binary::Binary;
use map_trace::maps::structure::{Plan, Role, plan};
use map_trace_tests::{Flavour, GoToolchain, go, go_toolchains};

fn planned(toolchain: &GoToolchain, flavour: Flavour, program: &str) -> Plan {
    let path = go(toolchain, flavour, program);
    let binary = Binary::open(&path).expect("a binary");
    plan(&binary).expect("a plan")
}

#[test]
fn what_the_runtime_does_is_probed_at_beginnings_that_the_kernel_emulates() {
    for toolchain in go_toolchains() {
        let flavours = [
            Flavour::Plain,
            Flavour::Stripped,
            Flavour::Pie,
            Flavour::Unoptimised,
        ];
        for flavour in flavours {
            let plan = planned(&toolchain, flavour, "windows");
            let version = &toolchain.version;
            for role in [
                Role::GcStart,
                Role::GcEnd,
                Role::StopBegin,
                Role::StopEnd,
                Role::Scavenge,
                Role::HeapGrow,
            ] {
                let of: Vec<_> = plan
                    .places
                    .iter()
                    .filter(|place| place.role == role)
                    .collect();
                assert_eq!(of.len(), 1, "{version}: {role:?}");
                assert!(of[0].at.class.is_emulated(), "{version}: {of:?}");
            }
            for role in [Role::Throw, Role::Fatal, Role::Panic] {
                let of = plan.places.iter().filter(|place| place.role == role);
                assert_eq!(of.count(), 1, "{version}: {role:?}");
            }
        }
    }
}

#[test]
fn map_functions_are_probed_where_they_have_found_their_map_misused() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let [with, without] = [Flavour::Plain, Flavour::Stripped].map(|flavour| {
            let places = planned(&toolchain, flavour, "race").places.into_iter();
            let of_maps = places.filter(|place| place.role == Role::FatalMap);
            of_maps.map(|place| place.name).collect::<BTreeSet<_>>()
        });
        assert_eq!(with, without, "{version}");
        let next = if toolchain.has_swiss_maps() {
            "internal/runtime/maps.(*Iter).Next+"
        } else {
            "runtime.mapiternext+"
        };
        for name in [
            "runtime.mapassign_fast64+",
            "runtime.mapassign_faststr+",
            "runtime.mapassign+",
            "runtime.mapaccess2_faststr+",
            "runtime.mapaccess2+",
            next,
        ] {
            let found = with.iter().any(|place| place.starts_with(name));
            assert!(found, "{version}: {name} {with:?}");
        }
    }
}
