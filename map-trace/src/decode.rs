//! Ring bytes to records: total, no panics, every failure its own variant.

use std::mem::{offset_of, size_of};

use map_trace_common::limits::{LIBRARY_WORDS, MAX_FRAMES};
use map_trace_common::record::{
    ExecRecord, ExitRecord, FaultEndRecord, ForkRecord, Header, MapOperationRecord,
    MemoryCallRecord, PageFaultRecord, PteSampleRecord, SignalRecord, StackRecord,
    UserfaultfdRecord, WatchHitRecord, kind,
};

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{0} bytes are too few for a header")]
    Short(usize),
    #[error("record kind {0} is not known")]
    Kind(u32),
    #[error("a record of kind {kind} has {found} bytes where {wanted} are expected")]
    Size {
        kind: u32,
        found: usize,
        wanted: usize,
    },
    #[error("a stack claims {0} frames")]
    Depth(u32),
    #[error("a stack claims {0} words")]
    Words(u32),
}

/// A record out of the ring.
#[derive(Clone)]
pub enum Record {
    PageFault(PageFaultRecord),
    MemoryCall(MemoryCallRecord),
    Signal(SignalRecord),
    Fork(ForkRecord),
    Exec(ExecRecord),
    Exit(ExitRecord),
    FaultEnd(FaultEndRecord),
    PteSample(PteSampleRecord),
    WatchHit(WatchHitRecord),
    Userfaultfd(UserfaultfdRecord),
    MapOperation(Box<MapOperationRecord>),
    Stack(Box<StackBytes>),
}

/// A user stack as the kernel took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackBytes {
    pub tgid: u32,
    pub hash: u64,
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
    pub truncated: bool,
    /// Words at sp, upward.
    pub words: Vec<u64>,
    /// Return addresses along the frame pointers.
    pub frames: Vec<u64>,
}

/// Types that any bytes of the right length are a value of.
///
/// # Safety
/// The type is `repr(C)` and made of integers only.
unsafe trait Plain: Copy {}
// SAFETY: integers only, see map-trace-common.
unsafe impl Plain for Header {}
// SAFETY: as above.
unsafe impl Plain for PageFaultRecord {}
// SAFETY: as above.
unsafe impl Plain for MemoryCallRecord {}
// SAFETY: as above.
unsafe impl Plain for SignalRecord {}
// SAFETY: as above.
unsafe impl Plain for ForkRecord {}
// SAFETY: as above.
unsafe impl Plain for ExecRecord {}
// SAFETY: as above.
unsafe impl Plain for ExitRecord {}
// SAFETY: as above.
unsafe impl Plain for FaultEndRecord {}
// SAFETY: as above.
unsafe impl Plain for PteSampleRecord {}
// SAFETY: as above.
unsafe impl Plain for WatchHitRecord {}
// SAFETY: as above.
unsafe impl Plain for UserfaultfdRecord {}
// SAFETY: as above.
unsafe impl Plain for MapOperationRecord {}

/// The first `size_of::<T>()` bytes as a `T`.
fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: the slice has the type's length, the read is unaligned, and T takes any bytes.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

fn exact<T: Plain>(kind: u32, bytes: &[u8]) -> Result<T, DecodeError> {
    let wanted = size_of::<T>();
    // The ring rounds a record up to eight bytes; ours are multiples of eight already.
    read(bytes)
        .filter(|_| bytes.len() == wanted)
        .ok_or(DecodeError::Size {
            kind,
            found: bytes.len(),
            wanted,
        })
}

/// Decodes one record.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let header: Header = read(bytes).ok_or(DecodeError::Short(bytes.len()))?;
    let kind = header.kind;
    Ok(match kind {
        kind::PAGE_FAULT_USER | kind::PAGE_FAULT_KERNEL => Record::PageFault(exact(kind, bytes)?),
        kind::MPROTECT..=kind::MADVISE => Record::MemoryCall(exact(kind, bytes)?),
        kind::SIGNAL => Record::Signal(exact(kind, bytes)?),
        kind::FORK => Record::Fork(exact(kind, bytes)?),
        kind::EXEC => Record::Exec(exact(kind, bytes)?),
        kind::EXIT => Record::Exit(exact(kind, bytes)?),
        kind::FAULT_END => Record::FaultEnd(exact(kind, bytes)?),
        kind::PTE_SAMPLE => Record::PteSample(exact(kind, bytes)?),
        kind::WATCH_HIT => Record::WatchHit(exact(kind, bytes)?),
        kind::USERFAULTFD => Record::Userfaultfd(exact(kind, bytes)?),
        kind::MAP_MAKE..=kind::FATAL => Record::MapOperation(Box::new(exact(kind, bytes)?)),
        kind::STACK => Record::Stack(Box::new(stack(&header, bytes)?)),
        other => return Err(DecodeError::Kind(other)),
    })
}

