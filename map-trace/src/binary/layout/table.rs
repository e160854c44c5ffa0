//! Layouts by Go version, read from the DWARF of binaries built with Go 1.19.8, 1.21.13, 1.22.10, 1.23.9,
//! 1.24.11 (also `noswissmap`), 1.25.5, 1.26.6 and 1.27.3 for amd64.

use super::{Field, Layout, Source};
use crate::binary::facts::{BinaryFacts, MapImplementation};
use MapImplementation::{Hmap, Swiss};

/// The Go versions the table speaks of: the middle numbers, 19 of `go1.19.8`.
const VERSIONS: std::ops::RangeInclusive<u32> = 19..=27;

/// Versions whose structures were not looked at.
const NOT_SEEN: [u32; 1] = [20];

/// Experiments that leave these structures as they are, or whose effect the table has.
const EXPERIMENTS: [&str; 12] = [
    "swissmap",
    "noswissmap",
    "mapsplitgroup",
    "nomapsplitgroup",
    "arenas",
    "boringcrypto",
    "loopvar",
    "rangefunc",
    "aliastypeparams",
    "noaliastypeparams",
    "synchashtriemap",
    "nosynchashtriemap",
];

/// The names of the map type: with classic maps up to 1.20, from 1.24 on, in between; with Swiss maps in
/// 1.24 and 1.25; since then it has the middle name again.
pub(super) const MAP_TYPES: [&str; 4] = [
    "internal/abi.OldMapType",
    "internal/abi.SwissMapType",
    "internal/abi.MapType",
    "runtime.maptype",
];

/// A structure of some versions.
struct Row {
    name: &'static str,
    /// First and last version.
    versions: (u32, u32),
    implementation: Option<MapImplementation>,
    /// 0: not compared.
    size: u64,
    fields: &'static [(&'static str, u64)],
}

