//! Mapping records of the perf side band (PERF_RECORD_MMAP2; kernel/events/core.c, `perf_event_mmap`).

use std::sync::Arc;

use super::mapping::{Backing, Device, Vma, flag, kind_by_name};
use super::memory::{Space, range_end};
use crate::model::Prot;
use crate::model::vma::VmaKind;

/// A mapping as the kernel reported it, at the moment it came into being, grew or changed protection.
///
/// The range is that of the whole mapping after the change: a part of it may be older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideBandMapping {
    pub ktime_ns: u64,
    pub tgid: u32,
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Offset in the file, bytes; meaningless for anonymous memory.
    pub offset: u64,
    /// PROT_* bits.
    pub prot: u32,
    /// MAP_SHARED or MAP_PRIVATE, MAP_LOCKED, MAP_HUGETLB; nothing else is reported.
    pub flags: u32,
    /// Path, `//anon`, `[heap]`, `[vdso]`, `/memfd:x (deleted)`, `anon_inode:[x]`.
    pub filename: Arc<str>,
    /// Device and inode; `None` when the record carries a build id in their place.
    pub device: Option<Device>,
    pub inode: Option<u64>,
    pub build_id: Option<Arc<[u8]>>,
}

impl SideBandMapping {
    fn vma(&self) -> Option<Vma> {
        let end = range_end(self.start, self.length)?;
        let bits = self.flags.cast_signed();
        let shared = bits & libc::MAP_SHARED != 0;
        let kind = kind_by_name(Some(&self.filename), shared);
        let mut flags = 0;
        for (map, vma) in [
            (libc::MAP_LOCKED, flag::LOCKED),
            (libc::MAP_HUGETLB, flag::HUGETLB),
        ] {
            if bits & map != 0 {
                flags |= vma;
            }
        }
        if &*self.filename == "[stack]" {
            flags |= flag::GROWS_DOWN;
        }
        let mut vma = Vma::anonymous(
            self.start,
            end,
            Prot::from_bits(self.prot.into()),
            self.ktime_ns,
        );
        vma.kind = kind;
        vma.shared = shared;
        vma.flags = flags;
        vma.backing = self.backing(kind);
        vma.reported_ns = self.ktime_ns;
        if vma.has_offset() {
            vma.offset = self.offset;
        }
        Some(vma)
    }

    fn backing(&self, kind: VmaKind) -> Option<Arc<Backing>> {
        // Names the kernel makes up when it cannot give the path.
        let name = match &*self.filename {
            "//anon" | "[heap]" | "[stack]" | "" => return None,
            "//toolong" | "//enomem" => None,
            // As /proc/PID/maps writes it.
            path if path.contains('\n') => Some(path.replace('\n', "\\012").into()),
            _ => Some(Arc::clone(&self.filename)),
        };
        let file = kind != VmaKind::Special;
        Some(Arc::new(Backing {
            name,
            device: self.device.filter(|_| file),
            inode: self.inode.filter(|_| file),
            build_id: self.build_id.clone(),
        }))
    }
}

impl Space {
    /// Applies a side-band record. Records older than the address space are ignored.
    pub fn report(&mut self, report: &Arc<SideBandMapping>) {
        if self.lost || report.ktime_ns < self.born_ns {
            return;
        }
        let Some(vma) = report.vma() else {
            self.contradict();
            return;
        };
        self.remember_report(Arc::clone(report));
        if self.loading {
            self.drop_loader_tail(&vma);
        }
        let mut parts = self.not_since_removed(&vma);
        let mut agreed = parts == [(vma.start, vma.end)];
        // Memory that grows piece by piece is reported whole each time: only what is new is looked at.
        let known = self.vmas.told_within(&vma).filter(|_| agreed);
        if let Some((start, end, _)) = known {
            parts = vec![(vma.start, start), (end, vma.end)];
        }
        for (start, end) in parts {
            agreed &= self.overlay(&vma, start, end, known.map(|(_, _, flags)| flags));
        }
        if agreed {
            self.vmas.tell(vma);
        } else if let Some((start, end, _)) = known {
            let mut unchanged = vma;
            unchanged.clip(start, end);
            self.vmas.tell(unchanged);
        }
        self.bound(report.ktime_ns);
    }

