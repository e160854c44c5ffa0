//! `map-trace doctor`: the table of prerequisites, as text and as JSON.

use serde_json::json;

use super::plain::clean;
use crate::model::check::{Check, CheckState};

/// One line a check, its remedy below it, and a last line that says whether tracing works.
pub fn text(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let state = word(check.state);
        let line = format!("{state:<9} {:<width$}  {}", check.name, check.found);
        push_line(&mut out, line.trim_end());
        if check.state != CheckState::Ok {
            push_line(
                &mut out,
                &format!("{:10}{:width$}  needed for: {}", "", "", check.needed_for),
            );
        }
        if let Some(fix) = &check.fix {
            push_line(&mut out, &format!("{:10}{:width$}  fix: {fix}", "", ""));
        }
    }
    push_line(&mut out, &verdict(checks));
    out
}

/// The same as a JSON document.
pub fn json(checks: &[Check]) -> String {
    let ready = count(checks, CheckState::Missing) == 0;
    let document = json!({
        "schema": "map-trace/doctor/1",
        "ready": ready,
        "checks": checks,
    });
    let mut text = format!("{document:#}");
    text.push('\n');
    text
}

const fn word(state: CheckState) -> &'static str {
    match state {
        CheckState::Ok => "ok",
        CheckState::Degraded => "degraded",
        CheckState::Missing => "missing",
    }
}

fn count(checks: &[Check], state: CheckState) -> usize {
    checks.iter().filter(|check| check.state == state).count()
}

fn verdict(checks: &[Check]) -> String {
    let (missing, degraded) = (
        count(checks, CheckState::Missing),
        count(checks, CheckState::Degraded),
    );
    match (missing, degraded) {
        (0, 0) => "Tracing works, with everything.".into(),
        (0, _) => format!("Tracing works; {degraded} of {} degraded.", checks.len()),
        _ => format!(
            "Tracing does not work: {missing} of {} missing.",
            checks.len()
        ),
    }
}

/// Appends a line, safe for a terminal.
fn push_line(out: &mut String, line: &str) {
    out.push_str(&clean(line));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, state: CheckState, fix: Option<&str>) -> Check {
        Check {
            name: name.into(),
            state,
            found: "found\x1b[31m".into(),
            needed_for: "a thing".into(),
            fix: fix.map(Into::into),
        }
    }

    #[test]
    fn each_check_is_a_line_with_its_remedy_below_and_no_terminal_escapes() {
        let checks = [
            check("privilege", CheckState::Ok, None),
            check("btf", CheckState::Missing, Some("another kernel")),
            check("tracefs", CheckState::Degraded, Some("mount it")),
        ];
        assert_eq!(
            text(&checks),
            "ok        privilege  found\u{fffd}[31m\n\
             missing   btf        found\u{fffd}[31m\n\
             \x20                    needed for: a thing\n\
             \x20                    fix: another kernel\n\
             degraded  tracefs    found\u{fffd}[31m\n\
             \x20                    needed for: a thing\n\
             \x20                    fix: mount it\n\
             Tracing does not work: 1 of 3 missing.\n"
        );
    }

    #[test]
    fn the_last_line_and_ready_agree() {
        let degraded = [check("go", CheckState::Degraded, Some("x"))];
        assert!(text(&degraded).ends_with("Tracing works; 1 of 1 degraded.\n"));
        assert!(json(&degraded).contains("\"ready\": true"));
        let missing = [check("btf", CheckState::Missing, Some("x"))];
        assert!(json(&missing).contains("\"ready\": false"));
        assert!(text(&[]).ends_with("with everything.\n"));
    }

    #[test]
    fn the_json_reads_back() {
        let checks = vec![check("go", CheckState::Ok, None)];
        let value: serde_json::Value = serde_json::from_str(&json(&checks)).unwrap();
        let back: Vec<Check> = serde_json::from_value(value["checks"].clone()).unwrap();
        assert_eq!(back, checks);
    }
}
