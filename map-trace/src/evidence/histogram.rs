//! A small histogram of durations with a known error.

/// Buckets an octave is divided into: 16, so that a value is told to 1/32 (3.2 %).
const STEPS: u64 = 16;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts of values in buckets whose width grows with the value.
///
/// Values below 16 ns have a bucket each; above, each power of two is split into 16. A quantile is the middle
/// of its bucket and differs from the true one by at most 1/32 of it. At most 976 buckets, 8 KB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub fn add(&mut self, value: u64) {
        let index = bucket_of(value);
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, 0);
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket = bucket.saturating_add(1);
        }
        self.total = self.total.saturating_add(1);
    }

    /// Values added.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The smallest value that at least `percent` of all values do not exceed; null without values.
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let wanted = (u128::from(self.total) * u128::from(percent.min(100))).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u128::from(*count);
            if *count > 0 && seen >= wanted {
                return Some(middle_of(index));
            }
        }
        None
    }
}

fn bucket_of(value: u64) -> usize {
    if value < STEPS {
        return usize::try_from(value).unwrap_or(usize::MAX);
    }
    let octave = value.ilog2() - STEP_BITS;
    let step = (value >> octave) - STEPS;
    usize::try_from(u64::from(octave + 1) * STEPS + step).unwrap_or(usize::MAX)
}

fn middle_of(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let octave = index / STEPS - 1;
    let low = (STEPS + index % STEPS) << octave;
    low + ((1 << octave) - 1) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_values_there_is_no_percentile() {
        assert_eq!(Histogram::default().percentile(50), None);
    }

    #[test]
    fn small_values_are_exact() {
        let mut histogram = Histogram::default();
        for value in [3, 1, 2, 4] {
            histogram.add(value);
        }
        assert_eq!(histogram.percentile(50), Some(2));
        assert_eq!(histogram.percentile(99), Some(4));
        assert_eq!(histogram.percentile(0), Some(1));
    }

    #[test]
    fn the_largest_value_has_a_bucket() {
        let mut histogram = Histogram::default();
        histogram.add(u64::MAX);
        assert!(histogram.percentile(50).unwrap() > u64::MAX / 32 * 31);
        assert_eq!(histogram.buckets.len(), 976);
    }

    proptest! {
        #[test]
        fn a_percentile_is_within_a_thirty_second_of_the_true_one(
            mut values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 60)), 1..200),
            percent in 1_u8..=100,
        ) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.add(*value));
            values.sort_unstable();
            let rank = (values.len() * usize::from(percent)).div_ceil(100);
            let truth = values[rank - 1];
            let told = histogram.percentile(percent).unwrap();
            prop_assert!(told.abs_diff(truth) <= truth / 32 + 1, "{} for {}", told, truth);
        }
    }
}
