//! The pure words of map-trace: what an event is, in the terms of the contract (docs/trace-format.md).
//!
//! Types here serialise to exactly the JSON that traces and summaries hold. No I/O, no policy.

pub mod address;
pub mod call_words;
pub mod cause;
pub mod check;
pub mod event;
pub mod fault_code;
pub mod header;
pub mod loss;
pub mod operation;
pub mod prot;
pub mod pte;
pub mod runtime;
pub mod signal;
pub mod stack;
pub mod summary;
pub mod text;
pub mod vma;
pub mod watched;

pub use address::Address;
pub use cause::Cause;
pub use event::TraceLine;
pub use fault_code::FaultCode;
pub use operation::Operation;
pub use prot::Prot;
pub use pte::Pte;
