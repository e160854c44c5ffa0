//! The event ring.

use aya::maps::{MapData, RingBuf};

/// Reads records out of the ring. The programs never wake the reader: it polls.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Hands every record that is there to `take`; returns how many.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while let Some(item) = self.0.next() {
            take(&item);
            count += 1;
        }
        count
    }
}
