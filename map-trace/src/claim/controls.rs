//! Which self-tests of the session a rule depends on.
//!
//! Before the program starts, a child of map-trace's own does known numbers of things. An instrument that did not
//! see exactly those cannot prove that something did not happen.

use super::rule::{Rule, Value};

/// What has to have been seen for an event's absence to mean something. Calls without a control of their own come
/// through the tracepoint that the one named here proves.
const EVENTS: [(&str, &[&str]); 12] = [
    ("page_fault", &["first_touch", "kernel_read"]),
    ("mprotect", &["mprotect"]),
    ("pkey_mprotect", &["mprotect"]),
    ("mmap", &["map_fixed"]),
    ("munmap", &["map_fixed"]),
    ("mremap", &["map_fixed"]),
    ("brk", &["map_fixed"]),
    ("madvise", &["map_fixed"]),
    ("signal", &["read_only_write"]),
    ("fork", &["fork_cow"]),
    ("exit", &["fork_cow"]),
    ("pte_sample", &["mprotect", "prot_none_read", "prot_exec"]),
];

/// Causes that a control produces.
const CAUSES: [(&str, &[&str]); 5] = [
    ("zero_page_read", &["zero_page_read"]),
    ("first_touch", &["first_touch"]),
    ("zero_page_cow", &["zero_page_cow"]),
    ("anon_cow", &["fork_cow"]),
    ("protection", &["read_only_write", "prot_none_read"]),
];

/// Controls behind the causes together: a fault given the wrong one of them may have been any.
const ANY_CAUSE: [&str; 6] = [
    "zero_page_read",
    "first_touch",
    "zero_page_cow",
    "fork_cow",
    "read_only_write",
    "prot_none_read",
];

/// Every name a claim may ask for.
pub const NAMES: [&str; 10] = [
    "zero_page_read",
    "first_touch",
    "zero_page_cow",
    "mprotect",
    "read_only_write",
    "prot_none_read",
    "prot_exec",
    "map_fixed",
    "fork_cow",
    "kernel_read",
];

/// A control's name with `_` for `-`.
pub fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// The controls a rule depends on.
pub fn needed(rule: &Rule) -> Vec<&'static str> {
    let of = |table: &[(&str, &'static [&'static str])], word: &str| {
        let row = table.iter().find(|(known, _)| *known == word);
        row.map_or(&[][..], |(_, controls)| controls)
    };
    let mut needed: Vec<&'static str> = of(&EVENTS, rule.event.word).to_vec();
    for condition in &rule.conditions {
        let text = match &condition.value {
            Value::Text(text) => text.as_str(),
            _ => "",
        };
        let kept_mode = |mode: &str| condition.path == "mode" && (text == mode) != condition.not;
        if kept_mode("user") {
            needed.retain(|control| *control != "kernel_read");
        }
        if kept_mode("kernel") {
            needed.retain(|control| *control != "first_touch");
        }
        match condition.path.split('.').next() {
            Some("cause") if !condition.not && !of(&CAUSES, text).is_empty() => {
                needed.extend(of(&CAUSES, text));
            }
            Some("cause") => needed.extend(ANY_CAUSE),
            Some("pte" | "pte_before" | "pte_after") => needed.extend(["mprotect", "prot_exec"]),
            _ => {}
        }
    }
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// Whether the rule rests on page-table entries: directly, or by causes, which are read off them.
pub fn needs_entries(rule: &Rule) -> bool {
    rule.event.word == "pte_sample"
        || rule.conditions.iter().any(|condition| {
            let first = condition.path.split('.').next();
            matches!(first, Some("pte" | "pte_before" | "pte_after" | "cause"))
        })
}

/// Whether the rule asks for the shared zero page.
pub fn needs_zero_page(rule: &Rule) -> bool {
    rule.conditions.iter().any(|condition| {
        let zero = |text: &str| text.starts_with("zero_page");
        condition.path.split('.').next_back() == Some("zero_page")
            || (condition.path == "cause"
                && matches!(&condition.value, Value::Text(text) if zero(text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{EVENTS as WORDS, parse};

    fn of(rule: &str) -> Vec<&'static str> {
        needed(&parse(rule, &[]).unwrap())
    }

    #[test]
    fn a_rule_depends_on_the_controls_that_prove_its_instrument() {
        assert_eq!(of("mprotect == 0"), ["mprotect"]);
        assert_eq!(of("page_fault == 0"), ["first_touch", "kernel_read"]);
        assert_eq!(of("page_fault where mode=user == 0"), ["first_touch"]);
        assert_eq!(of("page_fault where mode!=user == 0"), ["kernel_read"]);
        assert_eq!(
            of("page_fault where mode=user, cause=protection == 0"),
            ["first_touch", "prot_none_read", "read_only_write"]
        );
        assert_eq!(of("exec == 1"), Vec::<&str>::new());
        assert!(of("page_fault where cause!=protection == 0").contains(&"zero_page_cow"));
    }

    #[test]
    fn the_tables_hold_known_words_only() {
        for (event, controls) in EVENTS {
            assert!(WORDS.iter().any(|known| known.word == event), "{event}");
            assert!(controls.iter().all(|name| NAMES.contains(name)), "{event}");
        }
        for (cause, controls) in CAUSES {
            assert!(
                crate::model::Cause::ALL
                    .iter()
                    .any(|known| known.word() == cause)
            );
            assert!(controls.iter().all(|name| NAMES.contains(name)), "{cause}");
        }
        assert!(ANY_CAUSE.iter().all(|name| NAMES.contains(name)));
    }

    #[test]
    fn causes_and_entries_rest_on_the_calibration() {
        let entries = |rule: &str| needs_entries(&parse(rule, &[]).unwrap());
        assert!(entries("page_fault where pte.present=true == 0"));
        assert!(entries("page_fault where cause=protection == 0"));
        assert!(entries("pte.writable == all"));
        assert!(!entries("page_fault where error_code.write=true == 0"));
        let zero = |rule: &str| needs_zero_page(&parse(rule, &[]).unwrap());
        assert!(zero("page_fault where cause=zero_page_cow == 0"));
        assert!(!zero("page_fault where cause=protection == 0"));
    }
}
