//! What is believed of two sources.

use super::*;
use crate::binary::facts::MapImplementation;

fn facts(version: &str, experiments: &[&str]) -> BinaryFacts {
    BinaryFacts {
        go_version: Some(version.into()),
        go_experiments: experiments.iter().map(|&e| e.into()).collect(),
        ..BinaryFacts::default()
    }
}

fn rows(version: &str, implementation: MapImplementation) -> Result<Vec<Layout>, String> {
    table::rows(&facts(version, &[]), implementation)
}

fn none() -> Result<Vec<Layout>, String> {
    Err("no debug information".into())
}

#[test]
fn every_version_has_each_structure_once_and_fields_inside_it() {
    for minor in [19, 21, 22, 23, 24, 25, 26, 27] {
        for implementation in [MapImplementation::Hmap, MapImplementation::Swiss] {
            let Ok(rows) = rows(&format!("go1.{minor}.1"), implementation) else {
                let released = match implementation {
                    MapImplementation::Hmap => minor <= 25,
                    MapImplementation::Swiss => minor >= 24,
                };
                assert!(!released, "{minor} {implementation}");
                continue;
            };
            let mut names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), rows.len(), "{minor} {implementation}");
            let expected = match implementation {
                MapImplementation::Hmap => 6,
                MapImplementation::Swiss => 7,
            };
            assert_eq!(names.len(), expected, "{minor}: {names:?}");
            for row in &rows {
                let size = row.size.unwrap_or(u64::MAX);
                assert!(
                    row.fields.iter().all(|f| f.offset < size),
                    "{minor} {}",
                    row.name
                );
                assert!(row.fields.is_sorted_by_key(|f| f.offset), "{}", row.name);
            }
        }
    }
}

#[test]
fn what_nobody_looked_at_has_no_table() {
    for version in [
        "go1.20.14",
        "go1.18.1",
        "go1.28.0",
        "devel go1.27-abc",
        "go1.23.9-vendor",
    ] {
        let told = Layouts::judge(
            &facts(version, &[]),
            none(),
            rows(version, MapImplementation::Hmap),
        );
        assert!(told.structs.is_empty(), "{version}");
        assert!(told.unknown.unwrap().contains(version), "{version}");
    }
    let experiment = facts("go1.23.9", &["somethingnew"]);
    let told = table::rows(&experiment, MapImplementation::Hmap).unwrap_err();
    assert!(told.contains("somethingnew"), "{told}");
}

#[test]
fn sources_that_disagree_are_both_refused() {
    let version = facts("go1.23.9", &[]);
    let table = rows("go1.23.9", MapImplementation::Hmap).unwrap();
    let agreed = Layouts::judge(&version, Ok(table.clone()), Ok(table.clone()));
    assert_eq!(agreed.offset("runtime.hmap", "buckets"), Some(16));
    assert_eq!(agreed.offset("runtime.g", "goid"), Some(160));
    assert_eq!(agreed.map_type().unwrap().name, "internal/abi.MapType");
    for row in 0..table.len() {
        for field in 0..table[row].fields.len() {
            let mut other = table.clone();
            other[row].fields[field].offset += 1;
            let told = Layouts::judge(&version, Ok(other), Ok(table.clone()));
            assert!(
                told.structs.is_empty() && told.unknown.is_some(),
                "{row} {field}"
            );
        }
        let mut other = table.clone();
        other.remove(row);
        let told = Layouts::judge(&version, Ok(other), Ok(table.clone()));
        assert!(told.structs.is_empty(), "{row}");
    }
}

#[test]
fn an_unknown_version_is_told_by_its_debug_information_alone() {
    let known = rows("go1.27.3", MapImplementation::Swiss).unwrap();
    let newer = facts("go1.99.0", &[]);
    let table = table::rows(&newer, MapImplementation::Swiss);
    assert!(table.is_err());
    assert_eq!(
        Layouts::judge(&newer, Ok(known.clone()), table.clone()).structs,
        known
    );
    assert!(Layouts::judge(&newer, none(), table).unknown.is_some());
}
