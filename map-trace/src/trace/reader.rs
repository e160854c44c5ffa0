//! Reads a trace back, line by line.
//!
//! What is whole is used, what is not is counted: a broken line in the middle is `undecodable`, a line of a
//! type this version does not know is `unknown` (newer versions may add types), and a file that ends without
//! its footer, inside a line or inside a compressed frame is `cut_short`. Only a file whose header cannot be
//! read is refused. Memory is bounded by the longest line and zstd's window, so a small file that unpacks to
//! a huge one costs time, not memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::flat::FlatFault;
use super::lines::{Line, next_line};
use super::{ReadError, ZSTD_MAGIC};
use crate::model::TraceLine;
use crate::model::header::{HeaderLine, TRACE_SCHEMA};

/// Values of `type` that [`TraceLine`] knows.
pub const LINE_TYPES: [&str; 26] = [
    "header",
    "string",
    "stack",
    "page_fault",
    "mprotect",
    "pkey_mprotect",
    "mmap",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "signal",
    "fork",
    "exec",
    "exit",
    "pte_sample",
    "watch_hit",
    "map_make",
    "map_grow",
    "iteration",
    "map_clear",
    "runtime",
    "fatal_error",
    "mark",
    "aggregate",
    "footer",
];

/// Largest zstd window accepted, as a power of two: 128 MiB, the limit of zstd's own decoder.
const WINDOW_LOG: u32 = 27;
/// Bytes read at once.
const BUFFER: usize = 128 << 10;

/// What the reader met so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadTally {
    /// Lines, whole or not.
    pub lines: u64,
    /// Lines that are not what a trace holds.
    pub undecodable: u64,
    /// Lines of a type this version does not know.
    pub unknown: u64,
    /// Why the trace is not whole; set only once the iterator has ended.
    pub cut_short: Option<String>,
}

/// A streaming reader; as an iterator it yields the header first.
pub struct TraceReader<R = Box<dyn BufRead>> {
    input: R,
    line: Vec<u8>,
    header: HeaderLine,
    yielded_header: bool,
    footer_seen: bool,
    ended: bool,
    tally: ReadTally,
}

enum Parsed {
    Line(TraceLine),
    Unknown,
    Broken,
}

impl TraceReader {
    /// Opens a trace file, compressed or not (told by its first bytes).
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(File::open(path)?)
    }

    /// Reads a trace from any stream of bytes, compressed or not.
    pub fn new(input: impl Read + 'static) -> Result<Self, ReadError> {
        let mut input = input;
        let start = first_bytes(&mut input)?;
        let compressed = start == ZSTD_MAGIC;
        let input = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(input));
        if !compressed {
            return Self::plain(Box::new(input));
        }
        let mut decoder = zstd::Decoder::with_buffer(input)?;
        decoder.window_log_max(WINDOW_LOG)?;
        Self::plain(Box::new(BufReader::with_capacity(BUFFER, decoder)))
    }
}

impl<R: BufRead> TraceReader<R> {
    /// Reads the header of an uncompressed trace.
    pub fn plain(mut input: R) -> Result<Self, ReadError> {
        match input.fill_buf().map_err(header_error)?.first() {
            None => return Err(ReadError::Empty),
            Some(b'{') => {}
            Some(_) => {
                return Err(ReadError::NotATrace(
                    "it does not begin with a JSON object".to_owned(),
                ));
            }
        }
        let mut line = Vec::new();
        let end = next_line(&mut input, &mut line).map_err(header_error)?;
        let header = match (parse(&line), end) {
            (Parsed::Line(TraceLine::Header(header)), _) => *header,
            (_, Line::TooLong) => {
                return Err(ReadError::NotATrace("its first line never ends".to_owned()));
            }
            (Parsed::Broken, Line::Unended) => return Err(ReadError::CutInHeader),
            _ => {
                return Err(ReadError::NotATrace(
                    "its first line is no header".to_owned(),
                ));
            }
        };
        if header.schema != TRACE_SCHEMA {
            return Err(ReadError::Schema {
                found: header.schema,
            });
        }
        Ok(Self {
            input,
            line,
            header,
            yielded_header: false,
            footer_seen: false,
            ended: false,
            tally: ReadTally {
                lines: 1,
                ..ReadTally::default()
            },
        })
    }

    /// The first line.
    pub const fn header(&self) -> &HeaderLine {
        &self.header
    }

    /// What was met so far; complete once the iterator has ended.
    pub const fn tally(&self) -> &ReadTally {
        &self.tally
    }

    fn end(&mut self, cut: Option<&str>) {
        self.ended = true;
        self.tally.cut_short = match cut {
            Some(reason) => Some(reason.to_owned()),
            None if !self.footer_seen => Some("it has no footer".to_owned()),
            None => None,
        };
    }

