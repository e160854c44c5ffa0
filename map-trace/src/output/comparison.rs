//! One program under several conditions, as a table of what the conditions changed.

use super::html::escape;
use super::plain::{clean, command, count, number, shorten, status};
use super::screen::{Line, Tone, plain, render as paint, span};
use crate::compare::noise::LEAST_RUNS;
use crate::compare::{Comparison, Contrast, Finding, Row, Spread, Trials, Variable};
use crate::model::summary::Status;

/// Rows of a contrast shown; the document has all.
const MAX_ROWS: usize = 24;
/// Characters of a value shown.
const VALUE: usize = 20;

/// A format of a comparison.
pub struct ComparisonFormat {
    /// The word after `--format`.
    pub name: &'static str,
    pub about: &'static str,
    /// The bytes; in colour where the format and the place have it.
    pub render: fn(&Comparison, bool) -> Vec<u8>,
}

/// Every format of `map-trace compare`.
pub const FORMATS: [ComparisonFormat; 3] = [
    ComparisonFormat {
        name: "text",
        about: "a table for a terminal",
        render: text,
    },
    ComparisonFormat {
        name: "json",
        about: "everything, every run's counts too, for programs",
        render: |comparison, _| json(comparison),
    },
    ComparisonFormat {
        name: "markdown",
        about: "tables for a pull request or an issue",
        render: |comparison, _| markdown(comparison),
    },
];

/// The document.
pub fn json(comparison: &Comparison) -> Vec<u8> {
    super::json::document(comparison)
}

/// The tables of a terminal.
fn text(comparison: &Comparison, color: bool) -> Vec<u8> {
    let mut lines: Vec<Line> = vec![plain(format!(
        "map-trace compare: {}",
        headline(comparison)
    ))];
    for contrast in &comparison.contrasts {
        lines.push(Line::new());
        lines.extend(table(comparison, contrast));
    }
    lines.push(Line::new());
    for (tone, sentence) in remarks(comparison) {
        lines.push(vec![span(Tone::Plain, "  "), span(tone, sentence)]);
    }
    paint(&lines, color)
}

fn headline(comparison: &Comparison) -> String {
    let conditions = comparison.conditions.len() as u64;
    format!(
        "{}, {}, {} each",
        command(&comparison.argv, 50),
        count(conditions, "condition"),
        count(u64::from(comparison.repeat), "run")
    )
}

fn table(comparison: &Comparison, contrast: &Contrast) -> Vec<Line> {
    let [from, to] = values(comparison, contrast);
    let variable = shorten(&clean(contrast.variable.name()), VALUE);
    let mut lines = vec![plain(format!(
        "  {variable}: {from} against {to}{}",
        others(comparison, contrast)
    ))];
    let shown: Vec<_> = shown(contrast).collect();
    let cells: Vec<[String; 3]> = shown
        .iter()
        .map(|row| [cell(&row.from), cell(&row.to), change(row)])
        .collect();
    let width = |column: usize, head: &str| {
        let lengths = cells.iter().filter_map(|row| row.get(column));
        lengths
            .map(|text| text.chars().count())
            .chain([head.chars().count()])
            .max()
            .unwrap_or(0)
    };
    let [a, b, by] = [width(0, &from), width(1, &to), width(2, "change")];
    if !shown.is_empty() {
        lines.push(plain(format!(
            "  {:<14}{:<17}{from:>a$}  {to:>b$}  {:>by$}",
            "operation", "event", "change"
        )));
    }
    for (row, [left, right, by_much]) in shown.iter().zip(&cells) {
        let operation = shorten(&clean(&row.operation), 13);
        let event = shorten(&clean(&row.event), 16);
        let mark = match row.finding {
            Finding::Unjudged => "  not judged",
            _ => "",
        };
        lines.push(plain(format!(
            "  {operation:<14}{event:<17}{left:>a$}  {right:>b$}  {by_much:>by$}{mark}"
        )));
    }
    lines.extend(
        rest(contrast)
            .into_iter()
            .map(|rest| plain(format!("  {rest}"))),
    );
    lines
}

/// The rows worth showing: what is attributed, or what would be if it were judged.
fn shown(contrast: &Contrast) -> impl Iterator<Item = &Row> {
    let found = contrast.found(Finding::Attributed);
    found
        .chain(contrast.found(Finding::Unjudged))
        .take(MAX_ROWS)
}

/// How a variable's values in a contrast read.
fn values(comparison: &Comparison, contrast: &Contrast) -> [String; 2] {
    [contrast.from, contrast.to].map(|number| {
        let trials = comparison.conditions.get(number);
        let value = trials.and_then(|trials| own_value(trials, &contrast.variable));
        shorten(&clean(&value.unwrap_or_default()), VALUE)
    })
}

