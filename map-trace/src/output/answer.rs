//! The answer: what happened to map memory while the program iterated or assigned, in plain words.
//!
//! Computed once and said the same way in every format.

use std::collections::BTreeMap;

use super::plain::{clean, number};
use super::table::list;
use crate::model::event::EventKind;
use crate::model::summary::{Executable, Summary};
use crate::model::{Cause, Operation};

/// One row of the answer: a name, its number, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: &'static str,
    /// Empty for a fact that is not one number.
    pub value: String,
    pub meaning: String,
    /// What it consists of; may be empty.
    pub detail: String,
}

impl Fact {
    /// Meaning and detail in one phrase.
    pub fn phrase(&self) -> String {
        match (self.meaning.as_str(), self.detail.as_str()) {
            (meaning, "") => meaning.to_owned(),
            ("", detail) => detail.to_owned(),
            (meaning, detail) => format!("{meaning}: {detail}"),
        }
    }
}

/// The answer of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub heading: &'static str,
    pub facts: Vec<Fact>,
}

/// Events inside the window that the answer is about.
#[derive(Default)]
struct Window {
    assigning: BTreeMap<String, u64>,
    iterating: BTreeMap<String, u64>,
    causes: BTreeMap<Cause, u64>,
    growing: u64,
}

impl Window {
    fn of(&self, kind: EventKind) -> [u64; 2] {
        [&self.assigning, &self.iterating].map(|side| side.get(kind.word()).copied().unwrap_or(0))
    }

    fn total(&self, kind: EventKind) -> u64 {
        self.of(kind).into_iter().fold(0, u64::saturating_add)
    }

    fn add(
        &mut self,
        operation: &Operation,
        events: &BTreeMap<String, u64>,
        causes: &BTreeMap<Cause, u64>,
    ) {
        let side = if *operation == Operation::Iterate {
            &mut self.iterating
        } else {
            &mut self.assigning
        };
        for (kind, count) in events {
            let total = side.entry(kind.clone()).or_default();
            *total = total.saturating_add(*count);
        }
        for (cause, count) in causes {
            let total = self.causes.entry(*cause).or_default();
            *total = total.saturating_add(*count);
        }
    }
}

/// Whether any map operation was seen or counted.
pub fn maps_seen(summary: &Summary) -> bool {
    summary.operations.iter().any(|row| {
        row.operation.is_map() || row.sub_operations.iter().any(|sub| sub.operation.is_map())
    })
}

/// The executable that the title names: the first with Go maps, else the first.
pub fn main_executable(summary: &Summary) -> Option<&Executable> {
    let all = &summary.program.executables;
    let with_maps = all
        .iter()
        .find(|executable| executable.map_implementation.is_some());
    with_maps.or_else(|| all.first())
}

/// What the run comes to.
pub fn answer(summary: &Summary) -> Answer {
    let (heading, window) = if maps_seen(summary) {
        ("While iterating or assigning into maps", window(summary))
    } else {
        (
            "In the whole run (no map function was on any stack)",
            whole(summary),
        )
    };
    let mut facts = vec![
        mprotects(summary, &window),
        signals(summary, &window),
        faults(&window, maps_seen(summary)),
    ];
    facts.extend(map_memory(summary));
    Answer { heading, facts }
}

/// Events whose outermost operation is an assign or an iteration; inside a user's region, whose innermost one
/// is (Go maps grow only when something is assigned).
fn window(summary: &Summary) -> Window {
    let mut window = Window::default();
    let faults = EventKind::PageFault.word();
    for row in &summary.operations {
        let inside = matches!(row.operation, Operation::Assign | Operation::Iterate);
        if inside {
            window.add(&row.operation, &row.events, &row.causes);
        }
        for sub in &row.sub_operations {
            let grows = sub.operation == Operation::Grow;
            let region = matches!(row.operation, Operation::Region(_))
                && (grows || matches!(sub.operation, Operation::Assign | Operation::Iterate));
            if region {
                window.add(&sub.operation, &sub.events, &sub.causes);
            }
            if grows && (inside || region) {
                let count = sub.events.get(faults).copied().unwrap_or(0);
                window.growing = window.growing.saturating_add(count);
            }
        }
    }
    window
}

fn whole(summary: &Summary) -> Window {
    let mut window = Window::default();
    for row in &summary.operations {
        window.add(&row.operation, &row.events, &row.causes);
    }
    window
}

