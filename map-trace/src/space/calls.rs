//! Memory syscalls, seen at their return, applied to the replay.

mod advise;
mod remap;

use super::mapping::{Vma, flag};
use super::memory::{Break, Removal, Space, USER_END, page_up, range_end};
use crate::model::Prot;
use crate::model::vma::VmaKind;

/// The memory syscalls the replay understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Mmap,
    Munmap,
    Mprotect,
    PkeyMprotect,
    Mremap,
    Brk,
    Madvise,
}

impl Call {
    /// From a record's kind (`map_trace_common::record::kind`).
    pub const fn from_kind(kind: u32) -> Option<Self> {
        use map_trace_common::record::kind as k;
        match kind {
            k::MMAP => Some(Self::Mmap),
            k::MUNMAP => Some(Self::Munmap),
            k::MPROTECT => Some(Self::Mprotect),
            k::PKEY_MPROTECT => Some(Self::PkeyMprotect),
            k::MREMAP => Some(Self::Mremap),
            k::BRK => Some(Self::Brk),
            k::MADVISE => Some(Self::Madvise),
            _ => None,
        }
    }
}

/// A memory syscall: when, which, with what, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingCall {
    pub enter_ns: u64,
    pub exit_ns: u64,
    pub call: Call,
    /// In syscall order (rdi, rsi, rdx, r10, r8, r9).
    pub args: [u64; 6],
    /// The kernel's result, negative errno on failure; `None` when the return was never seen (the thread
    /// died in the call): what it did is then in doubt.
    pub result: Option<i64>,
}

const ENOMEM: i64 = -(libc::ENOMEM as i64);
const EPERM: i64 = -(libc::EPERM as i64);
const EACCES: i64 = -(libc::EACCES as i64);

impl MappingCall {
    /// The result when it is an address.
    fn address(&self) -> Option<u64> {
        self.result
            .filter(|result| *result >= 0)
            .map(i64::cast_unsigned)
    }

    fn succeeded(&self) -> bool {
        self.result == Some(0)
    }
}

impl Space {
    /// Applies a call at its return. Calls of the time before the address space began are ignored.
    pub fn call(&mut self, call: &MappingCall) {
        // A thread that was in a call when another one called exec was in the old address space.
        let of_ns = if self.from_snapshot {
            call.exit_ns
        } else {
            call.enter_ns
        };
        if self.lost || of_ns < self.born_ns {
            return;
        }
        match call.call {
            Call::Mmap => self.map(call),
            Call::Munmap => self.unmap(call),
            Call::Mprotect | Call::PkeyMprotect => self.protect(call),
            Call::Mremap => self.remap(call),
            Call::Brk => self.set_break(call),
            Call::Madvise => self.advise(call),
        }
        self.bound(call.exit_ns);
    }

    /// mmap(address, length, prot, flags, fd, offset) = address.
    fn map(&mut self, call: &MappingCall) {
        let [_, length, prot, flags, _, offset] = call.args;
        let Some(start) = call.address() else { return };
        let length = huge_length(length, flags);
        let Some(end) = range_end(start, length) else {
            self.contradict();
            return;
        };
        // Stamped with the entry, so that a side-band record of this call, coming late, is not older.
        let new = mapped(start, end, prot, flags, offset, call.enter_ns);
        self.put_unless_reported(&new, call);
    }

    /// Puts what a call made, except where a side-band record inside its window said it better. Advice
    /// flags begin afresh in any case: a record cannot tell a new mapping from an old one of the same kind.
    fn put_unless_reported(&mut self, new: &Vma, call: &MappingCall) {
        const REPORTED: u32 = flag::LOCKED | flag::HUGETLB;
        let clipped = |start: u64, end: u64| {
            let mut part = new.clone();
            part.clip(start, end);
            part
        };
        for (start, end) in self.vmas.holes(new.start, new.end) {
            self.vmas.put(clipped(start, end));
        }
        self.vmas.change(new.start, new.end, |mut old| {
            if old.reported_ns < call.enter_ns {
                return Some(clipped(old.start, old.end));
            }
            old.flags = old.flags & REPORTED | new.flags;
            old.since_ns = old.since_ns.max(old.reported_ns);
            Some(old)
        });
        // A racing unmap may have taken away what the side band told of this mapping.
        let reports: Vec<_> = self
            .reports
            .iter()
            .filter(|report| (call.enter_ns..=call.exit_ns).contains(&report.ktime_ns))
            .filter(|report| {
                report.start <= new.start && new.end <= report.start.saturating_add(report.length)
            })
            .cloned()
            .collect();
        for report in reports {
            self.learn_file(&report, new.start, new.end);
        }
    }

