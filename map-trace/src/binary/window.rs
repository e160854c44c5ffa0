//! A part of an image as gimli reads it: a section that is never loaded whole.

use std::borrow::Cow;
use std::sync::Arc;

use gimli::{Error, LittleEndian, Reader, ReaderOffsetId, Result};

use super::image::{Block, Image};

/// Longest string or expression taken from DWARF.
const LONGEST: u64 = 64 << 10;

/// Bytes `[start, start + len)` of an image, and the block read last.
#[derive(Debug)]
pub(super) struct Window {
    image: Arc<Image>,
    start: u64,
    len: u64,
    block: Option<Block>,
}

/// Without the block: parsed DWARF keeps many small windows, which must not keep blocks alive.
impl Clone for Window {
    fn clone(&self) -> Self {
        Self {
            image: Arc::clone(&self.image),
            start: self.start,
            len: self.len,
            block: None,
        }
    }
}

impl Window {
    pub fn new(image: &Arc<Image>, start: u64, len: u64) -> Self {
        let start = start.min(image.len());
        Self {
            len: len.min(image.len() - start),
            image: Arc::clone(image),
            start,
            block: None,
        }
    }

    /// Offset in the image of the next byte.
    pub const fn position(&self) -> u64 {
        self.start
    }

    /// The next byte; none at the end.
    pub fn next(&mut self) -> Option<u8> {
        if self.len == 0 {
            return None;
        }
        let hit = self.block.as_ref().and_then(|b| b.byte(self.start));
        let byte = match hit {
            Some(byte) => byte,
            None => {
                let block = self.image.block(self.start)?;
                let byte = block.byte(self.start)?;
                self.block = Some(block);
                byte
            }
        };
        self.start += 1;
        self.len -= 1;
        Some(byte)
    }

    /// An unsigned number of at most 64 bits in LEB128, the encoding Go calls varint.
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.next()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn end(&self) -> Error {
        Error::UnexpectedEof(self.offset_id())
    }
}

impl Reader for Window {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.len as usize
    }

    fn empty(&mut self) {
        self.len = 0;
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        if len as u64 > self.len {
            return Err(self.end());
        }
        self.len = len as u64;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.start.saturating_sub(base.start) as usize
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.start)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let offset = id.0.checked_sub(self.start)?;
        (offset <= self.len).then_some(offset as usize)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let mut walk = self.clone();
        let mut at = 0;
        while let Some(next) = walk.next() {
            if next == byte {
                return Ok(at);
            }
            at += 1;
        }
        Err(self.end())
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        if len as u64 > self.len {
            return Err(self.end());
        }
        self.start += len as u64;
        self.len -= len as u64;
        Ok(())
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        let mut head = self.clone();
        head.truncate(len)?;
        self.skip(len)?;
        Ok(head)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.image
            .bytes(self.start, self.len, LONGEST)
            .map(Cow::Owned)
            .ok_or_else(|| self.end())
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        let bytes = self.to_slice()?.into_owned();
        String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        let bytes = self.to_slice()?;
        Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn read_slice(&mut self, buffer: &mut [u8]) -> Result<()> {
        if buffer.len() as u64 > self.len {
            return Err(self.end());
        }
        for byte in buffer {
            *byte = self.next().ok_or(Error::Io)?;
        }
        Ok(())
    }

    fn read_u8(&mut self) -> Result<u8> {
        self.next().ok_or_else(|| self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reads_only_its_own_bytes() {
        let image = Arc::new(Image::from_bytes((0..100).collect()));
        let mut window = Window::new(&image, 10, 5);
        assert_eq!(window.read_u32().unwrap(), 0x0d0c_0b0a);
        assert_eq!(window.next(), Some(14));
        assert_eq!(window.next(), None);
        assert!(window.read_u8().is_err());
        assert_eq!(Window::new(&image, 98, 500).len(), 2);
        assert_eq!(Window::new(&image, 500, 5).len(), 0);
    }

    #[test]
    fn a_varint_without_end_is_refused() {
        let image = Arc::new(Image::from_bytes(vec![0xff; 64]));
        assert_eq!(Window::new(&image, 0, 64).varint(), None);
        let image = Arc::new(Image::from_bytes(vec![0xe5, 0x8e, 0x26]));
        assert_eq!(Window::new(&image, 0, 3).varint(), Some(624_485));
    }
}
