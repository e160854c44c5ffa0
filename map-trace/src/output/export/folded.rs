//! Folded stacks: `main.main;runtime.mapassign_fast64;[page_fault zero_page_cow] 18513`, one line a stack.
//!
//! The innermost element says what happened. Frames and blanks follow the convention of Brendan Gregg's
//! stackcollapse scripts: `;` between frames, the count after the last blank.

use super::stacks::Stacks;
use super::{ExportError, Lines, Out};

pub fn export(lines: Lines<'_>, out: Out<'_>) -> Result<(), ExportError> {
    let stacks = Stacks::read(lines)?;
    for ((id, label), count) in &stacks.counts {
        for frame in stacks.frames(*id) {
            write!(out, "{};", stacks.name(*frame).replace(';', ":"))?;
        }
        writeln!(out, "[{label}] {count}")?;
    }
    Ok(())
}
