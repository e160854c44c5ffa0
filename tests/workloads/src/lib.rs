//! Programs with known behaviour, and their builder.
//!
//! Each program does a stated number of things and prints what it did as `key=value` lines, addresses
//! in hex, so that a test compares map-trace's counts with the program's own. They are written in C
//! (`c/`) and Go (`go/`), built once into `target/workloads/` and rebuilt when a source, a flag or the
//! compiler changes. A build goes to a name of its own and is renamed into place, so that test
//! programs running side by side need no lock.

mod build;
mod go;

pub use build::{Error, build_c, root};
pub use go::{
    Flavour, GO_VARIABLE, GoToolchain, MATRIX, PINNED_GO, Strip, ask_for_go, asked_go, build_go,
    build_go_at, build_go_program, go_toolchains, pinned_go, split, wanted_go,
};
