//! Major faults whose own records were not delivered: known by address only, for the groups they were
//! counted in.

use std::collections::BTreeMap;

/// Addresses remembered at most; beyond, a group's faults are no longer told apart.
const MAX_ADDRESSES: usize = 1 << 18;

/// How often each address of a process waited for a disk.
#[derive(Debug, Default)]
pub struct Majors(BTreeMap<(u32, u64), u64>);

impl Majors {
    /// A major fault whose record was not delivered.
    pub fn note(&mut self, tgid: u32, address: u64) {
        if self.0.len() < MAX_ADDRESSES {
            *self.0.entry((tgid, address)).or_default() += 1;
        }
    }

    /// Takes out, `most` at the most, those in a range, both ends included.
    pub fn take(&mut self, tgid: u32, (first, last): (u64, u64), most: u64) -> u64 {
        if first > last {
            return 0;
        }
        let mut taken = 0;
        let range = self.0.range_mut((tgid, first)..=(tgid, last));
        for (_, count) in range {
            let part = (*count).min(most - taken);
            *count -= part;
            taken += part;
        }
        if taken > 0 {
            self.0.retain(|_, count| *count > 0);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_by_a_group_it_can_belong_to() {
        let mut majors = Majors::default();
        for (tgid, address) in [(1, 10), (1, 20), (1, 20), (1, 30), (2, 20)] {
            majors.note(tgid, address);
        }
        assert_eq!(majors.take(1, (15, 25), 1), 1);
        assert_eq!(majors.take(1, (15, 25), 9), 1);
        assert_eq!(majors.take(1, (0, 100), 9), 2);
        assert_eq!(majors.take(1, (0, 100), 9), 0);
        assert_eq!(majors.take(2, (30, 10), 9), 0);
        assert_eq!(majors.take(2, (20, 20), 9), 1);
    }
}
