//! `sync.Map`: over a classic map up to Go 1.23, over `internal/sync.HashTrieMap` from 1.24 on.

use super::Table;
use crate::model::Operation::{Access, Assign, Clear, Delete, Grow, Iterate, Make};

pub(super) static TABLE: Table = Table {
    library: "Go sync.Map",
    rows: &[
        ("sync.(*Map).Load", Access),
        ("sync.(*Map).Store", Assign),
        ("sync.(*Map).Swap", Assign),
        ("sync.(*Map).LoadOrStore", Assign),
        ("sync.(*Map).CompareAndSwap", Assign),
        ("sync.(*Map).Delete", Delete),
        ("sync.(*Map).LoadAndDelete", Delete),
        ("sync.(*Map).CompareAndDelete", Delete),
        ("sync.(*Map).Clear", Clear),
        // The function given to Range runs inside it: the iteration is open.
        ("sync.(*Map).Range", Iterate),
        // Up to 1.23: copies every entry into a new dirty map.
        ("sync.(*Map).dirtyLocked", Grow),
        ("internal/sync.(*HashTrieMap[...]).Load", Access),
        ("internal/sync.(*HashTrieMap[...]).Store", Assign),
        ("internal/sync.(*HashTrieMap[...]).Swap", Assign),
        ("internal/sync.(*HashTrieMap[...]).LoadOrStore", Assign),
        ("internal/sync.(*HashTrieMap[...]).CompareAndSwap", Assign),
        ("internal/sync.(*HashTrieMap[...]).Delete", Delete),
        ("internal/sync.(*HashTrieMap[...]).LoadAndDelete", Delete),
        ("internal/sync.(*HashTrieMap[...]).CompareAndDelete", Delete),
        ("internal/sync.(*HashTrieMap[...]).Clear", Clear),
        ("internal/sync.(*HashTrieMap[...]).Range", Iterate),
        ("internal/sync.(*HashTrieMap[...]).iter", Iterate),
        ("internal/sync.(*HashTrieMap[...]).expand", Grow),
        ("internal/sync.(*HashTrieMap[...]).initSlow", Make),
    ],
};