const ROWS: &[Row] = &[
    Row {
        name: "runtime.hmap",
        versions: (0, 23),
        implementation: Some(Hmap),
        size: 48,
        fields: &[
            ("count", 0),
            ("flags", 8),
            ("B", 9),
            ("noverflow", 10),
            ("hash0", 12),
            ("buckets", 16),
            ("oldbuckets", 24),
            ("nevacuate", 32),
            ("extra", 40),
        ],
    },
    Row {
        name: "runtime.hmap",
        versions: (24, 25),
        implementation: Some(Hmap),
        size: 56,
        fields: &[
            ("count", 0),
            ("flags", 8),
            ("B", 9),
            ("noverflow", 10),
            ("hash0", 12),
            ("buckets", 16),
            ("oldbuckets", 24),
            ("nevacuate", 32),
            ("clearSeq", 40),
            ("extra", 48),
        ],
    },
    Row {
        name: "runtime.mapextra",
        versions: (0, 25),
        implementation: Some(Hmap),
        size: 24,
        fields: &[("overflow", 0), ("oldoverflow", 8), ("nextOverflow", 16)],
    },
    Row {
        name: "runtime.hiter",
        versions: (0, 23),
        implementation: Some(Hmap),
        size: 96,
        fields: HITER,
    },
    Row {
        name: "runtime.hiter",
        versions: (24, 25),
        implementation: Some(Hmap),
        size: 104,
        fields: HITER,
    },
    Row {
        name: "runtime.maptype",
        versions: (0, 20),
        implementation: Some(Hmap),
        size: 88,
        fields: CLASSIC_TYPE,
    },
    Row {
        name: "internal/abi.MapType",
        versions: (21, 23),
        implementation: Some(Hmap),
        size: 88,
        fields: CLASSIC_TYPE,
    },
    Row {
        name: "internal/abi.OldMapType",
        versions: (24, 25),
        implementation: Some(Hmap),
        size: 88,
        fields: CLASSIC_TYPE,
    },
    Row {
        name: "internal/runtime/maps.Map",
        versions: (24, 27),
        implementation: Some(Swiss),
        size: 48,
        fields: &[
            ("used", 0),
            ("seed", 8),
            ("dirPtr", 16),
            ("dirLen", 24),
            ("globalDepth", 32),
            ("globalShift", 33),
            ("writing", 34),
            ("clearSeq", 40),
        ],
    },
    Row {
        name: "internal/runtime/maps.table",
        versions: (24, 27),
        implementation: Some(Swiss),
        size: 32,
        fields: &[
            ("used", 0),
            ("capacity", 2),
            ("growthLeft", 4),
            ("localDepth", 6),
            ("index", 8),
            ("groups", 16),
        ],
    },
    Row {
        name: "internal/runtime/maps.groupsReference",
        versions: (24, 27),
        implementation: Some(Swiss),
        size: 16,
        fields: &[("data", 0), ("lengthMask", 8)],
    },
    Row {
        name: "internal/runtime/maps.Iter",
        versions: (24, 27),
        implementation: Some(Swiss),
        size: 96,
        fields: &[
            ("key", 0),
            ("elem", 8),
            ("typ", 16),
            ("m", 24),
            ("entryOffset", 32),
            ("dirOffset", 40),
            ("clearSeq", 48),
            ("globalDepth", 56),
            ("dirIdx", 64),
            ("tab", 72),
            ("group", 80),
            ("entryIdx", 88),
        ],
    },
    Row {
        name: "internal/abi.SwissMapType",
        versions: (24, 25),
        implementation: Some(Swiss),
        size: 112,
        fields: SLOTTED_TYPE,
    },
    Row {
        name: "internal/abi.MapType",
        versions: (26, 26),
        implementation: Some(Swiss),
        size: 112,
        fields: SLOTTED_TYPE,
    },
    Row {
        name: "internal/abi.MapType",
        versions: (27, 27),
        implementation: Some(Swiss),
        size: 136,
        fields: &[
            ("Key", 48),
            ("Elem", 56),
            ("Group", 64),
            ("Hasher", 72),
            ("GroupSize", 80),
            ("KeysOff", 88),
            ("KeyStride", 96),
            ("ElemsOff", 104),
            ("ElemStride", 112),
            ("ElemOff", 120),
            ("Flags", 128),
        ],
    },
    Row {
        name: "runtime.g",
        versions: (0, 22),
        implementation: None,
        size: 0,
        fields: &[("stack", 0), ("stackguard0", 16), ("m", 48), ("goid", 152)],
    },
    Row {
        name: "runtime.g",
        versions: (23, 24),
        implementation: None,
        size: 0,
        fields: &[("stack", 0), ("stackguard0", 16), ("m", 48), ("goid", 160)],
    },
    Row {
        name: "runtime.g",
        versions: (25, 27),
        implementation: None,
        size: 0,
        fields: &[("stack", 0), ("stackguard0", 16), ("m", 48), ("goid", 152)],
    },
    Row {
        name: "runtime.m",
        versions: (0, 24),
        implementation: None,
        size: 0,
        fields: &[("g0", 0), ("procid", 72), ("tls", 136), ("curg", 192)],
    },
    Row {
        name: "runtime.m",
        versions: (25, 27),
        implementation: None,
        size: 0,
        fields: &[("g0", 0), ("procid", 64), ("tls", 128), ("curg", 184)],
    },
];

const HITER: &[(&str, u64)] = &[
    ("key", 0),
    ("elem", 8),
    ("t", 16),
    ("h", 24),
    ("buckets", 32),
    ("bptr", 40),
    ("overflow", 48),
    ("oldoverflow", 56),
    ("startBucket", 64),
    ("offset", 72),
    ("wrapped", 73),
    ("B", 74),
    ("i", 75),
    ("bucket", 80),
    ("checkBucket", 88),
];

