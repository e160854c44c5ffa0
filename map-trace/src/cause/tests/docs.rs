use super::super::{RULES, rules::NO_RULE};
use crate::model::Cause;

const DOCS: &str = include_str!("../../../../docs/causes.md");

#[test]
fn every_cause_has_its_section_in_order() {
    let mut sections = DOCS.split("\n## ").skip(2);
    for cause in Cause::ALL {
        let section = sections
            .next()
            .unwrap_or_else(|| panic!("no section for {}", cause.word()));
        assert!(
            section.starts_with(&format!("`{}`\n", cause.word())),
            "{section}"
        );
        for part in ["Meaning: ", "Decided by: ", "Not: ", "Kernel: "] {
            assert!(
                section.contains(&format!("\n{part}")),
                "{}: no {part:?}",
                cause.word()
            );
        }
    }
    assert_eq!(sections.next(), None);
}

#[test]
fn every_rule_has_its_row_in_order() {
    let rows: Vec<&str> = DOCS
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let rules: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.name)
        .chain([NO_RULE])
        .collect();
    assert_eq!(rows, rules);
}
