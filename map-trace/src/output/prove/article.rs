//! The article: what is said of Go maps, claim by claim, with what was seen.

use std::fmt::Write;

use super::{Tally, columns, word};
use crate::claim::proof::{Proof, ProofClaim, ProofVerdict, Turn};
use crate::output::plain::{clean, number};

/// What the numbers before the dot stand for.
const CHAPTERS: [(&str, &str); 4] = [
    ("1", "Is a map write-protected while you range over it?"),
    ("2", "Layout, checks, growth, reflection"),
    ("3", "Page tables, the garbage collector, eBPF"),
    ("4", "Changing maps safely"),
];

pub fn render(proof: &Proof) -> Vec<u8> {
    let mut out = String::from("# Go maps and the memory hardware, claim by claim\n\n");
    opening(&mut out, proof);
    table(&mut out, proof);
    for (number, title) in CHAPTERS {
        let of: Vec<&ProofClaim> = proof
            .claims
            .iter()
            .filter(|claim| chapter(claim) == Some(number))
            .collect();
        section(&mut out, title, &of);
    }
    let known = |claim: &&ProofClaim| {
        chapter(claim).is_some_and(|own| CHAPTERS.iter().any(|(number, _)| *number == own))
    };
    let rest: Vec<&ProofClaim> = proof.claims.iter().filter(|claim| !known(claim)).collect();
    section(&mut out, "Other statements", &rest);
    turns(&mut out, &proof.counterfactuals);
    method(&mut out, proof);
    out.into_bytes()
}

fn chapter(claim: &ProofClaim) -> Option<&str> {
    claim.id.split_once('.').map(|(number, _)| number)
}

fn opening(out: &mut String, proof: &Proof) {
    let tally = Tally::of(proof);
    let gos: Vec<String> = proof
        .toolchains
        .iter()
        .map(|one| format!("{} ({} maps)", one.version, one.maps))
        .collect();
    let _ = writeln!(
        out,
        "It has been written that Go makes the buckets of a map read-only with `mprotect` while a program ranges over it, \
         that writes are then swallowed after a silent SIGSEGV, and that `m[k] = v` lifts the protection for a moment. \
         None of this has to be believed or disbelieved: it can be watched. This page is the outcome of one run of \
         `map-trace prove`, which ran {} programs and judged {} statements by the page faults, memory calls, signals and \
         page-table entries it saw, and by the code of the built programs.\n",
        proof.experiments.len(),
        proof.claims.len()
    );
    let _ = writeln!(
        out,
        "{} statements are refuted, {} are supported, {} differ by Go version, {} open.\n",
        tally.refuted, tally.supported, tally.by_version, tally.open
    );
    let host = &proof.host;
    let machine = match &host.hypervisor {
        // The signature of KVM's CPUID leaf repeats itself.
        Some(hypervisor) if hypervisor.contains("KVM") => format!("{}, under KVM", host.cpu),
        Some(hypervisor) => format!("{}, under {hypervisor}", host.cpu),
        None => host.cpu.clone(),
    };
    let _ = writeln!(
        out,
        "Go {}. Linux {} on {}. {}. map-trace {}. \"Classic\" maps are those up to Go 1.23, \"Swiss\" maps those \
         from Go 1.24 on.\n",
        escape(&gos.join(", ")),
        escape(&host.kernel),
        escape(&machine),
        escape(&proof.started),
        escape(&proof.version),
    );
}

fn table(out: &mut String, proof: &Proof) {
    out.push_str("| | statement | classic | Swiss |\n|---|---|---|---|\n");
    for claim in &proof.claims {
        let [classic, swiss] = columns(claim);
        let _ = writeln!(
            out,
            "| [{}](#{}) | {} | {} | {} |",
            escape(&claim.id),
            anchor(claim),
            escape(&claim.statement),
            classic.word(),
            swiss.word()
        );
    }
    out.push('\n');
}

/// GitHub's anchor of a claim's heading: letters, digits and hyphens in lower case.
fn anchor(claim: &ProofClaim) -> String {
    heading(claim)
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
            _ => None,
        })
        .collect()
}

