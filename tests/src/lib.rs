//! Harness of the tests that run map-trace on real programs.
//!
//! A test starts map-trace on a workload that says what it did, and compares: counts in the address range
//! the program printed, against the program's own. [`Traced::sound`] adds what must hold in every run:
//! witnesses balanced, nothing lost, every sum adding up.
//!
//! Everything here panics when it cannot do its work: a kernel test never passes by not running.
#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a harness of tests: a failure here is a failed test"
)]

mod binary;
mod live;
mod said;
mod session;
mod system;
mod trace;

pub use binary::{as_nobody, map_trace, require_root};
pub use live::{Live, gated};
pub use said::{Range, Said};
pub use session::{Session, Traced, kill};
pub use system::{Setting, Swap, skipped};
pub use trace::Trace;

use std::path::PathBuf;
use std::sync::OnceLock;

use map_trace_workloads as workloads;
pub use workloads::{Flavour, GoToolchain, Strip, asked_go};

/// The C workload of that name, built on first use.
pub fn c(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        workloads::build_c().unwrap_or_else(|why| panic!("building the C workloads: {why}"))
    });
    let path = folder.join(name);
    assert!(path.is_file(), "there is no C workload {name}");
    path
}

/// The Go workload of that name, built with one toolchain on first use.
pub fn go(toolchain: &GoToolchain, flavour: impl Into<Flavour>, name: &str) -> PathBuf {
    workloads::build_go_program(toolchain, flavour.into(), name).unwrap_or_else(|why| {
        panic!(
            "building the Go workload {name} with {}: {why}",
            toolchain.version
        )
    })
}

/// The installed Go toolchains; at least one with classic maps and one with Swiss maps.
pub fn go_toolchains() -> Vec<GoToolchain> {
    let found = workloads::go_toolchains();
    let swiss = found
        .iter()
        .filter(|toolchain| toolchain.has_swiss_maps())
        .count();
    assert!(
        swiss > 0 && swiss < found.len(),
        "Go toolchains of both kinds of map are needed, found {found:?}: run cargo xtask setup"
    );
    found
}
