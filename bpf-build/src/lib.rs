//! Finds a toolchain for the BPF target and builds map-trace's BPF object with it.
//!
//! Cargo cannot build `map-trace-ebpf` as a dependency: it is for another target, with another `core`
//! and another linker. map-trace's build script calls [`build`], which runs a second cargo on that
//! crate. Two routes lead to a `core` for `bpfel-unknown-none`; [`detect`] takes the first that is whole:
//!
//! 1. **Debian**: `/usr/bin/rustc` from the package `rustc-web` and its prebuilt `core` from
//!    `libstd-rust-web-dev-bpf`. Nothing is compiled beyond our own crates.
//! 2. **rustup**: the nightly toolchain with the component `rust-src`, and `-Z build-std=core`.
//!
//! Both need bpf-linker built against the LLVM of that rustc. This crate has no dependencies, because
//! everything else waits for it.

mod cache;
mod compile;
mod error;
mod linker;
mod toolchain;

pub use cache::cache_dir;
pub use compile::{build, inputs};
pub use error::{Error, Missing};
pub use linker::{BPF_LINKER_VERSION, find as find_linker, pinned_linker};
pub use toolchain::{DEBIAN_RUSTC, NIGHTLY, Route, Toolchain, debian_core, detect, nightly_source};

/// The target of the BPF object: eBPF, little endian like every machine map-trace runs on.
pub const TARGET: &str = "bpfel-unknown-none";
