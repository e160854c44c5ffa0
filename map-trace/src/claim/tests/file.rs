//! Claims files.

use crate::claim::{Claim, parse, parse_file};
use crate::model::Operation;
use crate::model::summary::VerdictWord;

fn read(text: &str) -> Vec<Claim> {
    parse_file("c.toml", text, &["hot".to_owned()]).unwrap()
}

#[test]
fn the_claim_of_the_contract_is_read() {
    let claims = read(
        r#"
[[claim]]
id = "range-keeps-buckets-writable"
statement = "Iterating a map never makes its buckets read-only"
event = "pte_sample"
where = { writable = false, present = true }
during = "iterate"
on = "buckets"
expect = "== 0"
needs = { iterate = 1000, pte_samples = 100, controls = ["mprotect", "read-only-write"] }
expected_verdict = "refuted"
"#,
    );
    let [claim] = &claims[..] else {
        panic!("one claim")
    };
    let short = "pte_sample where writable=false, present=true during iterate on buckets == 0";
    assert_eq!(claim.rule, parse(short, &[]).unwrap());
    assert_eq!(claim.needs.operations, [(Operation::Iterate, 1000)]);
    assert_eq!(claim.needs.pte_samples, Some(100));
    assert_eq!(claim.needs.controls, ["mprotect", "read-only-write"]);
    assert_eq!(claim.expected, VerdictWord::Refuted);
}

#[test]
fn parts_and_short_form_are_one_grammar() {
    let claims = read(
        r#"
[[claim]]
id = "parts"
event = "page_fault"
where = { error_code.write = true, error_code.raw = 0x7, vma.prot = "rw-" }
during = "hot"
expect = "<= 3"

[[claim]]
id = "short"
rule = "page_fault where error_code.write=true, error_code.raw=7, vma.prot=rw- during hot <= 3"

[[claim]]
id = "nested"
event = "page_fault"
during = "hot"
expect = "<=3"
[claim.where.error_code]
write = true
raw = 7
[claim.where.vma]
prot = "rw-"
"#,
    );
    assert_eq!(claims[0].rule, claims[1].rule);
    assert_eq!(claims[0].statement, claims[1].statement);
    assert_eq!(claims[2].rule, claims[1].rule);
    assert_eq!(claims[0].expected, VerdictWord::Supported);
}

#[test]
fn an_error_points_at_line_and_column_with_the_nearest_word() {
    let head = "[[claim]]\nid = \"a\"\n";
    for (rest, error) in [
        (
            "event = \"mprotct\"\nexpect = \"== 0\"",
            "c.toml:3:9: 'mprotct' is not an event; did you mean 'mprotect'?",
        ),
        (
            "evnt = \"mprotect\"",
            "c.toml:3:1: a claim has no 'evnt'; did you mean 'event'?",
        ),
        (
            "event = \"mprotect\"",
            "c.toml:1:1: a claim needs an 'event' and an 'expect', or a 'rule'",
        ),
        (
            "event = 3\nexpect = \"== 0\"",
            "c.toml:3:9: 'event' is a text in quotes",
        ),
        (
            "event = \"mprotect\"\nexpect = \"= 0\"",
            "c.toml:4:10: '=' compares nothing; '==' is meant for that",
        ),
        (
            "event = \"mprotect\"\nexpect = 0",
            "c.toml:4:10: 'expect' is a text in quotes",
        ),
        (
            "event = \"mprotect\"\nwhere = { prto = \"r--\" }\nexpect = \"== 0\"",
            "c.toml:4:11: mprotect has no field 'prto'; did you mean 'prot'?",
        ),
        (
            "event = \"page_fault\"\nwhere = { error_code.writ = true }\nexpect = \"== 0\"",
            "c.toml:4:22: page_fault has no field 'error_code.writ'; did you mean 'error_code.write'?",
        ),
        (
            "event = \"mprotect\"\nduring = \"itrate\"\nexpect = \"== 0\"",
            "c.toml:4:10: 'itrate' is neither an operation nor a region; did you mean 'iterate'?",
        ),
        (
            "event = \"mprotect\"\nexpect = \"== 0\"\nneeds = { iterrate = 1 }",
            "c.toml:5:11: 'iterrate' is nothing a claim can need; did you mean 'iterate'?",
        ),
        (
            "event = \"mprotect\"\nexpect = \"== 0\"\nneeds = { controls = [\"mprotec\"] }",
            "c.toml:5:23: 'mprotec' is not a control; did you mean 'mprotect'?",
        ),
        (
            "event = \"mprotect\"\nexpect = \"== 0\"\nneeds = { iterate = -1 }",
            "c.toml:5:21: a whole number, 0 or more, goes here",
        ),
        (
            "rule = \"mprotect == 0\"\nexpected_verdict = \"suported\"",
            "c.toml:4:20: 'suported' is not a verdict; did you mean 'supported'?",
        ),
        (
            "rule = \"mprotect durng hot == 0\"",
            "c.toml:3:18: where, during, on or a comparison goes here, not 'durng'; did you mean 'during'?",
        ),
        (
            "rule = \"mprotect == 0\"\nevent = \"mmap\"",
            "c.toml:4:1: 'event' beside 'rule', which says it all",
        ),
        (
            "rule = \"mprotect == 0\"\n[[claim]]\nid = \"a\"\nrule = \"mmap == 0\"",
            "c.toml:5:6: a second claim with the id 'a'",
        ),
        (
            "rule = \"mprotect == 0\"\n[[clam]]",
            "c.toml:4:3: a claims file has no 'clam'; did you mean 'claim'?",
        ),
    ] {
        let found = parse_file("c.toml", &format!("{head}{rest}\n"), &[]).unwrap_err();
        assert_eq!(found.to_string(), error, "{rest}");
    }
    let broken = parse_file("c.toml", "[[claim]]\nid = \n", &[]).unwrap_err();
    assert_eq!(broken.line, 2, "{broken}");
    let without = parse_file("c.toml", "[[claim]]\nevent = \"mmap\"\n", &[]).unwrap_err();
    assert_eq!(without.to_string(), "c.toml:1:1: a claim needs an id");
    assert_eq!(parse_file("c.toml", "", &[]), Ok(Vec::new()));
    assert_eq!(
        parse_file("c.toml", "claim = 1", &[]).unwrap_err().column,
        1
    );
}
