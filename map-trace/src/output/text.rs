//! The one screen: the answer first, then why it can be believed, then where to look.
//!
//! At most 24 lines of 100 columns, whatever the summary holds; what does not fit is said to be left out.

mod claims;

use std::fmt::Write;

use claims::claims;

use super::answer::answer;
use super::belief::{cost, remarks, title};
use super::plain::{bytes, clean, shorten};
use super::screen::{Line, Tone, plain, render as paint, span};
use super::table::{Row, Table, table};
use super::{View, plain as words, runtime, watched};
use crate::model::summary::Summary;
use crate::trace::SavedTrace;

/// Lines of the screen at most.
const LINES: usize = 24;
/// How much of the summary to show.
#[derive(Clone, Copy)]
struct Budget {
    claim_lines: usize,
    rows: usize,
    /// Blank lines between the parts; with all of them, each note has a line of its own.
    blanks: usize,
}

/// As many blank lines as there are parts, or more.
const AIRY: usize = 5;

/// Budgets to try until the screen fits.
const BUDGETS: [Budget; 11] = [
    budget(30, 30, AIRY),
    budget(12, 10, AIRY),
    budget(8, 8, AIRY),
    budget(8, 8, 2),
    budget(6, 6, 2),
    budget(6, 4, 2),
    budget(4, 3, 2),
    budget(6, 4, 1),
    budget(4, 3, 1),
    budget(4, 2, 1),
    budget(2, 1, 1),
];

const fn budget(claim_lines: usize, rows: usize, blanks: usize) -> Budget {
    Budget {
        claim_lines,
        rows,
        blanks,
    }
}

/// Renders the screen.
pub fn render(summary: &Summary, view: &View<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    for budget in BUDGETS {
        lines = screen(summary, view, budget);
        if lines.len() <= LINES {
            break;
        }
    }
    paint(&lines, view.color)
}

fn screen(summary: &Summary, view: &View<'_>, budget: Budget) -> Vec<Line> {
    let mut parts = vec![answer_lines(summary), table_lines(summary, budget)];
    if !summary.claims.is_empty() {
        parts.insert(0, claims(&summary.claims, budget.claim_lines));
    }
    let fatal = fatal_lines(summary, budget.rows);
    if !fatal.is_empty() {
        parts.insert(0, fatal);
    }
    if !summary.watched.is_empty() {
        parts.push(watched_lines(summary, budget.rows));
    }
    let mut end = belief_lines(summary);
    end.extend(notes(summary, budget.blanks >= AIRY));
    parts.push(end);
    if let Some(saved) = view.saved {
        parts.push(saved_lines(summary, saved));
    }
    let mut lines = vec![plain(format!("map-trace: {}", title(summary, 50)))];
    for (index, part) in parts.into_iter().enumerate() {
        if index < budget.blanks {
            lines.push(Line::new());
        }
        lines.extend(part);
    }
    lines
}

/// How the program ended, when it ended itself.
fn fatal_lines(summary: &Summary, most: usize) -> Vec<Line> {
    let errors = runtime::fatal_errors(summary);
    let mut lines: Vec<Line> = errors
        .iter()
        .take(most)
        .map(|line| {
            let line = shorten(line, super::screen::WIDTH - 2);
            vec![span(Tone::Plain, "  "), span(Tone::Bad, line)]
        })
        .collect();
    let left_out = errors.len().saturating_sub(most);
    if left_out > 0 {
        lines.push(plain(format!("  and {left_out} more, in --format json")));
    }
    lines
}

/// What Go's runtime did of its own.
fn runtime_line(summary: &Summary) -> Option<Line> {
    let said = runtime::said(summary);
    let line = shorten(
        &format!("  runtime: {}", said.join("; ")),
        super::screen::WIDTH,
    );
    (!said.is_empty()).then(|| plain(line))
}

/// As many of the watched things as rows of the table.
fn watched_lines(summary: &Summary, rows: usize) -> Vec<Line> {
    let told = watched::told(summary);
    let left_out = told.len().saturating_sub(rows);
    let mut lines = Vec::new();
    for item in told.into_iter().take(rows) {
        lines.push(plain(format!("  watched {}", item.heading)));
        lines.extend(item.facts.iter().map(|fact| plain(format!("    {fact}"))));
    }
    if left_out > 0 {
        lines.push(plain(format!("    and {left_out} more, in --format json")));
    }
    lines
}

