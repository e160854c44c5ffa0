//! Where the header of a map has what the census looks at.

use map_trace_common::census::{CensusPlace, DIRECT, flag};

use super::At;
use crate::binary::MapImplementation;
use crate::binary::layout::Layouts;

/// Where a map's header has what is looked at.
#[derive(Clone, Copy)]
pub struct Header {
    place: CensusPlace,
    /// Offset of the map in an iterator.
    in_iterator: u32,
}

impl Header {
    /// None when a field is not known.
    pub fn of(implementation: MapImplementation, layouts: &Layouts) -> Option<Self> {
        let offset = |structure, field| u32::try_from(layouts.offset(structure, field)?).ok();
        let (first, state, flags, size, storage, length, groups, in_iterator) = match implementation
        {
            MapImplementation::Hmap => {
                let of = |field| offset("runtime.hmap", field);
                let first = of("flags")? & !7;
                let storage = of("buckets")?;
                let map = offset("runtime.hiter", "h")?;
                (first, first, of("flags")?, of("B")?, storage, None, 0, map)
            }
            MapImplementation::Swiss => {
                let of = |field| offset("internal/runtime/maps.Map", field);
                let groups = offset("internal/runtime/maps.table", "groups")?;
                let data = offset("internal/runtime/maps.groupsReference", "data").unwrap_or(0);
                let map = offset("internal/runtime/maps.Iter", "m")?;
                let (storage, state) = (of("dirPtr")?, of("globalDepth")? & !7);
                let (flags, size) = (of("writing")?, of("globalDepth")?);
                let length = Some(of("dirLen")?);
                (
                    storage,
                    state,
                    flags,
                    size,
                    storage,
                    length,
                    groups + data,
                    map,
                )
            }
        };
        let word = |at: u32| at.checked_sub(first).map(|at| at / 8).filter(|&at| at < 4);
        let bits = |at: u32| at.checked_sub(state).map(|at| at * 8).filter(|&at| at < 64);
        let mut place = CensusPlace {
            flags: flag::HEADER,
            header: first,
            state_word: word(state)?,
            flags_shift: bits(flags)?,
            size_shift: bits(size)?,
            storage_word: word(storage)?,
            table_groups: groups,
            ..CensusPlace::default()
        };
        if let Some(length) = length {
            place.flags |= flag::DIRECTORY;
            place.length_word = word(length)?;
        }
        Some(Self { place, in_iterator })
    }

    /// Adds what is to be looked at.
    pub fn fill(self, at: At, entries: bool, place: &mut CensusPlace) {
        let (argument, through) = match at {
            At::Argument(argument) => (argument, DIRECT),
            At::Iterator => (0, self.in_iterator),
            At::Nowhere => return,
        };
        *place = CensusPlace {
            operation: place.operation,
            flags: place.flags | self.place.flags | if entries { flag::ENTRY } else { 0 },
            argument,
            through,
            ..self.place
        };
    }
}
