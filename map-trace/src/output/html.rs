//! One page to keep or to send: no scripts, nothing loaded from elsewhere.

use std::fmt::Write;

use super::answer::answer;
use super::belief::{cost, remarks, title};
use super::markdown::{stall, verdict};
use super::plain::{clean, number, percent};
use super::screen::Tone;
use super::table::table;
use super::{View, runtime, watched};
use crate::model::summary::{Summary, VerdictWord};

const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}
table{border-collapse:collapse}
th,td{padding:.2rem .8rem .2rem 0;text-align:right;vertical-align:top;border-bottom:1px solid #8884}
th:first-child,td:first-child,.words th,.words td{text-align:left}
td.sub{padding-left:1.4rem}
meter{width:14rem}
.good{color:#1a7f37}.doubtful{color:#9a6700}.bad{color:#cf222e;font-weight:600}
footer{margin-top:2rem;color:#777;font-size:.85rem}
";

/// Renders the page.
pub fn render(summary: &Summary, _: &View<'_>) -> Vec<u8> {
    let title = escape(&title(summary, 80));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>map-trace: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for line in runtime::fatal_errors(summary) {
        let _ = writeln!(out, "<p class=\"bad\">{}</p>", escape(&line));
    }
    claims(&mut out, summary);
    facts(&mut out, summary);
    operations(&mut out, summary);
    causes(&mut out, summary);
    memory(&mut out, summary);
    of_runtime(&mut out, summary);
    evidence(&mut out, summary);
    host(&mut out, summary);
    out.push_str("</body>\n</html>\n");
    out.into_bytes()
}

fn claims(out: &mut String, summary: &Summary) {
    if summary.claims.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Claims</h2>\n<table class=\"words\">\n<tr><th>verdict<th>claim<th>reason</tr>\n",
    );
    for claim in &summary.claims {
        let class = match claim.verdict {
            VerdictWord::Supported => "good",
            VerdictWord::Refuted => "bad",
            VerdictWord::Inconclusive => "doubtful",
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"{class}\">{}<td>{}<td>{}</tr>",
            verdict(claim.verdict),
            escape(&claim.statement),
            escape(&claim.reason)
        );
    }
    out.push_str("</table>\n");
}

fn facts(out: &mut String, summary: &Summary) {
    let answer = answer(summary);
    let _ = writeln!(out, "<h2>{}</h2>\n<table class=\"words\">", answer.heading);
    for fact in answer.facts {
        let _ = writeln!(
            out,
            "<tr><th>{}<td>{}<td>{}</tr>",
            fact.name,
            fact.value,
            escape(&fact.phrase())
        );
    }
    out.push_str("</table>\n");
}

fn operations(out: &mut String, summary: &Summary) {
    let table = table(summary);
    out.push_str("<h2>Operations</h2>\n");
    if !table.rows.is_empty() {
        out.push_str("<table>\n<tr>");
        for head in &table.head {
            let _ = write!(out, "<th>{head}");
        }
        out.push_str("</tr>\n");
        for row in &table.rows {
            let class = if row.sub { " class=\"sub\"" } else { "" };
            let _ = write!(out, "<tr><td{class}>{}", escape(&row.name));
            for cell in &row.cells {
                let _ = write!(out, "<td>{cell}");
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</table>\n");
    }
    if !table.folded.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escape(&table.folded.join(" ")));
    }
}

fn causes(out: &mut String, summary: &Summary) {
    let total = summary.events.page_fault;
    let seen: Vec<_> = summary
        .causes
        .iter()
        .filter(|(_, count)| **count > 0)
        .collect();
    if seen.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Causes of page faults</h2>\n<table>\n<tr><th>cause<th>faults<th>share<th>stall p50 / p99<th></tr>\n",
    );
    for (cause, count) in seen {
        let _ = writeln!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td><meter max=\"{}\" value=\"{count}\"></meter></tr>",
            cause.word(),
            number(*count),
            percent(*count, total),
            stall(summary, *cause),
            total.max(1)
        );
    }
    out.push_str("</table>\n");
}

fn memory(out: &mut String, summary: &Summary) {
    if summary.watched.is_empty() {
        return;
    }
    out.push_str("<h2>Watched memory</h2>\n<dl>\n");
    for item in watched::told(summary) {
        let _ = writeln!(out, "<dt>{}</dt>", escape(&item.heading));
        for fact in item.facts {
            let _ = writeln!(out, "<dd>{}</dd>", escape(&fact));
        }
    }
    out.push_str("</dl>\n");
}

fn of_runtime(out: &mut String, summary: &Summary) {
    let said = runtime::said(summary);
    if said.is_empty() {
        return;
    }
    out.push_str("<h2>Go's runtime</h2>\n<ul>\n");
    for phrase in said {
        let _ = writeln!(out, "<li>{}</li>", escape(&phrase));
    }
    out.push_str("</ul>\n");
}

fn evidence(out: &mut String, summary: &Summary) {
    out.push_str("<h2>Evidence</h2>\n<ul>\n");
    for remark in remarks(summary) {
        let class = if remark.tone == Tone::Bad {
            " class=\"bad\""
        } else {
            ""
        };
        let _ = writeln!(out, "<li{class}>{}</li>", escape(&remark.text));
    }
    if let Some(cost) = cost(summary) {
        let _ = writeln!(out, "<li>{cost}</li>");
    }
    out.push_str("</ul>\n");
    if summary.controls.is_empty() {
        return;
    }
    out.push_str("<table>\n<tr><th>control<th>expected<th>seen<th></tr>\n");
    for control in &summary.controls {
        let (class, word) = if control.passed {
            ("good", "exact")
        } else {
            ("bad", "failed")
        };
        let _ = writeln!(
            out,
            "<tr><td>{}<td>{}<td>{}<td class=\"{class}\">{word}</tr>",
            escape(&control.name),
            number(control.expected),
            number(control.seen)
        );
    }
    out.push_str("</table>\n");
}

fn host(out: &mut String, summary: &Summary) {
    let host = &summary.host;
    let _ = writeln!(
        out,
        "<footer>Recorded {} on Linux {}, {}, {} CPUs. Not covered: see docs/limitations.md.</footer>",
        escape(&summary.started),
        escape(&host.kernel),
        escape(&host.cpu),
        host.cpus
    );
}

/// Text that HTML shows as it is, in an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::new();
    for c in clean(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
