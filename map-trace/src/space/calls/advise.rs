//! madvise: only the advice that changes a mapping's facts; MADV_DONTNEED and its like change pages only.

use super::{ENOMEM, MappingCall};
use crate::model::vma::VmaKind;
use crate::space::mapping::{Vma, flag};
use crate::space::memory::{Space, range_end};

const EINVAL: i64 = -(libc::EINVAL as i64);

/// Flags an advice sets and clears (mm/madvise.c, `madvise_vma_behavior`); `None` when it changes none.
fn flags_of(advice: i32) -> Option<(u32, u32)> {
    Some(match advice {
        libc::MADV_NORMAL => (0, flag::RANDOM | flag::SEQUENTIAL),
        libc::MADV_RANDOM => (flag::RANDOM, flag::SEQUENTIAL),
        libc::MADV_SEQUENTIAL => (flag::SEQUENTIAL, flag::RANDOM),
        libc::MADV_DONTFORK => (flag::DONT_FORK, 0),
        libc::MADV_DOFORK => (0, flag::DONT_FORK),
        libc::MADV_WIPEONFORK => (flag::WIPE_ON_FORK, 0),
        libc::MADV_KEEPONFORK => (0, flag::WIPE_ON_FORK),
        libc::MADV_MERGEABLE => (flag::MERGEABLE, 0),
        libc::MADV_UNMERGEABLE => (0, flag::MERGEABLE),
        libc::MADV_HUGEPAGE => (flag::HUGEPAGE, flag::NO_HUGEPAGE),
        libc::MADV_NOHUGEPAGE => (flag::NO_HUGEPAGE, flag::HUGEPAGE),
        libc::MADV_DONTDUMP => (flag::DONT_DUMP, 0),
        libc::MADV_DODUMP => (0, flag::DONT_DUMP),
        _ => return None,
    })
}

/// Mappings the kernel does not give an advice to.
fn refuses(advice: i32, vma: &Vma) -> bool {
    match advice {
        libc::MADV_WIPEONFORK => vma.kind != VmaKind::Anon || vma.backing.is_some(),
        libc::MADV_DOFORK | libc::MADV_DODUMP => vma.kind == VmaKind::Special,
        _ => false,
    }
}

impl Space {
    /// madvise(address, length, advice) = 0. Over holes the rest of the range is still advised and the
    /// result is ENOMEM.
    pub(super) fn advise(&mut self, call: &MappingCall) {
        let [start, length, advice, ..] = call.args;
        // The kernel takes an int.
        let advice = i32::from_ne_bytes((advice as u32).to_ne_bytes());
        let (Some((set, clear)), Some(end)) = (flags_of(advice), range_end(start, length)) else {
            return;
        };
        let doubt = call.result.is_none();
        let end = match call.result {
            Some(0 | ENOMEM) | None => end,
            // Refused for one mapping, after those before it were advised.
            Some(EINVAL) => self
                .range(start, end)
                .find(|vma| refuses(advice, vma))
                .map_or(start, |vma| vma.start.max(start)),
            Some(_) => return,
        };
        self.vmas.change(start, end, |mut vma| {
            // KSM takes private memory only, and says nothing when it takes none.
            if set == flag::MERGEABLE && (vma.shared || vma.kind == VmaKind::Special) {
                return Some(vma);
            }
            let flags = vma.flags & !clear | set;
            if flags != vma.flags {
                vma.flags = flags;
                vma.doubt |= doubt;
            }
            Some(vma)
        });
    }
}
