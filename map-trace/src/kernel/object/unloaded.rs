//! The object before it is in the kernel: read, then given its settings and its maps.

use std::collections::{BTreeMap, HashMap as Table};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use aya::maps::{Map, MapData};
use aya_obj::{EbpfSectionKind, Object as Parsed};
use map_trace_common::settings::Settings;

use super::{OBJECT, Object, ObjectError};
use crate::kernel::bpf_call::{self, Order};
use crate::kernel::btf::{Btf, Kind, TypeId};
use crate::kernel::kfunc;
use crate::kernel::probe_table::PROBES;
use crate::kernel::programs::{self, Programs};

/// Types of the tracepoints that programs attach to, by name; those that the kernel does not describe are not there.
pub type TracepointTypes = Table<&'static str, TypeId>;

/// Looks up the types of every tracepoint of the table.
pub fn tracepoint_types(btf: &Btf) -> TracepointTypes {
    let names: Vec<String> = PROBES
        .iter()
        .map(|row| format!("btf_trace_{}", row.tracepoint))
        .collect();
    let wanted: Vec<_> = names
        .iter()
        .map(|name| (Kind::Typedef, name.as_str()))
        .collect();
    let found = PROBES.iter().zip(btf.find(&wanted));
    found
        .filter_map(|(row, ids)| Some((row.tracepoint, *ids.first()?)))
        .collect()
}

/// The object, read; nothing of it is in the kernel but its types.
pub struct Unloaded {
    parsed: Parsed,
    types: Option<OwnedFd>,
}

impl Unloaded {
    /// Reads the object.
    ///
    /// # Errors
    /// It does not hold together.
    pub fn read() -> Result<Self, ObjectError> {
        let mut parsed = Parsed::parse(OBJECT).map_err(|why| ObjectError::Load(why.to_string()))?;
        let types = programs::types(&mut parsed);
        Ok(Self { parsed, types })
    }

    /// Creates the maps with the settings in place; no program is loaded yet.
    ///
    /// # Errors
    /// The kernel refuses a map.
    pub fn create(mut self, settings: &Settings) -> Result<Object, ObjectError> {
        let damaged = |why: String| ObjectError::Load(why);
        let mut settings = *settings;
        if settings.word_function == 0 {
            settings.word_type = 0;
        }
        for function in self.parsed.functions.values_mut() {
            kfunc::resolve(&mut function.instructions, &settings);
        }
        // SAFETY: the settings are repr(C) of integers without padding; the slice lives as long as they do.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                std::ptr::from_ref(&settings).cast::<u8>(),
                size_of::<Settings>(),
            )
        };
        self.parsed
            .patch_map_data(Table::from([("SETTINGS", (bytes, true))]))
            .map_err(|why| damaged(why.to_string()))?;
        let mut maps = BTreeMap::new();
        let mut known = Vec::new();
        for (name, mut definition) in std::mem::take(&mut self.parsed.maps) {
            let map = create(&name, &mut definition, self.types.as_ref())?;
            let descriptor = map.fd().as_fd().try_clone_to_owned();
            let refused = |why: &dyn ToString| ObjectError::Create {
                name: name.clone(),
                why: why.to_string(),
            };
            let descriptor = descriptor.map_err(|why| refused(&why))?;
            known.push((name.clone(), definition, descriptor));
            let map = Map::from_map_data(map).map_err(|why| refused(&why))?;
            maps.insert(name, map);
        }
        let programs = Programs::link(self.parsed, self.types, known)
            .map_err(|why| damaged(why.to_string()))?;
        Ok(Object {
            maps,
            programs: Arc::new(programs),
            loaded: Table::new(),
            links: Vec::new(),
            attached: Vec::new(),
        })
    }
}

/// Creates a map and fills it with what the object has for it; constants are frozen.
fn create(
    name: &str,
    definition: &mut aya_obj::Map,
    types: Option<&OwnedFd>,
) -> Result<MapData, ObjectError> {
    let refused = |why: String| ObjectError::Create {
        name: name.to_owned(),
        why,
    };
    let map = MapData::create(definition.clone(), name, types.map(AsFd::as_fd))
        .map_err(|why| refused(why.to_string()))?;
    let mut attr = bpf_call::ElementAttr {
        map: map.fd().as_fd().as_raw_fd().unsigned_abs(),
        ..bpf_call::ElementAttr::default()
    };
    let key = 0_u32;
    let data = definition.data();
    if !data.is_empty() {
        attr.key = std::ptr::from_ref(&key) as u64;
        attr.value = data.as_ptr() as u64;
        // SAFETY: the key is four bytes, the value as long as the map's, which was made for it; both live here.
        unsafe { bpf_call::order(Order::MapUpdate, &mut attr) }
            .map_err(|why| refused(why.to_string()))?;
    }
    if definition.section_kind() == EbpfSectionKind::Rodata {
        let mut map = attr.map;
        // SAFETY: the attribute is the descriptor alone.
        unsafe { bpf_call::order(Order::MapFreeze, &mut map) }
            .map_err(|why| refused(why.to_string()))?;
    }
    Ok(map)
}
