//! What a guest said, and what it comes to.

use serde_json::Value;

use super::cases::{CASES, Case};

/// One question and its answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    pub what: String,
    pub passed: bool,
    /// Figures, or what is wrong.
    pub detail: String,
}

impl Check {
    fn new(what: impl Into<String>, passed: bool, detail: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            passed,
            detail: detail.into(),
        }
    }
}

/// What a guest wrote on its serial line, taken apart.
#[derive(Debug, Default)]
pub struct Guest {
    pub kernel: String,
    doctor: (i32, String),
    runs: Vec<Run>,
    /// It went through every case.
    ended: bool,
}

#[derive(Debug, Default)]
struct Run {
    name: String,
    status: i32,
    said: String,
    told: String,
    summary: String,
    rules: Vec<(i32, String, String)>,
}

/// Where the next line belongs.
enum Part {
    Nowhere,
    Doctor,
    Said,
    Told,
    Summary,
    Rule,
}

impl Guest {
    pub fn read(text: &str) -> Self {
        let mut guest = Self::default();
        let mut part = Part::Nowhere;
        for line in text.lines() {
            match line.strip_prefix("@@") {
                Some(mark) => part = guest.mark(mark),
                None => guest.line(&part, line),
            }
        }
        guest
    }

    fn mark(&mut self, mark: &str) -> Part {
        let (word, rest) = mark.split_once(' ').unwrap_or((mark, ""));
        let number = |text: &str| text.parse().unwrap_or(-1);
        match word {
            "kernel" => self.kernel = rest.to_owned(),
            "doctor" => {
                self.doctor.0 = number(rest);
                return Part::Doctor;
            }
            "run" => self.runs.push(Run {
                name: rest.to_owned(),
                ..Run::default()
            }),
            "end" => self.ended = true,
            _ => {}
        }
        let Some(run) = self.runs.last_mut() else {
            return Part::Nowhere;
        };
        match word {
            "status" => run.status = number(rest),
            "said" => return Part::Said,
            "told" => return Part::Told,
            "summary" => return Part::Summary,
            "rule" => {
                let (status, rule) = rest.split_once(' ').unwrap_or((rest, ""));
                let rule = (number(status), rule.to_owned(), String::new());
                run.rules.push(rule);
                return Part::Rule;
            }
            _ => {}
        }
        Part::Nowhere
    }

    fn line(&mut self, part: &Part, line: &str) {
        let run = self.runs.last_mut();
        let text = match (part, run) {
            (Part::Doctor, _) => &mut self.doctor.1,
            (Part::Said, Some(run)) => &mut run.said,
            (Part::Told, Some(run)) => &mut run.told,
            (Part::Summary, Some(run)) => &mut run.summary,
            (Part::Rule, Some(run)) => match run.rules.last_mut() {
                Some(rule) => &mut rule.2,
                None => return,
            },
            _ => return,
        };
        text.push_str(line);
        text.push('\n');
    }

    /// Everything that was asked, answered.
    pub fn checks(&self) -> Vec<Check> {
        let (status, text) = &self.doctor;
        let last = text.lines().last().unwrap_or("said nothing");
        let mut checks = vec![Check::new("doctor", *status == 0, last)];
        for case in &CASES {
            match self.runs.iter().find(|run| run.name == case.name) {
                Some(run) => checks.extend(run.checks(case)),
                None => checks.push(Check::new(case.name, false, "did not run")),
            }
        }
        checks.push(Check::new("every case", self.ended, "to the end"));
        checks
    }

    /// What doctor says is less than whole.
    pub fn degraded(&self) -> impl Iterator<Item = &str> {
        let lines = self.doctor.1.lines();
        lines.filter(|line| line.starts_with("degraded") || line.starts_with("missing"))
    }
}

impl Run {
    fn checks(&self, case: &Case) -> Vec<Check> {
        let name = case.name;
        let Ok(summary) = serde_json::from_str::<Value>(&self.summary) else {
            let first = self.told.lines().next().unwrap_or("said nothing");
            return vec![Check::new(name, false, first)];
        };
        let mut checks = vec![self.sound(name, &summary)];
        for (status, rule, verdict) in &self.rules {
            let reason = verdict.lines().find(|line| line.contains(rule.as_str()));
            let passed = *status == 0;
            let detail = if passed {
                ""
            } else {
                reason.unwrap_or(verdict)
            };
            checks.push(Check::new(format!("{name}: {rule}"), passed, detail.trim()));
        }
        if !case.counted.is_empty() {
            checks.push(self.counted(case, &summary));
        }
        checks
    }

    /// Nothing lost, all balanced, every control exact, entries readable.
    fn sound(&self, name: &str, summary: &Value) -> Check {
        let number = |path: &str| summary.pointer(path).and_then(Value::as_u64);
        let is = |path: &str| summary.pointer(path).and_then(Value::as_bool) == Some(true);
        let controls = summary.pointer("/controls").and_then(Value::as_array);
        let controls = controls.map_or(&[][..], Vec::as_slice);
        let passed = controls.iter().filter(|one| one["passed"] == true).count();
        let wrong = [
            ("the program failed", self.status != 0),
            ("not balanced", !is("/witnesses/balanced")),
            ("events lost", number("/loss/dropped") != Some(0)),
            ("undecodable", number("/loss/undecodable") != Some(0)),
            ("a control failed", passed != 10 || controls.len() != 10),
            ("no calibration", !is("/calibration/usable")),
            ("not re-checked", !is("/calibration/rechecked")),
        ];
        let wrong: Vec<&str> = wrong
            .into_iter()
            .filter(|(_, wrong)| *wrong)
            .map(|(word, _)| word)
            .collect();
        let faults = number("/witnesses/perf/page_faults").unwrap_or(0);
        let detail = if wrong.is_empty() {
            format!("{faults} faults balanced, {passed} controls exact, entries read")
        } else {
            wrong.join(", ")
        };
        Check::new(format!("{name}: sound"), wrong.is_empty(), detail)
    }

    /// Operations on maps, counted by probes; or the plain statement that there are none.
    fn counted(&self, case: &Case, summary: &Value) -> Check {
        let what = format!("{}: maps", case.name);
        if let Some(why) = summary.pointer("/not_probed/0").and_then(Value::as_str) {
            return Check::new(what, true, format!("not probed, and said: {why}"));
        }
        let rows = summary.pointer("/operations").and_then(Value::as_array);
        let rows = rows.map_or(&[][..], Vec::as_slice);
        let mut figures = Vec::new();
        let mut exact = true;
        for (operation, word) in case.counted {
            let row = rows.iter().find(|row| row["operation"] == *operation);
            let count = row.map_or(&Value::Null, |row| &row["count"]);
            let said = self.said.lines().find_map(|line| {
                let value = line.strip_prefix(word)?.strip_prefix('=')?;
                value.parse::<u64>().ok()
            });
            let seen = count["value"].as_u64();
            exact &= said.is_some() && seen == said && count["kind"] == "exact";
            figures.push(format!("{operation} {} of {}", of(seen), of(said)));
        }
        Check::new(what, exact, figures.join(", "))
    }
}

fn of(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests;
