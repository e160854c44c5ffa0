//! A `BTreeMap` that grows and is iterated: its nodes are ordinary heap memory, too.

use std::collections::BTreeMap;

const INSERTS: u64 = 20_000;

#[inline(never)]
fn phase_insert(map: &mut BTreeMap<u64, u64>) {
    for key in 0..INSERTS {
        map.insert(key.reverse_bits(), key);
    }
}

#[inline(never)]
fn phase_iterate(map: &mut BTreeMap<u64, u64>) -> u64 {
    let mut count = 0;
    for value in map.values_mut() {
        *value += 1;
        count += 1;
    }
    count
}

fn main() {
    let mut map = BTreeMap::new();
    phase_insert(&mut map);
    let changed = phase_iterate(&mut map);
    let right = map.iter().all(|(key, value)| key.reverse_bits() + 1 == *value);
    println!("inserts={INSERTS}");
    println!("entries={}", map.len());
    println!("changed={changed}");
    println!("right={right}");
}
