//! Answers that are right, and each way in which one is not.

use serde_json::json;

use super::*;

fn summary() -> Value {
    json!({
        "witnesses": {"balanced": true, "perf": {"page_faults": 98}},
        "loss": {"dropped": 0, "undecodable": 0},
        "controls": vec![json!({"passed": true}); 10],
        "calibration": {"usable": true, "rechecked": true},
        "operations": [
            {"operation": "delete", "count": {"value": 1250, "kind": "exact"}},
            {"operation": "clear", "count": {"value": 10, "kind": "exact"}},
        ],
    })
}

fn log(summary: &Value, rule: &str) -> String {
    format!(
        "SeaBIOS\n@@kernel 5.10.0\n@@doctor 0\ndegraded  uprobes  old\nTracing works.\n@@run go_old\n@@status 0\n\
         @@said\ndeletes=1250\nclears=10\n@@told\nmap-trace: ran\n@@summary\n{summary:#}\n@@rule {rule}\n"
    )
}

/// The checks of the one case that ran, passed or not.
fn answers(summary: &Value, rule: &str) -> Vec<(String, bool)> {
    let guest = Guest::read(&log(summary, rule));
    let of = |check: &Check| check.what.starts_with("go_old");
    let checks = guest.checks().into_iter().filter(of);
    checks.map(|check| (check.what, check.passed)).collect()
}

#[test]
fn a_guest_is_taken_apart_and_what_is_missing_fails() {
    let guest = Guest::read(&log(&summary(), "0 mprotect == 0"));
    assert_eq!(guest.kernel, "5.10.0");
    assert_eq!(
        guest.degraded().collect::<Vec<_>>(),
        ["degraded  uprobes  old"]
    );
    let checks = guest.checks();
    assert_eq!(checks[0], Check::new("doctor", true, "Tracing works."));
    let failed = checks.iter().filter(|check| !check.passed);
    // Every other case, and the end.
    assert_eq!(failed.count(), CASES.len());
}

#[test]
fn a_sound_run_passes_and_each_thing_that_is_wrong_fails_it() {
    let sound = answers(&summary(), "0 mprotect == 0");
    assert_eq!(sound.len(), 3);
    assert!(sound.iter().all(|(_, passed)| *passed), "{sound:?}");
    assert!(!answers(&summary(), "3 mprotect == 0")[1].1);
    for (path, wrong) in [
        ("/witnesses/balanced", json!(false)),
        ("/loss/dropped", json!(1)),
        ("/loss/undecodable", json!(1)),
        ("/controls/3/passed", json!(false)),
        ("/controls", json!([])),
        ("/calibration/usable", json!(false)),
        ("/calibration/rechecked", json!(null)),
    ] {
        let mut summary = summary();
        *summary.pointer_mut(path).unwrap() = wrong;
        assert!(!answers(&summary, "0 x")[0].1, "{path}");
    }
}

#[test]
fn counts_must_be_the_programs_own_unless_it_is_said_that_there_are_none() {
    for (path, wrong) in [
        ("/operations/0/count/value", json!(1249)),
        ("/operations/1/count/kind", json!("lower_bound")),
    ] {
        let mut summary = summary();
        *summary.pointer_mut(path).unwrap() = wrong;
        assert!(!answers(&summary, "0 x")[2].1, "{path}");
        summary["not_probed"] = json!(["too old"]);
        assert!(answers(&summary, "0 x")[2].1, "{path}");
    }
}
