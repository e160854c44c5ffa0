//! What the hit of a probe means.

/// What a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// The program starts.
    Start = 1,
    /// Arguments kept for the end of the same call.
    Open = 2,
    /// A map was made: the result is its header.
    Make = 3,
    /// A map without storage was made: the result is its header; its type is not known.
    MakeSmall = 4,
    /// A classic map has new buckets.
    HashGrow = 5,
    /// A classic map's old buckets are about to be let go.
    Evacuated = 6,
    /// A loop over a map begins.
    Iterate = 7,
    /// A Swiss map has its first group.
    FirstGroup = 8,
    /// A Swiss map changes from one group to tables.
    ToTables = 9,
    /// A table was replaced by a larger one.
    TableGrow = 10,
    /// A table was replaced by two.
    TableSplit = 11,
    /// A table was made while a map is being made.
    NewTable = 12,
    /// A map was made as a copy of another.
    Clone = 13,
    /// A map is about to be emptied.
    Clear = 14,
    /// The collector begins to mark.
    GcStart = 15,
    /// The collector has marked everything.
    GcEnd = 16,
    /// The runtime sets about stopping the world.
    StopBegin = 17,
    /// The runtime lets the world go on.
    StopEnd = 18,
    /// Memory is given back.
    Scavenge = 19,
    /// The heap has more address space.
    HeapGrow = 20,
    /// The runtime found itself broken.
    Throw = 21,
    /// The runtime found itself misused.
    Fatal = 22,
    /// Nobody recovers a panic.
    Panic = 23,
    /// A map function found its map misused: which map.
    FatalMap = 24,
}

impl Role {
    /// What a hit tells, in a word or two.
    pub const fn tells(self) -> &'static str {
        match self {
            Self::Start => "whose process it is",
            Self::Open => "arguments, for the end",
            Self::Make | Self::MakeSmall | Self::Clone => "map_make",
            Self::HashGrow
            | Self::FirstGroup
            | Self::ToTables
            | Self::TableGrow
            | Self::TableSplit => "map_grow",
            Self::Evacuated => "old buckets let go",
            Self::Iterate => "iteration",
            Self::NewTable => "a table of a new map",
            Self::Clear => "map_clear",
            Self::GcStart
            | Self::GcEnd
            | Self::StopBegin
            | Self::StopEnd
            | Self::Scavenge
            | Self::HeapGrow => "runtime",
            Self::Throw | Self::Fatal | Self::Panic => "fatal_error",
            Self::FatalMap => "the map that was misused",
        }
    }

    /// The role of a record.
    pub fn of(number: u32) -> Option<Self> {
        const ALL: [Role; 24] = [
            Role::Start,
            Role::Open,
            Role::Make,
            Role::MakeSmall,
            Role::HashGrow,
            Role::Evacuated,
            Role::Iterate,
            Role::FirstGroup,
            Role::ToTables,
            Role::TableGrow,
            Role::TableSplit,
            Role::NewTable,
            Role::Clone,
            Role::Clear,
            Role::GcStart,
            Role::GcEnd,
            Role::StopBegin,
            Role::StopEnd,
            Role::Scavenge,
            Role::HeapGrow,
            Role::Throw,
            Role::Fatal,
            Role::Panic,
            Role::FatalMap,
        ];
        ALL.into_iter().find(|role| *role as u32 == number)
    }

    /// Not about a map's memory: what the runtime does of its own, or how the program ends.
    pub const fn of_runtime(self) -> bool {
        self as u32 >= Self::GcStart as u32
    }
}
