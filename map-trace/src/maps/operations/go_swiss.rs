//! Swiss maps: Go 1.24 and later (`internal/runtime/maps`).

use super::Table;
use crate::model::Operation::{Access, Clear, Delete, Grow, Iterate, Make};

pub(super) static TABLE: Table = Table {
    library: "Go Swiss maps",
    rows: &[
        ("internal/runtime/maps.NewMap", Make),
        ("internal/runtime/maps.NewEmptyMap", Make),
        ("internal/runtime/maps.(*Map).Clone", Make),
        ("runtime.mapIterStart", Iterate),
        ("runtime.mapIterNext", Iterate),
        // reflect calls these directly.
        ("internal/runtime/maps.(*Iter).Init", Iterate),
        ("internal/runtime/maps.(*Iter).Next", Iterate),
        ("internal/runtime/maps.(*Map).Delete", Delete),
        ("internal/runtime/maps.(*Map).Clear", Clear),
        ("internal/runtime/maps.(*Map).getWithKey*", Access),
        // The first group, the first table, then ever larger and split tables.
        ("internal/runtime/maps.(*Map).growToSmall", Grow),
        ("internal/runtime/maps.(*Map).growToTable", Grow),
        ("internal/runtime/maps.(*table).rehash", Grow),
        ("internal/runtime/maps.(*table).grow", Grow),
        ("internal/runtime/maps.(*table).split", Grow),
    ],
};
