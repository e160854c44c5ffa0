//! The trace file: JSON Lines, a header first, a footer last (docs/trace-format.md).
//!
//! The saved trace is the contract between recording and everything after it. The [`TraceWriter`] makes it
//! while the program runs; the [`TraceReader`] takes it back, on any machine and without root, from a file
//! that may be cut short, damaged or hostile. Neither holds more than one line in memory.

mod error;
mod flat;
mod lines;
mod place;
mod reader;
#[cfg(test)]
pub(crate) mod strategy;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{ReadError, WriteError};
pub use place::{OutputFile, take_back};
pub use reader::{LINE_TYPES, ReadTally, TraceReader};
pub use writer::{SavedTrace, TraceFile, TraceWriter};

/// Longest line written or read, bytes without the newline.
///
/// The longest honest line is a header with a full argument list (execve(2) allows 6 MiB), a bound that keeps a
/// hostile file from filling memory.
pub const MAX_LINE: usize = 16 << 20;

/// First bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
