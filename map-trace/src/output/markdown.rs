//! Tables for a pull request or an issue (GitHub Flavored Markdown).

use std::fmt::Write;

use super::answer::answer;
use super::belief::{cost, remarks, title};
use super::plain::{clean, duration, number};
use super::screen::Tone;
use super::table::table;
use super::{View, runtime, watched};
use crate::model::Cause;
use crate::model::summary::{Summary, VerdictWord};

/// Renders the summary; claims first when there are any.
pub fn render(summary: &Summary, _: &View<'_>) -> Vec<u8> {
    let mut out = format!("# map-trace: {}\n\n", escape(&title(summary, 80)));
    if !summary.claims.is_empty() {
        let rows = summary.claims.iter().map(|claim| {
            vec![
                verdict(claim.verdict).to_owned(),
                escape(&claim.statement),
                escape(&claim.reason),
            ]
        });
        section(&mut out, "Claims", &["verdict", "claim", "reason"], rows);
    }
    for line in runtime::fatal_errors(summary) {
        let _ = writeln!(out, "**{}**\n", escape(&line));
    }
    let answer = answer(summary);
    let _ = writeln!(out, "## {}\n", answer.heading);
    for fact in answer.facts {
        let value = if fact.value.is_empty() { "" } else { ": " };
        let _ = writeln!(
            out,
            "- **{}**{value}{}; {}",
            fact.name,
            fact.value,
            escape(&fact.phrase())
        );
    }
    out.push('\n');
    operations(&mut out, summary);
    let causes: Vec<_> = summary
        .causes
        .iter()
        .filter(|(_, count)| **count > 0)
        .collect();
    if !causes.is_empty() {
        let rows = causes.into_iter().map(|(cause, count)| {
            vec![
                format!("`{}`", cause.word()),
                number(*count),
                stall(summary, *cause),
            ]
        });
        section(
            &mut out,
            "Causes of page faults",
            &["cause", "faults", "stall p50 / p99"],
            rows,
        );
    }
    if !summary.watched.is_empty() {
        out.push_str("## Watched memory\n\n");
        for item in watched::told(summary) {
            let _ = writeln!(out, "- {}", escape(&item.heading));
            for fact in item.facts {
                let _ = writeln!(out, "  - {}", escape(&fact));
            }
        }
        out.push('\n');
    }
    let runtime = runtime::said(summary);
    if !runtime.is_empty() {
        out.push_str("## Go's runtime\n\n");
        for phrase in runtime {
            let _ = writeln!(out, "- {}", escape(&phrase));
        }
        out.push('\n');
    }
    out.push_str("## Evidence\n\n");
    for remark in remarks(summary) {
        let mark = if remark.tone == Tone::Bad {
            "**!** "
        } else {
            ""
        };
        let _ = writeln!(out, "- {mark}{}", escape(&remark.text));
    }
    if let Some(cost) = cost(summary) {
        let _ = writeln!(out, "- {cost}");
    }
    let host = &summary.host;
    if !host.kernel.is_empty() {
        let _ = writeln!(
            out,
            "\nRecorded {} on Linux {}, {} ({} CPUs).",
            escape(&summary.started),
            escape(&host.kernel),
            escape(&host.cpu),
            host.cpus
        );
    }
    out.into_bytes()
}

fn operations(out: &mut String, summary: &Summary) {
    let table = table(summary);
    if !table.rows.is_empty() {
        let head: Vec<_> = table.head.iter().map(String::as_str).collect();
        let rows = table.rows.iter().map(|row| {
            let part = if row.sub { "└ " } else { "" };
            let mut cells = vec![format!("{part}{}", escape(&row.name))];
            cells.extend(row.cells.iter().cloned());
            cells
        });
        section(out, "Operations", &head, rows);
    }
    if !table.folded.is_empty() {
        let _ = writeln!(out, "{}\n", escape(&table.folded.join(" ")));
    }
}

fn section(out: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(out, "## {title}\n\n| {} |", head.join(" | "));
    let rule = head.iter().enumerate().map(|(index, name)| {
        let words = index == 0 || matches!(*name, "claim" | "reason");
        if words { "---" } else { "---:" }
    });
    let _ = writeln!(out, "| {} |", rule.collect::<Vec<_>>().join(" | "));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
}

/// How long faults of a cause took; empty when none was measured.
pub(super) fn stall(summary: &Summary, cause: Cause) -> String {
    let stalls = summary.cause_stalls.get(&cause);
    stalls.map_or_else(String::new, |stall| {
        format!("{} / {}", duration(stall.p50_ns), duration(stall.p99_ns))
    })
}

pub(super) const fn verdict(verdict: VerdictWord) -> &'static str {
    match verdict {
        VerdictWord::Supported => "supported",
        VerdictWord::Refuted => "refuted",
        VerdictWord::Inconclusive => "inconclusive",
    }
}

/// Text that Markdown shows as it is.
fn escape(text: &str) -> String {
    let mut safe = String::new();
    for c in clean(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '|' | '[' | ']' | '#' | '~' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    safe
}
