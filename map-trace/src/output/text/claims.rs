//! What was claimed and judged, for the screen.

use crate::model::summary::{Claim, VerdictWord};
use crate::output::plain as words;
use crate::output::plain::{clean, shorten};
use crate::output::screen::{Line, Tone, plain, span};

/// One line a claim, refuted first; under a refuted one its first counter-example.
pub fn claims(claims: &[Claim], most: usize) -> Vec<Line> {
    let rank = |claim: &&Claim| match claim.verdict {
        VerdictWord::Refuted => 0,
        VerdictWord::Inconclusive => 1,
        VerdictWord::Supported => 2,
    };
    let mut ordered: Vec<_> = claims.iter().collect();
    ordered.sort_by_key(rank);
    let mut lines = Vec::new();
    let mut shown = 0;
    for claim in ordered {
        let block = claim_lines(claim);
        if lines.len() + block.len() > most && shown > 0 {
            break;
        }
        lines.extend(block);
        shown += 1;
    }
    if shown < claims.len() {
        let more = words::count((claims.len() - shown) as u64, "more claim");
        lines.push(plain(format!("  … {more}: map-trace report --format json")));
    }
    lines
}

fn claim_lines(claim: &Claim) -> Vec<Line> {
    let (tone, word) = match claim.verdict {
        VerdictWord::Supported => (Tone::Good, "supported"),
        VerdictWord::Refuted => (Tone::Bad, "refuted"),
        VerdictWord::Inconclusive => (Tone::Doubtful, "inconclusive"),
    };
    let statement = if claim.statement.is_empty() {
        &claim.id
    } else {
        &claim.statement
    };
    let mut lines = vec![vec![
        span(Tone::Plain, "  "),
        span(tone, word),
        span(
            Tone::Plain,
            format!(
                "{:pad$}{:<38}  {}",
                "",
                shorten(&clean(statement), 48),
                clean(&claim.reason),
                pad = 14 - word.len()
            ),
        ),
    ]];
    if claim.verdict == VerdictWord::Refuted {
        let first = claim.evidence.first();
        for key in ["text", "gdb"] {
            let text = first.and_then(|evidence| evidence.get(key)?.as_str());
            let label = if key == "gdb" { "gdb: " } else { "" };
            lines.extend(text.map(|text| plain(format!("{:16}{label}{}", "", clean(text)))));
        }
    }
    lines
}
