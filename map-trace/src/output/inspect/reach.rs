//! Ways from map functions to system calls, in words.

use super::super::plain::{clean, number};
use super::{push, wrap};
use crate::binary::reach::{Reach, Site, Through, Verdict};
use crate::maps::inspection::{CallReach, Inspection};

/// A cell of the table: by what the call is reached at the least, `*` behind a gate.
pub(super) fn cell(reach: &Reach) -> String {
    let word = match (reach.verdict, reach.through) {
        (Verdict::Unknown, _) => "unknown",
        (_, Some(Through::Work)) => "work",
        (_, Some(Through::WriteBarrier)) => "barrier",
        (_, Some(Through::StackGrowth)) => "stack",
        (_, Some(Through::Panic)) => "panic",
        (_, None) => "no",
    };
    let gate = if reach.verdict == Verdict::Gated {
        "*"
    } else {
        ""
    };
    format!("{word}{gate}")
}

/// What the cells mean.
pub(super) fn legend(told: &Inspection) -> Vec<String> {
    let Some(calls) = &told.calls else {
        return Vec::new();
    };
    let reaches = || {
        told.functions
            .iter()
            .flat_map(|f| &f.reach)
            .map(|r| &r.reach)
    };
    let mut lines = vec![
        "system calls: the least that must happen for the function to make them: its own work, a write barrier, growth of the stack, a panic; no: nothing can; calls through pointers (hash and equality functions) are not followed".to_owned(),
    ];
    let mut gates: Vec<_> = reaches().filter_map(|reach| reach.gate).collect();
    gates.dedup();
    gates.sort_by_key(|gate| gate.function);
    gates.dedup();
    for gate in gates {
        lines.push(format!(
            "*: only through {}, which runs {}",
            gate.function, gate.only
        ));
    }
    lines.extend(incomplete(calls.incomplete.as_deref()));
    lines
}

fn incomplete(why: Option<&str>) -> Option<String> {
    why.map(|why| format!("unknown: not everything could be looked at: {}", clean(why)))
}

/// For each system call asked about: where it is made, and how each map function gets there.
pub fn reach_text(told: &Inspection) -> String {
    let mut out = String::new();
    let Some(calls) = &told.calls else {
        for note in &told.notes {
            wrap(&mut out, "", "  ", note.split(' '));
        }
        return out;
    };
    for (n, call) in calls.calls.iter().enumerate() {
        let title = format!(
            "{} (system call {}), made by ",
            call.call.name, call.call.number
        );
        let mut makers: Vec<String> = call.sites.iter().map(place).collect();
        if makers.is_empty() {
            makers.push("nothing that a map function can reach".to_owned());
        }
        wrap(&mut out, &title, "  ", makers.join(", ").split(' '));
        let ways: Vec<_> = told
            .functions
            .iter()
            .filter_map(|f| Some((f.name.as_str(), f.reach.get(n)?)))
            .collect();
        for (name, way) in &ways {
            one(&mut out, name, way);
        }
        out.push('\n');
    }
    any(told, &mut out);
    push(
        &mut out,
        &format!(
            "{} functions looked at. Calls through pointers are not followed.",
            number(calls.functions as u64)
        ),
    );
    if let Some(line) = incomplete(calls.incomplete.as_deref()) {
        push(&mut out, &line);
    }
    out
}

fn place(site: &Site) -> String {
    format!("{} at {:#x}", clean(&site.function), site.address)
}

fn one(out: &mut String, name: &str, told: &CallReach) {
    let reach = &told.reach;
    let verdict = match (reach.verdict, reach.through) {
        (Verdict::Unreachable, _) => "unreachable".to_owned(),
        (Verdict::Unknown, _) | (_, None) => "unknown".to_owned(),
        (_, Some(through)) => {
            let gate = reach.gate.map_or_else(String::new, |gate| {
                format!("; {} runs only {}", gate.function, gate.only)
            });
            format!("reachable through {}{gate}", through.word())
        }
    };
    let line = format!("{}: {verdict}", clean(name));
    wrap(out, "  ", "    ", line.split(' '));
    if reach.path.len() > 1 {
        let steps = reach
            .path
            .iter()
            .skip(1)
            .map(|step| format!("> {}", clean(step)));
        wrap(out, "      ", "      ", steps);
    }
}

/// The sites whose number the program chooses.
fn any(told: &Inspection, out: &mut String) {
    let Some(calls) = told.calls.as_ref().filter(|calls| !calls.any.is_empty()) else {
        return;
    };
    let places: Vec<String> = calls.any.iter().map(place).collect();
    let line = format!("{}.", places.join(", "));
    wrap(
        out,
        "Any system call, as the program asks: ",
        "  ",
        line.split(' '),
    );
    for gate in &calls.gates {
        if calls.any.iter().any(|site| site.function == gate.function) {
            push(out, &format!("  {} runs only {}", gate.function, gate.only));
        }
    }
    out.push('\n');
}
