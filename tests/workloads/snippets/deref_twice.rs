// Refused with E0614: one dereference of the Arc already gives the map, and a map has no second.

use std::collections::HashMap;
use std::sync::Arc;

fn copy(inner: &Arc<HashMap<u64, u64>>) -> HashMap<u64, u64> {
    (***inner).clone()
}

fn main() {
    println!("{}", copy(&Arc::new(HashMap::new())).len());
}
