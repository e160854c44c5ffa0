//! Bytes of the perf ring to side-band records: total, whatever the bytes.

/// `PERF_RECORD_LOST` (include/uapi/linux/perf_event.h).
const LOST: u32 = 2;
/// `PERF_RECORD_COMM`
const COMM: u32 = 3;
/// `PERF_RECORD_MMAP2`
const MMAP2: u32 = 10;
/// `PERF_RECORD_MISC_COMM_EXEC`: the name changed because of an exec.
const MISC_COMM_EXEC: u16 = 1 << 13;
/// `PERF_RECORD_MISC_MMAP_BUILD_ID`: a build id stands where device and inode would.
const MISC_BUILD_ID: u16 = 1 << 14;
/// Bytes of the sample id at a record's end: pid, tid, time (`PERF_SAMPLE_TID | PERF_SAMPLE_TIME`).
const SAMPLE_ID: usize = 16;
/// Longest build id the kernel passes.
const MAX_BUILD_ID: usize = 20;

/// One record of the side band.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SideBandRecord {
    /// A mapping was made, changed or grown.
    Mapping(Mapping),
    /// A process executed a program: all its earlier mappings are gone. Comes before the mappings of
    /// the new program.
    Exec(Exec),
    /// Records the kernel could not store.
    Lost { count: u64 },
}

/// An exec, as the kernel announces it while the new address space is still empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    pub tgid: u32,
    pub tid: u32,
    /// The new command name, at most 15 bytes, not cleaned.
    pub name: Vec<u8>,
}

/// A mapping as it is after the call that made it: the whole of it when the kernel merged the new pages
/// with a neighbour (`perf_event_mmap`, kernel/events/core.c: mmap, the
/// ELF loader, brk, mprotect, mremap and stack growth).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    pub tgid: u32,
    pub tid: u32,
    /// First address.
    pub start: u64,
    /// Length, bytes.
    pub len: u64,
    /// Offset of `start` in the file, bytes.
    pub pgoff: u64,
    /// `PROT_...`
    pub prot: u32,
    /// `MAP_SHARED` or `MAP_PRIVATE`, and `MAP_LOCKED`, `MAP_HUGETLB`: those the kernel can tell from the
    /// mapping. `MAP_ANONYMOUS` is not among them: anonymous memory is named `//anon`, shared anonymous
    /// memory `/dev/zero`.
    pub flags: u32,
    /// Path as the kernel sees it, or `//anon`, `[heap]`, `[stack]`, `[vdso]`; bytes as they came, not
    /// cleaned for a terminal.
    pub name: Vec<u8>,
    pub file: FileIdentity,
}

/// Which file a mapping shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileIdentity {
    /// Its GNU build id.
    BuildId(Vec<u8>),
    /// Its device and inode.
    Inode {
        major: u32,
        minor: u32,
        inode: u64,
        generation: u64,
    },
    /// Not a file.
    None,
}

/// A record that is not as the kernel writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a record of type {kind} is only {length} bytes long")]
    Short { kind: u32, length: usize },
    #[error("a build id of {0} bytes")]
    BuildId(u8),
}

/// Decodes a record's body, the bytes after its header. `None` for a record of no interest.
///
/// # Errors
/// The record is not as the kernel writes it: to be counted as undecodable.
pub fn decode(kind: u32, misc: u16, body: &[u8]) -> Result<Option<SideBandRecord>, RecordError> {
    let short = || RecordError::Short {
        kind,
        length: body.len(),
    };
    match kind {
        MMAP2 => mapping(misc, body)
            .ok_or_else(short)?
            .map(|mapping| Some(SideBandRecord::Mapping(mapping))),
        COMM if misc & MISC_COMM_EXEC != 0 => {
            Ok(Some(SideBandRecord::Exec(exec(body).ok_or_else(short)?)))
        }
        LOST => Ok(Some(SideBandRecord::Lost {
            count: u64_at(body, 8).ok_or_else(short)?,
        })),
        _ => Ok(None),
    }
}

