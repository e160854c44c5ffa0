use super::*;
use crate::model::summary::VerdictWord;

const EXPERIMENTS: &str = "
[[experiment]]
name = \"range\"
program = \"go/range\"
about = \"ranges\"
regions = { hot = \"main.rangeOver\" }

[[experiment]]
name = \"sabotage\"
program = \"go/sabotage\"
about = \"protects\"
go = \">=1.21\"
regions = { hot = \"main.rangeOver\" }
";

fn claim(lines: &str) -> String {
    format!(
        "{EXPERIMENTS}\n[[claim]]\nid = \"1\"\nstatement = \"s\"\nexpected = \"refuted\"\n{lines}"
    )
}

fn one(lines: &str) -> Result<Catalogue, String> {
    read(&[("x.toml", &claim(lines))]).map_err(|why| why.to_string())
}

#[test]
fn the_embedded_catalogue_can_be_read() {
    let catalogue = read(embedded_files()).unwrap();
    for experiment in &catalogue.experiments {
        let here = |path: &str| {
            path == experiment.program || path.starts_with(&format!("{}/", experiment.program))
        };
        assert!(
            embedded_workloads().iter().any(|(path, _)| here(path)),
            "{} is not embedded",
            experiment.program
        );
    }
    for claim in &catalogue.claims {
        for check in &claim.checks {
            let Check::Compile(compile) = check else {
                continue;
            };
            let Source::File(name) = &compile.source else {
                continue;
            };
            let path = format!("snippets/{name}");
            assert!(
                embedded_workloads().iter().any(|(known, _)| *known == path),
                "{path} is not embedded"
            );
        }
    }
}

#[test]
fn a_counterfactual_has_every_region_the_claim_speaks_of() {
    let catalogue = read(embedded_files()).unwrap();
    for claim in &catalogue.claims {
        for swap in claim.counterfactuals.iter().chain(&claim.noise) {
            let moved = claim.swapped(swap).unwrap();
            for check in &moved.checks {
                let Check::Trace {
                    experiment,
                    claim: rule,
                } = check
                else {
                    continue;
                };
                let Some(crate::model::Operation::Region(region)) = &rule.rule.during else {
                    continue;
                };
                let regions = &catalogue.experiment(experiment).unwrap().regions;
                assert!(
                    regions.iter().any(|(name, _)| **name == **region),
                    "{}: {experiment} has no region {region}",
                    claim.id
                );
            }
        }
    }
}

#[test]
fn every_kind_of_check_is_read() {
    let kinds = [
        "kind = \"trace\"\nexperiment = \"range\"\nrule = \"mprotect during hot == 0\"\nneeds = { controls = [\"mprotect\"], pte_samples = 3 }",
        "kind = \"output\"\nexperiment = \"range\"\nexpect = [\"a == 1\", \"stderr has x y\"]",
        "kind = \"status\"\nexperiment = \"range\"\nexpect = \"exits 2\"",
        "kind = \"symbol\"\nexperiment = \"range\"\nname = \"runtime.x*\"\nexpect = \"absent\"",
        "kind = \"calls\"\nexperiment = \"range\"\nfunction = \"f\"\nonly = [\"g\"]",
        "kind = \"reach\"\nexperiment = \"range\"\nfunction = \"f\"\ncall = \"mprotect\"\nexpect = \"gated\"\nthrough = \"work\"",
        "kind = \"layout\"\nexperiment = \"range\"\nstructure = \"runtime.hmap\"\nfield = \"B\"\noffset = 9",
        "kind = \"code\"\nexperiment = \"range\"\nfunction = \"f\"\ncompares = 128\nexpect = \"absent\"",
        "kind = \"compile\"\ntext = \"package p\"\nlanguage = \"go\"\nexpect = \"fails: E0614\"",
        "kind = \"ratio\"\nleft = \"range.ns\"\nright = \"sabotage.ns\"\nexpect = \"< 1\"",
        "kind = \"host\"\nkernel_symbol = \"do_page_fault\"\nexpect = \"absent\"",
        "kind = \"host\"\npte_bit = \"writable\"\nbit = 1",
    ];
    for lines in kinds {
        let catalogue = one(&format!("[[claim.check]]\n{lines}")).unwrap();
        assert_eq!(catalogue.claims[0].checks.len(), 1);
        let kind = lines.split('"').nth(1).unwrap();
        assert_eq!(catalogue.claims[0].checks[0].kind(), kind);
    }
}

#[test]
fn a_mistake_is_told_with_its_file_and_line() {
    let check = "[[claim.check]]\nkind = \"trace\"\nexperiment = \"range\"\nrule = ";
    for (lines, says) in [
        (
            format!("{check}\"mprotct == 0\""),
            "did you mean 'mprotect'?",
        ),
        (format!("{check}\"mprotect during warm == 0\""), "warm"),
        (
            check.replace("range", "rage") + "\"mprotect == 0\"",
            "no experiment 'rage'",
        ),
        ("[[claim.check]]\nkind = \"trick\"".to_owned(), "trick"),
        (String::new(), "check"),
    ] {
        let why = one(&lines).unwrap_err();
        assert!(why.starts_with("x.toml:") && why.contains(says), "{why}");
    }
}

#[test]
fn a_claim_moves_to_another_run_with_its_checks_of_runs_only() {
    let lines = "counterfactuals = [{ run = \"sabotage\", for = \"range\" }]\n\
        [[claim.check]]\nkind = \"trace\"\nexperiment = \"range\"\nrule = \"mprotect == 0\"\n\
        [[claim.check]]\nkind = \"symbol\"\nexperiment = \"range\"\nname = \"f\"\nexpect = \"absent\"";
    let catalogue = one(lines).unwrap();
    let claim = &catalogue.claims[0];
    let moved = claim.swapped(&claim.counterfactuals[0]).unwrap();
    assert_eq!(moved.experiments(), ["sabotage"]);
    assert_eq!(moved.checks.len(), 1);
    let stays = Swap {
        run: "sabotage".into(),
        of: Some("sabotage".into()),
    };
    assert!(claim.swapped(&stays).is_none());
}

#[test]
fn regions_of_one_function_are_one_region() {
    let lines = "[[claim.check]]\nkind = \"trace\"\nexperiment = \"range\"\nrule = \"mprotect during warm == 0\"";
    let text = claim(lines).replacen(
        "hot = \"main.rangeOver\"",
        "hot = \"main.r\", warm = \"main.r\"",
        1,
    );
    let catalogue = read(&[("x.toml", &text)]).unwrap();
    let experiment = &catalogue.experiments[0];
    assert_eq!(experiment.distinct_regions().count(), 1);
    let Check::Trace { claim, .. } = &catalogue.claims[0].checks[0] else {
        panic!("no rule")
    };
    assert_eq!(
        experiment.localised(claim).rule.to_string(),
        "mprotect during hot == 0"
    );
}

#[test]
fn the_expected_verdict_goes_by_version_then_by_implementation() {
    let text = claim(
        "[[claim.check]]\nkind = \"symbol\"\nexperiment = \"range\"\nname = \"f\"\nexpect = \"absent\"",
    )
    .replace(
        "expected = \"refuted\"",
        "expected = { classic = \"refuted\", \">=1.22, <1.24\" = \"supported\" }",
    );
    let catalogue = read(&[("x.toml", &text)]).unwrap();
    let of = |version: &str, maps| {
        let version = GoVersion::parse(version).unwrap();
        catalogue.claims[0].expected.of(Subject { version, maps })
    };
    use crate::binary::MapImplementation::{Hmap, Swiss};
    assert_eq!(of("1.19.8", Hmap), Some(VerdictWord::Refuted));
    assert_eq!(of("1.23.9", Hmap), Some(VerdictWord::Supported));
    assert_eq!(of("1.27.3", Swiss), None);
}
