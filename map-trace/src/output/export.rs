//! Conversions of a saved trace into the formats of other tools.
//!
//! Some need the summary only, some every event. Those read the trace as a stream and write as they go: memory
//! depends on the number of different stacks at most. A new format is one file here and one row in [`FORMATS`].

mod folded;
pub(super) mod junit;
mod otlp;
mod parquet;
mod perfetto;
mod pprof;
mod prometheus;
mod sarif;
mod speedscope;
mod stacks;

use std::io::{self, Write};

use crate::model::TraceLine;
use crate::model::summary::Summary;
use crate::trace::ReadError;

/// The lines of a trace, header first.
pub type Lines<'a> = &'a mut dyn Iterator<Item = Result<TraceLine, ReadError>>;

/// Where a conversion goes.
pub type Out<'a> = &'a mut (dyn Write + Send);

/// What made a conversion stop.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Write(#[from] io::Error),
}

/// How a format is made.
#[derive(Clone, Copy)]
pub enum Convert {
    Summary(fn(&Summary) -> Vec<u8>),
    Trace(fn(Lines<'_>, Out<'_>) -> Result<(), ExportError>),
}

/// A format of another tool.
pub struct Format {
    /// The word after `--format`.
    pub name: &'static str,
    pub about: &'static str,
    pub convert: Convert,
}

/// Every format of `map-trace export`.
pub const FORMATS: [Format; 9] = [
    Format {
        name: "perfetto",
        about: "a timeline for ui.perfetto.dev (Chrome JSON)",
        convert: Convert::Trace(perfetto::export),
    },
    Format {
        name: "folded",
        about: "stacks with counts, for flame graphs",
        convert: Convert::Trace(folded::export),
    },
    Format {
        name: "speedscope",
        about: "a profile for speedscope.app",
        convert: Convert::Trace(speedscope::export),
    },
    Format {
        name: "pprof",
        about: "a profile for go tool pprof (protocol buffers)",
        convert: Convert::Trace(pprof::export),
    },
    Format {
        name: "parquet",
        about: "a table of the events, for DuckDB and data frames",
        convert: Convert::Trace(parquet::export),
    },
    Format {
        name: "prometheus",
        about: "metrics in the text exposition format",
        convert: Convert::Summary(prometheus::export),
    },
    Format {
        name: "junit",
        about: "claims as test cases, for CI",
        convert: Convert::Summary(junit::export),
    },
    Format {
        name: "sarif",
        about: "claims as findings, for code hosts (SARIF 2.1.0)",
        convert: Convert::Summary(sarif::export),
    },
    Format {
        name: "otlp",
        about: "metrics for an OpenTelemetry collector (JSON)",
        convert: Convert::Summary(otlp::export),
    },
];

/// The format of a name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::io::BufReader;
    use std::path::Path;

    use super::*;
    use crate::evidence::summarize;
    use crate::output::samples;
    use crate::trace::TraceReader;

    fn reader(name: &str) -> TraceReader<BufReader<File>> {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/replay");
        TraceReader::plain(BufReader::new(File::open(place.join(name)).unwrap())).unwrap()
    }

    fn exported(format: &Format, trace: &str) -> String {
        let mut bytes = Vec::new();
        match format.convert {
            Convert::Summary(convert) => {
                bytes = convert(&summarize(&mut reader(trace)).unwrap());
            }
            Convert::Trace(convert) => convert(&mut reader(trace), &mut bytes).unwrap(),
        }
        match format.name {
            "pprof" => pprof::tests::dump(&bytes),
            "parquet" => parquet::tests::dump(&bytes),
            _ => String::from_utf8(bytes).unwrap(),
        }
    }

    #[test]
    fn every_format_has_its_own_name() {
        let names: BTreeSet<_> = FORMATS.iter().map(|format| format.name).collect();
        assert_eq!(names.len(), FORMATS.len());
    }

    #[test]
    fn every_format_converts_the_saved_traces_as_before() {
        for trace in ["c-protect", "go-growth"] {
            for format in &FORMATS {
                let text = exported(format, &format!("{trace}.jsonl"));
                if matches!(format.name, "perfetto" | "speedscope" | "sarif" | "otlp") {
                    serde_json::from_str::<serde_json::Value>(&text).unwrap();
                }
                insta::assert_snapshot!(format!("{trace}.{}", format.name), text);
            }
        }
    }

    #[test]
    fn claims_become_test_cases_whatever_their_names() {
        insta::assert_snapshot!(
            "refuted.junit",
            String::from_utf8(junit::export(&samples::refuted())).unwrap()
        );
        let hostile = String::from_utf8(junit::export(&samples::hostile())).unwrap();
        assert!(!hostile.contains("<script") && !hostile.contains('\x1b'));
        insta::assert_snapshot!(
            "refuted.sarif",
            String::from_utf8(sarif::export(&samples::refuted())).unwrap()
        );
        for export in [sarif::export, otlp::export] {
            let hostile = String::from_utf8(export(&samples::hostile())).unwrap();
            assert!(!hostile.contains('\x1b'), "{hostile}");
            serde_json::from_str::<serde_json::Value>(&hostile).unwrap();
        }
        let metrics = String::from_utf8(prometheus::export(&samples::hostile())).unwrap();
        assert!(
            metrics
                .lines()
                .all(|line| line.starts_with("map_trace_") || line.starts_with("# "))
        );
    }

    #[test]
    fn a_full_disk_ends_a_conversion_with_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for format in &FORMATS {
            if let Convert::Trace(convert) = format.convert {
                let error = convert(&mut reader("go-growth.jsonl"), &mut Full).unwrap_err();
                assert!(matches!(error, ExportError::Write(_)), "{}", format.name);
            }
        }
    }
}
