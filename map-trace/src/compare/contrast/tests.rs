use super::*;
use crate::compare::{Vary, plan};

/// Runs whose only count is that of mprotect under `runtime`, and one first touch besides.
pub fn trials(condition: Condition, mprotects: &[u64]) -> Trials {
    let run = |count: &u64| Run {
        status: Status::Exited(0),
        complete: true,
        failed_controls: Vec::new(),
        duration_ns: 1,
        trace: None,
        program: None,
        counts: BTreeMap::from([
            (("runtime".to_owned(), "mprotect".to_owned()), *count),
            (("none".to_owned(), "first_touch".to_owned()), 7),
        ]),
    };
    Trials {
        condition,
        runs: mprotects.iter().map(run).collect(),
    }
}

fn compared(varies: &[&str], cross: bool, counts: &[&[u64]]) -> Comparison {
    let varies: Vec<_> = varies
        .iter()
        .map(|text| Vary::parse(text).unwrap())
        .collect();
    let conditions = plan(&varies, cross).unwrap();
    assert_eq!(conditions.len(), counts.len());
    let runs = conditions.into_iter().zip(counts);
    let trials = runs
        .map(|(condition, counts)| trials(condition, counts))
        .collect();
    compare(vec!["./app".to_owned()], 3, trials)
}

fn findings(contrast: &Contrast) -> Vec<(&str, Finding)> {
    let rows = contrast.rows.iter();
    rows.map(|row| (row.event.as_str(), row.finding)).collect()
}

#[test]
fn a_difference_beyond_noise_is_attributed_to_the_one_variable() {
    let found = compared(&["GODEBUG=,efence=1"], false, &[&[0, 0, 0], &[38, 40, 38]]);
    let [contrast] = &found.contrasts[..] else {
        panic!("one: {:?}", found.contrasts)
    };
    assert_eq!(contrast.variable.name(), "GODEBUG");
    let expected = [
        ("mprotect", Finding::Attributed),
        ("first_touch", Finding::Same),
    ];
    assert_eq!(findings(contrast), expected);
    let row = &contrast.rows[0];
    assert_eq!((row.from.median, row.to.median, row.to.max), (0, 38, 40));
    assert!(!found.stopped);
}

#[test]
fn a_difference_within_noise_is_attributed_to_nothing() {
    let found = compared(&["FOO=1,2"], false, &[&[5, 6, 7], &[7, 8, 9]]);
    let expected = [
        ("mprotect", Finding::WithinNoise),
        ("first_touch", Finding::Same),
    ];
    assert_eq!(findings(&found.contrasts[0]), expected);
}

#[test]
fn every_contrast_has_one_variable_and_its_first_value() {
    let counts: [&[u64]; 6] = [&[1; 3]; 6];
    let found = compared(&["A=1,2,3", "B=1,2"], true, &counts);
    let told = found.contrasts.iter().map(|contrast| {
        let says = |number: usize| found.conditions[number].condition.say();
        format!(
            "{}: {} > {}",
            contrast.variable.name(),
            says(contrast.from),
            says(contrast.to)
        )
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "B: A=1, B=1 > A=1, B=2",
            "A: A=1, B=1 > A=2, B=1",
            "A: A=1, B=1 > A=3, B=1",
            "A: A=1, B=2 > A=2, B=2",
            "A: A=1, B=2 > A=3, B=2",
            "B: A=2, B=1 > A=2, B=2",
            "B: A=3, B=1 > A=3, B=2",
        ]
    );
}

#[test]
fn too_few_or_incomplete_runs_are_not_judged() {
    let found = compared(&["A=1,2"], false, &[&[0, 0], &[9, 9]]);
    assert!(found.stopped);
    let contrast = &found.contrasts[0];
    assert_eq!(contrast.open.as_deref(), Some("2 of at least 3 runs each"));
    assert_eq!(contrast.rows[0].finding, Finding::Unjudged);

    let mut trials = found.conditions;
    for trials in &mut trials {
        trials.runs.push(trials.runs[0].clone());
    }
    trials[1].runs[0].complete = false;
    let found = compare(Vec::new(), 3, trials);
    let contrast = &found.contrasts[0];
    assert_eq!(
        contrast.open.as_deref(),
        Some("the evidence of 1 run is not complete")
    );
    assert_eq!(contrast.rows[0].finding, Finding::Unjudged);
}

#[test]
fn a_run_has_a_row_that_sums_over_its_operations() {
    let summary = crate::model::summary::Summary {
        operations: ["assign", "none"]
            .map(|word| crate::model::summary::OperationRow {
                operation: crate::model::Operation::from_word(word),
                count: Default::default(),
                events: BTreeMap::from([("mprotect".to_owned(), 3), ("page_fault".to_owned(), 2)]),
                causes: BTreeMap::from([(crate::model::Cause::FirstTouch, 2)]),
                stall_ns: None,
                stall_p50_ns: None,
                stall_p99_ns: None,
                stall_events: 0,
                sub_operations: Vec::new(),
            })
            .into(),
        ..Default::default()
    };
    let run = Run::new(&summary, None);
    let count = |operation: &str, event: &str| {
        run.counts
            .get(&(operation.to_owned(), event.to_owned()))
            .copied()
    };
    assert_eq!(count(ALL, "mprotect"), Some(6));
    assert_eq!(count(ALL, "first_touch"), Some(4));
    assert_eq!(count("assign", "page_fault"), None);
}
