//! A sampled profile for speedscope.app: one sample a stack and kind of event, weighted by how many there were.
//!
//! Format: https://www.speedscope.app/file-format-schema.json

use serde_json::{Value, json};
use std::collections::HashMap;

use super::stacks::Stacks;
use super::{ExportError, Lines, Out};
use crate::output::json::document;

pub fn export(lines: Lines<'_>, out: Out<'_>) -> Result<(), ExportError> {
    let stacks = Stacks::read(lines)?;
    let mut frames: Vec<Value> = stacks
        .names
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let mut labels = HashMap::new();
    let (mut samples, mut weights, mut total) = (Vec::new(), Vec::new(), 0_u64);
    for ((id, label), count) in &stacks.counts {
        let label = *labels.entry(label).or_insert_with(|| {
            frames.push(json!({ "name": format!("[{label}]") }));
            frames.len() - 1
        });
        let mut sample: Vec<_> = stacks
            .frames(*id)
            .iter()
            .map(|frame| json!(frame))
            .collect();
        sample.push(json!(label));
        samples.push(sample);
        weights.push(*count);
        total = total.saturating_add(*count);
    }
    let profile = json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "map-trace",
        "name": "map-trace",
        "shared": { "frames": frames },
        "profiles": [{
            "type": "sampled",
            "name": "events by stack",
            "unit": "none",
            "startValue": 0,
            "endValue": total,
            "samples": samples,
            "weights": weights,
        }],
    });
    out.write_all(&document(&profile))?;
    Ok(())
}
