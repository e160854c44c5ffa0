//! Verdicts alone, for `map-trace check`: every claim, then why to believe them.

use super::belief::title;
use super::markdown::verdict;
use super::plain::{clean, count};
use super::screen::{Line, Tone, WIDTH, plain, render as paint, span};
use super::text::{belief_lines, saved_lines};
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

/// Column at which what is said of a claim goes on in the next line.
const INDENT: usize = 16;
/// Columns kept for a statement, so that short ones line up.
const STATEMENT: usize = 38;

/// Renders every claim, whatever the number: refuted ones first, each with its first counter-example.
pub fn render(summary: &Summary, view: &View<'_>) -> Vec<u8> {
    let mut lines: Vec<Line> = vec![plain(format!("map-trace: {}", title(summary, 50)))];
    lines.push(Line::new());
    let mut claims: Vec<_> = summary.claims.iter().collect();
    claims.sort_by_key(|claim| match claim.verdict {
        VerdictWord::Refuted => 0,
        VerdictWord::Inconclusive => 1,
        VerdictWord::Supported => 2,
    });
    lines.extend(claims.into_iter().flat_map(block));
    lines.push(Line::new());
    lines.push(plain(format!("  {}", tally(&summary.claims))));
    lines.extend(belief_lines(summary));
    if let Some(saved) = view.saved {
        lines.extend(saved_lines(summary, saved));
    }
    paint(&lines, view.color)
}

/// A claim in as many lines as it takes.
fn block(claim: &Claim) -> Vec<Line> {
    let (tone, word) = match claim.verdict {
        VerdictWord::Supported => (Tone::Good, "supported"),
        VerdictWord::Refuted => (Tone::Bad, "refuted"),
        VerdictWord::Inconclusive => (Tone::Doubtful, "inconclusive"),
    };
    let statement = match claim.statement.as_str() {
        "" => clean(&claim.id),
        statement => clean(statement),
    };
    let reason = match claim.verdict == claim.expected {
        true => clean(&claim.reason),
        false if claim.expected == VerdictWord::Supported => clean(&claim.reason),
        false => format!(
            "{}; expected {}",
            clean(&claim.reason),
            verdict(claim.expected)
        ),
    };
    let head = |rest: &str| {
        let pad = INDENT - 2 - word.len();
        let rest = format!("{:pad$}{rest}", "");
        vec![
            span(Tone::Plain, "  "),
            span(tone, word),
            span(Tone::Plain, rest),
        ]
    };
    let one = format!("{statement:<STATEMENT$}  {reason}");
    let mut lines = if INDENT + one.chars().count() <= WIDTH {
        vec![head(&one)]
    } else {
        let mut wrapped = wrap(&statement);
        let first = if wrapped.is_empty() {
            String::new()
        } else {
            wrapped.remove(0)
        };
        let rest = wrapped.into_iter().chain(wrap(&reason));
        let rest = rest.map(|line| plain(format!("{:INDENT$}{line}", "")));
        std::iter::once(head(&first)).chain(rest).collect()
    };
    if claim.verdict == VerdictWord::Refuted {
        lines.extend(counter_example(claim));
    }
    lines
}

fn counter_example(claim: &Claim) -> impl Iterator<Item = Line> {
    let first = claim.evidence.first();
    let of = move |key: &str| first.and_then(|first| first.get(key)?.as_str()).map(clean);
    let text = of("text").map(|text| wrap(&text)).unwrap_or_default();
    let gdb = of("gdb").map(|gdb| format!("gdb: {gdb}"));
    text.into_iter()
        .chain(gdb)
        .map(|line| plain(format!("{:INDENT$}{line}", "")))
}

/// Lines that fit behind the indent, broken at blanks; a word that is too long is cut by the screen.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if INDENT + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `12 claims as expected, 1 not, 2 inconclusive`
fn tally(claims: &[Claim]) -> String {
    let open = |claim: &&Claim| {
        claim.verdict == VerdictWord::Inconclusive && claim.expected != VerdictWord::Inconclusive
    };
    let well = claims
        .iter()
        .filter(|claim| claim.verdict == claim.expected)
        .count();
    let open = claims.iter().filter(open).count();
    let not = claims.len() - well - open;
    format!(
        "{} as expected, {not} not, {open} inconclusive",
        count(well as u64, "claim")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::output::samples;

    #[test]
    fn every_format_has_its_own_name_and_renders_every_sample() {
        let names: BTreeSet<_> = FORMATS.iter().map(|format| format.name).collect();
        assert_eq!(names.len(), FORMATS.len());
        let hostile = [
            ("hostile", samples::hostile()),
            ("crowded", samples::crowded()),
        ];
        for (sample, summary) in samples::all().into_iter().chain(hostile) {
            for format in &FORMATS {
                let text = String::from_utf8((format.render)(&summary, &View::default())).unwrap();
                let steers = |c: char| c.is_control() && c != '\n';
                assert!(
                    text.ends_with('\n') && !text.contains(steers),
                    "{sample}.{}",
                    format.name
                );
            }
        }
    }

    #[test]
    fn every_claim_is_told_in_full_and_no_line_is_too_long() {
        let mut summary = samples::crowded();
        let claims = summary.claims.len();
        summary.claims[0].reason = "a reason of many words ".repeat(20);
        let text = String::from_utf8(render(&summary, &View::default())).unwrap();
        let verdicts = ["  refuted", "  supported", "  inconclusive"];
        let told = text
            .lines()
            .filter(|line| verdicts.iter().any(|word| line.starts_with(word)));
        assert_eq!(told.count(), claims);
        assert_eq!(text.matches("many").count(), 20);
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
    }

    #[test]
    fn a_refuted_claim_shows_its_counter_example_and_where_to_stop() {
        let text = String::from_utf8(render(&samples::refuted(), &View::default())).unwrap();
        insta::assert_snapshot!(text);
    }
}
