//! What a probe's record says of a map.

use map_trace_common::place::ARGUMENTS;
use map_trace_common::record::MapOperationRecord;

use super::array::{Array, array};
use super::{Part, Range};
use crate::binary::MapImplementation;
use crate::binary::layout::Layouts;
use crate::maps::structure::Role;

/// `sameSizeGrow` of `hmap.flags`.
const SAME_SIZE: u8 = 8;
/// Buckets of an array have a logarithm below this: 2^48 bytes are all there is.
const MAX_B: u8 = 40;
/// Tables of a directory: a table has at least 8 slots.
const MAX_DIRECTORY: u64 = 1 << 40;
/// Where the fields are, in one program.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub implementation: MapImplementation,
    header_size: u64,
    count: usize,
    flags: usize,
    b: usize,
    buckets: usize,
    old_buckets: usize,
    directory: usize,
    directory_length: usize,
    global_depth: usize,
    groups: usize,
    length_mask: usize,
    local_depth: usize,
    index: usize,
    unit: usize,
    unit_bytes: usize,
}

/// A map's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub entries: u64,
    /// Classic.
    pub b: u8,
    pub flags: u8,
    pub buckets: u64,
    pub old_buckets: u64,
    /// Swiss.
    pub directory: u64,
    pub directory_length: u64,
    pub global_depth: u8,
}

/// A table of a Swiss map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub address: u64,
    pub groups: u64,
    /// Number of groups.
    pub count: u64,
    pub local_depth: u8,
}

impl Table {
    /// Bytes of `maps.table`.
    pub const SIZE: u64 = 32;
}

/// What became known of a map's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    #[default]
    Unknown,
    /// Classic: all arrays.
    Arrays(Vec<Array>),
    /// Classic: there is no old array any more.
    NoOld,
    /// Swiss: one group, at an address or not there yet (0).
    Group(u64),
    /// Swiss: tables; one is gone (0: none), these are there.
    Tables {
        directory: Option<Range>,
        gone: u64,
        tables: Vec<Table>,
    },
    /// Swiss: a table of a map that is being made.
    Pending(Table),
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// Address of the header; 0 for a nil map.
    pub map: u64,
    pub goroutine: u64,
    /// The map was just made.
    pub fresh: bool,
    /// Bytes of the header, where it is known to be there.
    pub header_size: u64,
    /// The header lies on a goroutine's stack, which moves.
    pub header_on_stack: bool,
    pub type_address: u64,
    /// Bytes of a bucket or group; 0: not known.
    pub unit: u64,
    pub header: Option<Header>,
    pub storage: Storage,
    /// What `make` was asked for.
    pub hint: Option<i64>,
}

impl Shape {
    /// Where a program's fields are; none when one is missing.
    pub fn of(implementation: MapImplementation, layouts: &Layouts) -> Option<Self> {
        let at = |structure: &str, field: &str| {
            layouts
                .offset(structure, field)
                .and_then(|at| usize::try_from(at).ok())
        };
        let map_type = layouts.map_type()?;
        let in_type = |name: &str| {
            let field = map_type.fields.iter().find(|field| field.name == name)?;
            // The second 64 bytes of the type are what is read.
            usize::try_from(field.offset.checked_sub(64)?).ok()
        };
        let none = usize::MAX;
        Some(match implementation {
            MapImplementation::Hmap => Self {
                implementation,
                header_size: layouts.layout("runtime.hmap")?.size?,
                count: at("runtime.hmap", "count")?,
                flags: at("runtime.hmap", "flags")?,
                b: at("runtime.hmap", "B")?,
                buckets: at("runtime.hmap", "buckets")?,
                old_buckets: at("runtime.hmap", "oldbuckets")?,
                directory: none,
                directory_length: none,
                global_depth: none,
                groups: none,
                length_mask: none,
                local_depth: none,
                index: none,
                unit: in_type("BucketSize")?,
                unit_bytes: 2,
            },
            MapImplementation::Swiss => {
                const MAP: &str = "internal/runtime/maps.Map";
                const TABLE: &str = "internal/runtime/maps.table";
                const GROUPS: &str = "internal/runtime/maps.groupsReference";
                let groups = at(TABLE, "groups")?;
                Self {
                    implementation,
                    header_size: layouts.layout(MAP)?.size?,
                    count: at(MAP, "used")?,
                    flags: none,
                    b: none,
                    buckets: none,
                    old_buckets: none,
                    directory: at(MAP, "dirPtr")?,
                    directory_length: at(MAP, "dirLen")?,
                    global_depth: at(MAP, "globalDepth")?,
                    groups: groups.checked_add(at(GROUPS, "data")?)?,
                    length_mask: groups.checked_add(at(GROUPS, "lengthMask")?)?,
                    local_depth: at(TABLE, "localDepth")?,
                    index: at(TABLE, "index")?,
                    unit: in_type("GroupSize")?,
                    unit_bytes: 8,
                }
            }
        })
    }