fn heading(claim: &ProofClaim) -> String {
    let [classic, swiss] = columns(claim);
    let verdict = match classic == swiss {
        true => classic.word().to_owned(),
        false => format!("classic {}, Swiss {}", classic.word(), swiss.word()),
    };
    format!("{} {verdict}", clean(&claim.id))
}

fn section(out: &mut String, title: &str, claims: &[&ProofClaim]) {
    if claims.is_empty() {
        return;
    }
    let _ = writeln!(out, "## {title}\n");
    for claim in claims {
        let _ = writeln!(out, "### {}\n", escape(&heading(claim)));
        let _ = writeln!(out, "> {}\n", escape(&claim.statement));
        if let Some(truth) = &claim.truth {
            let _ = writeln!(out, "{}\n", escape(truth));
        }
        evidence(out, &claim.verdicts);
    }
}

/// What was checked and what was found; verdicts of equal reasons in one row.
fn evidence(out: &mut String, verdicts: &[ProofVerdict]) {
    let mut rows: Vec<(String, String, Vec<&str>)> = Vec::new();
    for one in verdicts {
        let go = one.go.as_deref().unwrap_or("any");
        if one.checks.is_empty() {
            rows.push((String::new(), one.reason.clone(), vec![go]));
        }
        for check in &one.checks {
            let ran = check.experiments.join(", ");
            let of = match ran.is_empty() {
                true => format!("`{}`", tick(&check.text)),
                false => format!("`{}` in {}", tick(&check.text), escape(&ran)),
            };
            let found = format!("{}: {}", word(check.verdict), check.reason);
            match rows.iter_mut().find(|row| row.0 == of && row.1 == found) {
                Some(row) => row.2.push(go),
                None => rows.push((of, found, vec![go])),
            }
        }
    }
    if rows.is_empty() {
        return;
    }
    out.push_str("| checked | Go | found |\n|---|---|---|\n");
    for (checked, found, gos) in rows {
        let _ = writeln!(
            out,
            "| {checked} | {} | {} |",
            gos.join(", "),
            escape(&found)
        );
    }
    out.push('\n');
}

fn turns(out: &mut String, turns: &[Turn]) {
    if turns.is_empty() {
        return;
    }
    out.push_str(
        "## Could the verdicts have been others?\n\nA verdict that cannot turn round says nothing. So the statements were \
         judged again on programs that really do what is claimed, where the verdict must turn round, and on noise, where \
         it must stay.\n\n| statement | program | Go | verdict before | here | as it must be |\n|---|---|---|---|---|---|\n",
    );
    for turn in turns {
        let held = match (turn.held, turn.must_turn) {
            (true, true) => "yes, turned",
            (true, false) => "yes, stayed",
            (false, _) if turn.is_open() => "open",
            (false, _) => "**no**",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {held} |",
            escape(&turn.claim),
            escape(&turn.run),
            turn.go.as_deref().unwrap_or("any"),
            word(turn.before),
            word(turn.after)
        );
    }
    out.push('\n');
}

fn method(out: &mut String, proof: &Proof) {
    out.push_str(
        "## How it was judged\n\nEach program ran under map-trace, which sees every page fault, memory call and signal in \
         the kernel, checks its counts against two other counters, and before each run proves on a child of its own that \
         it would have seen what it looks for. What is absent counts only when nothing was lost and every such control \
         passed; otherwise the verdict is \"inconclusive\". Rules are those of [claims.md](claims.md); a verdict of \
         \"refuted\" means that the statement does not hold, and the row says by what. To repeat it: \
         `cargo xtask prove`.\n\n| program | what it does | Go | events | time |\n|---|---|---|---|---|\n",
    );
    for run in &proof.experiments {
        let events = match (&run.problem, run.events) {
            (Some(problem), _) => escape(problem),
            (None, Some(events)) => number(events),
            (None, None) => "not recorded".to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {events} | {} ms |",
            escape(&run.name),
            escape(&run.about),
            run.go.as_deref().unwrap_or("any"),
            number(run.duration_ms)
        );
    }
    for note in &proof.notes {
        let _ = writeln!(out, "\n{}", escape(note));
    }
}

/// Text as Markdown shows it, in one line.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '*' | '_' | '[' | ']' | '#' | '`' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Text inside backticks in a table.
fn tick(text: &str) -> String {
    clean(text).replace('`', "'").replace('|', "\\|")
}
