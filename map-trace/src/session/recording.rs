//! Everything that sees the lines of a session: the summary, the trace file, the judge of claims.

use crate::claim::{Judge, Setup, Window};
use crate::evidence::{Recorded, Recorder};
use crate::model::TraceLine;
use crate::model::header::{FooterLine, HeaderLine};
use crate::trace::TraceFile;

/// A recording under way.
pub struct Recording {
    recorder: Recorder,
    judge: Judge,
    /// Lines so far, the header included: a line's number in the trace.
    lines: u64,
}

impl Recording {
    /// Begins with the header.
    pub fn begin(header: &HeaderLine, file: Option<TraceFile>, claims: Setup) -> Self {
        Self {
            recorder: Recorder::begin(header, file),
            judge: Judge::begin(claims, header),
            lines: 1,
        }
    }

    /// Judges only a part of the run.
    pub fn within(mut self, window: Window) -> Self {
        self.judge.within(window);
        self
    }

    /// Records a line between header and footer.
    pub fn record(&mut self, line: &TraceLine) {
        self.lines += 1;
        self.recorder.record(line);
        self.judge.line(self.lines, line);
    }

    /// Ends with the footer and the verdicts.
    pub fn finish(self, footer: FooterLine) -> Recorded {
        let mut judge = self.judge;
        judge.regions(&footer.regions);
        self.recorder
            .conclude(footer, |summary| judge.finish(summary))
    }
}
