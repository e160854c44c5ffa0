//! Claims as JUnit test cases: one that did not come out as expected fails, an inconclusive one is skipped.

use std::fmt::Write;

use crate::model::summary::{Claim, Summary, VerdictWord};
use crate::output::html::escape;
use crate::output::plain::command;

pub fn export(summary: &Summary) -> Vec<u8> {
    let claims = &summary.claims;
    let count = |test: fn(&Claim) -> bool| claims.iter().filter(|claim| test(claim)).count();
    let suite = escape(&command(&summary.program.argv, 100));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"map-trace\">\n\
         <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
        claims.len(),
        count(fails),
        count(is_open)
    );
    for claim in claims {
        let _ = write!(
            out,
            "<testcase classname=\"{suite}\" name=\"{}\"",
            escape(if claim.statement.is_empty() {
                &claim.id
            } else {
                &claim.statement
            })
        );
        let reason = escape(&claim.reason);
        if is_open(claim) {
            let _ = writeln!(out, "><skipped message=\"{reason}\"/></testcase>");
        } else if fails(claim) {
            let first = claim
                .evidence
                .first()
                .and_then(|evidence| evidence.get("text")?.as_str());
            let text = escape(first.unwrap_or_default());
            let _ = writeln!(
                out,
                "><failure message=\"{reason}\">{text}</failure></testcase>"
            );
        } else {
            out.push_str("/>\n");
        }
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out.into_bytes()
}

fn is_open(claim: &Claim) -> bool {
    claim.verdict == VerdictWord::Inconclusive && claim.expected != VerdictWord::Inconclusive
}

fn fails(claim: &Claim) -> bool {
    claim.verdict != claim.expected && !is_open(claim)
}