fn own_value(trials: &Trials, variable: &Variable) -> Option<String> {
    let mut settings = trials.condition.settings.iter();
    let setting = settings.find(|setting| setting.variable == *variable)?;
    let said = variable.say(&setting.value);
    // A variable of the environment that is varied between paths or versions says the same in its program.
    match trials.runs.first().and_then(|run| run.program.as_ref()) {
        Some(program) if *variable == Variable::Go => Some(program.clone()),
        _ => Some(said),
    }
}

/// ` (with B=1)`: what the other variables are in both.
fn others(comparison: &Comparison, contrast: &Contrast) -> String {
    let trials = comparison.conditions.get(contrast.from);
    let settings = trials
        .into_iter()
        .flat_map(|trials| &trials.condition.settings);
    let others: Vec<_> = settings
        .filter(|setting| setting.variable != contrast.variable)
        .map(|setting| clean(&setting.say()))
        .collect();
    match others[..] {
        [] => String::new(),
        _ => format!(" (with {})", shorten(&others.join(", "), 40)),
    }
}

/// `38`, or `38 [37..41]` when the runs differ.
fn cell(spread: &Spread) -> String {
    let median = number(spread.median);
    if spread.min == spread.max {
        return median;
    }
    format!("{median} [{}..{}]", number(spread.min), number(spread.max))
}

fn change(row: &Row) -> String {
    let (more, by) = row.change();
    format!("{}{}", if more { '+' } else { '-' }, number(by))
}

/// What the table leaves out, in a sentence.
fn rest(contrast: &Contrast) -> Vec<String> {
    let of = |finding: Finding| contrast.found(finding).count() as u64;
    let attributed = of(Finding::Attributed);
    let noise = of(Finding::WithinNoise);
    let mut sentences = Vec::new();
    if let Some(why) = &contrast.open {
        sentences.push(format!("Nothing is attributed here: {}.", clean(why)));
    } else if attributed == 0 {
        sentences.push("No difference beyond noise.".to_owned());
    }
    let more = if sentences.is_empty() { " more" } else { "" };
    let left_out = (attributed + of(Finding::Unjudged)).saturating_sub(MAX_ROWS as u64);
    if left_out > 0 {
        sentences.push(format!("{} are not shown.", number(left_out)));
    }
    let same = of(Finding::Same);
    let differ = |noise: u64| if noise == 1 { "differs" } else { "differ" };
    match (noise, same) {
        (0, 0) => {}
        (0, same) => sentences.push(format!("{} are the same in all runs.", number(same))),
        (noise, 0) => sentences.push(format!(
            "{}{more} {} within noise.",
            count(noise, "count"),
            differ(noise)
        )),
        (noise, same) => sentences.push(format!(
            "{}{more} {} within noise, {} are the same in all runs.",
            count(noise, "count"),
            differ(noise),
            number(same)
        )),
    }
    vec![sentences.join(" ")]
}

/// What has to be said of the whole.
fn remarks(comparison: &Comparison) -> Vec<(Tone, String)> {
    let mut remarks = Vec::new();
    if comparison.stopped {
        let done = comparison
            .conditions
            .iter()
            .map(|trials| trials.runs.len() as u64);
        let done = format!("Stopped after {}.", count(done.sum(), "run"));
        remarks.push((Tone::Doubtful, done));
    }
    for trials in &comparison.conditions {
        let failed = trials
            .runs
            .iter()
            .find(|run| run.status != Status::Exited(0));
        if let Some(run) = failed {
            let says = shorten(&clean(&trials.condition.say()), 50);
            let how = status(&run.status);
            remarks.push((Tone::Bad, format!("With {says} the program {how}.")));
        }
    }
    let runs = || comparison.conditions.iter().flat_map(|trials| &trials.runs);
    let incomplete = runs().filter(|run| !run.complete).count() as u64;
    let controls = runs().filter(|run| !run.failed_controls.is_empty());
    let controls = controls.count() as u64;
    if incomplete > 0 {
        let runs = count(incomplete, "run");
        remarks.push((
            Tone::Doubtful,
            format!("The evidence of {runs} is not complete."),
        ));
    }
    if controls > 0 {
        let runs = count(controls, "run");
        remarks.push((Tone::Doubtful, format!("Before {runs} a control failed.")));
    }
    if incomplete == 0 && controls == 0 && runs().next().is_some() {
        let all = "Evidence: nothing lost, witnesses balanced and controls exact in every run";
        remarks.push((Tone::Plain, all.to_owned()));
    }
    remarks.push((
        Tone::Plain,
        format!(
            "Rule: medians [ranges]; beyond noise when, of at least {LEAST_RUNS} runs each, the ranges are apart"
        ),
    ));
    remarks.push((
        Tone::Plain,
        "      by more than the wider of them".to_owned(),
    ));
    remarks
}

