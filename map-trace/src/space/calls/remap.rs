//! mremap (mm/mremap.c).

use super::{ENOMEM, MappingCall};
use crate::model::Prot;
use crate::space::mapping::{Vma, flag};
use crate::space::memory::{PAGE, Space, USER_END, page_up, range_end};

/// MREMAP_DONTUNMAP: the old mapping stays, empty.
const DONT_UNMAP: u64 = 4;
/// MREMAP_FIXED: the new address is the caller's choice.
const FIXED: u64 = 2;

/// Whole pages; a length near the top of the range rounds up to 0, in the kernel too.
const fn wrapped(length: u64) -> u64 {
    length.wrapping_add(PAGE - 1) & !(PAGE - 1)
}

impl Space {
    /// mremap(old, old_length, new_length, flags, new) = address.
    ///
    /// Growing, shrinking and moving; with MREMAP_FIXED and equal lengths the range may hold several
    /// mappings and holes (from Linux 6.17), which keep their distances. An old length of 0 makes a second
    /// mapping of shared memory.
    pub(super) fn remap(&mut self, call: &MappingCall) {
        let [old, old_length, new_length, flags, ..] = call.args;
        let old_length = wrapped(old_length);
        let Some(new) = call.address() else {
            return self.failed_remap(call);
        };
        let (Some(old_end), Some(new_end)) = (
            range_end(old, old_length.max(1)),
            range_end(new, new_length),
        ) else {
            self.contradict();
            return;
        };
        let new_length = page_up(new_length);
        if new == old && old_length != 0 {
            if new_end < old_end {
                self.remove(new_end, old_end, call.enter_ns);
            } else if old_end < new_end {
                self.grow_in_place(old_end, new_end, call);
            }
            return;
        }
        // The second mapping of an old length of 0 begins with the page at `old`, whatever follows there.
        let kept = old_end.min(old + new_length.min(old_length.max(PAGE)));
        let sources: Vec<Vma> = self
            .vmas
            .overlapping(old, kept.min(USER_END))
            .cloned()
            .collect();
        let unsure = self.first_doubt(old, kept) != u64::MAX;
        if sources.is_empty() && !unsure {
            self.contradict();
        }
        if old_length != 0 && flags & DONT_UNMAP == 0 {
            self.remove(old, old_end, call.enter_ns);
        } else if flags & DONT_UNMAP != 0 {
            self.unlock(old, old_end);
        }
        for source in &sources {
            self.place_copy(source, (old, kept), (new, new_end), call);
        }
        if unsure {
            self.doubt(new, new_end, call.exit_ns);
        }
    }

    /// Maps at the new place what `source` maps at the old one; the last mapping takes the rest of the
    /// new range when the call grew it.
    fn place_copy(
        &mut self,
        source: &Vma,
        (old, kept): (u64, u64),
        (new, new_end): (u64, u64),
        call: &MappingCall,
    ) {
        let mut copy = source.clone();
        copy.clip(source.start.max(old), source.end.min(kept));
        let last = copy.end == kept;
        let moved = |address: u64| new.saturating_add(address - old).min(new_end);
        (copy.start, copy.end) = (moved(copy.start), moved(copy.end));
        if last {
            copy.end = new_end;
        }
        // Registration with userfaultfd does not move along unless its owner asked for remap events.
        copy.flags &= !flag::UFFD;
        copy.doubt |= source.has(flag::UFFD_MISSING) || source.has(flag::UFFD_WP);
        (copy.made_ns, copy.since_ns) = (call.exit_ns, call.exit_ns);
        copy.reported_ns = 0;
        self.vmas.put(copy);
    }

    fn grow_in_place(&mut self, old_end: u64, new_end: u64, call: &MappingCall) {
        let grown = self.vmas.at(old_end - 1).cloned();
        let mut grown = grown.unwrap_or_else(|| {
            self.contradict();
            let mut unknown = Vma::anonymous(old_end, new_end, Prot::NONE, 0);
            unknown.doubt = true;
            unknown
        });
        grown.offset = grown.offset_at(old_end);
        (grown.start, grown.end) = (old_end, new_end);
        (grown.made_ns, grown.since_ns) = (call.exit_ns, call.exit_ns);
        grown.reported_ns = 0;
        self.vmas.put(grown);
    }

    /// What stays behind empty is no longer locked, to the ends of its mappings (`dontunmap_complete`).
    fn unlock(&mut self, start: u64, end: u64) {
        let edge = |vma: Option<&Vma>| vma.map(|vma| self.stretch(vma));
        let low = edge(self.vmas.at(start)).map_or(start, |vma| vma.start);
        let high = edge(self.vmas.at(end.saturating_sub(1))).map_or(end, |vma| vma.end);
        self.vmas.change(low, high, |mut vma| {
            vma.flags &= !flag::LOCKED;
            Some(vma)
        });
    }

    /// What a failed move leaves behind that only the kernel knows. Of several mappings it has moved those
    /// before the one that failed (`remap_move`); the new place has been unmapped before the old one could
    /// not be shrunk, or memory ran out (`mremap_to`).
    fn failed_remap(&mut self, call: &MappingCall) {
        const EINVAL: i64 = -(libc::EINVAL as i64);
        const EFAULT: i64 = -(libc::EFAULT as i64);
        let [old, old_length, new_length, flags, new, _] = call.args;
        let old_length = wrapped(old_length);
        let Some(new_end) = range_end(new, new_length) else {
            return;
        };
        let old_end = range_end(old, old_length.max(1)).unwrap_or(old);
        let moved = new_end - new;
        let several = self
            .vmas
            .at(old)
            .is_some_and(|first| self.stretch(first).end < old_end);
        let fixed = flags & FIXED != 0;
        let half_moved = fixed && several && old_length == moved && call.result != Some(EINVAL);
        // Whether the old mapping can be moved at all is asked before, unless there is nothing to move.
        let asked = call.result == Some(EFAULT);
        let shrinks = moved < old_length || call.result == Some(ENOMEM);
        let cleared = fixed && (old_length == 0 || shrinks && !asked);
        if half_moved || call.result.is_none() {
            if flags & DONT_UNMAP != 0 {
                self.unlock(old, old_end);
            }
            self.doubt(old, old_end, call.exit_ns);
        }
        if half_moved || cleared || call.result.is_none() {
            self.doubt(new, new_end, call.exit_ns);
        }
    }
}