    /// What a record of a place says.
    pub fn fact(&self, role: Role, record: &MapOperationRecord) -> Fact {
        let [a, b, c, d, ..] = record.arguments;
        let opened = record.read & MapOperationRecord::NOT_OPENED == 0;
        let mut fact = Fact {
            goroutine: record.header.goroutine,
            ..Fact::default()
        };
        let (map, type_address) = match role {
            Role::Make => (record.result, a),
            Role::Clone => (record.result, b),
            Role::MakeSmall => (record.result, 0),
            Role::HashGrow => (b, a),
            Role::Evacuated => (record.addresses[0], 0),
            Role::Iterate if self.implementation == MapImplementation::Hmap => (b, a),
            Role::Iterate => (c, b),
            Role::Clear if self.implementation == MapImplementation::Hmap => (b, a),
            Role::Clear | Role::FirstGroup | Role::ToTables => (a, b),
            Role::TableGrow => (c, b),
            Role::TableSplit => (a, 0),
            Role::NewTable => {
                fact.storage = Storage::Pending(self.table(record, 0));
                return fact;
            }
            // The start, an opening, or nothing about a map's memory.
            _ => return fact,
        };
        fact.map = map;
        fact.type_address = type_address;
        fact.fresh = matches!(role, Role::Make | Role::MakeSmall | Role::Clone);
        if fact.fresh {
            fact.header_size = self.header_size;
        }
        fact.header_on_stack = on_stack(record, map);
        if role == Role::Make && opened {
            fact.hint = Some(b.cast_signed());
        }
        let typed = matches!(
            role,
            Role::Make
                | Role::Clone
                | Role::HashGrow
                | Role::Iterate
                | Role::Clear
                | Role::FirstGroup
                | Role::ToTables
        );
        if typed && record.read & 2 != 0 {
            fact.unit = self.unit(record);
        }
        // makemap_small is met before the header is filled.
        if record.read & 1 != 0 && role != Role::MakeSmall {
            fact.header = Some(self.header(record));
        }
        fact.storage = match self.implementation {
            MapImplementation::Hmap => self.arrays(role, &fact),
            MapImplementation::Swiss => self.tables(role, record, &fact, (b, c, d)),
        };
        fact
    }

    fn header(&self, record: &MapOperationRecord) -> Header {
        let word = |at: usize| field(record, 0, at, 8);
        let byte = |at: usize| field(record, 0, at, 1) as u8;
        match self.implementation {
            MapImplementation::Hmap => Header {
                entries: word(self.count),
                b: byte(self.b),
                flags: byte(self.flags),
                buckets: word(self.buckets),
                old_buckets: word(self.old_buckets),
                ..Header::default()
            },
            MapImplementation::Swiss => Header {
                entries: word(self.count),
                directory: word(self.directory),
                directory_length: word(self.directory_length),
                global_depth: byte(self.global_depth),
                ..Header::default()
            },
        }
    }