    fn at_end_of_input(&mut self) -> bool {
        matches!(self.input.fill_buf(), Ok(rest) if rest.is_empty())
    }

    /// The line in the buffer, if it is one to hand out.
    fn take(&mut self, end: Line) -> Option<TraceLine> {
        self.tally.lines += 1;
        match parse(&self.line) {
            Parsed::Line(TraceLine::Header(_)) => {}
            // Nothing follows a footer.
            Parsed::Line(_) if self.footer_seen => {}
            Parsed::Line(line) => {
                self.footer_seen = matches!(line, TraceLine::Footer(_));
                return Some(line);
            }
            Parsed::Unknown => {
                self.tally.unknown += 1;
                return None;
            }
            Parsed::Broken
                if !self.footer_seen && (end == Line::Unended || self.at_end_of_input()) =>
            {
                self.end(Some("its last line is broken"));
                return None;
            }
            Parsed::Broken => {}
        }
        self.tally.undecodable += 1;
        None
    }
}

impl<R: BufRead> Iterator for TraceReader<R> {
    type Item = Result<TraceLine, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.yielded_header {
            self.yielded_header = true;
            return Some(Ok(TraceLine::Header(Box::new(self.header.clone()))));
        }
        while !self.ended {
            match next_line(&mut self.input, &mut self.line) {
                Ok(Line::End) => self.end(None),
                Ok(Line::TooLong) => {
                    self.tally.lines += 1;
                    self.tally.undecodable += 1;
                    self.end(Some("a line in it is too long to be one"));
                }
                Ok(end) => {
                    if let Some(line) = self.take(end) {
                        return Some(Ok(line));
                    }
                }
                Err(error) if error.raw_os_error().is_some() => {
                    self.ended = true;
                    return Some(Err(error.into()));
                }
                Err(error) => self.end(Some(&format!("its compression ends early: {error}"))),
            }
        }
        None
    }
}

/// The first four bytes, fewer only when there are no more.
fn first_bytes(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    input
        .take(ZSTD_MAGIC.len() as u64)
        .read_to_end(&mut start)?;
    Ok(start)
}

fn header_error(error: io::Error) -> ReadError {
    if error.raw_os_error().is_some() {
        ReadError::Io(error)
    } else {
        ReadError::CutInHeader
    }
}

fn parse(line: &[u8]) -> Parsed {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    if let Some(line) = parse_by_prefix(line) {
        return Parsed::Line(line);
    }
    if let Ok(line) = serde_json::from_slice(line) {
        return Parsed::Line(line);
    }
    match serde_json::from_slice::<Typed>(line) {
        Ok(typed) if !LINE_TYPES.contains(&typed.r#type.as_str()) => Parsed::Unknown,
        _ => Parsed::Broken,
    }
}

/// A line as the writer makes them, its type first: a shortcut past serde's search for the tag, which would keep the
/// whole line in pieces until it is found. Null for any other line.
fn parse_by_prefix(line: &[u8]) -> Option<TraceLine> {
    fn of<T: DeserializeOwned>(line: &str, wrap: fn(T) -> TraceLine) -> Option<TraceLine> {
        serde_json::from_str(line).ok().map(wrap)
    }
    let rest = line.strip_prefix(b"{\"type\":\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let kind = rest.get(..end)?;
    // Once for the whole line is cheaper than for each string in it.
    let line = std::str::from_utf8(line).ok()?;
    match kind {
        b"page_fault" => of(line, |flat: FlatFault| {
            TraceLine::PageFault(Box::new(flat.into()))
        }),
        b"pte_sample" => of(line, TraceLine::PteSample),
        b"stack" => of(line, TraceLine::Stack),
        b"aggregate" => of(line, TraceLine::Aggregate),
        b"mprotect" => of(line, TraceLine::Mprotect),
        b"mmap" => of(line, TraceLine::Mmap),
        b"munmap" => of(line, TraceLine::Munmap),
        b"madvise" => of(line, TraceLine::Madvise),
        b"signal" => of(line, TraceLine::Signal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::strategy::any_line;
    use super::*;

    proptest! {
        #[test]
        fn the_shortcut_reads_what_the_long_way_reads(line in any_line()) {
            let json = serde_json::to_vec(&line).unwrap();
            let prefix = parse_by_prefix(&json);
            if matches!(line, TraceLine::PageFault(_) | TraceLine::Aggregate(_) | TraceLine::Stack(_)) {
                prop_assert!(prefix.is_some());
            }
            prop_assert!(prefix.is_none_or(|read| read == line));
        }
    }
}