/// pid, tid, addr, len, pgoff, 24 bytes of file identity, prot, flags, name, sample id.
fn mapping(misc: u16, body: &[u8]) -> Option<Result<Mapping, RecordError>> {
    let id_at = body.len().checked_sub(SAMPLE_ID)?;
    let name = until_zero(body.get(64..id_at)?);
    let file = if misc & MISC_BUILD_ID != 0 {
        let size = *body.get(32)?;
        if usize::from(size) > MAX_BUILD_ID {
            return Some(Err(RecordError::BuildId(size)));
        }
        FileIdentity::BuildId(body.get(36..36 + usize::from(size))?.to_vec())
    } else {
        match (u32_at(body, 32)?, u32_at(body, 36)?, u64_at(body, 40)?) {
            (0, 0, 0) => FileIdentity::None,
            (major, minor, inode) => FileIdentity::Inode {
                major,
                minor,
                inode,
                generation: u64_at(body, 48)?,
            },
        }
    };
    Some(Ok(Mapping {
        time_ns: u64_at(body, id_at + 8)?,
        tgid: u32_at(body, 0)?,
        tid: u32_at(body, 4)?,
        start: u64_at(body, 8)?,
        len: u64_at(body, 16)?,
        pgoff: u64_at(body, 24)?,
        prot: u32_at(body, 56)?,
        flags: u32_at(body, 60)?,
        name,
        file,
    }))
}

/// pid, tid, name, sample id.
fn exec(body: &[u8]) -> Option<Exec> {
    let id_at = body.len().checked_sub(SAMPLE_ID)?;
    Some(Exec {
        time_ns: u64_at(body, id_at + 8)?,
        tgid: u32_at(body, 0)?,
        tid: u32_at(body, 4)?,
        name: until_zero(body.get(8..id_at)?),
    })
}

fn until_zero(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mmap2(name: &[u8], build_id: bool) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(7_u32.to_ne_bytes());
        body.extend(8_u32.to_ne_bytes());
        for word in [0x40_0000_u64, 0x2000, 0x1000] {
            body.extend(word.to_ne_bytes());
        }
        if build_id {
            body.extend([4, 0, 0, 0]);
            body.extend([0xaa, 0xbb, 0xcc, 0xdd]);
            body.extend([0; 16]);
        } else {
            body.extend(8_u32.to_ne_bytes());
            body.extend(1_u32.to_ne_bytes());
            body.extend(99_u64.to_ne_bytes());
            body.extend(5_u64.to_ne_bytes());
        }
        body.extend(5_u32.to_ne_bytes());
        body.extend(2_u32.to_ne_bytes());
        body.extend(name);
        body.extend(7_u32.to_ne_bytes());
        body.extend(8_u32.to_ne_bytes());
        body.extend(1234_u64.to_ne_bytes());
        body
    }

    fn expected(file: FileIdentity) -> SideBandRecord {
        SideBandRecord::Mapping(Mapping {
            time_ns: 1234,
            tgid: 7,
            tid: 8,
            start: 0x40_0000,
            len: 0x2000,
            pgoff: 0x1000,
            prot: 5,
            flags: 2,
            name: b"/a\xff".to_vec(),
            file,
        })
    }

    #[test]
    fn a_mapping_carries_its_build_id_or_its_inode() {
        let inode = FileIdentity::Inode {
            major: 8,
            minor: 1,
            inode: 99,
            generation: 5,
        };
        let body = mmap2(b"/a\xff\0\0\0\0\0", false);
        assert_eq!(decode(MMAP2, 0, &body), Ok(Some(expected(inode))));
        let build_id = FileIdentity::BuildId(vec![0xaa, 0xbb, 0xcc, 0xdd]);
        let body = mmap2(b"/a\xff\0\0\0\0\0", true);
        let decoded = decode(MMAP2, MISC_BUILD_ID, &body);
        assert_eq!(decoded, Ok(Some(expected(build_id))));
    }

    #[test]
    fn a_mapping_cut_below_its_fixed_part_is_short_and_a_long_build_id_is_refused() {
        let body = mmap2(b"", false);
        for length in 0..body.len() {
            let error = RecordError::Short {
                kind: MMAP2,
                length,
            };
            assert_eq!(decode(MMAP2, 0, &body[..length]), Err(error));
        }
        let mut body = mmap2(b"", true);
        body[32] = 21;
        let refused = decode(MMAP2, MISC_BUILD_ID, &body);
        assert_eq!(refused, Err(RecordError::BuildId(21)));
    }

    #[test]
    fn a_name_change_without_exec_is_of_no_interest() {
        let mut body = [7_u32.to_ne_bytes(), 8_u32.to_ne_bytes()].concat();
        body.extend(b"true\0\0\0\0");
        body.extend([0; 8]);
        body.extend(55_u64.to_ne_bytes());
        assert_eq!(decode(COMM, 0, &body), Ok(None));
        let exec = SideBandRecord::Exec(Exec {
            time_ns: 55,
            tgid: 7,
            tid: 8,
            name: b"true".to_vec(),
        });
        assert_eq!(decode(COMM, MISC_COMM_EXEC, &body), Ok(Some(exec)));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(
            kind in 0_u32..24,
            misc in any::<u16>(),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _whatever = decode(kind, misc, &body);
        }
    }
}
