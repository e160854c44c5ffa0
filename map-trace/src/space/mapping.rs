//! One mapping of a replayed address space.

use std::sync::Arc;

use crate::model::vma::{VmaFacts, VmaKind};
use crate::model::{Address, Prot};

/// Bits of [`Vma::flags`], and the two-letter words of `VmFlags` in /proc/PID/smaps
/// (fs/proc/task_mmu.c, `show_smap_vma_flags`).
pub mod flag {
    /// Grows downwards (a stack).
    pub const GROWS_DOWN: u32 = 1;
    /// Backed by huge pages of hugetlbfs.
    pub const HUGETLB: u32 = 1 << 1;
    /// Registered with userfaultfd for missing pages.
    pub const UFFD_MISSING: u32 = 1 << 2;
    /// Registered with userfaultfd for write protection.
    pub const UFFD_WP: u32 = 1 << 3;
    /// Registered with userfaultfd for minor faults.
    pub const UFFD_MINOR: u32 = 1 << 4;
    /// Locked in memory.
    pub const LOCKED: u32 = 1 << 5;
    /// Empty in a child after fork (MADV_WIPEONFORK).
    pub const WIPE_ON_FORK: u32 = 1 << 6;
    /// Absent from a child after fork (MADV_DONTFORK).
    pub const DONT_FORK: u32 = 1 << 7;
    /// MADV_HUGEPAGE.
    pub const HUGEPAGE: u32 = 1 << 8;
    /// MADV_NOHUGEPAGE.
    pub const NO_HUGEPAGE: u32 = 1 << 9;
    /// KSM may merge its pages (MADV_MERGEABLE).
    pub const MERGEABLE: u32 = 1 << 10;
    /// Left out of core dumps (MADV_DONTDUMP).
    pub const DONT_DUMP: u32 = 1 << 11;
    /// MADV_SEQUENTIAL.
    pub const SEQUENTIAL: u32 = 1 << 12;
    /// MADV_RANDOM.
    pub const RANDOM: u32 = 1 << 13;
    /// A shadow stack (CET).
    pub const SHADOW_STACK: u32 = 1 << 14;

    /// Any of the three userfaultfd modes.
    pub const UFFD: u32 = UFFD_MISSING | UFFD_WP | UFFD_MINOR;

    /// Every bit with its smaps word.
    pub const WORDS: [(u32, &str); 15] = [
        (GROWS_DOWN, "gd"),
        (HUGETLB, "ht"),
        (UFFD_MISSING, "um"),
        (UFFD_WP, "uw"),
        (UFFD_MINOR, "ui"),
        (LOCKED, "lo"),
        (WIPE_ON_FORK, "wf"),
        (DONT_FORK, "dc"),
        (HUGEPAGE, "hg"),
        (NO_HUGEPAGE, "nh"),
        (MERGEABLE, "mg"),
        (DONT_DUMP, "dd"),
        (SEQUENTIAL, "sr"),
        (RANDOM, "rr"),
        (SHADOW_STACK, "ss"),
    ];
}

/// A block device as /proc/PID/maps and PERF_RECORD_MMAP2 name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
}

/// The file (or the kernel's special name) behind a mapping. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// Path, or a bracketed name; `None` when only a descriptor was seen.
    pub name: Option<Arc<str>>,
    pub device: Option<Device>,
    pub inode: Option<u64>,
    pub build_id: Option<Arc<[u8]>>,
}

impl Backing {
    /// No file, only a name.
    pub(super) fn named(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: Some(name.into()),
            ..Self::default()
        })
    }

    /// Nothing known of the two contradicts that they are the same file.
    fn may_be(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            a.zip(b).is_none_or(|(a, b)| a == b)
        }
        agree(self.name.as_ref(), other.name.as_ref())
            && agree(self.device.as_ref(), other.device.as_ref())
            && agree(self.inode.as_ref(), other.inode.as_ref())
    }

    /// Takes over what the other knows and this one does not.
    fn learn(&mut self, other: &Self) {
        if self.name.is_none() {
            self.name.clone_from(&other.name);
        }
        if self.build_id.is_none() {
            self.build_id.clone_from(&other.build_id);
        }
        self.device = self.device.or(other.device);
        self.inode = self.inode.or(other.inode);
    }
}

/// A mapping (`vm_area_struct`): pages `start..end`, both multiples of 4096, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vma {
    pub start: u64,
    pub end: u64,
    pub prot: Prot,
    /// Inside a [`Space`](super::Space) heap and stack are `Anon`; which they are follows from the break
    /// and the initial stack pointer, as in the kernel, and is filled in when a mapping is handed out.
    pub kind: VmaKind,
    pub shared: bool,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Offset of `start` in the file, bytes; 0 for anonymous memory.
    pub offset: u64,
    pub backing: Option<Arc<Backing>>,
    /// The replay is not sure of this mapping (a half-failed or unfinished call, a guessed extent).
    pub doubt: bool,
    /// When it came into being (CLOCK_MONOTONIC ns), at the earliest.
    pub made_ns: u64,
    /// When it came into being or last changed.
    pub since_ns: u64,
    /// Last side-band record that covered it; 0 for none.
    pub reported_ns: u64,
}

