//! A map that is copied whenever it is written to: `Arc<HashMap>`, cloned by every insert, as some take a
//! copy-on-write map to be. It counts allocations and copied entries, and prints key=value lines.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const INSERTS: u64 = 500;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: every request is the system allocator's to answer; counting changes none.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct CowMap {
    inner: Arc<HashMap<u64, u64>>,
    copied: u64,
}

impl CowMap {
    fn insert(&mut self, key: u64, value: u64) {
        let mut own = (*self.inner).clone();
        self.copied += own.len() as u64;
        own.insert(key, value);
        self.inner = Arc::new(own);
    }
}

#[inline(never)]
fn phase_insert(map: &mut CowMap) -> (u64, u64) {
    let mut least = u64::MAX;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for key in 0..INSERTS {
        let start = ALLOCATIONS.load(Ordering::Relaxed);
        map.insert(key, key);
        least = least.min(ALLOCATIONS.load(Ordering::Relaxed) - start);
    }
    (ALLOCATIONS.load(Ordering::Relaxed) - before, least)
}

fn main() {
    let mut map = CowMap {
        inner: Arc::new(HashMap::new()),
        copied: 0,
    };
    let (allocations, least) = phase_insert(&mut map);
    println!("inserts={INSERTS}");
    println!("entries={}", map.inner.len());
    println!("copied_entries={}", map.copied);
    println!("copied_by_every_insert={}", map.copied == INSERTS * (INSERTS - 1) / 2);
    println!("allocations={allocations}");
    println!("least_allocations_of_an_insert={least}");
    println!("bytes={}", BYTES.load(Ordering::Relaxed));
}
