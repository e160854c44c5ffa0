//! Maps of Rust's standard library, and hashbrown used by itself. Names are plain (without type
//! arguments). In optimised programs most of these exist only inlined, so debug information is needed.

use super::Table;
use crate::model::Operation::{Access, Assign, Clear, Delete, Grow, Iterate, Make};

pub(super) static TABLE: Table = Table {
    library: "Rust",
    rows: &[
        ("std::collections::hash::map::HashMap::with_capacity*", Make),
        ("std::collections::hash::map::HashMap::clone", Make),
        ("std::collections::hash::map::HashMap::insert", Assign),
        ("std::collections::hash::map::HashMap::entry", Assign),
        ("std::collections::hash::map::HashMap::get", Access),
        ("std::collections::hash::map::HashMap::get_mut", Access),
        ("std::collections::hash::map::HashMap::contains_key", Access),
        ("std::collections::hash::map::HashMap::remove", Delete),
        ("std::collections::hash::map::HashMap::clear", Clear),
        ("std::collections::hash::map::HashMap::retain", Iterate),
        ("std::collections::hash::map::HashMap::reserve", Grow),
        ("std::collections::hash::map::HashMap::shrink_to_fit", Grow),
        ("std::collections::hash::set::HashSet::insert", Assign),
        ("hashbrown::map::HashMap::with_capacity*", Make),
        ("hashbrown::map::HashMap::clone", Make),
        ("hashbrown::map::HashMap::insert", Assign),
        ("hashbrown::map::HashMap::get", Access),
        ("hashbrown::map::HashMap::get_mut", Access),
        ("hashbrown::map::HashMap::contains_key", Access),
        ("hashbrown::map::HashMap::remove*", Delete),
        ("hashbrown::map::HashMap::clear", Clear),
        ("hashbrown::map::HashMap::retain", Iterate),
        ("hashbrown::map::HashMap::reserve", Grow),
        ("hashbrown::map::HashMap::shrink_to_fit", Grow),
        ("hashbrown::map::Iter::next", Iterate),
        ("hashbrown::rustc_entry::rustc_entry", Assign),
        ("hashbrown::rustc_entry::RustcVacantEntry::insert", Assign),
        ("hashbrown::raw::RawTable::reserve_rehash", Grow),
        ("hashbrown::raw::RawTable::resize", Grow),
        ("hashbrown::raw::RawTableInner::reserve_rehash_inner", Grow),
        ("alloc::collections::btree::map::BTreeMap::insert", Assign),
        ("alloc::collections::btree::map::BTreeMap::entry", Assign),
        (
            "alloc::collections::btree::map::entry::Entry::or_insert",
            Assign,
        ),
        (
            "alloc::collections::btree::map::entry::VacantEntry::insert*",
            Assign,
        ),
        ("alloc::collections::btree::map::BTreeMap::get", Access),
        ("alloc::collections::btree::map::BTreeMap::get_mut", Access),
        ("alloc::collections::btree::map::BTreeMap::range", Access),
        ("alloc::collections::btree::map::BTreeMap::remove*", Delete),
        ("alloc::collections::btree::map::BTreeMap::clear", Clear),
        ("alloc::collections::btree::map::BTreeMap::retain", Iterate),
        ("alloc::collections::btree::map::Iter::next", Iterate),
        ("alloc::collections::btree::map::Range::next", Iterate),
    ],
};
