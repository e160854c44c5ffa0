//! The reader from the empty file upward, and what the writer wrote.

use std::io::Cursor;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::strategy::{any_line, event_line, footer, header};
use super::{MAX_LINE, ReadError, ReadTally, TraceFile, TraceReader};
use crate::model::TraceLine;
use crate::model::event::StringLine;
use crate::model::header::{FooterLine, HeaderLine, TRACE_SCHEMA};

fn head() -> HeaderLine {
    HeaderLine {
        schema: TRACE_SCHEMA.to_owned(),
        argv: vec!["./app".to_owned()],
        ..HeaderLine::default()
    }
}

fn string(id: u64) -> TraceLine {
    TraceLine::String(StringLine {
        id,
        value: "x".to_owned(),
    })
}

/// A trace as the writer makes it.
fn written(name: &str, lines: &[TraceLine]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = TraceFile::over(Path::new(name), &mut bytes).unwrap();
    let mut writer = file.begin(&head());
    lines.iter().for_each(|line| writer.write(line));
    writer.finish(&FooterLine::default()).unwrap();
    bytes
}

fn open(bytes: &[u8]) -> Result<TraceReader, ReadError> {
    TraceReader::new(Cursor::new(bytes.to_vec()))
}

fn read(bytes: &[u8]) -> (Vec<TraceLine>, ReadTally) {
    let mut reader = open(bytes).unwrap();
    let lines = reader.by_ref().map(Result::unwrap).collect();
    (lines, reader.tally().clone())
}

fn refusal(bytes: &[u8]) -> String {
    let error = open(bytes).err().expect("it must be refused");
    error.into_error("t.jsonl").to_string()
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    assert!(refusal(b"").contains("the file is empty"));
}

#[test]
fn garbage_is_not_a_trace() {
    for garbage in [
        b"\x7fELF\x02".as_slice(),
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"{\"type\":\"x\"}\n",
    ] {
        assert!(refusal(garbage).contains("not a trace"), "{garbage:?}");
    }
    let endless = vec![b'{'; MAX_LINE + 2];
    assert!(refusal(&endless).contains("its first line never ends"));
}

#[test]
fn a_header_that_breaks_off_is_refused_as_cut_short() {
    let whole = written("t", &[]);
    assert!(refusal(&whole[..30]).contains("cut short inside its first line"));
    let compressed = written("t.zst", &[]);
    assert!(refusal(&compressed[..9]).contains("cut short inside its first line"));
}

#[test]
fn another_schema_is_named_beside_ours() {
    let line = serde_json::to_string(&TraceLine::Header(Box::new(head()))).unwrap();
    let refused = refusal(line.replace("trace/1", "trace/2").as_bytes());
    assert!(refused.contains("map-trace/trace/2") && refused.contains("map-trace/trace/1"));
}

#[test]
fn a_header_alone_is_cut_short() {
    let line = serde_json::to_vec(&TraceLine::Header(Box::new(head()))).unwrap();
    let (lines, tally) = read(&line);
    assert_eq!(lines, [TraceLine::Header(Box::new(head()))]);
    assert_eq!(tally.cut_short.as_deref(), Some("it has no footer"));
}

#[test]
fn a_line_cut_in_the_middle_is_left_out_and_the_rest_used() {
    let mut bytes = written("t", &[string(1), string(2)]);
    let footer = bytes.iter().rposition(|byte| *byte == b'{').unwrap();
    assert!(footer > 0);
    let second = bytes
        .windows(9)
        .rposition(|window| window == b"\"string\",")
        .unwrap();
    bytes.truncate(second + 12);
    let (lines, tally) = read(&bytes);
    assert_eq!(lines.len(), 2);
    assert_eq!(tally.cut_short.as_deref(), Some("its last line is broken"));
    assert_eq!(tally.undecodable, 0);
}

