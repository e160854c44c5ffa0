//! The bytes of an executable, read where they are asked for.
//!
//! A file is read with pread(2) through a small cache of blocks, never mapped: a traced program can
//! truncate its own shared library, and a mapping would then kill the tracer with SIGBUS. It also keeps
//! a 60 MB binary at half a mebibyte of memory. Every read is bounds-checked; a short or failed read is
//! "not known", never a panic.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of one cached block.
const BLOCK: u64 = 16 << 10;
/// Blocks kept for one file (512 KiB).
const BLOCKS: usize = 32;
/// Bytes read at once by a scan, which does not disturb the cache.
const SCAN: u64 = 64 << 10;

/// A run of bytes and the offset it starts at.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub start: u64,
    pub bytes: Arc<Vec<u8>>,
}

impl Block {
    /// The byte at `offset` of the image, when this block holds it.
    pub fn byte(&self, offset: u64) -> Option<u8> {
        let index = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(index).copied()
    }
}

#[derive(Default)]
struct Cache {
    /// Block number -> block and when it was last used.
    blocks: HashMap<u64, (Block, u64)>,
    clock: u64,
}

enum Source {
    File { file: File, cache: Mutex<Cache> },
    Memory(Arc<Vec<u8>>),
}

/// Bytes that can be read at any offset, from any thread.
pub(super) struct Image {
    source: Source,
    len: u64,
    /// Bytes fetched from the file so far: what a reader of DWARF may use up.
    fetched: AtomicU64,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("len", &self.len).finish()
    }
}