fn notes(summary: &Summary, airy: bool) -> Vec<Line> {
    const LIMITS: &str = "see docs/limitations.md";
    match (cost(summary), airy) {
        (Some(cost), false) => vec![plain(format!("  Cost: {cost}; not covered: {LIMITS}"))],
        (cost, _) => cost
            .map(|cost| format!("  Cost: {cost}"))
            .into_iter()
            .chain([format!(
                "  Not covered: {LIMITS} (pkru writes, other processes' process_madvise)"
            )])
            .map(plain)
            .collect(),
    }
}

pub(super) fn saved_lines(summary: &Summary, saved: &SavedTrace) -> Vec<Line> {
    let path = clean(&saved.path.display().to_string());
    let saved = format!("  saved {path} ({})", bytes(saved.bytes));
    let top = summary.causes.iter().max_by_key(|(_, count)| **count);
    let explain = match top {
        Some((cause, count)) if *count > 0 => format!("   map-trace explain {}", cause.word()),
        _ => String::new(),
    };
    let next = format!("next: map-trace report {path}{explain}");
    if saved.chars().count() + next.chars().count() + 3 <= super::screen::WIDTH {
        return vec![plain(format!("{saved}   {next}"))];
    }
    vec![plain(saved), plain(format!("  {next}"))]
}

fn answer_lines(summary: &Summary) -> Vec<Line> {
    let answer = answer(summary);
    let mut lines = vec![plain(format!("  {}", answer.heading))];
    let width = answer
        .facts
        .iter()
        .map(|fact| fact.value.chars().count())
        .max()
        .unwrap_or(0);
    for fact in answer.facts {
        let start = if fact.value.is_empty() {
            format!("    {:<15} ", fact.name)
        } else {
            format!("    {:<15} {:>width$}   ", fact.name, fact.value)
        };
        let indent = start.chars().count();
        let phrase = fact.phrase();
        if indent + phrase.chars().count() <= super::screen::WIDTH {
            lines.push(plain(format!("{start}{phrase}")));
        } else {
            lines.push(plain(format!("{start}{}", fact.meaning)));
            lines.push(plain(format!("{:indent$}{}", "", fact.detail)));
        }
    }
    lines
}

/// How long faults took, of the causes that were seen most.
fn stall_line(summary: &Summary) -> Option<Line> {
    const MOST: usize = 3;
    let mut stalls: Vec<_> = summary.cause_stalls.iter().collect();
    stalls.sort_by_key(|(cause, _)| std::cmp::Reverse(summary.causes.get(cause)));
    let said = stalls.iter().take(MOST).map(|(cause, stall)| {
        let (p50, p99) = (words::duration(stall.p50_ns), words::duration(stall.p99_ns));
        format!("{} {p50} / {p99}", cause.word())
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| plain(format!("  stall p50 / p99: {}", said.join(", "))))
}

/// The operations table and the sentence about what is not in it.
fn table_lines(summary: &Summary, budget: Budget) -> Vec<Line> {
    let table = table(summary);
    let mut lines = Vec::new();
    if !table.rows.is_empty() {
        let (rows, left_out) = some_rows(&table, budget.rows);
        lines.extend(aligned(&table.head, &rows));
        if left_out > 0 {
            let more = words::count(left_out as u64, "more operation");
            lines.push(plain(format!("  … {more}: map-trace report --format json")));
        }
    }
    if budget.blanks >= AIRY {
        lines.extend(stall_line(summary));
    }
    if budget.blanks > 1 {
        lines.extend(runtime_line(summary));
    }
    let folded = table.folded.join(" ");
    if folded.chars().count() + 2 <= super::screen::WIDTH {
        lines.extend((!folded.is_empty()).then(|| plain(format!("  {folded}"))));
    } else {
        lines.extend(
            table
                .folded
                .iter()
                .map(|sentence| plain(format!("  {sentence}"))),
        );
    }
    lines
}

/// At most `most` rows: parts go first, then the rows with the fewest faults, and the last (`none`) only before the first.
fn some_rows(table: &Table, most: usize) -> (Vec<&Row>, usize) {
    if table.rows.len() <= most {
        return (table.rows.iter().collect(), 0);
    }
    let whole: Vec<_> = table.rows.iter().filter(|row| !row.sub).collect();
    let left_out = whole.len().saturating_sub(most);
    if left_out == 0 {
        return (whole, 0);
    }
    let first = most.saturating_sub(1).max(1);
    let last = whole.last().filter(|_| first < most);
    let rows = whole.iter().take(first).chain(last).copied();
    (rows.collect(), left_out)
}

fn aligned(head: &[String], rows: &[&Row]) -> Vec<Line> {
    let name = |row: &Row| {
        if row.sub {
            format!("  └ {}", row.name)
        } else {
            row.name.clone()
        }
    };
    let names = rows.iter().map(|row| name(row).chars().count());
    let first = names.max().unwrap_or(0).max("operation".len());
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(column));
        let all = cells.chain(head.get(column + 1));
        all.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |name: &str, cells: &[String]| {
        let mut text = format!("  {name:<first$}");
        for (column, cell) in cells.iter().enumerate() {
            let _ = write!(text, "  {cell:>width$}", width = width(column));
        }
        plain(text)
    };
    let mut lines = Vec::new();
    if let [head, cells @ ..] = head {
        lines.push(line(head, cells));
    }
    lines.extend(rows.iter().map(|row| line(&name(row), &row.cells)));
    lines
}