    /// munmap(address, length) = 0. A failed munmap has unmapped nothing.
    fn unmap(&mut self, call: &MappingCall) {
        let [start, length, ..] = call.args;
        let Some(end) = range_end(start, length) else {
            if call.succeeded() {
                self.contradict();
            }
            return;
        };
        match call.result {
            Some(0) => self.remove(start, end, call.enter_ns),
            Some(_) => {}
            None => self.doubt(start, end, call.exit_ns),
        }
    }

    /// Unmaps, sparing what was mapped after the unmap began.
    fn remove(&mut self, start: u64, end: u64, enter_ns: u64) {
        let born = self.born_ns;
        self.vmas.change(start, end, |mut vma| {
            if vma.since_ns < enter_ns {
                return None;
            }
            // Seen by a snapshot taken inside the call: before or after the unmap, nobody can say.
            vma.doubt |= vma.since_ns == born;
            Some(vma)
        });
        self.remember_removal(Removal {
            start,
            end,
            enter_ns,
        });
    }

    /// mprotect(address, length, prot) = 0 or pkey_mprotect with a key.
    ///
    /// On failure the mappings before the one that failed are changed (mm/mprotect.c, `do_mprotect_pkey`):
    /// up to the first hole with ENOMEM; with EACCES or EPERM up to a mapping only the kernel knows.
    fn protect(&mut self, call: &MappingCall) {
        let [mut start, length, prot, ..] = call.args;
        if length == 0 && call.succeeded() {
            return;
        }
        let Some(end) = range_end(start, length) else {
            if call.succeeded() {
                self.contradict();
            }
            return;
        };
        if prot & u64::from(libc::PROT_GROWSDOWN.cast_unsigned()) != 0 {
            start = self.reach_down(start, end, Prot::from_bits(prot), call);
        }
        let holes = self.vmas.holes(start, end);
        let first_hole = holes.first().map_or(end, |hole| hole.0);
        let prot = Prot::from_bits(prot);
        match call.result {
            Some(0) => {
                for (from, to) in holes {
                    if self.first_doubt(from, to) == u64::MAX {
                        self.contradict();
                    }
                    let mut unknown = Vma::anonymous(from, to, prot, call.exit_ns);
                    unknown.doubt = true;
                    self.vmas.put(unknown);
                }
                self.set_prot(start, end, prot, call);
            }
            Some(ENOMEM) if first_hole < end => {
                // Known as far as it is known what is mapped.
                let unsure = self.first_doubt(start, end);
                let known = first_hole.min(unsure);
                self.set_prot(start, known, prot, call);
                if unsure <= first_hole {
                    self.doubt_prot(known, end, prot, call);
                }
            }
            Some(ENOMEM | EACCES | EPERM) | None => self.doubt_prot(start, first_hole, prot, call),
            Some(_) => {}
        }
    }

    /// Where an mprotect with PROT_GROWSDOWN begins: at the start of the first mapping. Where doubt parts
    /// that mapping here, what lies below is in doubt, too.
    fn reach_down(&mut self, start: u64, end: u64, prot: Prot, call: &MappingCall) -> u64 {
        let Some(stack) = self.vmas.overlapping(start, end).next() else {
            return start;
        };
        let certain = self.stretch(stack).start;
        let mut lowest = certain;
        while let Some(below) = self.vmas.below(lowest)
            && below.end == lowest
            && below.has(flag::GROWS_DOWN)
            && (below.doubt || lowest < certain || stack.doubt)
        {
            lowest = below.start;
        }
        if call.result != Some(-i64::from(libc::EINVAL)) {
            self.doubt_prot(lowest, certain, prot, call);
        }
        certain
    }

