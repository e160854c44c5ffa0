//! Attaching to a process that changes its mappings all the time. In a file of its own: what is attached to beside it
//! loses records of mappings.

use std::process::Command;

use map_trace_tests::{Session, c, gated, require_root};

#[test]
fn a_process_whose_mappings_never_rest_is_attached_to() {
    require_root();
    let (mut child, _lines) = gated(Command::new(c("splitting")).arg("3"));
    for _ in 0..8 {
        let output = Session::attach(&[child.id()])
            .option("--duration=50ms")
            .output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
