//! When a difference is more than noise.
//!
//! The rule: the ranges of the two conditions do not overlap, the gap between them is wider than the wider of the two
//! ranges, and each condition ran at least [`LEAST_RUNS`] times. Were the condition without influence, n runs each
//! would fall into two separate ranges with probability 2 / C(2n, n), whatever the distribution: 1 in 10 for three runs,
//! 1 in 126 for five. A comparison has dozens of counts, so that alone would find something by chance now and
//! then; the gap makes it rare (the tests measure how rare). It costs little: what a condition really changes, it
//! changes by more than its runs differ.

/// Fewer runs of a condition attribute nothing: their range says too little.
pub const LEAST_RUNS: usize = 3;

/// Smallest, middle and largest of some counts.
///
/// Of an even number of counts the middle is the mean of the middle two, rounded down.
pub fn spread(counts: &[u64]) -> Option<(u64, u64, u64)> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some((first, lower.midpoint(upper), last))
}

/// Whether two conditions differ by more than noise.
pub fn differ(a: &[u64], b: &[u64]) -> bool {
    if a.len().min(b.len()) < LEAST_RUNS {
        return false;
    }
    let (Some((a_min, _, a_max)), Some((b_min, _, b_max))) = (spread(a), spread(b)) else {
        return false;
    };
    let gap = if a_max < b_min {
        b_min - a_max
    } else if b_max < a_min {
        a_min - b_max
    } else {
        return false;
    };
    gap > (a_max - a_min).max(b_max - b_min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_difference_counts_when_it_is_wider_than_the_ranges() {
        assert!(differ(&[0, 0, 0], &[1, 1, 1]));
        assert!(differ(&[10, 11, 12], &[15, 16, 17]));
        assert!(
            !differ(&[10, 11, 12], &[14, 15, 16]),
            "the gap is as wide as the ranges"
        );
        assert!(!differ(&[10, 11, 12], &[12, 20, 30]), "the ranges touch");
        assert!(!differ(&[0, 0], &[900, 900]), "two runs");
        assert!(!differ(&[], &[]));
    }

    #[test]
    fn of_an_even_number_the_middle_is_between_the_middle_two() {
        assert_eq!(spread(&[9, 1, 4]), Some((1, 4, 9)));
        assert_eq!(spread(&[9, 1, 4, 7]), Some((1, 5, 9)));
        assert_eq!(
            spread(&[u64::MAX, u64::MAX]),
            Some((u64::MAX, u64::MAX, u64::MAX))
        );
        assert_eq!(spread(&[]), None);
    }

    /// A small generator of our own (xorshift64), so that the measured rate is the same every time.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    /// How many of 20,000 comparisons of five runs with five of the same kind are called different.
    fn false_alarms(mut draw: impl FnMut(&mut u64) -> u64) -> usize {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        let mut five = || -> Vec<u64> { (0..5).map(|_| draw(&mut state)).collect() };
        (0..20_000).filter(|_| differ(&five(), &five())).count()
    }

    #[test]
    fn runs_of_the_same_kind_are_hardly_ever_called_different() {
        // Even over a range, around a middle, and one of two neighbours.
        let even = false_alarms(|state| 1000 + next(state) % 100);
        let middle = false_alarms(|state| (0..12).map(|_| next(state) % 50).sum());
        let coin = false_alarms(|state| next(state) % 2);
        assert!(
            even < 20 && middle < 20 && coin < 80,
            "{even} {middle} {coin}"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_runs_and_of_conditions_does_not_matter(
            mut a in prop::collection::vec(0_u64..50, 0..8),
            b in prop::collection::vec(0_u64..50, 0..8),
        ) {
            let found = differ(&a, &b);
            prop_assert_eq!(differ(&b, &a), found);
            a.reverse();
            prop_assert_eq!(differ(&a, &b), found);
        }

        #[test]
        fn what_is_found_different_has_no_count_in_common(
            a in prop::collection::vec(any::<u64>(), 3..8),
            b in prop::collection::vec(any::<u64>(), 3..8),
        ) {
            if differ(&a, &b) {
                prop_assert!(a.iter().all(|count| !b.contains(count)));
            }
        }

        #[test]
        fn a_shift_wider_than_twice_the_range_is_always_found(
            a in prop::collection::vec(0_u64..50, 3..8),
            shift in 100_u64..1_000_000,
        ) {
            let b: Vec<_> = a.iter().map(|count| count + shift).collect();
            prop_assert!(differ(&a, &b));
        }

        #[test]
        fn nothing_differs_from_itself(a in prop::collection::vec(any::<u64>(), 0..8)) {
            prop_assert!(!differ(&a, &a));
        }
    }
}
