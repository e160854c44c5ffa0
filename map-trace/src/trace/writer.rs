//! Writes a trace: header, lines, footer.
//!
//! Three steps, each a type, so that none can be left out of order:
//! [`TraceFile::create`] before the program is started (a place that cannot be written is found out then),
//! [`TraceFile::begin`] with the header, [`TraceWriter::finish`] with the footer.
//!
//! A write that fails (full disk, closed pipe) is kept and reported by `finish`; the lines after it are not
//! written and the file has no footer, so that no reader takes it for whole.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{MAX_LINE, OutputFile, WriteError};
use crate::model::TraceLine;
use crate::model::header::{FooterLine, HeaderLine};

/// zstd's own default: a tenth of the size at a few percent of the cost of making the lines.
const ZSTD_LEVEL: i32 = 3;
/// Bytes held before a write(2).
const BUFFER: usize = 256 << 10;

/// An opened, still empty trace.
pub struct TraceFile<W: Write = OutputFile>(TraceWriter<W>);

/// A trace that was written completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTrace {
    pub path: PathBuf,
    /// Size of the file.
    pub bytes: u64,
}

/// A trace under way.
pub struct TraceWriter<W: Write = OutputFile> {
    path: PathBuf,
    sink: Sink<W>,
    /// The first thing that went wrong; nothing is written after it.
    failed: Option<WriteError>,
    line: Vec<u8>,
}

enum Sink<W: Write> {
    Plain(BufWriter<Counted<W>>),
    Zstd(zstd::Encoder<'static, BufWriter<Counted<W>>>),
}

/// Counts the bytes that reached the file.
struct Counted<W> {
    output: W,
    bytes: u64,
}

/// The lines only the writer makes, by reference.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Edge<'a> {
    Header(&'a HeaderLine),
    Footer(&'a FooterLine),
}

impl TraceFile {
    /// Opens the file; a name that ends in `.zst` is compressed.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        Self::over(path, OutputFile::create(path)?)
    }
}

impl<W: Write> TraceFile<W> {
    /// A trace written to `output`; `path` decides about compression and names it in errors.
    pub fn over(path: &Path, output: W) -> Result<Self, WriteError> {
        let counted = Counted { output, bytes: 0 };
        let buffered = BufWriter::with_capacity(BUFFER, counted);
        let compress = path.extension().is_some_and(|extension| extension == "zst");
        let sink = if compress {
            let encoder = zstd::Encoder::new(buffered, ZSTD_LEVEL);
            Sink::Zstd(encoder.map_err(|source| WriteError::Create {
                path: path.to_owned(),
                source,
            })?)
        } else {
            Sink::Plain(buffered)
        };
        Ok(Self(TraceWriter {
            path: path.to_owned(),
            sink,
            failed: None,
            line: Vec::new(),
        }))
    }

    /// Writes the header and hands it to the system: from here on no older trace lies there any more.
    ///
    /// A failure is kept, like that of any other line.
    pub fn begin(self, header: &HeaderLine) -> TraceWriter<W> {
        let mut writer = self.0;
        writer.put(&Edge::Header(header));
        writer.flush();
        writer
    }
}

impl<W: Write> TraceWriter<W> {
    /// Writes one line. Does nothing once something has failed.
    pub fn write(&mut self, line: &TraceLine) {
        match line {
            TraceLine::Header(_) | TraceLine::Footer(_) => {
                self.keep(|path| WriteError::Misplaced { path });
            }
            line => self.put(line),
        }
    }

    /// Hands what is buffered to the system, so that a crash of map-trace leaves more behind.
    pub fn flush(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let flushed = match &mut self.sink {
            Sink::Plain(output) => output.flush(),
            Sink::Zstd(encoder) => encoder.flush(),
        };
        if let Err(source) = flushed {
            self.keep(|path| WriteError::Write { path, source });
        }
    }

    /// What went wrong so far; the recording goes on without the file.
    pub const fn failed(&self) -> Option<&WriteError> {
        self.failed.as_ref()
    }

    /// Writes the footer and closes the file, or says what went wrong first.
    pub fn finish(mut self, footer: &FooterLine) -> Result<SavedTrace, WriteError> {
        self.put(&Edge::Footer(footer));
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let path = self.path;
        let closed = match self.sink {
            Sink::Plain(output) => Ok(output),
            Sink::Zstd(encoder) => encoder.finish(),
        };
        match closed.and_then(|output| output.into_inner().map_err(io::IntoInnerError::into_error))
        {
            Ok(counted) => Ok(SavedTrace {
                path,
                bytes: counted.bytes,
            }),
            Err(source) => Err(WriteError::Write { path, source }),
        }
    }

    fn put(&mut self, line: &impl Serialize) {
        if self.failed.is_some() {
            return;
        }
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from);
        let length = self.line.len();
        if written.is_ok() && length > MAX_LINE {
            self.line = Vec::new();
            self.keep(|path| WriteError::LineTooLong { path, length });
            return;
        }
        self.line.push(b'\n');
        let written = written.and_then(|()| match &mut self.sink {
            Sink::Plain(output) => output.write_all(&self.line),
            Sink::Zstd(encoder) => encoder.write_all(&self.line),
        });
        if let Err(source) = written {
            self.keep(|path| WriteError::Write { path, source });
        }
    }

    fn keep(&mut self, error: impl FnOnce(PathBuf) -> WriteError) {
        if self.failed.is_none() {
            self.failed = Some(error(self.path.clone()));
        }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::header::TRACE_SCHEMA;

    fn header() -> HeaderLine {
        HeaderLine {
            schema: TRACE_SCHEMA.to_owned(),
            ..HeaderLine::default()
        }
    }

    /// A disk with room for a number of bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_older_trace_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("app.jsonl");
        fs::write(&path, vec![b'x'; 100_000]).unwrap();
        let saved = TraceFile::create(&path)
            .unwrap()
            .begin(&header())
            .finish(&FooterLine::default());
        assert_eq!(saved.unwrap().bytes, fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn a_full_disk_is_reported_at_the_end_and_nothing_looks_whole() {
        for name in ["t.jsonl", "t.jsonl.zst"] {
            let file = TraceFile::over(Path::new(name), Disk(100)).unwrap();
            let mut writer = file.begin(&header());
            assert!(writer.failed().is_some(), "{name}");
            writer.flush();
            let error = writer.finish(&FooterLine::default()).unwrap_err();
            let text = crate::error::Error::from(error).to_string();
            assert!(text.starts_with("cannot write all of t.jsonl"), "{text}");
            assert!(text.contains("free some space"), "{text}");
        }
    }

    #[test]
    fn a_header_inside_the_trace_is_refused() {
        let mut writer = TraceFile::over(Path::new("t"), Vec::new())
            .unwrap()
            .begin(&header());
        writer.write(&TraceLine::Footer(Box::default()));
        let error = writer.finish(&FooterLine::default()).unwrap_err();
        assert!(matches!(error, WriteError::Misplaced { .. }));
    }
}
