//! Which functions do what to maps: the tables, one file a library.
//!
//! A new library is one file here and one row in [`TABLES`].

mod cpp;
mod go;
mod go_hmap;
mod go_runtime;
mod go_swiss;
mod rust;
mod sync_map;

use crate::model::Operation;

/// Functions of one library. A pattern is a glob over the function's name, or over its
/// [plain](super::pattern::plain) name; `Operation::Runtime` marks the runtime's own work.
#[derive(Debug)]
pub struct Table {
    pub library: &'static str,
    pub rows: &'static [(&'static str, Operation)],
}

/// All built-in tables. No pattern stands in two of them.
pub const TABLES: [&Table; 7] = [
    &go::TABLE,
    &go_hmap::TABLE,
    &go_swiss::TABLE,
    &sync_map::TABLE,
    &go_runtime::TABLE,
    &rust::TABLE,
    &cpp::TABLE,
];
