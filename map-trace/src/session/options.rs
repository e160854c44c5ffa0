//! The options of a session, for the trace's header.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::maps::pattern::Glob;
use crate::model::Operation;

use super::settings::{Detail, Level, RecordSettings};

/// Options by their names on the command line, as given or defaulted.
///
/// Regions and the user's rows of the operation tables are there in full: whoever judges the trace later needs
/// them.
pub fn options(settings: &RecordSettings, rows: &[(Glob, Operation)]) -> BTreeMap<String, Value> {
    let detail = match settings.detail {
        Detail::All => json!("all"),
        Detail::Limit(limit) => json!(limit),
    };
    let regions: Vec<_> = settings
        .regions
        .iter()
        .map(|region| format!("{}={}", region.name, region.pattern))
        .collect();
    let mut options = BTreeMap::from([
        ("census".to_owned(), json!(level(settings.census))),
        (
            "census_budget".to_owned(),
            json!(f64::from(settings.census_budget_ppm) / 1e6),
        ),
        ("pte".to_owned(), json!(level(settings.pte))),
        ("detail".to_owned(), detail),
        ("follow_forks".to_owned(), json!(settings.follow_forks)),
        ("sample_rate".to_owned(), json!(settings.sample_hz)),
        ("show_physical".to_owned(), json!(settings.show_physical)),
        ("regions".to_owned(), json!(regions)),
    ]);
    let marks = settings.window.symbols();
    if !marks.is_empty() {
        options.insert("marks".to_owned(), json!(marks));
    }
    if let Some(after) = &settings.window.after {
        options.insert("after_ops".to_owned(), json!(after.given()));
    }
    if !rows.is_empty() {
        let rows = rows.iter();
        let rows: Vec<_> = rows
            .map(|(pattern, operation)| format!("{}={operation}", pattern.as_str()))
            .collect();
        options.insert("operations".to_owned(), json!(rows));
    }
    if let Some(duration) = settings.limits.duration {
        options.insert("duration_ns".to_owned(), json!(duration.as_nanos() as u64));
    }
    if let Some(max) = settings.limits.max_events {
        options.insert("max_events".to_owned(), json!(max));
    }
    options
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Off => "off",
        Level::Sample => "sample",
        Level::Full => "full",
    }
}
