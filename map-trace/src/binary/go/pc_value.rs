//! The tables that give a value to each instruction of a function (`runtime/symtab.go`: step, pcvalue).

use super::GoFunction;
use crate::binary::window::Window;

/// Steps taken through one table, at most: a function of a megabyte stays below it.
const MAX_STEPS: u32 = 1 << 18;

/// The value at `svma`: pairs of varints (zigzag value difference, pc difference) from the function's
/// start on, ended by a zero value difference that is not the first.
pub(super) fn at(mut table: Window, function: &GoFunction, svma: u64) -> Option<i32> {
    let mut pc = function.start;
    let mut value = -1_i32;
    for step in 0..MAX_STEPS {
        let difference = table.varint()? as u32;
        if difference == 0 && step > 0 {
            return None;
        }
        let signed = (difference >> 1) as i32 ^ -((difference & 1) as i32);
        value = value.wrapping_add(signed);
        pc = pc.checked_add(table.varint()?)?;
        if svma < pc {
            return Some(value);
        }
        if pc >= function.end {
            return None;
        }
    }
    None
}
