//! Short ways to write records and calls in tests.

use std::sync::Arc;

use crate::space::{Call, MappingCall, SideBandMapping, Space};

pub const PAGE: u64 = 4096;
pub const RW: u64 = 3;
pub const R: u64 = 1;
pub const PRIVATE_ANON: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;

/// A call that took from `enter_ns` to `exit_ns`.
pub fn call(
    (enter_ns, exit_ns): (u64, u64),
    call: Call,
    args: [u64; 6],
    result: i64,
) -> MappingCall {
    MappingCall {
        enter_ns,
        exit_ns,
        call,
        args,
        result: Some(result),
    }
}

/// A successful anonymous private mmap at `start`.
pub fn mmap(window: (u64, u64), start: u64, length: u64, prot: u64) -> MappingCall {
    let args = [start, length, prot, PRIVATE_ANON, u64::MAX, 0];
    call(window, Call::Mmap, args, start.cast_signed())
}

pub fn munmap(window: (u64, u64), start: u64, length: u64) -> MappingCall {
    call(window, Call::Munmap, [start, length, 0, 0, 0, 0], 0)
}

pub fn mprotect(window: (u64, u64), start: u64, length: u64, prot: u64) -> MappingCall {
    call(window, Call::Mprotect, [start, length, prot, 0, 0, 0], 0)
}

/// A side-band record of private memory; `name` as the kernel writes it.
pub fn report(
    ktime_ns: u64,
    start: u64,
    length: u64,
    prot: u64,
    name: &str,
) -> Arc<SideBandMapping> {
    Arc::new(SideBandMapping {
        ktime_ns,
        tgid: 1,
        start,
        length,
        offset: 0,
        prot: prot as u32,
        flags: libc::MAP_PRIVATE as u32,
        filename: name.into(),
        device: None,
        inode: None,
        build_id: None,
    })
}

/// What a user sees of a space: `start-end prot kind flags offset name`, one line a stretch.
pub fn visible(space: &Space) -> Vec<String> {
    let mut joined = space.clone();
    joined.join();
    joined
        .iter()
        .map(|vma| {
            format!(
                "{:x}-{:x} {} {:?} {} {:x} {:x} {:?}{}",
                vma.start,
                vma.end,
                vma.prot,
                vma.kind,
                if vma.shared { "s" } else { "p" },
                vma.flags,
                vma.offset,
                vma.name(),
                if vma.doubt { " doubt" } else { "" },
            )
        })
        .collect()
}

/// Sorted, disjoint, not empty, page-aligned.
pub fn assert_sound(space: &Space) {
    let mut last = 0;
    for vma in space.iter() {
        assert!(vma.start < vma.end, "empty: {vma:?}");
        assert!(vma.start >= last, "overlaps: {vma:?}");
        assert!(vma.start % PAGE == 0 && vma.end % PAGE == 0, "{vma:?}");
        last = vma.end;
    }
}
