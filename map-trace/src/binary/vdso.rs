//! The vDSO: code the kernel maps into every process.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Binary;

/// Largest vDSO believed.
const MAX_BYTES: u64 = 1 << 20;

/// The `[vdso]` image of the running kernel, read from our own memory: every 64-bit process has the
/// same one.
pub fn vdso() -> Option<Arc<Binary>> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let range = maps
        .lines()
        .find(|line| line.ends_with("[vdso]"))?
        .split(' ')
        .next()?;
    let (start, end) = range.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let size = u64::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    if size > MAX_BYTES {
        return None;
    }
    let mut bytes = vec![0; size as usize];
    File::open("/proc/self/mem")
        .ok()?
        .read_exact_at(&mut bytes, start)
        .ok()?;
    Binary::from_bytes("[vdso]", bytes).ok().map(Arc::new)
}
