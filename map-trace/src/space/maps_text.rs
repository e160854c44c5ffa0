//! Reads the text of /proc/PID/maps and /proc/PID/smaps (fs/proc/task_mmu.c, `show_map_vma`).

use std::sync::Arc;

use super::mapping::{Backing, Device, Vma, flag, kind_by_name};
use super::memory::PAGE;
use crate::model::Prot;
use crate::model::vma::VmaKind;

/// A line that is not of the format of /proc/PID/maps or smaps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the maps text: {what}: {text:?}")]
pub struct MapsError {
    /// From 1.
    pub line: usize,
    pub what: &'static str,
    /// The line's first 80 characters.
    pub text: String,
}

/// Every mapping of the text, in its order. Lines of smaps other than the heads are read for `VmFlags` and
/// else skipped.
///
/// # Errors
/// On the first head that cannot be read, or that is empty, unaligned or not above the one before.
pub fn parse_maps(text: &str) -> Result<Vec<Vma>, MapsError> {
    let mut vmas: Vec<Vma> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let error = |what| MapsError {
            line: index + 1,
            what,
            text: line.chars().take(80).collect(),
        };
        if line.is_empty() {
            continue;
        }
        if is_field(line) {
            let vma = vmas
                .last_mut()
                .ok_or_else(|| error("field before any mapping"))?;
            read_field(line, vma);
            continue;
        }
        let vma = parse_head(line).ok_or_else(|| error("not a mapping"))?;
        if vma.start >= vma.end || !vma.start.is_multiple_of(PAGE) || !vma.end.is_multiple_of(PAGE)
        {
            return Err(error("not a range of pages"));
        }
        if vmas.last().is_some_and(|last| last.end > vma.start) {
            return Err(error("overlaps the mapping before it"));
        }
        vmas.push(vma);
    }
    Ok(vmas)
}

/// `VmFlags: rd wr` and `Size:   4 kB` are fields; a head's first word has no colon.
fn is_field(line: &str) -> bool {
    line.split_ascii_whitespace()
        .next()
        .is_some_and(|word| word.ends_with(':') && !word.contains('-'))
}

fn read_field(line: &str, vma: &mut Vma) {
    let Some(words) = line.strip_prefix("VmFlags:") else {
        return;
    };
    vma.flags = 0;
    for word in words.split_ascii_whitespace() {
        for (bit, name) in flag::WORDS {
            if word == name {
                vma.flags |= bit;
            }
        }
    }
}

/// `start-end rwxp offset major:minor inode   name`
fn parse_head(line: &str) -> Option<Vma> {
    let (range, rest) = word(line)?;
    let (rights, rest) = word(rest)?;
    let (offset, rest) = word(rest)?;
    let (device, rest) = word(rest)?;
    let (inode, rest) = word(rest).unwrap_or((rest, ""));
    let name = Some(rest.trim_start_matches(' ')).filter(|name| !name.is_empty());

    let (start, end) = range.split_once('-')?;
    let (major, minor) = device.split_once(':')?;
    let shared = match rights.as_bytes() {
        [_, _, _, b'p'] => false,
        [_, _, _, b's'] => true,
        _ => return None,
    };
    let mut vma = Vma::anonymous(hex(start)?, hex(end)?, Prot::parse(rights)?, 0);
    vma.shared = shared;
    vma.kind = match name {
        Some("[heap]") => VmaKind::Heap,
        Some("[stack]") => VmaKind::Stack,
        _ => kind_by_name(name, shared),
    };
    if vma.kind == VmaKind::Stack {
        vma.flags = flag::GROWS_DOWN;
    }
    if name.is_some_and(|name| name.starts_with("/anon_hugepage")) {
        vma.flags = flag::HUGETLB;
    }
    if vma.has_offset() {
        vma.offset = hex(offset)?;
    }
    let inode: u64 = inode.parse().ok()?;
    let device = Device {
        major: u32::try_from(hex(major)?).ok()?,
        minor: u32::try_from(hex(minor)?).ok()?,
    };
    let file = inode != 0;
    if name.is_some() || file {
        vma.backing = Some(Arc::new(Backing {
            name: name.map(Into::into),
            device: file.then_some(device),
            inode: file.then_some(inode),
            build_id: None,
        }));
    }
    Some(vma)
}

/// The first word and what follows the space behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (!word.is_empty()).then_some((word, rest))
}

fn hex(text: &str) -> Option<u64> {
    // from_str_radix accepts a sign, the kernel writes none.
    text.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u64::from_str_radix(text, 16).ok())?
}
