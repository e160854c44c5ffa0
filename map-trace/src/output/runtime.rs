//! What Go's runtime did of its own, and how programs ended, in words.

use super::plain::{bytes, clean, count, duration, shorten};
use crate::model::runtime::{FatalErrorEvent, RuntimeSummary};
use crate::model::summary::Summary;

/// Longest text of a fatal error on a line.
const TEXT: usize = 56;

/// A fatal error in a line: `fatal error: concurrent map writes; goroutine 7 assign, 0xc000012340 map[int]int`.
pub fn fatal_error(event: &FatalErrorEvent) -> String {
    let what = if event.kind == "panic" {
        "panic"
    } else {
        "fatal error"
    };
    let text = match &event.text {
        Some(text) => shorten(&clean(text), TEXT),
        None => "(not text)".to_owned(),
    };
    let context = &event.context;
    let mut line = format!("{what}: {text}");
    let mut details = Vec::new();
    if let Some(goroutine) = context.goroutine {
        details.push(format!("goroutine {goroutine}"));
    }
    if context.operation.is_map() {
        details.push(clean(context.operation.word()));
    }
    if let Some(map) = context.map {
        let of = event.map_type.as_deref().unwrap_or("a map");
        details.push(format!("{map} {}", shorten(&clean(of), 40)));
    }
    if !details.is_empty() {
        line.push_str("; ");
        line.push_str(&details.join(", "));
    }
    line
}

/// One line for each fatal error, and one for those whose event is not at hand.
pub fn fatal_errors(summary: &Summary) -> Vec<String> {
    let mut lines: Vec<_> = summary.fatal_errors.iter().map(fatal_error).collect();
    let counted = summary.events.fatal_error;
    match counted.saturating_sub(lines.len() as u64) {
        0 => {}
        counted if lines.is_empty() => lines.push(format!(
            "{}, counted only: text and goroutine are not known",
            count(counted, "fatal error")
        )),
        more => lines.push(count(more, "more fatal error")),
    }
    lines
}

/// What the runtime did, in short phrases; nothing when it did nothing but grow its heap.
pub fn phrases(runtime: &RuntimeSummary) -> Vec<String> {
    let mut said = Vec::new();
    if runtime.gc_cycles > 0 {
        let forced = match runtime.gc_forced {
            0 => String::new(),
            forced => format!(" ({forced} forced)"),
        };
        said.push(format!(
            "{}{forced}, {}",
            count(runtime.gc_cycles, "collection"),
            duration(runtime.gc_ns)
        ));
    }
    if runtime.stops > 0 {
        said.push(format!(
            "{}, {}, longest {}",
            count(runtime.stops, "stop"),
            duration(runtime.stop_ns),
            duration(runtime.longest_stop_ns)
        ));
    }
    if runtime.scavenges > 0 {
        said.push(format!("{} given back", bytes(runtime.scavenged_bytes)));
    }
    if said.is_empty() {
        return said;
    }
    if let Some(flushes) = runtime.write_barrier_flushes {
        said.push(count(flushes, "write barrier buffer") + " emptied");
    }
    if runtime.not_told > 0 {
        said.push(format!(
            "{} only counted",
            count(runtime.not_told, "more event")
        ));
    }
    said
}

/// The phrases of a summary.
pub fn said(summary: &Summary) -> Vec<String> {
    summary.runtime.as_ref().map(phrases).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Context;
    use crate::model::{Address, Operation};

    fn event(text: Option<&str>) -> FatalErrorEvent {
        FatalErrorEvent {
            time_ns: 1,
            pid: 1,
            tid: 1,
            kind: "fatal".to_owned(),
            text: text.map(str::to_owned),
            cut: false,
            map_type: Some("map[int]int".to_owned()),
            seen: Vec::new(),
            context: Context {
                operation: Operation::Assign,
                sub_operation: None,
                map: Some(Address(0xc0_0001_2340)),
                goroutine: Some(7),
                stack: None,
            },
        }
    }

    #[test]
    fn a_fatal_error_says_what_who_and_which_map() {
        assert_eq!(
            fatal_error(&event(Some("concurrent map writes"))),
            "fatal error: concurrent map writes; goroutine 7, assign, 0xc000012340 map[int]int"
        );
    }

    #[test]
    fn a_fatal_error_that_was_only_counted_is_said() {
        let (_, mut summary) = crate::output::samples::all().swap_remove(0);
        summary.fatal_errors.clear();
        summary.events.fatal_error = 1;
        assert_eq!(
            fatal_errors(&summary),
            ["1 fatal error, counted only: text and goroutine are not known"]
        );
        summary.fatal_errors.push(event(None));
        assert_eq!(fatal_errors(&summary).len(), 1);
        summary.events.fatal_error = 3;
        assert_eq!(
            fatal_errors(&summary).last().unwrap(),
            "2 more fatal errors"
        );
    }

    #[test]
    fn a_hostile_text_is_bounded_and_harmless() {
        let line = fatal_error(&event(Some(&"\x1b[2J".repeat(1000))));
        assert!(line.chars().count() < 160, "{line}");
        assert!(!line.contains('\x1b'));
    }

    #[test]
    fn a_runtime_that_only_grew_its_heap_is_not_worth_a_line() {
        let grown = RuntimeSummary {
            heap_grows: 3,
            heap_grown_bytes: 12 << 20,
            ..RuntimeSummary::default()
        };
        assert!(phrases(&grown).is_empty());
        let collected = RuntimeSummary {
            gc_cycles: 20,
            gc_forced: 19,
            gc_ns: 5_000_000,
            stops: 40,
            stop_ns: 800_000,
            longest_stop_ns: 60_000,
            ..grown
        };
        assert_eq!(
            phrases(&collected).join("; "),
            "20 collections (19 forced), 5.0 ms; 40 stops, 800 µs, longest 60 µs"
        );
    }
}