/// The tables of a pull request.
fn markdown(comparison: &Comparison) -> Vec<u8> {
    let mut out = format!(
        "### map-trace compare: {}\n",
        cell_text(&headline(comparison))
    );
    for contrast in &comparison.contrasts {
        let [from, to] = values(comparison, contrast).map(|value| cell_text(&value));
        let variable = cell_text(contrast.variable.name());
        out.push_str(&format!(
            "\n#### {variable}: {from} against {to}{}\n\n",
            cell_text(&others(comparison, contrast))
        ));
        let rows: Vec<_> = shown(contrast).collect();
        if !rows.is_empty() {
            out.push_str(&format!(
                "| operation | event | {from} | {to} | change |\n|---|---|---:|---:|---:|\n"
            ));
        }
        for row in &rows {
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                cell_text(&row.operation),
                cell_text(&row.event),
                cell(&row.from),
                cell(&row.to),
                change(row)
            ));
        }
        for rest in rest(contrast) {
            let before = if rows.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{before}{rest}\n"));
        }
    }
    out.push('\n');
    for (_, remark) in remarks(comparison) {
        out.push_str(&format!("{}\n", cell_text(remark.trim_start())));
    }
    out.into_bytes()
}

/// Text from outside in a cell of a table.
fn cell_text(text: &str) -> String {
    escape(&clean(text)).replace('|', "\\|").replace('`', "\\`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Run, Vary, compare, plan};
    use crate::model::summary::Summary;
    use crate::output::samples;

    fn shown_as(format: usize, comparison: &Comparison) -> String {
        String::from_utf8((FORMATS[format].render)(comparison, false)).unwrap()
    }

    /// A comparison of `runs` of two samples, the second of which has what `change` adds.
    fn compared(vary: &str, runs: u32, change: fn(&mut Summary)) -> Comparison {
        let conditions = plan(&[Vary::parse(vary).unwrap()], false).unwrap();
        let trials = conditions
            .into_iter()
            .enumerate()
            .map(|(number, condition)| {
                let mut summary = samples::go_growth();
                if number > 0 {
                    change(&mut summary);
                }
                let runs = (0..runs).map(|_| Run::new(&summary, None));
                Trials {
                    condition,
                    runs: runs.collect(),
                }
            });
        compare(vec!["./app".to_owned()], runs, trials.collect())
    }

    fn more_protection(summary: &mut Summary) {
        for row in &mut summary.operations {
            if row.operation.word() == "runtime" {
                row.events.insert("mprotect".to_owned(), 38);
            }
        }
    }

    #[test]
    fn what_a_variable_changes_is_shown_by_operation_and_event() {
        let comparison = compared("GODEBUG=,efence=1", 3, more_protection);
        insta::assert_snapshot!("comparison.text", shown_as(0, &comparison));
        insta::assert_snapshot!("comparison.markdown", shown_as(2, &comparison));
        let json: serde_json::Value = serde_json::from_str(&shown_as(1, &comparison)).unwrap();
        assert_eq!(json["schema"], "map-trace/comparison/1");
        let row = &json["contrasts"][0]["rows"][0];
        assert_eq!(row["finding"], "attributed");
        assert_eq!(row["to"]["counts"], serde_json::json!([38, 38, 38]));
    }

    #[test]
    fn a_variable_without_influence_is_said_to_have_none() {
        let comparison = compared("FOO=1,2", 3, |_| {});
        let text = shown_as(0, &comparison);
        assert!(text.contains("No difference beyond noise."), "{text}");
        assert!(!text.contains("operation "), "{text}");
    }

    #[test]
    fn two_runs_show_the_difference_and_attribute_nothing() {
        let comparison = compared("GODEBUG=,efence=1", 2, more_protection);
        let text = shown_as(0, &comparison);
        assert!(text.contains("not judged"), "{text}");
        assert!(
            text.contains("Nothing is attributed here: 2 of at least 3 runs each."),
            "{text}"
        );
    }

    #[test]
    fn no_name_or_value_steers_the_terminal_or_the_page() {
        let evil = "\u{1b}[31m<script>|\n\u{202e}";
        let comparison = compared(&format!("A{evil}=1,{evil}"), 3, more_protection);
        for (number, format) in FORMATS.iter().enumerate() {
            let text = shown_as(number, &comparison);
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(steers), "{}: {text:?}", format.name);
            assert!(
                format.name != "markdown" || !text.contains("<script"),
                "{text}"
            );
        }
    }
}
