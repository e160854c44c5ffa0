//! The event ring.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use aya::maps::{MapData, RingBuf};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

/// Reads records out of the ring. The programs never wake the reader: it polls.
pub struct Ring {
    records: RingBuf<MapData>,
    positions: Option<Positions>,
}

impl Ring {
    pub fn new(ring: RingBuf<MapData>) -> Self {
        let positions = Positions::map(&ring);
        Self {
            records: ring,
            positions,
        }
    }

    /// Bytes that wait to be read; `None` when the ring does not tell. Costs two loads.
    pub fn fill(&self) -> Option<usize> {
        self.positions.as_ref().map(Positions::fill)
    }

    /// Hands every record that is there to `take`; returns how many.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while let Some(item) = self.records.next() {
            take(&item);
            count += 1;
        }
        count
    }
}

/// The ring's first two pages, read-only: how far the reader is, and how far the writers are
/// (kernel/bpf/ringbuf.c, `struct bpf_ringbuf`).
struct Positions(*mut std::ffi::c_void);

impl Positions {
    fn map(ring: &RingBuf<MapData>) -> Option<Self> {
        // SAFETY: a new mapping at an address the kernel chooses.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                2 * page_size(),
                ProtFlags::READ,
                MapFlags::SHARED,
                ring.as_fd(),
                0,
            )
        };
        address.ok().map(Self)
    }

    fn fill(&self) -> usize {
        // SAFETY: each page begins with an aligned word that the kernel and aya write whole; the mapping lives
        // as long as self.
        let (read, written) = unsafe {
            (
                &*self.0.cast::<AtomicUsize>(),
                &*self.0.byte_add(page_size()).cast::<AtomicUsize>(),
            )
        };
        let read = read.load(Ordering::Acquire);
        written.load(Ordering::Acquire).wrapping_sub(read)
    }
}

impl Drop for Positions {
    fn drop(&mut self) {
        // SAFETY: our own mapping, used by nobody else. Should it fail, the mapping stays until the end.
        let _stays = unsafe { munmap(self.0, 2 * page_size()) };
    }
}