/// A stack has a fixed head, and as many frames and words as it says.
fn stack(header: &Header, bytes: &[u8]) -> Result<StackBytes, DecodeError> {
    let word = |offset: usize| -> Option<u64> {
        let bytes = bytes.get(offset..offset.checked_add(8)?)?;
        bytes.try_into().ok().map(u64::from_ne_bytes)
    };
    let half = |offset: usize| -> Option<u32> {
        let bytes = bytes.get(offset..offset.checked_add(4)?)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    };
    let short = DecodeError::Size {
        kind: kind::STACK,
        found: bytes.len(),
        wanted: offset_of!(StackRecord, list),
    };
    let depth = half(offset_of!(StackRecord, depth)).ok_or(short)?;
    let word_count = half(offset_of!(StackRecord, word_count)).ok_or(short)?;
    if depth as usize > MAX_FRAMES {
        return Err(DecodeError::Depth(depth));
    }
    if word_count as usize > LIBRARY_WORDS {
        return Err(DecodeError::Words(word_count));
    }
    let frames = offset_of!(StackRecord, list);
    let words = frames + depth as usize * 8;
    let wanted = words + word_count as usize * 8;
    if bytes.len() != wanted {
        return Err(DecodeError::Size {
            kind: kind::STACK,
            found: bytes.len(),
            wanted,
        });
    }
    let list = |start: usize, count: usize| (0..count).map_while(|i| word(start + i * 8)).collect();
    Ok(StackBytes {
        tgid: header.tgid,
        hash: header.stack,
        ip: word(offset_of!(StackRecord, ip)).ok_or(short)?,
        sp: word(offset_of!(StackRecord, sp)).ok_or(short)?,
        bp: word(offset_of!(StackRecord, bp)).ok_or(short)?,
        truncated: half(offset_of!(StackRecord, truncated)).ok_or(short)? != 0,
        frames: list(frames, depth as usize),
        words: list(words, word_count as usize),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of<T: Plain>(value: &T) -> Vec<u8> {
        // SAFETY: T is integers only; the slice covers exactly the value.
        unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>())
        }
        .to_vec()
    }

    fn fault() -> PageFaultRecord {
        let header = Header {
            kind: kind::PAGE_FAULT_USER,
            size: size_of::<PageFaultRecord>() as u32,
            ktime_ns: 7,
            tgid: 42,
            tid: 43,
            ..Header::default()
        };
        PageFaultRecord {
            header,
            address: 0x00c0_0040_2000,
            error_code: 7,
            ..Default::default()
        }
    }

    #[test]
    fn bytes_climb_from_nothing_to_a_record() {
        let whole = bytes_of(&fault());
        assert_eq!(decode(&[]).err(), Some(DecodeError::Short(0)));
        for length in 0..size_of::<Header>() {
            assert_eq!(
                decode(&whole[..length]).err(),
                Some(DecodeError::Short(length))
            );
        }
        for length in size_of::<Header>()..whole.len() {
            let error = DecodeError::Size {
                kind: kind::PAGE_FAULT_USER,
                found: length,
                wanted: whole.len(),
            };
            assert_eq!(decode(&whole[..length]).err(), Some(error));
        }
        let Ok(Record::PageFault(record)) = decode(&whole) else {
            panic!("not decoded")
        };
        assert_eq!(
            (record.address, record.error_code, record.header.tid),
            (0x00c0_0040_2000, 7, 43)
        );
    }

    #[test]
    fn an_unknown_kind_is_named() {
        let mut record = fault();
        record.header.kind = 99;
        assert_eq!(
            decode(&bytes_of(&record)).err(),
            Some(DecodeError::Kind(99))
        );
    }

    fn stack_bytes((depth, word_count): (u32, u32), frames: usize, words: usize) -> Vec<u8> {
        let header = Header {
            kind: kind::STACK,
            stack: 5,
            tgid: 9,
            ..Header::default()
        };
        let mut bytes = bytes_of(&header);
        for word in [1u64, 2, 3] {
            bytes.extend(word.to_ne_bytes());
        }
        for half in [depth, 1, word_count, 0] {
            bytes.extend(half.to_ne_bytes());
        }
        for frame in 0..frames as u64 {
            bytes.extend((1000 + frame).to_ne_bytes());
        }
        for word in 0..words as u64 {
            bytes.extend((100 + word).to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_stack_has_the_frames_it_says() {
        let Ok(Record::Stack(stack)) = decode(&stack_bytes((2, 3), 2, 3)) else {
            panic!("not decoded")
        };
        assert_eq!(
            (stack.ip, stack.sp, stack.bp, stack.truncated),
            (1, 2, 3, true)
        );
        assert_eq!(
            (stack.words, stack.frames),
            (vec![100, 101, 102], vec![1000, 1001])
        );
    }

    #[test]
    fn a_stack_that_lies_about_its_length_is_refused() {
        for (depth, words) in [(3, 0), (1, 2), (2, 1), (2, 255)] {
            assert!(matches!(
                decode(&stack_bytes((depth, words), 2, 0)),
                Err(DecodeError::Size { .. })
            ));
        }
        assert!(matches!(
            decode(&stack_bytes((128, 0), 128, 0)),
            Err(DecodeError::Depth(128))
        ));
        assert!(matches!(
            decode(&stack_bytes((1, u32::MAX), 1, LIBRARY_WORDS)),
            Err(DecodeError::Words(u32::MAX))
        ));
        let Ok(Record::Stack(stack)) =
            decode(&stack_bytes((1, LIBRARY_WORDS as u32), 1, LIBRARY_WORDS))
        else {
            panic!("not decoded")
        };
        assert_eq!(stack.words.len(), LIBRARY_WORDS);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..1500), kind in 0u32..40) {
            if let Some(head) = bytes.get_mut(..4) {
                head.copy_from_slice(&kind.to_ne_bytes());
            }
            let _ = decode(&bytes);
        }
    }
}
