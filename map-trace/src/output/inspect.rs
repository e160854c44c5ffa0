//! `map-trace inspect`: the facts of a binary, as text and as JSON.

mod grid;
mod reach;

pub use reach::reach_text;

use super::plain::{clean, number};
use crate::binary::layout::{Layouts, Source};
use crate::binary::probe_place::{Counting, ProbePlaces};
use crate::maps::inspection::{Inspection, MapFunction};
use crate::maps::pattern::plain as plain_name;
use grid::Grid;

/// Columns of text.
const WIDTH: usize = 100;

/// The whole as a JSON document.
pub fn json(told: &Inspection) -> String {
    // Strings, numbers and maps with string keys always serialise.
    let mut text = serde_json::to_string_pretty(told).unwrap_or_default();
    text.push('\n');
    text
}

/// The facts, the table of map functions, the layouts, what could not be told.
pub fn text(told: &Inspection) -> String {
    let mut out = String::new();
    head(told, &mut out);
    if told.functions.is_empty() {
        push(&mut out, "\n  Map functions: none that is known");
    } else {
        functions(told, &mut out);
    }
    absent(told, &mut out);
    structure(told, &mut out);
    reach::table(told, &mut out);
    if let Some(layouts) = &told.layouts {
        layouts_text(layouts, &mut out);
    }
    for note in &told.notes {
        wrap(&mut out, "\n  Note: ", "        ", note.split(' '));
    }
    out
}

/// The first lines: what it is and how it was built.
fn head(told: &Inspection, out: &mut String) {
    let words = [
        told.go_version.as_deref().or(told.language),
        told.map_implementation,
    ];
    let what: Vec<String> = words.into_iter().flatten().map(clean).collect();
    let what = if what.is_empty() {
        "language unknown".to_owned()
    } else {
        what.join(", ")
    };
    let kind = match (told.position_independent, told.dynamic) {
        (true, true) => "position-independent, dynamic",
        (true, false) => "position-independent, static",
        (false, true) => "dynamic",
        (false, false) => "static",
    };
    let stripped = if told.stripped { ", stripped" } else { "" };
    push(out, &format!("map-trace: {} ({what})", told.path));
    out.push('\n');
    push(out, &format!("  {}, {kind}{stripped}", told.machine));
    if let Some(id) = &told.build_id {
        push(out, &format!("  build id {id}"));
    }
    if !told.go_experiments.is_empty() {
        push(
            out,
            &format!("  GOEXPERIMENT {}", told.go_experiments.join(",")),
        );
    }
    if !told.go_build_settings.is_empty() {
        let settings = told
            .go_build_settings
            .iter()
            .map(|(k, v)| format!("{k}={v}"));
        wrap(out, "  built with ", "             ", settings);
    }
}

fn functions(told: &Inspection, out: &mut String) {
    let head = [
        "operation",
        "function",
        "address",
        "size",
        "probe at",
        "ns",
        "returns",
    ];
    let mut grid = Grid::new(&head, &[3, 5, 6]);
    let mut last = "";
    // A generic function has an instance for each type: one row tells of the first.
    let alike = |a: &MapFunction, b: &MapFunction| {
        a.operation == b.operation && short_name(&a.name) == short_name(&b.name)
    };
    for instances in told.functions.chunk_by(alike) {
        let function = &instances[0];
        let operation = function.operation.word();
        let mut name = short_name(&function.name);
        if instances.len() > 1 {
            name.push_str(&format!(" x{}", instances.len()));
        }
        let mut cells = vec![
            if operation == last {
                String::new()
            } else {
                operation.to_owned()
            },
            name,
            format!("{:#x}", function.address),
            number(function.size),
        ];
        last = operation;
        cells.extend(probe_cells(function));
        grid.row(cells);
    }
    let count = told.functions.len() + told.functions_left_out;
    push(out, &format!("\n  Map functions: {}", number(count as u64)));
    out.push_str(&grid.text());
    if told.functions_left_out > 0 {
        let left = number(told.functions_left_out as u64);
        push(out, &format!("    and {left} more, not looked at"));
    }
    legend(told, out);
}

/// `internal/runtime/maps.(*Iter).Next` is `maps.(*Iter).Next` in a table, a Rust or C++ name its last two
/// parts; type arguments are left out.
fn short_name(name: &str) -> String {
    let short = if name.contains("::") {
        let plain = plain_name(name);
        let from = plain
            .rmatch_indices("::")
            .nth(1)
            .map_or(0, |(at, _)| at + 2);
        plain[from..].to_owned()
    } else {
        ["internal/runtime/", "internal/"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name)
            .replace("[...]", "")
    };
    super::plain::shorten(&clean(&short), 38)
}

fn probe_cells(function: &MapFunction) -> [String; 3] {
    let Some(probes) = &function.probes else {
        return ["code unreadable".into(), String::new(), String::new()];
    };
    let (place, cost) = match &probes.entry {
        None => ("no place".to_owned(), String::new()),
        Some(place) => {
            let offset = place.address - function.address;
            let mark = match (place.counting, place.class.is_emulated()) {
                (Counting::ExactUnlessFlags, _) => " f",
                (_, false) => " s",
                _ => "",
            };
            (
                format!("+{offset} {}{mark}", clean(&place.instruction)),
                number(u64::from(place.cost_ns)),
            )
        }
    };
    [place, cost, exits(probes)]
}

