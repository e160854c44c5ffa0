//! What a user reads: evidence and facts in, bytes out, no I/O.

pub mod doctor;
