//! Classic maps: Go up to 1.23, and 1.24 and 1.25 with `GOEXPERIMENT=noswissmap` (`runtime/map.go`,
//! `runtime/map_fast*.go`).

use super::Table;
use crate::model::Operation::{Access, Grow, Iterate, Make};

pub(super) static TABLE: Table = Table {
    library: "Go hmap",
    rows: &[
        ("runtime.mapiterinit", Iterate),
        ("runtime.mapiternext", Iterate),
        // Only iteration looks keys up this way, when the map grew under it.
        ("runtime.mapaccessK", Access),
        // Growth begins in an assign and its work is spread over later assigns and deletes.
        ("runtime.hashGrow", Grow),
        ("runtime.growWork", Grow),
        ("runtime.growWork_fast32", Grow),
        ("runtime.growWork_fast64", Grow),
        ("runtime.growWork_faststr", Grow),
        ("runtime.evacuate", Grow),
        ("runtime.evacuate_fast32", Grow),
        ("runtime.evacuate_fast64", Grow),
        ("runtime.evacuate_faststr", Grow),
        ("runtime.mapclone2", Make),
    ],
};
