//! A `HashMap` that grows: how often it allocates for how many inserts. Compare cow_map.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

const INSERTS: u64 = 20_000;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every request is the system allocator's to answer; counting changes none.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

#[inline(never)]
fn phase_insert(map: &mut HashMap<u64, u64>) {
    for key in 0..INSERTS {
        map.insert(key, key);
    }
}

#[inline(never)]
fn phase_iterate(map: &HashMap<u64, u64>) -> u64 {
    map.values().sum()
}

fn main() {
    let mut map = HashMap::new();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    phase_insert(&mut map);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let sum = phase_iterate(&map);
    println!("inserts={INSERTS}");
    println!("entries={}", map.len());
    println!("allocations={allocations}");
    println!("fewer_allocations_than_inserts={}", allocations < INSERTS / 100);
    println!("sum_right={}", sum == INSERTS * (INSERTS - 1) / 2);
}
