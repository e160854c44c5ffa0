//! Puts records of two sources in the order in which they happened.
//!
//! The ring and the side band are each nearly ordered: a record is written microseconds after its time was
//! taken, but a virtual CPU can be held in between. A record is released only once no earlier one can
//! still arrive: when both sources have been read after its time plus [`SLACK_NS`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How late a record may be written, nanoseconds.
pub const SLACK_NS: u64 = 20_000_000;

/// Something with a time, and its arrival, which breaks ties.
struct Timed<T> {
    time_ns: u64,
    arrival: u64,
    item: T,
}

impl<T> PartialEq for Timed<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.time_ns, self.arrival) == (other.time_ns, other.arrival)
    }
}
impl<T> Eq for Timed<T> {}
impl<T> PartialOrd for Timed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Timed<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time_ns, self.arrival).cmp(&(other.time_ns, other.arrival))
    }
}

/// Records waiting for their turn.
pub struct Order<T> {
    heap: BinaryHeap<Reverse<Timed<T>>>,
    arrivals: u64,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            arrivals: 0,
        }
    }
}

impl<T> Order<T> {
    pub fn push(&mut self, time_ns: u64, item: T) {
        self.heap.push(Reverse(Timed {
            time_ns,
            arrival: self.arrivals,
            item,
        }));
        self.arrivals += 1;
    }

    /// The earliest item, when its time is at most `up_to_ns`.
    pub fn pop(&mut self, up_to_ns: u64) -> Option<T> {
        if self.heap.peek()?.0.time_ns > up_to_ns {
            return None;
        }
        self.heap.pop().map(|Reverse(timed)| timed.item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_released_before_its_time() {
        let mut order = Order::default();
        order.push(30, 'c');
        order.push(10, 'a');
        assert_eq!(order.pop(9), None);
        assert_eq!(order.pop(10), Some('a'));
        assert_eq!(order.pop(29), None);
        assert_eq!(order.pop(30), Some('c'));
        assert_eq!(order.pop(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn items_leave_by_time_and_ties_by_arrival(times in prop::collection::vec(0u64..20, 0..100)) {
            let mut order = Order::default();
            for (arrival, &time) in times.iter().enumerate() {
                order.push(time, (time, arrival));
            }
            let released: Vec<_> = std::iter::from_fn(|| order.pop(u64::MAX)).collect();
            let mut expected: Vec<_> = times.iter().copied().enumerate().map(|(a, t)| (t, a)).collect();
            expected.sort_unstable();
            prop_assert_eq!(released, expected);
        }
    }
}