impl Image {
    /// Opens a regular file. `O_NONBLOCK`: a FIFO put in its place must not stop the tracer.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let source = Source::File {
            file,
            cache: Mutex::default(),
        };
        Ok(Self::new(source, meta.len()))
    }

    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self::new(Source::Memory(Arc::new(bytes)), len)
    }

    fn new(source: Source, len: u64) -> Self {
        Self {
            source,
            len,
            fetched: AtomicU64::new(0),
        }
    }

    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Bytes fetched from the file so far.
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Device and inode of the file; none for an image in memory.
    pub fn identity(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        match &self.source {
            Source::File { file, .. } => file.metadata().ok().map(|m| (m.dev(), m.ino())),
            Source::Memory(_) => None,
        }
    }

    /// The block that holds `offset`.
    pub fn block(&self, offset: u64) -> Option<Block> {
        if offset >= self.len {
            return None;
        }
        let (file, cache) = match &self.source {
            Source::Memory(bytes) => {
                return Some(Block {
                    start: 0,
                    bytes: Arc::clone(bytes),
                });
            }
            Source::File { file, cache } => (file, cache),
        };
        let number = offset / BLOCK;
        {
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.clock += 1;
            let clock = cache.clock;
            if let Some((block, used)) = cache.blocks.get_mut(&number) {
                *used = clock;
                return Some(block.clone());
            }
        }
        let start = number * BLOCK;
        let mut bytes = vec![0; BLOCK.min(self.len - start) as usize];
        file.read_exact_at(&mut bytes, start).ok()?;
        self.fetched
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let block = Block {
            start,
            bytes: Arc::new(bytes),
        };
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.blocks.len() >= BLOCKS
            && let Some(oldest) = cache
                .blocks
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(number, _)| *number)
        {
            cache.blocks.remove(&oldest);
        }
        let clock = cache.clock;
        cache.blocks.insert(number, (block.clone(), clock));
        Some(block)
    }

    /// Fills `buffer` from `offset`, or nothing at all.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let end = offset.checked_add(buffer.len() as u64)?;
        if end > self.len {
            return None;
        }
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let block = self.block(at)?;
            let available = block.bytes.get((at - block.start) as usize..)?;
            let count = available.len().min(rest.len());
            if count == 0 {
                return None;
            }
            let (head, tail) = rest.split_at_mut(count);
            head.copy_from_slice(&available[..count]);
            rest = tail;
            at += count as u64;
        }
        Some(())
    }

    pub fn array<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read(offset, &mut bytes)?;
        Some(bytes)
    }

    pub fn u32(&self, offset: u64) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub fn u64(&self, offset: u64) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }

    /// `len` bytes at `offset`, at most `limit`.
    pub fn bytes(&self, offset: u64, len: u64, limit: u64) -> Option<Vec<u8>> {
        if len > limit {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.read(offset, &mut bytes)?;
        Some(bytes)
    }

    /// The bytes from `offset` up to a NUL, which must come before `end` and within `limit` bytes.
    pub fn cstr(&self, offset: u64, end: u64, limit: u64) -> Option<Vec<u8>> {
        let stop = end.min(self.len).min(offset.checked_add(limit)?);
        let mut out = Vec::new();
        let mut at = offset;
        while at < stop {
            let block = self.block(at)?;
            let from = (at - block.start) as usize;
            let upto = block.bytes.len().min((stop - block.start) as usize);
            let part = block.bytes.get(from..upto)?;
            if let Some(nul) = part.iter().position(|&b| b == 0) {
                out.extend_from_slice(&part[..nul]);
                return Some(out);
            }
            out.extend_from_slice(part);
            at = block.start + upto as u64;
        }
        None
    }

    /// Shows the bytes of `[start, end)` piece by piece to `look`, each piece repeating the last
    /// `overlap` bytes of the one before. Stops when `look` breaks or a read fails.
    pub fn scan<T>(
        &self,
        start: u64,
        end: u64,
        overlap: u64,
        look: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<T>,
    ) -> Option<T> {
        let end = end.min(self.len);
        let mut at = start;
        let mut buffer = Vec::new();
        while at < end {
            let count = SCAN.min(end - at);
            let piece = match &self.source {
                Source::Memory(bytes) => bytes.get(at as usize..(at + count) as usize)?,
                Source::File { file, .. } => {
                    buffer.resize(count as usize, 0);
                    file.read_exact_at(&mut buffer, at).ok()?;
                    &buffer[..]
                }
            };
            if let ControlFlow::Break(found) = look(at, piece) {
                return Some(found);
            }
            if at + count >= end {
                break;
            }
            at += count.saturating_sub(overlap).max(1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 % 251) as u8).collect()
    }

    #[test]
    fn a_file_reads_like_the_bytes_it_holds_across_blocks_and_evictions() {
        let bytes = pattern((BLOCK as usize) * (BLOCKS + 9) + 123);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let image = Image::open(file.path()).unwrap();
        assert_eq!(image.len(), bytes.len() as u64);
        for start in (0..bytes.len() - 40_000).step_by(39_999) {
            let mut out = vec![0; 40_000];
            image.read(start as u64, &mut out).unwrap();
            assert!(out == bytes[start..start + 40_000]);
        }
        assert!(image.u64(image.len() - 7).is_none());
        assert!(image.u64(u64::MAX - 3).is_none());
    }

    #[test]
    fn a_file_cut_short_while_open_answers_unknown() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&pattern(100_000)).unwrap();
        let image = Image::open(file.path()).unwrap();
        file.as_file().set_len(10).unwrap();
        assert!(image.u64(50_000).is_none());
    }

    #[test]
    fn a_directory_is_refused() {
        assert!(Image::open(Path::new("/")).is_err());
    }

    #[test]
    fn a_scan_shows_every_window_of_the_overlap() {
        let bytes = pattern(200_000);
        let image = Image::from_bytes(bytes.clone());
        for at in [0, 65_530, 65_535, 131_060, 199_990] {
            let needle = &bytes[at..at + 10];
            let found = image.scan(0, image.len(), 9, &mut |base, piece| {
                let hit = piece.windows(10).enumerate().find_map(|(i, w)| {
                    (base + i as u64 == at as u64 && w == needle).then_some(base + i as u64)
                });
                hit.map_or(ControlFlow::Continue(()), ControlFlow::Break)
            });
            assert_eq!(found, Some(at as u64));
        }
    }

    #[test]
    fn a_string_needs_its_nul_inside_the_limit() {
        let image = Image::from_bytes(b"abc\0def".to_vec());
        assert_eq!(image.cstr(0, 7, 100).unwrap(), b"abc");
        assert_eq!(image.cstr(1, 7, 3).unwrap(), b"bc");
        assert!(image.cstr(0, 7, 3).is_none());
        assert!(image.cstr(4, 7, 100).is_none());
    }
}
