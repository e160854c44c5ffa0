//! The summary document itself (docs/schema/summary.schema.json).

use std::fmt::Write;

use serde::Serialize;

use super::View;
use super::plain::harmful;
use crate::model::summary::Summary;

/// The summary as indented JSON.
pub fn render(summary: &Summary, _: &View<'_>) -> Vec<u8> {
    document(summary)
}

/// Any document as indented JSON, on a terminal as harmless as in a file.
pub fn document(value: &impl Serialize) -> Vec<u8> {
    // Serialising into memory fails only for maps whose keys are no strings; the model has none (tested).
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut safe = harmless(&text);
    safe.push('\n');
    safe.into_bytes()
}

/// JSON text with its harmful characters escaped.
///
/// Outside strings there is no such character but the newline, so the escapes keep the meaning.
pub fn harmless(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if harmful(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn the_document_reads_back_as_it_was() {
        let hostile = ("hostile", samples::hostile());
        for (sample, summary) in samples::all().into_iter().chain([hostile]) {
            let bytes = render(&summary, &View::default());
            let back: Summary = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(back, summary, "{sample}");
        }
    }
}