    fn unit(&self, record: &MapOperationRecord) -> u64 {
        field(record, 1, self.unit, self.unit_bytes)
    }

    fn arrays(&self, role: Role, fact: &Fact) -> Storage {
        if role == Role::Evacuated {
            return Storage::NoOld;
        }
        let Some(header) = fact.header.filter(|header| header.b <= MAX_B) else {
            return Storage::Unknown;
        };
        let mut found = Vec::new();
        if header.buckets != 0 {
            array(
                &mut found,
                header.buckets,
                header.b,
                [Part::Buckets, Part::Overflow],
            );
        }
        // A map that is not empty lets go of them first (mapclear, runtime/map.go).
        let let_go = role == Role::Clear && header.entries != 0;
        if header.old_buckets != 0 && !let_go {
            let same = header.flags & SAME_SIZE != 0;
            let b = if same {
                header.b
            } else {
                header.b.saturating_sub(1)
            };
            array(
                &mut found,
                header.old_buckets,
                b,
                [Part::OldBuckets, Part::OldBuckets],
            );
        }
        Storage::Arrays(found)
    }

    fn tables(
        &self,
        role: Role,
        record: &MapOperationRecord,
        fact: &Fact,
        arguments: (u64, u64, u64),
    ) -> Storage {
        let Some(header) = fact
            .header
            .filter(|header| header.directory_length < MAX_DIRECTORY)
        else {
            return Storage::Unknown;
        };
        if header.directory_length == 0 {
            let group = header.directory;
            return Storage::Group(if on_stack(record, group) { 0 } else { group });
        }
        let directory = Range {
            start: header.directory,
            end: header
                .directory
                .saturating_add(header.directory_length.saturating_mul(8)),
            part: Part::Directory,
        };
        let (gone, tables, directory) = match role {
            Role::TableGrow => (
                record.arguments[0],
                self.grown(record).into_iter().collect(),
                Some(directory),
            ),
            Role::TableSplit => {
                let left = self.table(record, 1);
                // It is about to be replaced by one of twice the length.
                let stays = left.local_depth <= header.global_depth;
                (
                    arguments.0,
                    vec![left, self.table(record, 2)],
                    stays.then_some(directory),
                )
            }
            _ => (0, vec![self.table(record, 2)], Some(directory)),
        };
        Storage::Tables {
            directory,
            gone,
            tables,
        }
    }

    /// The table in the place of the one that grew, if it says itself that it belongs there.
    fn grown(&self, record: &MapOperationRecord) -> Option<Table> {
        let kept = record.arguments[ARGUMENTS - 1];
        (field(record, 2, self.index, 8) == kept).then(|| self.table(record, 2))
    }

    /// The table that was read `n`th.
    fn table(&self, record: &MapOperationRecord, n: usize) -> Table {
        let mask = field(record, n, self.length_mask, 8);
        let read = record.read & 1 << n != 0 && mask < 1 << 32;
        Table {
            address: if read { record.addresses[n] } else { 0 },
            groups: field(record, n, self.groups, 8),
            count: mask.saturating_add(1),
            local_depth: field(record, n, self.local_depth, 1) as u8,
        }
    }
}

fn on_stack(record: &MapOperationRecord, address: u64) -> bool {
    (record.stack_low..record.stack_high).contains(&address)
}

/// A field of what was read `n`th, of 1, 2 or 8 bytes; 0 outside of it.
fn field(record: &MapOperationRecord, n: usize, at: usize, bytes: usize) -> u64 {
    let word = record
        .words
        .get(n)
        .and_then(|words| words.get(at / 8))
        .copied()
        .unwrap_or(0);
    let shifted = word >> (at % 8 * 8);
    match bytes {
        1 => shifted & 0xff,
        2 => shifted & 0xffff,
        _ => word,
    }
}
