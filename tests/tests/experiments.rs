//! What the experiments find out by themselves, without map-trace: each says what happened, on every Go that is
//! installed.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::process::Command;

use map_trace_tests::{Flavour, GoToolchain, Said, go, go_toolchains};

fn said(toolchain: &GoToolchain, program: &str) -> Said {
    let output = Command::new(go(toolchain, Flavour::Plain, program))
        .output()
        .expect("the program starts");
    let version = &toolchain.version;
    assert!(
        output.status.success(),
        "{program}, {version}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Said::parse(&String::from_utf8_lossy(&output.stdout))
}

/// Every key has the value, on each Go.
fn finds(program: &str, expected: &[(&str, &str)]) {
    for toolchain in go_toolchains() {
        let said = said(&toolchain, program);
        for (key, value) in expected {
            assert_eq!(
                said.text(key),
                *value,
                "{program} {key}, {}",
                toolchain.version
            );
        }
    }
}

#[test]
fn a_loop_variable_is_a_copy_and_assigns_are_kept() {
    finds(
        "range",
        &[
            ("unchanged", "100000"),
            ("sum_right", "true"),
            ("lost_assigns", "0"),
            ("writing_seen", "0"),
            ("variable_in_storage", "0"),
            ("vma", "rw-p"),
        ],
    );
    finds(
        "pointers",
        &[
            ("pointers_changed", "100"),
            ("slices_changed", "100"),
            ("maps_changed", "100"),
            ("values_changed", "0"),
            ("assigned_changed", "100"),
        ],
    );
}

#[test]
fn every_write_behind_the_maps_back_is_visible() {
    finds(
        "unsafe_write",
        &[("written", "300"), ("visible", "300"), ("faults", "0")],
    );
}

#[test]
fn every_kind_of_key_is_assigned_into_the_map_itself() {
    let all = |key| (key, "64");
    finds(
        "assign_kinds",
        &[
            all("stored_outside"),
            all("stored_inside"),
            all("incremented"),
            all("uint32_changed"),
            all("pointer_changed"),
            all("string_changed"),
            all("struct_changed"),
            all("interface_changed"),
            all("big_changed"),
        ],
    );
}

#[test]
fn blocks_lie_as_each_implementation_lays_them_out() {
    for toolchain in go_toolchains() {
        let said = said(&toolchain, "growing");
        let version = &toolchain.version;
        let (apart, alternating) = (
            said.number("keys_then_elements"),
            said.number("alternating"),
        );
        if toolchain.has_swiss_maps() {
            assert_eq!((apart, alternating), (0, 50000), "{version}");
            assert_eq!(said.number("block_size"), 136, "{version}");
        } else {
            assert_eq!((apart, alternating), (50000, 0), "{version}");
            assert_eq!(said.number("block_size"), 144, "{version}");
            assert!(said.number("old_array_without_gc") > 1000, "{version}");
        }
        assert_eq!(said.text("power_of_two"), "true", "{version}");
        assert!(
            said.number("sys_grew") < said.number("replaced"),
            "{version}"
        );
        assert!(said.number("small_not_page_aligned") > 0, "{version}");
    }
}

#[test]
fn unlocked_use_ends_the_program_in_the_runtimes_words() {
    finds(
        "race",
        &[
            ("write_write_text", "concurrent map writes"),
            (
                "write_iterate_text",
                "concurrent map iteration and map write",
            ),
            ("write_read_text", "concurrent map read and map write"),
            ("write_write_exit", "2"),
            ("write_write_sigsegv", "false"),
        ],
    );
}

#[test]
fn collections_lose_nothing_and_look_at_pointers_only() {
    finds(
        "gc",
        &[
            ("enough", "true"),
            ("wrong", "0"),
            ("words_scanned_bytes", "0"),
        ],
    );
}

#[test]
fn reflection_and_linkname_reach_the_same_map() {
    finds(
        "reflect_map",
        &[
            ("ranged", "1000"),
            ("left", "500"),
            ("large_set", "true"),
            ("unsafe_addr_kind", "uintptr"),
        ],
    );
    finds(
        "linkname",
        &[
            ("after_plain", "99"),
            ("after_pulled", "98"),
            ("after_plain_again", "97"),
            ("breakpoint_sigtrap", "true"),
        ],
    );
}

#[test]
fn a_store_to_a_read_only_page_is_never_silent() {
    finds(
        "fault",
        &[
            ("write_ignored", "false"),
            ("unhandled_exit", "2"),
            ("unhandled_sigsegv", "true"),
            ("unhandled_sigbus", "false"),
            ("ro_value_kept", "true"),
            ("storage_faults", "4"),
            ("storage_in_page", "4"),
        ],
    );
}
