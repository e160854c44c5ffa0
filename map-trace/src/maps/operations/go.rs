//! Entry points that classic and Swiss maps share: what the compiler calls for a map expression
//! (`cmd/compile/internal/walk`), and the doors reflect and package maps use.

use super::Table;
use crate::model::Operation::{Access, Assign, Clear, Delete, Iterate, Make};

pub(super) static TABLE: Table = Table {
    library: "Go maps",
    rows: &[
        ("runtime.makemap", Make),
        ("runtime.makemap_small", Make),
        // The element is stored by the caller, into the slot that assign returns.
        ("runtime.mapassign", Assign),
        ("runtime.mapassign_fast32", Assign),
        ("runtime.mapassign_fast64", Assign),
        ("runtime.mapassign_fast64ptr", Assign),
        ("runtime.mapassign_faststr", Assign),
        ("runtime.mapaccess1", Access),
        ("runtime.mapaccess1_fast32", Access),
        ("runtime.mapaccess1_fast64", Access),
        ("runtime.mapaccess1_faststr", Access),
        ("runtime.mapaccess1_fat", Access),
        ("runtime.mapaccess2", Access),
        ("runtime.mapaccess2_fast32", Access),
        ("runtime.mapaccess2_fast64", Access),
        ("runtime.mapaccess2_faststr", Access),
        ("runtime.mapaccess2_fat", Access),
        ("runtime.mapdelete", Delete),
        ("runtime.mapdelete_fast32", Delete),
        ("runtime.mapdelete_fast64", Delete),
        ("runtime.mapdelete_faststr", Delete),
        ("runtime.mapclear", Clear),
        ("reflect.makemap", Make),
        ("reflect.mapassign*", Assign),
        ("reflect.mapaccess*", Access),
        ("reflect.mapdelete*", Delete),
        ("reflect.mapclear", Clear),
        ("reflect.map?ter*", Iterate),
        // maps.Clone, whole.
        ("maps.clone", Make),
    ],
};
