//! Ways from map functions to system calls, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::super::plain::{clean, number};
use super::grid::Grid;
use super::{push, short_name, wrap};
use crate::binary::reach::{Reach, Site, Through, Verdict};
use crate::maps::inspection::{Calls, Inspection, MapFunction};

/// The table of what map functions can reach, one row for all that reach the same.
pub(super) fn table(told: &Inspection, out: &mut String) {
    let Some(calls) = told.calls.as_ref().filter(|_| !told.functions.is_empty()) else {
        return;
    };
    let head: Vec<String> = calls.calls.iter().map(|c| clean(&c.call.name)).collect();
    let mut head: Vec<&str> = head.iter().map(String::as_str).collect();
    head.push("functions");
    let mut rows: Vec<(Vec<String>, Vec<&MapFunction>)> = Vec::new();
    for function in &told.functions {
        let cells: Vec<String> = function.reach.iter().map(|r| cell(&r.reach)).collect();
        match rows.iter_mut().find(|(known, _)| *known == cells) {
            Some((_, functions)) => functions.push(function),
            None => rows.push((cells, vec![function])),
        }
    }
    let mut grid = Grid::new(&head, &[]);
    for (cells, functions) in rows {
        let indent: usize = 4 + cells.len() * 10;
        for (n, line) in names(&functions, super::WIDTH.saturating_sub(indent))
            .into_iter()
            .enumerate()
        {
            let mut row = if n == 0 {
                cells.clone()
            } else {
                vec![String::new(); cells.len()]
            };
            row.push(line);
            grid.row(row);
        }
    }
    push(out, "\n  System calls they can make");
    out.push_str(&grid.text());
    for line in legend(told, calls) {
        wrap(out, "    ", "      ", line.split(' '));
    }
}

/// Function names in lines of a width.
fn names(functions: &[&MapFunction], width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for function in functions {
        let name = short_name(&function.name);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&name),
            Some(line) if line.chars().count() + 1 + name.chars().count() <= width => {
                line.push(' ');
                line.push_str(&name);
            }
            _ => lines.push(name),
        }
    }
    lines
}

/// By what a call is reached at the least, `*` behind a gate.
fn cell(reach: &Reach) -> String {
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
fn legend(told: &Inspection, calls: &Calls) -> Vec<String> {
    let mut lines = vec![
        "the least that must happen: its own work, a write barrier, growth of the stack, a panic; calls through pointers (hash and equality functions) are not followed".to_owned(),
    ];
    lines.extend(gates(told));
    lines.extend(incomplete(calls));
    lines
}

/// What `*` means here.
fn gates(told: &Inspection) -> Vec<String> {
    let mut gates: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for reach in told.functions.iter().flat_map(|f| &f.reach) {
        for gate in &reach.reach.gates {
            gates.entry(gate.only).or_default().insert(gate.function);
        }
    }
    let line = |(only, functions): (&str, BTreeSet<&str>)| {
        let functions: Vec<_> = functions.into_iter().collect();
        format!("*: only through {}: {only}", functions.join(", "))
    };
    gates.into_iter().map(line).collect()
}

fn incomplete(calls: &Calls) -> Option<String> {
    let why = calls.incomplete.as_deref()?;
    Some(format!("not everything could be looked at: {}", clean(why)))
}

/// For each system call asked about: where it is made, and how each map function gets there.
pub fn reach_text(told: &Inspection) -> String {
    let mut out = String::new();
    let Some(calls) = &told.calls else {
        return out;
    };
    for (n, call) in calls.calls.iter().enumerate() {
        let mut makers: Vec<String> = call.sites.iter().map(place).collect();
        if makers.is_empty() {
            makers.push("nothing that a map function can reach".to_owned());
        }
        let title = format!(
            "{} (system call {}) is made by ",
            call.call.name, call.call.number
        );
        wrap(&mut out, &title, "  ", makers.join(", ").split(' '));
        for function in &told.functions {
            if let Some(way) = function.reach.get(n) {
                one(&mut out, &function.name, &way.reach);
            }
        }
        out.push('\n');
    }
    for line in gates(told) {
        wrap(&mut out, "", "  ", line.split(' '));
    }
    if !calls.any.is_empty() {
        let places: Vec<String> = calls.any.iter().map(place).collect();
        let lead = "Whatever system call the program asks for is made by ";
        wrap(&mut out, lead, "  ", places.join(", ").split(' '));
    }
    let count = number(calls.functions as u64);
    push(
        &mut out,
        &format!("{count} functions looked at. Calls through pointers are not followed."),
    );
    if let Some(line) = incomplete(calls) {
        wrap(&mut out, "", "  ", line.split(' '));
    }
    out
}

fn place(site: &Site) -> String {
    format!("{} at {:#x}", clean(&site.function), site.address)
}

fn one(out: &mut String, name: &str, reach: &Reach) {
    let verdict = match (reach.verdict, reach.through) {
        (Verdict::Unreachable, _) => "unreachable".to_owned(),
        (Verdict::Unknown, _) | (_, None) => "unknown".to_owned(),
        (_, Some(through)) => {
            let gate = if reach.verdict == Verdict::Gated {
                " *"
            } else {
                ""
            };
            format!("through {}{gate}", through.word())
        }
    };
    push(out, &format!("  {}: {verdict}", clean(name)));
    if reach.path.len() > 1 {
        let steps = reach
            .path
            .iter()
            .skip(1)
            .map(|step| format!("> {}", clean(step)));
        wrap(out, "      ", "      ", steps);
    }
}
