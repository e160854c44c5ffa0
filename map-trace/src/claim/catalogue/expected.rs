//! The verdict a claim is expected to get: the value of regression, which decides no verdict.

use super::{GoVersion, Versions};
use crate::binary::MapImplementation;
use crate::model::summary::VerdictWord;

/// What a claim is judged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub version: GoVersion,
    pub maps: MapImplementation,
}

/// Verdicts by implementation and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub classic: Option<VerdictWord>,
    pub swiss: Option<VerdictWord>,
    /// These go first.
    pub ranges: Vec<(Versions, VerdictWord)>,
}

impl Expected {
    pub const fn both(verdict: VerdictWord) -> Self {
        Self {
            classic: Some(verdict),
            swiss: Some(verdict),
            ranges: Vec::new(),
        }
    }

    /// The verdict for a Go; none: the claim says nothing of it.
    pub fn of(&self, subject: Subject) -> Option<VerdictWord> {
        let range = self
            .ranges
            .iter()
            .find(|(range, _)| range.contains(subject.version));
        range.map(|(_, verdict)| *verdict).or(match subject.maps {
            MapImplementation::Hmap => self.classic,
            MapImplementation::Swiss => self.swiss,
        })
    }

    /// The verdict for what is no Go program.
    pub fn of_host(&self) -> Option<VerdictWord> {
        self.classic
            .or(self.swiss)
            .or_else(|| self.ranges.first().map(|(_, verdict)| *verdict))
    }
}