#[test]
fn a_whole_trace_is_not_cut_short_compressed_or_not() {
    for name in ["t.jsonl", "t.jsonl.zst"] {
        let (lines, tally) = read(&written(name, &[string(1)]));
        assert_eq!(lines.len(), 3, "{name}");
        assert!(matches!(lines.last(), Some(TraceLine::Footer(_))));
        assert_eq!(
            tally,
            ReadTally {
                lines: 3,
                ..ReadTally::default()
            },
            "{name}"
        );
    }
}

#[test]
fn a_compressed_trace_cut_anywhere_is_cut_short_and_never_panics() {
    let lines: Vec<_> = (0..5000).map(string).collect();
    let bytes = written("t.zst", &lines);
    let mut used = 0;
    for length in (0..bytes.len()).step_by(7) {
        let Ok(mut reader) = open(&bytes[..length]) else {
            continue;
        };
        used += reader.by_ref().map(Result::unwrap).count();
        assert!(reader.tally().cut_short.is_some(), "{length} bytes");
    }
    assert!(used > 0, "no cut left anything to use");
}

#[test]
fn broken_and_unknown_lines_in_the_middle_are_counted() {
    let bytes = written("t", &[string(1)]);
    let text = String::from_utf8(bytes).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let middle = "{\"type\":\"string\",\"id\":-1}\n\0\0\n\n{\"type\":\"of_tomorrow\",\"x\":[1]}\n";
    let (lines, tally) = read(format!("{head}\n{middle}{rest}").as_bytes());
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (tally.undecodable, tally.unknown, tally.cut_short),
        (3, 1, None)
    );
}

#[test]
fn what_follows_the_footer_is_not_taken_for_events() {
    let mut bytes = written("t", &[]);
    bytes.extend(serde_json::to_vec(&string(1)).unwrap());
    bytes.extend(b"\n{{{");
    let (lines, tally) = read(&bytes);
    assert_eq!(lines.len(), 2);
    assert_eq!((tally.undecodable, tally.cut_short), (2, None));
}

#[test]
fn a_small_file_that_unpacks_to_one_endless_line_ends_in_bounded_memory() {
    let mut bytes = written("t.zst", &[]);
    let mut bomb = zstd::Encoder::new(&mut bytes, 3).unwrap();
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(b' '), 1 << 30),
        &mut bomb,
    )
    .unwrap();
    bomb.finish().unwrap();
    assert!(bytes.len() < 1 << 20);
    let (lines, tally) = read(&bytes);
    assert_eq!((lines.len(), tally.undecodable), (2, 1));
}

proptest! {
    #[test]
    fn every_line_survives_json(line in any_line()) {
        let json = serde_json::to_string(&line).unwrap();
        prop_assert!(!json.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<TraceLine>(&json).unwrap(), line);
    }

    #[test]
    fn a_written_trace_reads_back_as_it_was(
        header in header(),
        lines in vec(event_line(), 0..12),
        footer in footer(),
        compressed in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        let name = if compressed { "t.zst" } else { "t" };
        let mut writer = TraceFile::over(Path::new(name), &mut bytes).unwrap().begin(&header);
        lines.iter().for_each(|line| writer.write(line));
        let saved = writer.finish(&footer).unwrap();
        prop_assert_eq!(saved.bytes, bytes.len() as u64);
        let (back, tally) = read(&bytes);
        let mut all = vec![TraceLine::Header(Box::new(header))];
        all.extend(lines);
        all.push(TraceLine::Footer(Box::new(footer)));
        prop_assert_eq!(back, all);
        prop_assert_eq!((tally.undecodable, tally.unknown, tally.cut_short), (0, 0, None));
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(reader) = open(&bytes) {
            reader.for_each(drop);
        }
    }

    #[test]
    fn a_damaged_trace_is_never_taken_for_whole_and_clean(
        at in 0..10_000_usize,
        lines in vec(event_line(), 1..4),
    ) {
        let mut bytes = written("t", &lines);
        let at = at % bytes.len();
        bytes[at] = 0;
        if let Ok(mut reader) = open(&bytes) {
            reader.by_ref().for_each(drop);
            let tally = reader.tally();
            prop_assert!(tally.undecodable + tally.unknown > 0 || tally.cut_short.is_some());
        }
    }
}