/// Up to Go 1.20 these begin with a small letter, and `ValueSize` is `elemsize`.
const CLASSIC_TYPE: &[(&str, u64)] = &[
    ("Key", 48),
    ("Elem", 56),
    ("Bucket", 64),
    ("Hasher", 72),
    ("KeySize", 80),
    ("ValueSize", 81),
    ("BucketSize", 82),
    ("Flags", 84),
];

const SLOTTED_TYPE: &[(&str, u64)] = &[
    ("Key", 48),
    ("Elem", 56),
    ("Group", 64),
    ("Hasher", 72),
    ("GroupSize", 80),
    ("SlotSize", 88),
    ("ElemOff", 96),
    ("Flags", 104),
];

/// What to look for in debug information: the names a structure may have, of which the first that is there
/// counts, and for each the fields it must have.
pub(super) type Wanted = Vec<Vec<(&'static str, Vec<&'static str>)>>;

/// The structures of an implementation, whatever the version: of each name only the fields that all
/// versions have are required, the others are taken where they are.
pub(super) fn wanted(implementation: MapImplementation) -> Wanted {
    let mut wanted: Wanted = Vec::new();
    for row in rows_of(implementation) {
        let fields: Vec<_> = row.fields.iter().map(|&(name, _)| name).collect();
        let group = |names: &[(&'static str, Vec<&str>)]| {
            names.iter().any(|(name, _)| {
                *name == row.name || (MAP_TYPES.contains(name) && MAP_TYPES.contains(&row.name))
            })
        };
        let Some(names) = wanted.iter_mut().find(|names| group(names)) else {
            wanted.push(vec![(row.name, fields)]);
            continue;
        };
        match names.iter_mut().find(|(name, _)| *name == row.name) {
            Some((_, required)) => required.retain(|name| fields.contains(name)),
            None => names.push((row.name, fields)),
        }
    }
    for names in &mut wanted {
        names.sort_by_key(|(name, _)| MAP_TYPES.iter().position(|known| known == name));
    }
    wanted
}

/// Every field tracing has a name for, in any version of a structure.
pub(super) fn field_names(structure: &str) -> impl Iterator<Item = &'static str> {
    ROWS.iter()
        .filter(move |row| row.name == structure)
        .flat_map(|row| row.fields.iter().map(|&(name, _)| name))
}

fn rows_of(implementation: MapImplementation) -> impl Iterator<Item = &'static Row> {
    ROWS.iter()
        .filter(move |row| row.implementation.is_none_or(|i| i == implementation))
}

/// The layouts of a Go version, or why the table does not speak of it.
pub(super) fn rows(
    facts: &BinaryFacts,
    implementation: MapImplementation,
) -> Result<Vec<Layout>, String> {
    let version = facts
        .go_version
        .as_deref()
        .ok_or("the file does not say its Go version")?;
    let minor = facts
        .go_minor()
        .filter(|minor| VERSIONS.contains(minor) && !NOT_SEEN.contains(minor))
        .ok_or_else(|| format!("no table for {version}"))?;
    let unknown = facts
        .go_experiments
        .iter()
        .find(|&experiment| !EXPERIMENTS.contains(&experiment.as_str()));
    if let Some(experiment) = unknown {
        return Err(format!(
            "no table for {version} with GOEXPERIMENT={experiment}"
        ));
    }
    let of_version = |row: &&Row| (row.versions.0..=row.versions.1).contains(&minor);
    let found: Vec<_> = rows_of(implementation).filter(of_version).collect();
    // Classic maps were gone in 1.26, Swiss maps came with 1.24: anything else is not Go as released.
    if !found.iter().any(|row| row.implementation.is_some()) {
        return Err(format!(
            "{version} was not released with {implementation} maps"
        ));
    }
    Ok(found.into_iter().map(layout).collect())
}

fn layout(row: &Row) -> Layout {
    Layout {
        name: row.name.to_owned(),
        size: Some(row.size).filter(|&size| size > 0),
        fields: row
            .fields
            .iter()
            .map(|&(name, offset)| Field { name, offset })
            .collect(),
        source: Source::VersionTable,
    }
}
