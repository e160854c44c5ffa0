//! Metrics for an OpenTelemetry collector, as it takes them over HTTP (`POST /v1/metrics`, `application/json`).
//!
//! Format: the JSON mapping of `ExportMetricsServiceRequest` (opentelemetry-proto 1.x): 64-bit integers are strings,
//! enumerations numbers, temporality 2 is cumulative: the counts of one process from its start.

use serde_json::{Value, json};

use crate::model::summary::Summary;
use crate::output::json::document;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: u8 = 2;
const DAY_S: i64 = 86_400;

/// The points of one metric.
type Points = Vec<(Vec<(&'static str, String)>, u64)>;

pub fn export(summary: &Summary) -> Vec<u8> {
    let start = unix_ns(&summary.started).unwrap_or(0);
    let end = start.saturating_add(summary.duration_ns);
    let host = &summary.host;
    let mut resource = vec![
        attribute(
            "service.name",
            summary.program.argv.first().map_or("", String::as_str),
        ),
        attribute("host.name", &host.hostname),
        attribute("host.arch", "amd64"),
        attribute("os.type", "linux"),
        attribute("os.version", &host.kernel),
    ];
    let mut executables = summary.program.executables.iter();
    if let Some(go) = executables.find_map(|file| file.go_version.as_deref()) {
        resource.push(attribute("process.runtime.name", "go"));
        resource.push(attribute("process.runtime.version", go));
    }
    let metrics = metrics(summary)
        .into_iter()
        .map(|(name, unit, about, points)| {
            let points = points.into_iter().map(|(attributes, count)| {
                let attributes = attributes.iter().map(|(key, value)| attribute(key, value));
                json!({
                    "attributes": attributes.collect::<Vec<_>>(),
                    "startTimeUnixNano": start.to_string(),
                    "timeUnixNano": end.to_string(),
                    "asInt": count.to_string(),
                })
            });
            json!({
                "name": name,
                "unit": unit,
                "description": about,
                "sum": {
                    "aggregationTemporality": CUMULATIVE,
                    "isMonotonic": true,
                    "dataPoints": points.collect::<Vec<_>>(),
                },
            })
        });
    document(&json!({
        "resourceMetrics": [{
            "resource": { "attributes": resource },
            "scopeMetrics": [{
                "scope": { "name": "map-trace", "version": env!("CARGO_PKG_VERSION") },
                "metrics": metrics.collect::<Vec<_>>(),
            }],
        }],
    }))
}

/// Name, unit (UCUM), description and points of each metric.
fn metrics(summary: &Summary) -> [(&'static str, &'static str, &'static str, Points); 5] {
    let rows = || summary.operations.iter();
    let operation = |word: &str| ("operation", word.to_owned());
    let mut events = Points::new();
    let mut faults = Points::new();
    let mut stalls = Points::new();
    for row in rows() {
        let word = row.operation.word();
        for (kind, count) in row.events.iter().filter(|(_, count)| **count > 0) {
            events.push((vec![operation(word), ("event", kind.clone())], *count));
        }
        for (cause, count) in row.causes.iter().filter(|(_, count)| **count > 0) {
            let cause = ("cause", cause.word().to_owned());
            faults.push((vec![operation(word), cause], *count));
        }
        if let Some(ns) = row.stall_ns {
            stalls.push((vec![operation(word)], ns));
        }
    }
    let signals = summary.events.signal.iter();
    let signals = signals.map(|(name, count)| (vec![("signal", name.clone())], *count));
    let lost = vec![(Vec::new(), summary.loss.dropped)];
    [
        (
            "map_trace.events",
            "{event}",
            "Events by operation and kind",
            events,
        ),
        (
            "map_trace.page_faults",
            "{fault}",
            "Page faults by operation and cause",
            faults,
        ),
        (
            "map_trace.stall",
            "ns",
            "Time of faults and memory calls by operation",
            stalls,
        ),
        (
            "map_trace.signals",
            "{signal}",
            "Signals by name",
            signals.collect(),
        ),
        (
            "map_trace.lost_events",
            "{event}",
            "Events counted and not recorded",
            lost,
        ),
    ]
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Nanoseconds since 1970 of `2026-03-01T12:00:00Z`, with or without a fraction; `None` for anything else.
fn unix_ns(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':')?;
    let possible = (1970..=2500).contains(&year) && (1..=12).contains(&month);
    if !possible || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut digits = fraction
        .chars()
        .map(|c| c.to_digit(10))
        .collect::<Option<Vec<_>>>()?;
    digits.resize(9, 0);
    let fraction = digits
        .iter()
        .fold(0, |ns: u64, digit| ns * 10 + u64::from(*digit));
    let seconds = days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds)
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(fraction)
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between).map(|part| {
        let plain = part.len() <= 4 && part.chars().all(|c| c.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| plain)
    });
    let all = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(all)
}

/// Days since 1970-01-01 in the Gregorian calendar, by counting years and the days before each month.
fn days(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let leaps = (1970..year).filter(|year| leap(*year)).count();
    let index = usize::try_from(month - 1).unwrap_or(0);
    let before = BEFORE.get(index).copied().unwrap_or(0);
    let own = i64::from(leap(year) && month > 2);
    (year - 1970) * 365 + i64::try_from(leaps).unwrap_or(0) + before + own + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_time_in_words_is_the_kernels_number_of_it() {
        // `date -u -d TEXT +%s`
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2026-03-01T12:00:00Z", 1_772_366_400),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(unix_ns(text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(unix_ns("1970-01-01T00:00:01.25Z"), Some(1_250_000_000));
        for text in [
            "",
            "now",
            "2026-03-01",
            "2026-13-01T00:00:00Z",
            "2026-03-01T25:00:00Z",
            "-1-1-1T0:0:0Z",
        ] {
            assert_eq!(unix_ns(text), None, "{text}");
        }
    }

    #[test]
    fn every_count_of_the_summary_is_a_point() {
        let summary = samples::go_growth();
        let document: Value = serde_json::from_slice(&export(&summary)).unwrap();
        let metrics = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
            .as_array()
            .unwrap();
        let sum = |name: &str| -> u64 {
            let metric = metrics
                .iter()
                .find(|metric| metric["name"] == name)
                .unwrap();
            let points = metric["sum"]["dataPoints"].as_array().unwrap();
            points
                .iter()
                .map(|point| point["asInt"].as_str().unwrap().parse::<u64>().unwrap())
                .sum()
        };
        assert_eq!(
            sum("map_trace.page_faults"),
            summary.causes.values().sum::<u64>()
        );
        let rows = summary
            .operations
            .iter()
            .flat_map(|row| row.events.values());
        assert_eq!(sum("map_trace.events"), rows.sum::<u64>());
    }
}
