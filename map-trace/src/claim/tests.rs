//! The grammar, the verdicts, and what must change them.

mod file;
mod grammar;
mod memory;
mod mutations;
mod sessions;
mod verdicts;
mod window;