fn exits(probes: &ProbePlaces) -> String {
    let mut text = probes.returns.len().to_string();
    if !probes.tail_jumps.is_empty() {
        text.push_str(&format!("+{}j", probes.tail_jumps.len()));
    }
    if !probes.exits_complete {
        text.push('?');
    }
    text
}

/// What the marks of the table mean; only those that are there.
fn legend(told: &Inspection, out: &mut String) {
    let places = || told.functions.iter().filter_map(|f| f.probes.as_ref());
    let entries = || places().filter_map(|p| p.entry.as_ref());
    let mut lines = Vec::new();
    if !told.functions.is_empty() {
        lines.push("probe at: the cheapest instruction that every call passes once; ns: a hit, as seen on Linux 6.18 under KVM".to_owned());
    }
    if entries().any(|e| e.counting == Counting::ExactUnlessFlags) {
        lines.push(
            "f: hits with the carry or zero flag set are failed stack checks, not calls".to_owned(),
        );
    }
    if entries().any(|e| !e.class.is_emulated()) {
        lines.push("s: single-stepped, since the kernel emulates no instruction near".to_owned());
    }
    if places().any(|p| !p.tail_jumps.is_empty()) {
        lines.push("j: jumps to other functions, whose returns are this one's".to_owned());
    }
    if places().any(|p| !p.exits_complete) {
        lines.push("?: not every way out was found".to_owned());
    }
    for line in lines {
        wrap(out, "    ", "      ", line.split(' '));
    }
}

fn absent(told: &Inspection, out: &mut String) {
    for (inlined, title) in [(true, "Inlined into callers: "), (false, "Not linked in: ")] {
        let names: Vec<_> = told
            .absent
            .iter()
            .filter(|absent| absent.inlined == inlined)
            .map(|absent| short_name(absent.name))
            .collect();
        if !names.is_empty() {
            let lead = format!("\n  {title}");
            wrap(out, &lead, "    ", names.into_iter());
        }
    }
}

/// What a recording probes by itself, and what a hit costs.
fn structure(told: &Inspection, out: &mut String) {
    if told.structure.is_empty() {
        return;
    }
    let mut grid = Grid::new(&["tells", "probe at", "instruction", "class", "ns"], &[4]);
    let mut last = "";
    for probe in &told.structure {
        let tells = if probe.tells == last { "" } else { probe.tells };
        last = probe.tells;
        grid.row(vec![
            tells.to_owned(),
            short_name(&probe.name),
            super::plain::shorten(&clean(&probe.place.instruction), 20),
            probe.place.class.word().to_owned(),
            number(u64::from(probe.place.cost_ns)),
        ]);
    }
    let count = number(told.structure.len() as u64);
    push(
        out,
        &format!("\n  Probed in every recording: {count} places"),
    );
    out.push_str(&grid.text());
}

fn layouts_text(layouts: &Layouts, out: &mut String) {
    if let Some(why) = &layouts.unknown {
        let line = format!("unknown: {why}. Attribution is by symbol only.");
        wrap(out, "\n  Layouts: ", "    ", line.split(' '));
        return;
    }
    let from = match layouts.structs.first().map(|layout| layout.source) {
        Some(Source::Dwarf) => "from its debug information",
        _ => "from the table of its Go version",
    };
    let note = layouts
        .note
        .as_ref()
        .map_or_else(String::new, |note| format!(" ({note})"));
    let line = format!("{from}{note}");
    wrap(out, "\n  Layouts: ", "    ", line.split(' '));
    for layout in &layouts.structs {
        let size = layout
            .size
            .map_or_else(String::new, |size| format!(" [{size}]"));
        let fields = layout
            .fields
            .iter()
            .map(|f| format!("{}@{}", f.name, f.offset));
        let lead = format!("    {}{size}: ", clean(&layout.name));
        wrap(out, &lead, "      ", fields);
    }
}

/// Words after a lead, broken at the width; lines after the first begin with `indent`. A word too long for
/// a line is broken behind a comma.
fn wrap(out: &mut String, lead: &str, indent: &str, words: impl Iterator<Item = impl AsRef<str>>) {
    let mut line = lead.to_owned();
    let mut empty = true;
    for word in words {
        let word = clean(word.as_ref());
        for (n, piece) in word.split_inclusive(',').enumerate() {
            let space = usize::from(!empty && n == 0);
            let used = line.trim_start_matches('\n').chars().count();
            let whole = if n == 0 { word.chars().count() } else { 0 };
            let fits = |len: usize| used + space + len <= WIDTH;
            let long = whole > WIDTH - indent.chars().count();
            if !empty
                && !fits(if long {
                    WIDTH
                } else {
                    whole.max(piece.chars().count())
                })
            {
                out.push_str(line.trim_end());
                out.push('\n');
                line = indent.to_owned();
                empty = true;
            }
            if space == 1 && !empty {
                line.push(' ');
            }
            line.push_str(piece);
            empty = false;
        }
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Appends a line, safe for a terminal.
fn push(out: &mut String, line: &str) {
    let (breaks, line) = line.split_at(line.len() - line.trim_start_matches('\n').len());
    out.push_str(breaks);
    out.push_str(&clean(line));
    out.push('\n');
}
