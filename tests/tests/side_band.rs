//! The kernel's own record of mappings, against a program that makes a known number of them.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use map_trace::kernel::side_band::SideBand;
use map_trace::kernel::side_band_record::{Mapping, SideBandRecord};
use map_trace::target::{Command, prepare};

/// Runs `known-mappings` to its end under the side band.
fn traced(arguments: &[&str]) -> SideBand {
    let program = env!("CARGO_BIN_EXE_known-mappings");
    let command = Command {
        argv: [&[program], arguments]
            .concat()
            .iter()
            .map(Into::into)
            .collect(),
        ..Command::default()
    };
    let suspended = prepare(&command).unwrap().spawn().unwrap();
    let band = SideBand::at_exec(suspended.pid()).unwrap();
    let waited = suspended.release().unwrap().wait().unwrap();
    assert_eq!(waited.raw, 0);
    band
}

fn known(records: Vec<SideBandRecord>) -> Vec<Mapping> {
    records
        .into_iter()
        .filter_map(|record| match record {
            SideBandRecord::Mapping(mapping)
                if mapping.len == 3 * 4096 && mapping.flags & 1 == 1 =>
            {
                Some(mapping)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn every_mapping_is_one_record_with_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("addresses");
    let mut band = traced(&["300", file.to_str().unwrap()]);
    let drained = band.drain();
    assert_eq!((band.lost().unwrap(), drained.undecodable), (0, 0));
    let mut recorded: Vec<u64> = known(drained.records)
        .iter()
        .map(|mapping| {
            assert_eq!((mapping.prot, &mapping.name[..9]), (1, &b"/dev/zero"[..]));
            mapping.start
        })
        .collect();
    let mut printed: Vec<u64> = std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| u64::from_str_radix(line, 16).unwrap())
        .collect();
    recorded.sort_unstable();
    printed.sort_unstable();
    assert_eq!(printed.len(), 300);
    assert_eq!(recorded, printed);
}

#[test]
fn a_full_ring_loses_records_and_says_how_many() {
    let mut band = traced(&["20000"]);
    let found = band.drain().records.len() as u64;
    let lost = band.lost().unwrap();
    assert!(found > 500, "{found} found");
    assert!(lost > 10_000, "{lost} lost");
    let all = lost + found;
    assert!((20_000..20_200).contains(&all), "{lost} + {found}");
    assert_eq!(band.lost().unwrap(), lost, "asking does not lose");
}
