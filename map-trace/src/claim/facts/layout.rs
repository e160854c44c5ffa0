//! Fields of Go's structures, from the program's debug information.

use std::fmt;

use super::{Presence, Ruling};
use crate::binary::Binary;
use crate::binary::layout::Layouts;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// As Go names it: `runtime.hmap`.
    pub structure: String,
    /// None: the structure itself.
    pub field: Option<String>,
    pub expect: LayoutExpect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutExpect {
    There(Presence),
    /// Bytes from the structure's start.
    Offset(u64),
    /// The structure's bytes.
    Size(u64),
}

impl Layout {
    pub fn judge(&self, binary: &Binary) -> Ruling {
        let name = &self.structure;
        let found = match Layouts::members(binary, name) {
            Ok(found) => found,
            Err(why) => return Ruling::open(why),
        };
        let Some((size, members)) = found else {
            let reason = format!("the program has no structure {name}");
            return match (&self.field, self.expect) {
                (None, LayoutExpect::There(expect)) => Ruling::of(expect.is(false), reason),
                _ => Ruling::open(reason),
            };
        };
        let Some(wanted) = &self.field else {
            return match self.expect {
                LayoutExpect::Size(bytes) => {
                    Ruling::of(size == bytes, format!("{name} has {size} bytes"))
                }
                LayoutExpect::There(expect) => {
                    Ruling::of(expect.is(true), format!("{name} is there, {size} bytes"))
                }
                LayoutExpect::Offset(_) => Ruling::open("an offset of no field"),
            };
        };
        let offset = members
            .iter()
            .find(|(member, _)| member == wanted)
            .map(|(_, offset)| *offset);
        let reason = match offset {
            Some(offset) => format!("{name}.{wanted} is at {offset}"),
            None => format!("{name} has no {wanted} among its {} fields", members.len()),
        };
        let holds = match self.expect {
            LayoutExpect::There(expect) => expect.is(offset.is_some()),
            LayoutExpect::Offset(wanted) => offset == Some(wanted),
            LayoutExpect::Size(bytes) => size == bytes,
        };
        Ruling::of(holds, reason)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.structure)?;
        if let Some(field) = &self.field {
            write!(f, ".{field}")?;
        }
        match self.expect {
            LayoutExpect::There(expect) => write!(f, " {expect}"),
            LayoutExpect::Offset(offset) => write!(f, " at {offset}"),
            LayoutExpect::Size(size) => write!(f, " has {size} bytes"),
        }
    }
}