/// What a zero means: nothing of the kind; or only that evidence with holes shows nothing.
fn none(summary: &Summary, kinds: &[EventKind], complete: &str) -> String {
    let nowhere = summary
        .operations
        .iter()
        .find(|row| row.operation == Operation::None);
    let nowhere = nowhere.map_or(0, |row| {
        let of = |kind: &EventKind| row.events.get(kind.word()).copied().unwrap_or(0);
        kinds.iter().map(of).fold(0, u64::saturating_add)
    });
    if !summary.complete() {
        "none seen, but the evidence is incomplete (see below)".to_owned()
    } else if summary.loss.unattributed > 0 && nowhere > 0 {
        format!(
            "none known, but some of {} elsewhere may have no stack",
            number(nowhere)
        )
    } else {
        complete.to_owned()
    }
}

fn mprotects(summary: &Summary, window: &Window) -> Fact {
    let kinds = [EventKind::Mprotect, EventKind::PkeyMprotect];
    let [assigning, iterating] = kinds
        .map(|kind| window.of(kind))
        .into_iter()
        .fold([0_u64; 2], |[a, b], [c, d]| {
            [a.saturating_add(c), b.saturating_add(d)]
        });
    let total = assigning.saturating_add(iterating);
    let meaning = if total == 0 {
        none(summary, &kinds, "no call asked for another protection")
    } else if maps_seen(summary) {
        format!(
            "{} while assigning, {} while iterating",
            number(assigning),
            number(iterating)
        )
    } else {
        String::new()
    };
    Fact {
        name: "mprotect calls",
        value: number(total),
        meaning,
        detail: String::new(),
    }
}

fn signals(summary: &Summary, window: &Window) -> Fact {
    let total = window.total(EventKind::Signal);
    let elsewhere = summary
        .events
        .signal
        .values()
        .fold(0, |sum: u64, n| sum.saturating_add(*n));
    let names: Vec<_> = summary
        .events
        .signal
        .iter()
        .take(3)
        .map(|(name, count)| format!("{} {}", clean(name), number(*count)))
        .collect();
    let meaning = match (total, elsewhere) {
        (0, 0) => none(
            summary,
            &[EventKind::Signal],
            "no access was refused with a signal",
        ),
        (0, _) => format!("in the whole run: {}", names.join(", ")),
        (n, all) if n == all => names.join(", "),
        _ => format!("of these in the whole run: {}", names.join(", ")),
    };
    Fact {
        name: "signals",
        value: number(total),
        meaning,
        detail: String::new(),
    }
}

fn faults(window: &Window, maps: bool) -> Fact {
    let total = window.total(EventKind::PageFault);
    let meaning = match window.growing {
        _ if total == 0 || !maps => String::new(),
        0 => "none while growing".to_owned(),
        n if n == total => "all while growing".to_owned(),
        n => format!("{} while growing", number(n)),
    };
    Fact {
        name: "page faults",
        value: number(total),
        meaning,
        detail: top_causes(&window.causes, 3),
    }
}

/// `18,513 zero_page_cow, 591 first_touch, 7 more`
pub fn top_causes(causes: &BTreeMap<Cause, u64>, most: usize) -> String {
    let mut causes: Vec<_> = causes.iter().filter(|(_, count)| **count > 0).collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let rest = causes
        .iter()
        .skip(most)
        .fold(0_u64, |sum, (_, count)| sum.saturating_add(**count));
    let mut words: Vec<_> = causes
        .iter()
        .take(most)
        .map(|(cause, count)| format!("{} {}", number(**count), cause.word()))
        .collect();
    if rest > 0 {
        words.push(format!("{} more", number(rest)));
    }
    words.join(", ")
}

fn map_memory(summary: &Summary) -> Option<Fact> {
    let pte = &summary.pte.total;
    if pte.samples == 0 {
        return None;
    }
    let samples = number(pte.samples);
    let mut rest = Vec::new();
    for (count, what) in [
        (pte.read_only, "read-only"),
        (pte.not_present, "not present"),
        (pte.present.saturating_sub(pte.no_execute), "executable"),
        (pte.unstable, "changing while read"),
    ] {
        if count > 0 {
            rest.push(format!("{} {what}", number(count)));
        }
    }
    let rest: Vec<_> = rest.iter().map(String::as_str).collect();
    let rest = if rest.is_empty() {
        ", none read-only or executable".to_owned()
    } else {
        format!(" ({})", list(&rest, "and"))
    };
    Some(Fact {
        name: "map memory",
        value: String::new(),
        meaning: format!(
            "writable in {} of {samples} samples{rest}",
            number(pte.writable)
        ),
        detail: String::new(),
    })
}
