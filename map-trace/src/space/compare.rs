//! Checks a replay against the real /proc/PID/maps.

use super::mapping::{Backing, Vma};
use super::maps_text::{MapsError, parse_maps};
use super::memory::{Space, USER_END};
use crate::model::vma::VmaKind;

/// How a range of the replay differs from the real file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// Mapped, and the replay does not have it.
    Missing,
    /// Not mapped, and the replay has it.
    Extra,
    /// Another protection.
    Prot,
    /// Other memory: another file, offset, kind, or shared instead of private.
    Backing,
}

/// A range over which replay and real file differ in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    pub start: u64,
    pub end: u64,
    /// What the replay has there.
    pub replayed: Option<Vma>,
    /// What the file says is there.
    pub real: Option<Vma>,
}

impl Space {
    /// Every difference to the text of the process's maps file, neighbours that differ in nothing joined on
    /// both sides. Names of heap and stack, and what the replay does not claim to know (a path, an inode),
    /// are no differences; nor is the legacy vsyscall page, which is not in the address space.
    ///
    /// # Errors
    /// When the text is not that of a maps file.
    pub fn compare(&self, maps_text: &str) -> Result<Vec<Difference>, MapsError> {
        let mut real = parse_maps(maps_text)?;
        real.retain(|vma| vma.end <= USER_END);
        for vma in &mut real {
            if matches!(vma.kind, VmaKind::Heap | VmaKind::Stack) {
                vma.kind = VmaKind::Anon;
                vma.backing = None;
            }
        }
        let replayed: Vec<Vma> = self
            .iter()
            .filter(|vma| vma.end <= USER_END)
            .cloned()
            .collect();
        Ok(differences(&replayed, &real))
    }
}

/// Walks both lists edge by edge.
fn differences(replayed: &[Vma], real: &[Vma]) -> Vec<Difference> {
    let mut edges: Vec<u64> = replayed
        .iter()
        .chain(real)
        .flat_map(|vma| [vma.start, vma.end])
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut found: Vec<Difference> = Vec::new();
    let (mut ours, mut theirs) = (replayed.iter().peekable(), real.iter().peekable());
    for pair in edges.windows(2) {
        let &[start, end] = pair else { continue };
        while ours.next_if(|vma| vma.end <= start).is_some() {}
        while theirs.next_if(|vma| vma.end <= start).is_some() {}
        let at = |vma: Option<&&Vma>| {
            vma.filter(|vma| vma.start <= start)
                .map(|vma| (*vma).clone())
        };
        let (replayed, real) = (at(ours.peek()), at(theirs.peek()));
        let Some(kind) = difference(replayed.as_ref(), real.as_ref()) else {
            continue;
        };
        match found.last_mut() {
            Some(last)
                if last.kind == kind
                    && last.end == start
                    && last.real == real
                    && last.replayed == replayed =>
            {
                last.end = end;
            }
            _ => found.push(Difference {
                kind,
                start,
                end,
                replayed,
                real,
            }),
        }
    }
    found
}

fn difference(replayed: Option<&Vma>, real: Option<&Vma>) -> Option<DifferenceKind> {
    match (replayed, real) {
        (None, None) => None,
        (None, Some(_)) => Some(DifferenceKind::Missing),
        (Some(_), None) => Some(DifferenceKind::Extra),
        (Some(ours), Some(theirs)) if ours.prot != theirs.prot => Some(DifferenceKind::Prot),
        (Some(ours), Some(theirs)) => {
            (!same_memory(ours, theirs)).then_some(DifferenceKind::Backing)
        }
    }
}

/// As [`Vma::same_memory`], but forgiving what a mapping known only by its mmap call cannot tell: a
/// descriptor may have been that of a file, of /dev/zero, or of a nameless one.
fn same_memory(ours: &Vma, theirs: &Vma) -> bool {
    let unnamed = ours.kind == VmaKind::File && ours.name().is_none();
    if unnamed && ours.shared == theirs.shared {
        return !theirs.has_offset() || ours.offset_at(theirs.start) == theirs.offset;
    }
    named_anonymous(ours).same_memory(&named_anonymous(theirs))
}

/// Names of anonymous memory (prctl PR_SET_VMA_ANON_NAME) are not replayed.
fn named_anonymous(vma: &Vma) -> Vma {
    let mut vma = vma.clone();
    if vma.kind == VmaKind::Anon {
        vma.backing = None;
    }
    // The side band names special mappings as maps does, but some kernels add device numbers there.
    if vma.kind == VmaKind::Special {
        vma.backing = vma.name().map(Backing::named);
    }
    vma
}
