//! Layouts from the debug information of a Go binary.
//!
//! Go's linker writes all types into the unit of package runtime (cmd/link/internal/ld/dwarf.go), as
//! children of its root, so one unit is read and the rest are passed over by their headers.

use std::collections::HashMap;

use gimli::{AttributeValue, DebuggingInformationEntry, Reader, Unit};

use super::table::{Wanted, field_names};
use super::{Field, Layout, Members, Source};
use crate::binary::elf::Elf;
use crate::binary::window::Window;

/// Units looked at, at most; entries of the units of package runtime.
const MAX_UNITS: usize = 100_000;
const MAX_ENTRIES: usize = 4_000_000;
/// Members of one structure kept.
const MAX_MEMBERS: usize = 512;
/// A structure believed.
const MAX_SIZE: u64 = 1 << 16;

type Found = HashMap<String, (u64, Vec<(String, u64)>)>;

/// Reads the structures wanted; every one must be there and make sense.
pub(super) fn read(elf: &Elf, wanted: &Wanted) -> Result<Vec<Layout>, String> {
    if elf.section(".debug_info").is_none() {
        return Err("it has no debug information".into());
    }
    let names = |name: &str| wanted.iter().flatten().any(|(known, _)| *known == name);
    let found = search(elf, &names)
        .map_err(|error| format!("its debug information cannot be read ({error})"))?;
    wanted
        .iter()
        .map(|names| {
            let (name, required, found) = names
                .iter()
                .find_map(|(name, required)| Some((*name, required, found.get(*name)?)))
                .ok_or_else(|| format!("its debug information has no {}", names[0].0))?;
            layout(name, required, found)
        })
        .collect()
}

/// Size and members of any one structure of a Go program; none: the debug information has no such structure.
pub(super) fn members(elf: &Elf, wanted: &str) -> Result<Option<Members>, String> {
    if elf.section(".debug_info").is_none() {
        return Err("it has no debug information".into());
    }
    search(elf, &|name| name == wanted)
        .map(|mut found| found.remove(wanted))
        .map_err(|error| format!("its debug information cannot be read ({error})"))
}

fn layout(
    name: &'static str,
    required: &[&str],
    (size, members): &(u64, Vec<(String, u64)>),
) -> Result<Layout, String> {
    let broken = |what: String| Err(format!("its debug information of {name} {what}"));
    if *size == 0 || *size > MAX_SIZE || members.iter().any(|(_, offset)| offset >= size) {
        return broken("makes no sense".into());
    }
    let mut fields: Vec<Field> = Vec::new();
    for known in field_names(name) {
        if let Some((_, offset)) = members.iter().find(|(member, _)| same(member, known))
            && !fields.iter().any(|field| field.name == known)
        {
            fields.push(Field {
                name: known,
                offset: *offset,
            });
        }
    }
    if let Some(missing) = required
        .iter()
        .find(|required| !fields.iter().any(|field| field.name == **required))
    {
        return broken(format!("has no {missing}"));
    }
    fields.sort_by_key(|field| field.offset);
    if fields
        .windows(2)
        .any(|pair| pair[0].offset == pair[1].offset)
    {
        return broken("makes no sense".into());
    }
    Ok(Layout {
        name: name.to_owned(),
        size: Some(*size),
        fields,
        source: Source::Dwarf,
    })
}

/// `keysize` of Go 1.20 is `KeySize`, `elemsize` is `ValueSize`. Nothing else differs in case only.
fn same(member: &str, known: &str) -> bool {
    member.eq_ignore_ascii_case(known) || (member == "elemsize" && known == "ValueSize")
}

fn search(elf: &Elf, wanted: &dyn Fn(&str) -> bool) -> gimli::Result<Found> {
    let empty = || Window::new(&elf.image, 0, 0);
    let dwarf = gimli::Dwarf::load(|id| {
        Ok::<_, gimli::Error>(elf.window(id.name()).unwrap_or_else(empty))
    })?;
    let mut found = Found::new();
    let mut units = dwarf.units();
    let mut budget = MAX_ENTRIES;
    for _ in 0..MAX_UNITS {
        let Some(header) = units.next()? else {
            break;
        };
        let abbreviations = dwarf.abbreviations(&header)?;
        let mut roots = header.entries(&abbreviations);
        let Some(root) = roots.next_dfs()? else {
            continue;
        };
        let Some(AttributeValue::String(name)) = root.attr_value(gimli::DW_AT_name) else {
            continue;
        };
        if name.to_slice()?.as_ref() != b"runtime" {
            continue;
        }
        let unit = dwarf.unit(header)?;
        structures(&dwarf, &unit, wanted, &mut budget, &mut found)?;
    }
    Ok(found)
}

/// The wanted structures among the children of a unit's root, with their members.
fn structures(
    dwarf: &gimli::Dwarf<Window>,
    unit: &Unit<Window>,
    wanted: &dyn Fn(&str) -> bool,
    budget: &mut usize,
    found: &mut Found,
) -> gimli::Result<()> {
    let mut entries = unit.entries();
    let mut inside: Option<String> = None;
    while let Some(entry) = entries.next_dfs()? {
        *budget = budget.saturating_sub(1);
        if *budget == 0 || found.len() > 32 {
            break;
        }
        match (entry.depth(), entry.tag()) {
            (2, gimli::DW_TAG_member) => {
                let members = inside.as_ref().and_then(|name| found.get_mut(name));
                if let (Some((_, members)), Some(name), Some(offset)) = (
                    members,
                    text(dwarf, unit, entry)?,
                    number(entry, gimli::DW_AT_data_member_location),
                ) && members.len() < MAX_MEMBERS
                {
                    members.push((name, offset));
                }
            }
            (1, gimli::DW_TAG_structure_type) => {
                inside = text(dwarf, unit, entry)?.filter(|name| wanted(name));
                if let Some(name) = &inside {
                    let size = number(entry, gimli::DW_AT_byte_size).unwrap_or(0);
                    found.insert(name.clone(), (size, Vec::new()));
                }
            }
            (1, _) => inside = None,
            _ => {}
        }
    }
    Ok(())
}

fn text(
    dwarf: &gimli::Dwarf<Window>,
    unit: &Unit<Window>,
    entry: &DebuggingInformationEntry<Window>,
) -> gimli::Result<Option<String>> {
    let Some(value) = entry.attr_value(gimli::DW_AT_name) else {
        return Ok(None);
    };
    let name = dwarf.attr_string(unit, value)?;
    Ok(Some(name.to_string_lossy()?.into_owned()))
}

fn number(entry: &DebuggingInformationEntry<Window>, at: gimli::DwAt) -> Option<u64> {
    entry.attr_value(at)?.udata_value()
}
