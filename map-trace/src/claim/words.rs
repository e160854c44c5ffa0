//! The words of events, and the nearest one to a word that is none.

use crate::model::event::EventKind;

/// A word for events.
#[derive(Debug, PartialEq, Eq)]
pub struct EventWord {
    pub word: &'static str,
    /// Part of an operation: has a stack, or happens on one.
    pub in_operation: bool,
    /// Touches memory at an address.
    pub has_address: bool,
}

const fn row(word: &'static str, in_operation: bool, has_address: bool) -> EventWord {
    EventWord {
        word,
        in_operation,
        has_address,
    }
}

/// Every event word of the contract. Which of them a trace can hold at all, its header says.
pub static EVENTS: [EventWord; 20] = [
    row("page_fault", true, true),
    row("mprotect", true, true),
    row("pkey_mprotect", true, true),
    row("mmap", true, true),
    row("munmap", true, true),
    row("mremap", true, true),
    row("brk", true, true),
    row("madvise", true, true),
    row("signal", true, true),
    row("exec", false, false),
    row("fork", false, false),
    row("exit", false, false),
    row("map_make", true, false),
    row("map_grow", true, false),
    row("iteration", true, false),
    row("map_clear", true, false),
    row("runtime", true, false),
    row("fatal_error", true, false),
    row("pte_sample", true, true),
    row("watch_hit", true, true),
];

impl EventWord {
    /// The row of a word; `pte` is short for `pte_sample`.
    pub fn find(word: &str) -> Option<&'static Self> {
        let word = if word == "pte" { "pte_sample" } else { word };
        EVENTS.iter().find(|event| event.word == word)
    }

    /// The kind, when this version reads such lines.
    pub fn kind(&self) -> Option<EventKind> {
        EventKind::ALL
            .into_iter()
            .find(|kind| kind.word() == self.word)
    }
}

/// Operations of the contract that a rule may name.
pub const OPERATIONS: [&str; 9] = [
    "make", "access", "assign", "delete", "clear", "grow", "iterate", "runtime", "none",
];

/// The known word fewest edits away, when few enough are needed for it to be a slip.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = if word.chars().count() <= 4 { 1 } else { 2 };
    known
        .into_iter()
        .map(|known| (distance(known, word), known))
        .min()
        .filter(|&(edits, _)| edits <= allowed)
        .map(|(_, known)| known)
}

/// `; did you mean 'mprotect'?`, or nothing.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!("; did you mean '{known}'?"))
}

/// Edits (insert, remove, replace, swap of neighbours) from one word to another; long words are cut, they are
/// no slip of ours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let changed = rows[i][j] + usize::from(x != y);
            let mut edits = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                edits = edits.min(rows[i - 1][j - 1] + 1);
            }
            row.push(edits);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_has_a_word_here() {
        for kind in EventKind::ALL {
            let event = EventWord::find(kind.word()).unwrap();
            assert_eq!(event.kind(), Some(kind));
        }
        assert_eq!(EventWord::find("pte").unwrap().word, "pte_sample");
    }

    #[test]
    fn a_slip_has_a_nearest_word_and_another_word_has_none() {
        let events = || EVENTS.iter().map(|event| event.word);
        assert_eq!(nearest("mprotct", events()), Some("mprotect"));
        assert_eq!(nearest("pagefault", events()), Some("page_fault"));
        assert_eq!(nearest("mmpa", events()), Some("mmap"));
        assert_eq!(nearest("telephone", events()), None);
        assert_eq!(nearest("", events()), None);
        assert_eq!(nearest(&"x".repeat(10_000), events()), None);
    }
}
