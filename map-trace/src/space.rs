//! The address space of each traced process, replayed from what the kernel told of it.
//!
//! A fault is judged by the mapping its address lay in *at that moment*, and by the time user space sees
//! the event the process has moved on. So the mappings are replayed over a start (exec, or a snapshot of
//! /proc/PID/maps) from two sources:
//!
//! - the perf side band ([`SideBandMapping`], PERF_RECORD_MMAP2), which the kernel emits inside mmap, brk,
//!   mprotect, stack growth and the ELF loader, with the file's identity, but never for an unmap or mremap;
//! - memory syscalls seen at their return ([`MappingCall`]).
//!
//! Most changes are told by both. Rules that make the order of the two tellings irrelevant:
//!
//! - a side-band record whose time lies inside a call's window is the stronger teller of that change;
//! - an unmap spares what came into being during its own window: mmap may reuse an address only after the
//!   unmap let go of it, so of two overlapping calls on one range the mapping came second;
//! - a side-band record older than an unmap of the same range does not bring the range back.
//!
//! What cannot be known is not guessed: a mapping has [`Vma::doubt`] when a call failed half way or never
//! returned, a [`Space`] is `lost` when its bounds were exceeded or records were lost. [`Space::compare`]
//! checks a replay against the real file.
//!
//! No I/O here: text of /proc/PID/maps (or smaps, which adds the flags) is given by the caller.

mod calls;
mod compare;
mod mapping;
mod maps_text;
mod memory;
mod ordered;
mod processes;
mod side_band;
mod stack;
#[cfg(test)]
mod tests;
mod told;

pub use calls::{Call, MappingCall};
pub use compare::{Difference, DifferenceKind};
pub use mapping::{Backing, Device, Vma, flag};
pub use maps_text::{MapsError, parse_maps};
pub use memory::{MAX_VMAS, Place, Space};
pub use processes::{ExecFacts, Spaces};
pub use side_band::SideBandMapping;
