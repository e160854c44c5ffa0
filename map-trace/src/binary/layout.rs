//! Where the fields of Go's map structures, map types, goroutines and threads are.
//!
//! From the binary's own DWARF when it has any, else from a table by Go version, else unknown: then map
//! memory cannot be told and events are attributed by symbol only. When both speak and disagree, neither
//! is believed.

mod dwarf;
mod table;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::Binary;
use super::facts::BinaryFacts;

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The binary's debug information.
    Dwarf,
    /// The table for its Go version, made from the debug information of that version's own binaries.
    VersionTable,
}

/// A structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// As Go names it: `runtime.hmap`.
    pub name: String,
    /// Bytes; none where only some of its fields are known.
    pub size: Option<u64>,
    /// Fields that tracing uses, by offset.
    pub fields: Vec<Field>,
    pub source: Source,
}

/// A field and its offset in bytes. Names are those of the newest Go that has the field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    pub name: &'static str,
    pub offset: u64,
}

/// A structure's bytes, and its members with their offsets.
pub type Members = (u64, Vec<(String, u64)>);

/// What is known of a binary's structures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Layouts {
    /// Every structure the map implementation needs, or none.
    pub structs: Vec<Layout>,
    /// Why there is none.
    pub unknown: Option<String>,
    /// What was wrong with a source that was not used.
    pub note: Option<String>,
}

impl Layouts {
    /// Finds the layouts of a binary.
    pub fn find(binary: &Binary) -> Self {
        let facts = binary.facts();
        let Some(implementation) = facts.map_implementation else {
            return Self::unknown("it has no maps of Go");
        };
        let table = table::rows(facts, implementation);
        let dwarf = dwarf::read(&binary.elf, &table::wanted(implementation));
        Self::judge(facts, dwarf, table)
    }

    /// Size in bytes and members, with their offsets, of any structure of a Go program, from its debug information;
    /// none: there is no such structure.
    ///
    /// # Errors
    /// There is no debug information, or it cannot be read.
    pub fn members(binary: &Binary, structure: &str) -> Result<Option<Members>, String> {
        dwarf::members(&binary.elf, structure)
    }

    /// The offset of a field.
    pub fn offset(&self, structure: &str, field: &str) -> Option<u64> {
        let layout = self.layout(structure)?;
        let field = layout.fields.iter().find(|f| f.name == field)?;
        Some(field.offset)
    }

    /// A structure by its Go name.
    pub fn layout(&self, structure: &str) -> Option<&Layout> {
        self.structs.iter().find(|layout| layout.name == structure)
    }

    /// The map type (`abi.MapType`), which has had four names.
    pub fn map_type(&self) -> Option<&Layout> {
        table::MAP_TYPES.iter().find_map(|name| self.layout(name))
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self {
            unknown: Some(why.into()),
            ..Self::default()
        }
    }

    fn judge(
        facts: &BinaryFacts,
        dwarf: Result<Vec<Layout>, String>,
        table: Result<Vec<Layout>, String>,
    ) -> Self {
        match (dwarf, table) {
            (Ok(dwarf), Ok(table)) => match disagreement(&dwarf, &table) {
                Some(what) => Self::unknown(format!(
                    "its debug information and the table of {} disagree: {what}",
                    facts.go_version.as_deref().unwrap_or("its Go version")
                )),
                None => Self {
                    structs: dwarf,
                    ..Self::default()
                },
            },
            (Ok(dwarf), Err(_)) => Self {
                structs: dwarf,
                ..Self::default()
            },
            (Err(no_dwarf), Ok(table)) => Self {
                structs: table,
                note: Some(no_dwarf),
                ..Self::default()
            },
            (Err(no_dwarf), Err(no_table)) => Self::unknown(format!("{no_table}; {no_dwarf}")),
        }
    }
}

/// The first thing two descriptions of the same structures differ in.
fn disagreement(dwarf: &[Layout], table: &[Layout]) -> Option<String> {
    table.iter().find_map(|expected| {
        let Some(found) = dwarf.iter().find(|layout| layout.name == expected.name) else {
            return Some(format!("{} is not there", expected.name));
        };
        if let (Some(a), Some(b)) = (found.size, expected.size)
            && a != b
        {
            return Some(format!("{} has {a} bytes, not {b}", expected.name));
        }
        expected.fields.iter().find_map(|field| {
            let there = found.fields.iter().find(|f| f.name == field.name);
            let there = there.map(|f| f.offset);
            (there != Some(field.offset)).then(|| match there {
                Some(there) => format!(
                    "{}.{} is at {there}, not at {}",
                    expected.name, field.name, field.offset
                ),
                None => format!("{} has no {}", expected.name, field.name),
            })
        })
    })
}
