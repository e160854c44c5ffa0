//! Metrics in Prometheus' text exposition format, for a push gateway or a textfile collector.

use std::fmt::Write;

use crate::model::event::EventKind;
use crate::model::summary::Summary;
use crate::output::plain::clean;

pub fn export(summary: &Summary) -> Vec<u8> {
    let mut out = String::new();
    head(
        &mut out,
        "events_total",
        "counter",
        "Events by operation and kind.",
    );
    for row in &summary.operations {
        for (kind, count) in row.events.iter().filter(|(_, count)| **count > 0) {
            let labels = [("operation", row.operation.word()), ("event", kind)];
            sample(&mut out, "events_total", &labels, *count);
        }
    }
    head(
        &mut out,
        "page_faults_total",
        "counter",
        "Page faults by operation and cause.",
    );
    for row in &summary.operations {
        for (cause, count) in row.causes.iter().filter(|(_, count)| **count > 0) {
            let labels = [("operation", row.operation.word()), ("cause", cause.word())];
            sample(&mut out, "page_faults_total", &labels, *count);
        }
    }
    head(&mut out, "signals_total", "counter", "Signals by name.");
    for (name, count) in &summary.events.signal {
        sample(
            &mut out,
            "signals_total",
            &[(EventKind::Signal.word(), name)],
            *count,
        );
    }
    for (name, help, value) in [
        (
            "lost_events_total",
            "Events that were counted and not recorded.",
            summary.loss.dropped,
        ),
        (
            "duration_nanoseconds",
            "How long the recording took.",
            summary.duration_ns,
        ),
        (
            "witnesses_balanced",
            "1 when all witnesses agree.",
            u64::from(summary.witnesses.balanced),
        ),
        (
            "complete",
            "1 when nothing was lost.",
            u64::from(summary.complete()),
        ),
    ] {
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        head(&mut out, name, kind, help);
        sample(&mut out, name, &[], value);
    }
    out.into_bytes()
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(
        out,
        "# HELP map_trace_{name} {help}\n# TYPE map_trace_{name} {kind}"
    );
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: u64) {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| {
            let value = clean(value).replace('\\', "\\\\").replace('"', "\\\"");
            format!("{name}=\"{value}\"")
        })
        .collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    };
    let _ = writeln!(out, "map_trace_{name}{labels} {value}");
}