impl Vma {
    /// Private anonymous memory.
    pub const fn anonymous(start: u64, end: u64, prot: Prot, ktime_ns: u64) -> Self {
        Self {
            start,
            end,
            prot,
            kind: VmaKind::Anon,
            shared: false,
            flags: 0,
            offset: 0,
            backing: None,
            doubt: false,
            made_ns: ktime_ns,
            since_ns: ktime_ns,
            reported_ns: 0,
        }
    }

    /// Path or bracketed name.
    pub fn name(&self) -> Option<&str> {
        self.backing.as_ref()?.name.as_deref()
    }

    /// The ELF build id of the file, where the side band or the caller gave it.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.backing.as_ref()?.build_id.as_deref()
    }

    /// True when every bit of `flags` is set.
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Offsets of the file count only where there is a file.
    pub(super) const fn has_offset(&self) -> bool {
        matches!(self.kind, VmaKind::File | VmaKind::SharedAnon)
    }

    /// File offset at `address`, which may lie outside; wraps like the kernel's page offset.
    pub(super) const fn offset_at(&self, address: u64) -> u64 {
        if self.has_offset() {
            self.offset.wrapping_add(address.wrapping_sub(self.start))
        } else {
            0
        }
    }

    /// Cuts to `start..end`, which must lie inside.
    pub(super) const fn clip(&mut self, start: u64, end: u64) {
        self.offset = self.offset_at(start);
        self.start = start;
        self.end = end;
    }

    /// Could be pages of the same mapping: same memory behind the same addresses. Protection and flags may
    /// differ.
    pub(super) fn same_memory(&self, other: &Self) -> bool {
        let files = match (&self.backing, &other.backing) {
            _ if self.kind == VmaKind::Anon && self.names_a_device() != other.names_a_device() => {
                false
            }
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.may_be(b),
            _ => true,
        };
        files
            && self.kind == other.kind
            && self.shared == other.shared
            && self.offset_at(other.start) == other.offset
    }

    /// Anonymous memory of /dev/zero or the hugetlb pool, which keeps that name; other anonymous memory has
    /// none, or one its owner gave it.
    fn names_a_device(&self) -> bool {
        self.name().is_some_and(|name| name.starts_with('/'))
    }

    /// Known from an mmap call with a descriptor only: the file may be anything, also /dev/zero, whose
    /// memory is anonymous.
    fn known_by_descriptor(&self) -> bool {
        self.kind == VmaKind::File && self.backing.is_none() && self.reported_ns == 0
    }

    /// If a side-band record of these pages can be of this mapping, takes over what it says of the memory.
    /// Protection and flags stay. False when it is of other memory.
    pub(super) fn identify(&mut self, told: &Self) -> bool {
        if self.same_memory(told) {
            self.learn(told);
            return true;
        }
        let same_offset = !told.has_offset() || self.offset == told.offset;
        let same = self.known_by_descriptor() && self.shared == told.shared && same_offset;
        if same {
            self.kind = told.kind;
            self.offset = told.offset;
            self.backing.clone_from(&told.backing);
        }
        same
    }

    /// Takes over what the other knows of the file.
    pub(super) fn learn(&mut self, other: &Self) {
        match (&mut self.backing, &other.backing) {
            (Some(mine), Some(theirs)) if !Arc::ptr_eq(mine, theirs) => {
                Arc::make_mut(mine).learn(theirs);
            }
            (mine @ None, theirs) => mine.clone_from(theirs),
            _ => {}
        }
    }

    /// `next` begins where this ends and differs from it in nothing a user can see.
    pub(super) fn continues_in(&self, next: &Self) -> bool {
        self.end == next.start
            && self.prot == next.prot
            && self.flags == next.flags
            && self.doubt == next.doubt
            && self.kind == next.kind
            && self.shared == next.shared
            && self.offset_at(next.start) == next.offset
            && self.backing == next.backing
    }

    /// As an event reports it.
    pub fn facts(&self) -> VmaFacts {
        VmaFacts {
            start: Address(self.start),
            end: Address(self.end),
            prot: self.prot,
            kind: self.kind,
            name: self.name().map(str::to_owned),
            offset: self.offset,
            shared: self.shared,
            flags: flag::WORDS
                .iter()
                .filter(|(bit, _)| self.has(*bit))
                .map(|(_, word)| (*word).to_owned())
                .collect(),
        }
    }
}

/// Kind of a mapping by the name the kernel gives it, in /proc/PID/maps or in the side band.
///
/// Private memory of /dev/zero and of the hugetlb pool is anonymous; a shared mapping of either, and
/// System V shared memory, is a nameless shmem or hugetlbfs file.
pub(super) fn kind_by_name(name: Option<&str>, shared: bool) -> VmaKind {
    let Some(name) = name else {
        return if shared {
            VmaKind::SharedAnon
        } else {
            VmaKind::Anon
        };
    };
    let nameless_file = name == "/dev/zero"
        || name.starts_with("/dev/zero (")
        || name.starts_with("/anon_hugepage")
        || name.starts_with("/SYSV");
    match name {
        "" | "//anon" | "[heap]" | "[stack]" => kind_by_name(None, shared),
        _ if name.starts_with("[stack:") || name.starts_with("[anon:") => VmaKind::Anon,
        _ if name.starts_with("[anon_shmem:") => VmaKind::SharedAnon,
        _ if nameless_file => kind_by_name(None, shared),
        _ if name.starts_with('[') => VmaKind::Special,
        _ => VmaKind::File,
    }
}
