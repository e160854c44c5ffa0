//! The rules, in the order they are asked. One function each; docs/causes.md explains each by its name.

mod mapping;
mod missing;
mod outcome;
mod present;

use super::FaultInputs;
use crate::model::Cause;

/// What a rule answers: nothing, when it does not cover the case.
pub(super) type Answer = Option<(Cause, Option<&'static str>)>;

/// One rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// As `Classified::rule` and docs/causes.md name it.
    pub name: &'static str,
    pub(super) decide: fn(&FaultInputs) -> Answer,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Name of the answer when no rule covers a case.
pub(super) const NO_RULE: &str = "no-rule";

const fn rule(name: &'static str, decide: fn(&FaultInputs) -> Answer) -> Rule {
    Rule { name, decide }
}

/// All rules, first match decides.
pub const RULES: &[Rule] = &[
    // What the hardware and the outcome say.
    rule("reserved-bit", outcome::reserved_bit),
    rule("signal", outcome::signal),
    rule("kernel-address", outcome::kernel_address),
    rule("protection-key", outcome::protection_key),
    rule("other-code-bits", outcome::other_code_bits),
    // What the mapping says.
    rule("mapping-uncertain", mapping::uncertain),
    rule("no-mapping", mapping::none),
    rule("mapping-forbids", mapping::forbids),
    rule("below-stack", mapping::below_stack),
    // What the entry says.
    rule("entry-unread", mapping::entry_unread),
    rule("guard-or-poison", missing::guard_or_poison),
    rule("userfaultfd", missing::userfaultfd),
    rule("swap-entry", missing::swap_entry),
    rule("prot-none-entry", missing::prot_none_entry),
    rule("other-entry", missing::other_entry),
    rule("empty-anonymous", missing::empty_anonymous),
    rule("empty-file", missing::empty_file),
    rule("mapped-meanwhile", present::mapped_meanwhile),
    rule("entry-allows", present::entry_allows),
    rule("write-protected-by-userfaultfd", present::userfaultfd),
    rule("shared-write", present::shared_write),
    rule("zero-page-write", present::zero_page_write),
    rule("written-before", present::written_before),
    rule("private-file-write", present::private_file_write),
    rule("anonymous-write", present::anonymous_write),
];
