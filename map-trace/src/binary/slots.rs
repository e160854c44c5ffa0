//! Answers about places of a binary, kept: stacks share most of their return addresses, and reading a frame
//! description anew for each takes longer than all else about a stack.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Places whose answers are kept at most; beyond, they are worked out each time.
const MAX_PLACES: usize = 1 << 16;

/// What was answered, by address in the file.
#[derive(Debug)]
pub(super) struct Slots<T>(Mutex<HashMap<u64, T>>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Copy> Slots<T> {
    /// The answer kept for a place, or the one that `ask` gives, kept from now on.
    pub fn get(&self, svma: u64, ask: impl FnOnce() -> T) -> T {
        let known = |slots: &Mutex<HashMap<u64, T>>| {
            let slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(&svma).copied()
        };
        if let Some(answer) = known(&self.0) {
            return answer;
        }
        let answer = ask();
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() < MAX_PLACES {
            slots.insert(svma, answer);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_asked_about_once() {
        let slots = Slots::default();
        let mut asked = 0;
        for svma in [1_u64, 2, 1, 2, 1] {
            let answer = slots.get(svma, || {
                asked += 1;
                svma * 10
            });
            assert_eq!(answer, svma * 10);
        }
        assert_eq!(asked, 2);
    }

    #[test]
    fn beyond_the_bound_answers_are_the_same_and_not_kept() {
        let slots = Slots::default();
        for svma in 0..MAX_PLACES as u64 {
            slots.get(svma, || svma);
        }
        let mut asked = 0;
        for _ in 0..2 {
            let answer = slots.get(u64::MAX, || {
                asked += 1;
                7
            });
            assert_eq!(answer, 7);
        }
        assert_eq!(asked, 2);
    }
}
