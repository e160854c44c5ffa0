//! Verdicts alone, for `map-trace check`: every claim, then why to believe them.

use super::belief::title;
use super::plain::count;
use super::screen::{Line, plain, render as paint};
use super::text::{belief_lines, claims, saved_lines};
use super::{Exporter, View, export, json, markdown};
use crate::model::summary::{Claim, Summary, VerdictWord};

/// Every format of `map-trace check`.
pub const FORMATS: [Exporter; 4] = [
    Exporter {
        name: "text",
        about: "every verdict and its first counter-example",
        render,
    },
    Exporter {
        name: "json",
        about: "the summary document, for programs (docs/schema/summary.schema.json)",
        render: json::render,
    },
    Exporter {
        name: "junit",
        about: "a test case a claim, for CI servers",
        render: |summary, _| export::junit::export(summary),
    },
    Exporter {
        name: "markdown",
        about: "tables for a pull request or an issue",
        render: markdown::render,
    },
];

/// Renders every claim, whatever the number.
pub fn render(summary: &Summary, view: &View<'_>) -> Vec<u8> {
    let mut lines: Vec<Line> = vec![plain(format!("map-trace: {}", title(summary, 50)))];
    lines.push(Line::new());
    lines.extend(claims(&summary.claims, usize::MAX));
    lines.push(Line::new());
    lines.push(plain(format!("  {}", tally(&summary.claims))));
    lines.extend(belief_lines(summary));
    if let Some(saved) = view.saved {
        lines.extend(saved_lines(summary, saved));
    }
    paint(&lines, view.color)
}

/// `12 claims as expected, 1 not, 2 inconclusive`
fn tally(claims: &[Claim]) -> String {
    let open = |claim: &&Claim| {
        claim.verdict == VerdictWord::Inconclusive && claim.expected != VerdictWord::Inconclusive
    };
    let well = claims.iter().filter(|claim| claim.verdict == claim.expected).count();
    let open = claims.iter().filter(open).count();
    let not = claims.len() - well - open;
    format!("{} as expected, {not} not, {open} inconclusive", count(well as u64, "claim"))
}
