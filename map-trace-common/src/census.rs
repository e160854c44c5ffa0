//! The census: uprobes that only count, and look at the map that is worked on.

/// Places at most, over all binaries.
pub const MAX_CENSUS_PLACES: u32 = 1024;
/// Operations told apart: values of [`CensusPlace::operation`] are below this; a power of two.
pub const OPERATIONS: usize = 16;
/// Values of the map's flags told apart; a power of two.
pub const FLAGS: usize = 16;
/// Sizes (`B`, depth of the directory) told apart; a power of two.
pub const SIZES: usize = 64;
/// [`CensusPlace::through`]: the argument is the map itself.
pub const DIRECT: u32 = u32::MAX;

/// Bits of [`CensusPlace::flags`].
pub mod flag {
    /// Ignore a hit whose carry or zero flag is set: the stack check is about to fail.
    pub const UNLESS_FLAGS: u32 = 1;
    /// Look at the map's header.
    pub const HEADER: u32 = 2;
    /// Read the page-table entry of the first page of the map's storage.
    pub const ENTRY: u32 = 4;
    /// The storage is behind a directory of tables when its length is not 0 (Swiss maps).
    pub const DIRECTORY: u32 = 8;
}

/// Words of the map's header that are looked at: flags and size are in one of them, the storage's address in
/// another.
pub const HEADER_WORDS: usize = 4;

/// A place; its index is the probe's cookie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CensusPlace {
    /// Index of the operation.
    pub operation: u32,
    pub flags: u32,
    /// The argument (RAX, RBX, RCX) that leads to the map: 0, 1, 2.
    pub argument: u32,
    /// Offset at which the argument's memory holds the map's address; [`DIRECT`] when it is the map.
    pub through: u32,
    /// Offset of the first header word that is read.
    pub header: u32,
    /// The header word with flags and size in it, and where in it they are, in bits.
    pub state_word: u32,
    pub flags_shift: u32,
    pub size_shift: u32,
    /// The header word with the storage's address.
    pub storage_word: u32,
    /// The header word with the directory's length.
    pub length_word: u32,
    /// Offset of the groups' address in a table.
    pub table_groups: u32,
    pub reserved: u32,
}

/// Index of [`Goal`]'s hit, in place of a place's.
pub const GOAL_PLACE: u32 = u32::MAX;

/// A number of operations whose passing is told once: by a record of place [`GOAL_PLACE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// Bit n: operation n counts. 0: nothing is told.
    pub operations: u64,
    /// So many operations come before; the next one's start is told.
    pub after: u64,
    /// Those so far, over all processes and CPUs.
    pub seen: u64,
}

/// What page-table entries of map storage were like.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryCounts {
    pub samples: u64,
    pub present: u64,
    pub writable: u64,
    pub read_only: u64,
    pub not_present: u64,
    pub no_execute: u64,
    pub unstable: u64,
    /// The map has no storage yet, or its entry could not be read.
    pub unread: u64,
}

/// Counts of one operation on one CPU.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CensusCounts {
    pub count: u64,
    /// The header could not be read, or there is no map.
    pub no_header: u64,
    pub flags: [u64; FLAGS],
    pub sizes: [u64; SIZES],
    pub entries: EntryCounts,
}

impl CensusCounts {
    pub const ZERO: Self = Self {
        count: 0,
        no_header: 0,
        flags: [0; FLAGS],
        sizes: [0; SIZES],
        entries: EntryCounts {
            samples: 0,
            present: 0,
            writable: 0,
            read_only: 0,
            not_present: 0,
            no_execute: 0,
            unstable: 0,
            unread: 0,
        },
    };
}
