//! Renderings of a summary. Bytes out, no I/O: who writes them where is the command line's business.
//!
//! A new format is one file here and one row in [`EXPORTERS`]; a test walks the table.

pub mod answer;
pub mod belief;
pub mod comparison;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod html;
pub mod inspect;
pub mod json;
pub mod markdown;
pub mod plain;
pub mod prove;
mod runtime;
pub mod schema;
mod screen;
mod table;
pub mod text;
pub mod verdicts;
mod watched;

#[cfg(test)]
mod samples;

use crate::model::summary::Summary;
use crate::trace::SavedTrace;

/// What a rendering may know besides the summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// The reader is a terminal that shows colours; only `text` uses it.
    pub color: bool,
    /// Where the trace of this summary lies.
    pub saved: Option<&'a SavedTrace>,
}

/// A format a summary can be rendered in.
pub struct Exporter {
    /// The word after `--format`.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    pub render: fn(&Summary, &View<'_>) -> Vec<u8>,
}

/// Every format of `map-trace report`.
pub const EXPORTERS: [Exporter; 4] = [
    Exporter {
        name: "text",
        about: "one screen for a terminal",
        render: text::render,
    },
    Exporter {
        name: "json",
        about: "the summary document, for programs (docs/schema/summary.schema.json)",
        render: json::render,
    },
    Exporter {
        name: "markdown",
        about: "tables for a pull request or an issue",
        render: markdown::render,
    },
    Exporter {
        name: "html",
        about: "one page without scripts, to keep or to send",
        render: html::render,
    },
];

/// The exporter of a name.
pub fn exporter(name: &str) -> Option<&'static Exporter> {
    EXPORTERS.iter().find(|exporter| exporter.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_exporter_has_its_own_name_and_a_word_of_help() {
        let names: BTreeSet<_> = EXPORTERS.iter().map(|exporter| exporter.name).collect();
        assert_eq!(names.len(), EXPORTERS.len());
        assert!(EXPORTERS.iter().all(|exporter| !exporter.about.is_empty()));
        assert!(exporter("text").is_some() && exporter("pdf").is_none());
    }

    #[test]
    fn every_exporter_renders_every_sample_as_before() {
        for (sample, summary) in samples::all() {
            for exporter in &EXPORTERS {
                let bytes = (exporter.render)(&summary, &View::default());
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.ends_with('\n'), "{sample}.{}", exporter.name);
                insta::assert_snapshot!(format!("{sample}.{}", exporter.name), text);
            }
        }
    }

    #[test]
    fn no_exporter_lets_a_name_steer_the_terminal_or_the_page() {
        let hostile = samples::hostile();
        for exporter in &EXPORTERS {
            let text = String::from_utf8((exporter.render)(&hostile, &View::default())).unwrap();
            let steers =
                |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(steers), "{}: {text:?}", exporter.name);
            if matches!(exporter.name, "markdown" | "html") {
                assert!(!text.contains("<script"), "{}", exporter.name);
            }
        }
    }
}
