//! A test case a claim and Go, and one a counterfactual.

use std::fmt::Write;

use super::word;
use crate::claim::proof::Proof;
use crate::output::html::escape;
use crate::output::plain::clean;

pub fn render(proof: &Proof) -> Vec<u8> {
    let mut cases = String::new();
    let (mut tests, mut failures, mut skipped) = (0, 0, 0);
    let mut case = |class: &str, name: &str, failed: Option<String>, open: Option<&str>| {
        tests += 1;
        let text = |text: &str| escape(&clean(text));
        let _ = write!(
            cases,
            "<testcase classname=\"{}\" name=\"{}\"",
            text(class),
            text(name)
        );
        if let Some(why) = failed {
            failures += 1;
            let _ = writeln!(cases, "><failure message=\"{}\"/></testcase>", text(&why));
        } else if let Some(why) = open {
            skipped += 1;
            let _ = writeln!(cases, "><skipped message=\"{}\"/></testcase>", text(why));
        } else {
            cases.push_str("/>\n");
        }
    };
    for claim in &proof.claims {
        for one in &claim.verdicts {
            let go = one.go.as_deref().unwrap_or("host");
            let name = format!("{} {}", claim.id, claim.statement);
            let failed = one.is_unexpected().then(|| {
                let expected = one.expected.map_or("none", word);
                format!("{}, expected {expected}: {}", word(one.verdict), one.reason)
            });
            let open = one.is_open().then_some(one.reason.as_str());
            case(&format!("go {go}"), &name, failed, open);
        }
    }
    for turn in &proof.counterfactuals {
        let must = if turn.must_turn { "turns" } else { "stays" };
        let name = format!("{} {must} on {}", turn.claim, turn.run);
        let go = turn.go.as_deref().unwrap_or("host");
        let failed = (!turn.held && !turn.is_open()).then(|| {
            format!(
                "{} there, {} here: {}",
                word(turn.before),
                word(turn.after),
                turn.reason
            )
        });
        let open = turn.is_open().then_some(turn.reason.as_str());
        case(&format!("counterfactual {go}"), &name, failed, open);
    }
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"map-trace prove\">\n\
         <testsuite name=\"catalogue\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">\n"
    );
    out.push_str(&cases);
    out.push_str("</testsuite>\n</testsuites>\n");
    out.into_bytes()
}
