//! Every claim on a terminal: its verdicts, its words, and why.

use super::{Column, Tally, columns, telling, word};
use crate::claim::proof::{Proof, ProofClaim, ProofVerdict, Turn};
use crate::model::summary::VerdictWord;
use crate::output::plain::{clean, count};
use crate::output::screen::{Line, Tone, WIDTH, plain, render as paint, span};

/// Columns of an id, and of a verdict.
const ID: usize = 8;
const VERDICT: usize = 13;

pub fn render(proof: &Proof, color: bool) -> Vec<u8> {
    let mut lines: Vec<Line> = vec![plain(format!("map-trace: {}", title(proof))), Line::new()];
    lines.push(plain(format!(
        "  {:ID$}{:VERDICT$}{:VERDICT$}",
        "claim", "classic", "swiss"
    )));
    lines.extend(proof.claims.iter().flat_map(claim));
    if !proof.counterfactuals.is_empty() {
        lines.push(Line::new());
        lines.extend(turns(&proof.counterfactuals));
    }
    let problems: Vec<Line> = proof
        .experiments
        .iter()
        .filter_map(|run| {
            let go = run
                .go
                .as_ref()
                .map_or_else(String::new, |go| format!(" (Go {go})"));
            let why = run.problem.as_ref()?;
            Some(plain(format!("  {}{go}: {}", run.name, clean(why))))
        })
        .collect();
    if !problems.is_empty() {
        lines.push(Line::new());
        lines.push(plain("  Experiments that are no evidence"));
        lines.extend(problems);
    }
    for note in &proof.notes {
        lines.extend(
            wrapped(&clean(note))
                .into_iter()
                .map(|line| plain(format!("  {line}"))),
        );
    }
    lines.push(Line::new());
    lines.push(plain(format!("  {}", tally(proof))));
    paint(&lines, color)
}

fn title(proof: &Proof) -> String {
    let gos: Vec<String> = proof
        .toolchains
        .iter()
        .map(|one| format!("Go {} ({})", one.version, one.maps))
        .collect();
    let gos = if gos.is_empty() {
        "no Go".to_owned()
    } else {
        gos.join(", ")
    };
    format!(
        "{} judged with {gos}, {} runs, {:.1} s",
        count(proof.claims.len() as u64, "claim"),
        proof.experiments.len(),
        proof.duration_ms as f64 / 1000.0
    )
}

fn claim(claim: &ProofClaim) -> Vec<Line> {
    let unexpected = |maps: &str| {
        claim
            .verdicts
            .iter()
            .any(|one: &ProofVerdict| one.maps.is_none_or(|own| own == maps) && one.is_unexpected())
    };
    let mut line = vec![plain_span(format!("  {:ID$}", clean(&claim.id)))];
    for (column, maps) in columns(claim).into_iter().zip(["classic", "swiss"]) {
        let wrong = unexpected(maps);
        let mark = if wrong { "!" } else { "" };
        let tone = match column {
            _ if wrong => Tone::Bad,
            Column::All(VerdictWord::Inconclusive) => Tone::Doubtful,
            Column::All(_) => Tone::Good,
            _ => Tone::Plain,
        };
        line.push(span(
            tone,
            format!("{:VERDICT$}", format!("{}{mark}", column.word())),
        ));
    }
    let indent = 2 + ID + 2 * VERDICT;
    let mut statement = wrap_to(&clean(&claim.statement), WIDTH - indent).into_iter();
    line.push(plain_span(statement.next().unwrap_or_default()));
    let mut lines = vec![line];
    lines.extend(statement.map(|rest| plain(format!("{:indent$}{rest}", ""))));
    if let Some(one) = telling(claim) {
        let go = match &one.go {
            Some(go) if claim.verdicts.len() > 1 => format!("Go {go}: "),
            _ => String::new(),
        };
        let expected = match one.expected {
            Some(expected) if one.is_unexpected() => format!(" (expected {})", word(expected)),
            _ => String::new(),
        };
        let why = format!("{go}{}{expected}", clean(&one.reason));
        let room = WIDTH - indent - 2;
        lines.extend(
            wrap_to(&why, room)
                .into_iter()
                .take(3)
                .map(|rest| plain(format!("{:indent$}  {rest}", ""))),
        );
    }
    lines
}

fn turns(turns: &[Turn]) -> Vec<Line> {
    let held = turns.iter().filter(|turn| turn.held).count();
    let mut lines = vec![plain(format!(
        "  Counterfactuals: {held} of {} as they must be",
        turns.len()
    ))];
    for turn in turns.iter().filter(|turn| !turn.held) {
        let must = if turn.must_turn { "turn round" } else { "stay" };
        let go = turn
            .go
            .as_ref()
            .map_or_else(String::new, |go| format!(" (Go {go})"));
        let text = format!(
            "{} must {must} on {}{go}: {} there, {} here: {}",
            turn.claim,
            turn.run,
            word(turn.before),
            word(turn.after),
            turn.reason
        );
        let tone = if turn.is_open() {
            Tone::Doubtful
        } else {
            Tone::Bad
        };
        for (number, line) in wrapped(&clean(&text)).into_iter().enumerate() {
            let lead = if number == 0 { "    " } else { "      " };
            lines.push(vec![span(tone, format!("{lead}{line}"))]);
        }
    }
    lines
}

fn tally(proof: &Proof) -> String {
    let tally = Tally::of(proof);
    let mut parts = vec![
        format!("{} supported", tally.supported),
        format!("{} refuted", tally.refuted),
    ];
    if tally.by_version > 0 {
        parts.push(format!("{} by version", tally.by_version));
    }
    parts.push(format!("{} open", tally.open));
    format!(
        "{}: {}; {} not as the catalogue expects",
        count(proof.claims.len() as u64, "claim"),
        parts.join(", "),
        tally.unexpected
    )
}

fn plain_span(text: String) -> crate::output::screen::Span {
    span(Tone::Plain, text)
}

fn wrapped(text: &str) -> Vec<String> {
    wrap_to(text, WIDTH - 6)
}

/// Lines of at most so many characters, broken at blanks; a longer word stands alone and is cut by the screen.
fn wrap_to(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
