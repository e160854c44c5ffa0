//! Stacks that grow down when touched (mm/vma.c, `expand_downwards`).

use super::mapping::{Vma, flag};
use super::memory::{PAGE, Space, page_down};
use crate::model::Prot;

/// Pages a growing stack keeps free above the mapping below (`stack_guard_gap`, boot parameter of the same
/// name; 256 pages unless set).
const GUARD_GAP: u64 = 256 * PAGE;
/// Below this no stack may grow (a lower bound of vm.mmap_min_addr).
const LOWEST: u64 = PAGE;

impl Space {
    /// The stack that the kernel would extend to `address`, which is not mapped: the next mapping above
    /// grows down, stays within RLIMIT_STACK and keeps its gap to an accessible mapping below.
    pub(super) fn growing_stack(&self, address: u64) -> Option<&Vma> {
        let page = page_down(address);
        let above = self.vmas.upwards(page).next()?;
        if !above.has(flag::GROWS_DOWN) || above.contains(address) || page < LOWEST {
            return None;
        }
        let size = self.stack_end(above).saturating_sub(page);
        if size > self.stack_limit {
            return None;
        }
        match self.vmas.below(page) {
            Some(below)
                if !below.has(flag::GROWS_DOWN)
                    && below.prot != Prot::NONE
                    && page.saturating_sub(below.end) < GUARD_GAP =>
            {
                None
            }
            _ => Some(above),
        }
    }

    /// End of the mapping the kernel holds, of which `vma` may be only the lowest piece here.
    fn stack_end(&self, vma: &Vma) -> u64 {
        let mut last = vma;
        for next in self.vmas.upwards(vma.end) {
            if !last.continues_in(next) {
                break;
            }
            last = next;
        }
        last.end
    }

    /// Tells that `address` was accessed and the access succeeded: a stack below which it lies has grown.
    /// Returns whether one did.
    pub fn touch(&mut self, address: u64, ktime_ns: u64) -> bool {
        let Some(stack) = self.growing_stack(address) else {
            return false;
        };
        let mut grown = stack.clone();
        // What nothing has changed is extended: a piece for each page would have to be walked over at each fault.
        if stack.made_ns != stack.since_ns {
            grown.end = grown.start;
        }
        grown.start = page_down(address);
        (grown.made_ns, grown.since_ns) = (ktime_ns, ktime_ns);
        grown.reported_ns = 0;
        self.vmas.put(grown);
        self.bound(ktime_ns);
        true
    }
}