    /// Parts of a reported range that no later unmap took away.
    fn not_since_removed(&self, vma: &Vma) -> Vec<(u64, u64)> {
        let mut parts = vec![(vma.start, vma.end)];
        for removal in &self.removals {
            if removal.enter_ns <= vma.since_ns {
                continue;
            }
            parts = parts
                .into_iter()
                .flat_map(|(start, end)| {
                    [
                        (start, end.min(removal.start)),
                        (start.max(removal.end), end),
                    ]
                })
                .filter(|(start, end)| start < end)
                .collect();
        }
        parts
    }

    /// Lays a reported mapping over `start..end` of the replay; `known` are the flags it has elsewhere. False
    /// when something there has changed since.
    fn overlay(&mut self, report: &Vma, start: u64, end: u64, known: Option<u32>) -> bool {
        let clipped = |from: u64, to: u64| {
            let mut part = report.clone();
            part.clip(from, to);
            part
        };
        // The kernel holds it as one mapping, so what the record does not say (advice, growth) is the same
        // all over: new parts take it from the old ones.
        let inherited = known
            .or_else(|| {
                let mut there = self.vmas.overlapping(start, end);
                let same =
                    |old: &&Vma| old.same_memory(&clipped(old.start.max(start), old.end.min(end)));
                there.find(same).map(|old| old.flags)
            })
            .map_or(report.flags, |flags| merge_flags(flags, report.flags));
        let mut agreed = true;
        for (from, to) in self.vmas.holes(start, end) {
            let mut part = clipped(from, to);
            part.flags = inherited;
            self.vmas.put(part);
        }
        self.vmas.change(start, end, |mut old| {
            if old.made_ns > report.since_ns {
                agreed = false;
                return Some(old);
            }
            let mut new = clipped(old.start, old.end);
            let same = old.identify(&new);
            if old.since_ns > report.since_ns {
                // Changed since: the record only knows better what memory it is.
                agreed = false;
                return Some(old);
            }
            if same {
                let flags = merge_flags(old.flags, report.flags);
                if old.prot == new.prot && old.flags == flags {
                    new.since_ns = old.since_ns;
                }
                new.flags = flags;
                new.backing = old.backing;
                new.made_ns = old.made_ns;
            }
            Some(new)
        });
        agreed
    }

    /// The ELF loader maps a file's whole extent with its first segment, unmaps what lies behind that
    /// segment and maps the others there (fs/binfmt_elf.c, `elf_load`). The side band does not tell of the
    /// unmap: it has happened once a second mapping of the file appears inside the first.
    fn drop_loader_tail(&mut self, vma: &Vma) {
        let Some(first) = self.vmas.at(vma.start) else {
            return;
        };
        let same_file = first.kind == VmaKind::File
            && vma.kind == VmaKind::File
            && first.start < vma.start
            && first.backing == vma.backing;
        if same_file {
            let end = first.end;
            drop(self.vmas.take(vma.start, end));
        }
    }
}

/// Flags of a mapping after a report: the report decides those it carries, the rest stay.
const fn merge_flags(old: u32, reported: u32) -> u32 {
    const CARRIED: u32 = flag::LOCKED | flag::HUGETLB;
    old & !CARRIED | reported
}

impl Space {
    /// Lets mappings of `start..end` learn the file a record names, where they are the same memory.
    pub(super) fn learn_file(&mut self, report: &SideBandMapping, start: u64, end: u64) {
        let Some(told) = report.vma() else { return };
        self.vmas.change(start, end, |mut vma| {
            let mut part = told.clone();
            part.clip(vma.start, vma.end);
            vma.identify(&part);
            Some(vma)
        });
    }
}
