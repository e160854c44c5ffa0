//! Saved traces rendered again, without root and without the programs that made them.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

use std::fs;
use std::path::{Path, PathBuf};

use map_trace::evidence::summarize;
use map_trace::output::{EXPORTERS, View};
use map_trace::trace::TraceReader;

fn traces() -> Vec<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("replay");
    let mut traces: Vec<_> = fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    traces.sort();
    assert!(traces.len() >= 3, "only {traces:?}");
    traces
}

#[test]
fn every_saved_trace_is_reported_as_before() {
    for path in traces() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut reader = TraceReader::open(&path).unwrap();
        let summary = summarize(&mut reader).unwrap();
        for exporter in EXPORTERS
            .iter()
            .filter(|one| matches!(one.name, "text" | "json"))
        {
            let text = String::from_utf8((exporter.render)(&summary, &View::default())).unwrap();
            insta::assert_snapshot!(format!("{name}.{}", exporter.name), text);
        }
    }
}

#[test]
fn every_whole_saved_trace_balances_and_lost_nothing() {
    let mut whole = 0;
    for path in traces() {
        let mut reader = TraceReader::open(&path).unwrap();
        let summary = summarize(&mut reader).unwrap();
        if !summary.cut_short {
            assert!(summary.complete(), "{}: {summary:?}", path.display());
            whole += 1;
        }
    }
    assert!(whole >= 2);
}
