//! map-trace: a hardware-level fault tracer for x86-64 Linux.
//!
//! The parts, in the order data flows through them, are described in docs/architecture.md.

pub mod binary;
pub mod cause;
pub mod claim;
pub mod cli;
pub mod compare;
pub mod decode;
pub mod error;
pub mod evidence;
pub mod exit_code;
pub mod kernel;
pub mod maps;
pub mod model;
pub mod output;
pub mod prove;
pub mod session;
pub mod space;
pub mod target;
pub mod trace;
