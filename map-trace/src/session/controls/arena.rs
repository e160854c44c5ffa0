//! Memory for the control child, mapped before the fork so that both sides know where it is.

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Pages of a slot: what one control uses, and a gap.
const SLOT_PAGES: usize = 8;

/// One control's place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    FirstTouch,
    ZeroPage,
    Mprotect,
    ReadOnly,
    ProtNone,
    ProtExec,
    MapFixed,
    ForkCow,
    KernelRead,
}

impl Slot {
    /// All slots, in their order in the arena.
    pub const ALL: [Self; 9] = [
        Self::FirstTouch,
        Self::ZeroPage,
        Self::Mprotect,
        Self::ReadOnly,
        Self::ProtNone,
        Self::ProtExec,
        Self::MapFixed,
        Self::ForkCow,
        Self::KernelRead,
    ];
}

const BYTES: usize = Slot::ALL.len() * SLOT_PAGES * PAGE;

/// Untouched private anonymous pages.
#[derive(Clone, Copy, Debug)]
pub struct Arena {
    pub start: usize,
}

impl Arena {
    /// Maps the pages. They are never huge, of any size, so that each is a fault of its own.
    pub fn map() -> Result<Self, Errno> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh anonymous mapping where the kernel likes; the advice changes no content. Kernels
        // without huge pages refuse it, which is as good.
        unsafe {
            let start = mmap_anonymous(std::ptr::null_mut(), BYTES, prot, MapFlags::PRIVATE)?;
            let _without_huge_pages = madvise(start, BYTES, Advice::LinuxNoHugepage);
            Ok(Self {
                start: start as usize,
            })
        }
    }

    /// Forgets the pages in this process.
    pub fn unmap(self) {
        // SAFETY: mapped in `map`; nothing of this process refers to them. A failure leaves them mapped.
        let _ = unsafe { munmap(self.start as *mut std::ffi::c_void, BYTES) };
    }

    /// The first address behind the arena.
    pub const fn end(&self) -> usize {
        self.start.wrapping_add(BYTES)
    }

    /// The first address of a slot.
    pub const fn slot(&self, slot: Slot) -> usize {
        self.start.wrapping_add(slot as usize * SLOT_PAGES * PAGE)
    }

    /// The slot an address lies in.
    pub fn slot_at(&self, address: u64) -> Option<Slot> {
        let offset = usize::try_from(address).ok()?.checked_sub(self.start)?;
        Slot::ALL.get(offset / (SLOT_PAGES * PAGE)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_arena_has_a_slot_and_its_neighbours_have_none() {
        let arena = Arena { start: 0x7000_0000 };
        for slot in Slot::ALL {
            let first = arena.slot(slot) as u64;
            let last = first + (SLOT_PAGES * PAGE) as u64 - 1;
            assert_eq!(
                (arena.slot_at(first), arena.slot_at(last)),
                (Some(slot), Some(slot))
            );
        }
        assert_eq!(arena.slot_at(arena.start as u64 - 1), None);
        assert_eq!(arena.slot_at(arena.end() as u64), None);
    }
}
