//! Folds and saves at once: what the live session records into.

use std::io::Write;

use super::Fold;
use crate::model::TraceLine;
use crate::model::header::{FooterLine, HeaderLine};
use crate::model::summary::{Claim, Summary};
use crate::trace::{OutputFile, SavedTrace, TraceFile, TraceWriter, WriteError};

/// A recording under way: each line goes into the summary and, if one is wanted, into the trace file.
///
/// A file that fails does not stop the recording: the summary goes on, the error comes out of `finish`.
pub struct Recorder<W: Write = OutputFile> {
    fold: Fold,
    writer: Option<TraceWriter<W>>,
}

/// What a recording leaves.
pub struct Recorded {
    pub summary: Summary,
    /// The trace file, its failure, or nothing when none was asked for.
    pub saved: Option<Result<SavedTrace, WriteError>>,
}

impl<W: Write> Recorder<W> {
    /// Begins with the header.
    pub fn begin(header: &HeaderLine, file: Option<TraceFile<W>>) -> Self {
        let mut fold = Fold::default();
        fold.header(header);
        Self {
            fold,
            writer: file.map(|file| file.begin(header)),
        }
    }

    /// Records a line between header and footer.
    pub fn record(&mut self, line: &TraceLine) {
        self.fold.line(line);
        if let Some(writer) = &mut self.writer {
            writer.write(line);
        }
    }

    /// Hands buffered lines to the system.
    pub fn flush(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.flush();
        }
    }

    /// Ends with the footer.
    pub fn finish(self, footer: &FooterLine) -> Recorded {
        self.conclude(footer.clone(), |_| footer.claims.clone())
    }

    /// Ends with the footer and what `judge` makes of the summary, which is then in both.
    pub fn conclude(
        mut self,
        mut footer: FooterLine,
        judge: impl FnOnce(&Summary) -> Vec<Claim>,
    ) -> Recorded {
        self.fold.footer(&footer);
        let mut summary = self.fold.finish();
        footer.claims = judge(&summary);
        summary.claims.clone_from(&footer.claims);
        // Whether the witnesses agree is decided by all lines; who reads the footer alone is to see it, too.
        footer.witnesses.clone_from(&summary.witnesses);
        Recorded {
            saved: self.writer.map(|writer| writer.finish(&footer)),
            summary,
        }
    }
}