    fn set_prot(&mut self, start: u64, end: u64, prot: Prot, call: &MappingCall) {
        self.vmas.change(start, end, |mut vma| {
            if vma.reported_ns < call.enter_ns && vma.prot != prot {
                vma.prot = prot;
                vma.since_ns = call.exit_ns;
            }
            Some(vma)
        });
    }

    /// The protection may or may not have become `prot`. Where the side band is heard, it tells.
    fn doubt_prot(&mut self, start: u64, end: u64, prot: Prot, call: &MappingCall) {
        if !self.reports.is_empty() {
            return;
        }
        self.vmas.change(start, end, |mut vma| {
            if vma.reported_ns < call.enter_ns && vma.prot != prot {
                vma.doubt = true;
                vma.since_ns = call.exit_ns;
            }
            Some(vma)
        });
    }

    /// brk(address) = the break after the call, whether it moved or not.
    fn set_break(&mut self, call: &MappingCall) {
        let Some(after) = call.address().filter(|after| *after < USER_END) else {
            return;
        };
        let wanted = call.args[0];
        let Some(brk) = self.brk else {
            // Attached without a heap in the snapshot: the first answer tells where the break is.
            self.brk = Some(Break {
                start: after,
                end: after,
            });
            return;
        };
        self.brk = Some(Break {
            start: brk.start.min(after),
            end: after,
        });
        if after != wanted {
            return;
        }
        let (old, new) = (page_up(brk.end), page_up(after));
        if new > old {
            let grown = Vma::anonymous(old, new, Prot::RW, call.enter_ns);
            self.put_unless_reported(&grown, call);
        } else if new < old {
            self.remove(new, old, call.enter_ns);
        }
    }
}

/// Length of a hugetlb mapping: the kernel rounds it up to the huge page size, whose logarithm is in bits
/// 26 to 31 of the flags, 0 for the default of 2 MiB (mm/mmap.c, `ksys_mmap_pgoff`).
fn huge_length(length: u64, flags: u64) -> u64 {
    if flags & u64::from(libc::MAP_HUGETLB.cast_unsigned()) == 0 {
        return length;
    }
    let shift = match flags >> 26 & 0x3f {
        0 => 21,
        shift => shift.min(40),
    };
    let mask = (1_u64 << shift) - 1;
    length.saturating_add(mask) & !mask
}

/// What an mmap made, as far as its arguments tell.
fn mapped(start: u64, end: u64, prot: u64, flags: u64, offset: u64, ktime_ns: u64) -> Vma {
    /// MAP_DROPPABLE (include/uapi/linux/mman.h, Linux 6.11): private, wiped in a child.
    const DROPPABLE: u64 = 8;
    let on = |bit: i32| flags & u64::from(bit.cast_unsigned()) != 0;
    let shared = matches!(flags & 15, 1 | 3);
    let mut vma = Vma::anonymous(start, end, Prot::from_bits(prot), ktime_ns);
    vma.shared = shared;
    vma.kind = match (on(libc::MAP_ANONYMOUS), shared) {
        (true, false) => VmaKind::Anon,
        (true, true) => VmaKind::SharedAnon,
        (false, _) => VmaKind::File,
    };
    if vma.kind == VmaKind::File {
        vma.offset = offset;
    }
    let private_anonymous = vma.kind == VmaKind::Anon;
    for (set, bit) in [
        (
            on(libc::MAP_GROWSDOWN) && private_anonymous,
            flag::GROWS_DOWN,
        ),
        (on(libc::MAP_LOCKED), flag::LOCKED),
        // Since Linux 6.7 (include/linux/mman.h, `calc_vm_flag_bits`).
        (on(libc::MAP_STACK), flag::NO_HUGEPAGE),
        (
            on(libc::MAP_HUGETLB) && on(libc::MAP_ANONYMOUS),
            flag::HUGETLB,
        ),
        (flags & 15 == DROPPABLE, flag::WIPE_ON_FORK),
    ] {
        if set {
            vma.flags |= bit;
        }
    }
    vma
}