/// The remarks as `Evidence: a; b`, broken into lines that fit.
pub(super) fn belief_lines(summary: &Summary) -> Vec<Line> {
    const INDENT: &str = "            ";
    let mut lines = Vec::new();
    let mut line = plain("  Evidence: ");
    let mut used = INDENT.len();
    for remark in remarks(summary) {
        let text = shorten(&remark.text, super::screen::WIDTH - INDENT.len() - 1);
        let length = text.chars().count();
        if line.len() > 1 {
            line.push(span(Tone::Plain, ";"));
            if used + length + 3 > super::screen::WIDTH {
                lines.push(std::mem::replace(&mut line, plain(INDENT)));
                used = INDENT.len();
            } else {
                line.push(span(Tone::Plain, " "));
                used += 2;
            }
        }
        line.push(span(remark.tone, text));
        used += length;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    fn shown(summary: &Summary, view: &View<'_>) -> String {
        String::from_utf8(render(summary, view)).unwrap()
    }

    #[test]
    fn the_screen_is_at_most_24_lines_of_100_columns() {
        let saved = SavedTrace {
            path: "a/rather/long/place/".repeat(20).into(),
            bytes: u64::MAX,
        };
        for (sample, summary) in samples::all().into_iter().chain([
            ("hostile", samples::hostile()),
            ("crowded", samples::crowded()),
        ]) {
            for saved in [None, Some(&saved)] {
                let text = shown(
                    &summary,
                    &View {
                        color: false,
                        saved,
                    },
                );
                assert!(text.lines().count() <= LINES, "{sample}:\n{text}");
                for line in text.lines() {
                    assert!(line.chars().count() <= 100, "{sample}: {line}");
                    assert!(!line.ends_with(' '), "{sample}: {line}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_coloured_when_all_is_well_and_nobody_judged() {
        let view = View {
            color: true,
            saved: None,
        };
        assert!(!shown(&samples::go_growth(), &view).contains('\x1b'));
    }

    #[test]
    fn losses_verdicts_and_failed_controls_are_coloured_and_nothing_else() {
        let view = View {
            color: true,
            saved: None,
        };
        let text = shown(&samples::refuted(), &view);
        let coloured: Vec<_> = text
            .split('\x1b')
            .filter(|piece| !piece.starts_with("[0m"))
            .skip(1)
            .map(|piece| piece.split_once('m').unwrap().1)
            .collect();
        insta::assert_snapshot!(coloured.join("\n"), @r"
        refuted
        inconclusive
        supported
        witnesses disagree: 38,311 faults, perf 38,311, 38,311 minor + 0 major
        lost: 12 dropped
        control read-only-write failed: 0 of 50 seen, which voids claims about refused writes
        ");
        let plain = shown(&samples::refuted(), &View::default());
        assert!(!plain.contains('\x1b'));
    }

    #[test]
    fn of_one_row_it_is_the_one_with_the_most_faults() {
        let table = table(&samples::go_growth());
        let (rows, left_out) = some_rows(&table, 1);
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!((names, left_out), (vec!["assign"], 3));
        let (rows, _) = some_rows(&table, 2);
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["assign", "none"]);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let text = shown(&samples::crowded(), &View::default());
        assert!(
            text.contains("more operations: map-trace report --format json"),
            "{text}"
        );
        assert!(
            text.contains("more claims: map-trace report --format json"),
            "{text}"
        );
    }
}
