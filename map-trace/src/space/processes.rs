//! Address spaces by process: fork copies, exec replaces, vfork shares.

use std::collections::HashMap;
use std::sync::Arc;

use map_trace_common::limits::MAX_PROCESSES;

use super::calls::MappingCall;
use super::compare::Difference;
use super::mapping::flag;
use super::maps_text::MapsError;
use super::memory::{Break, MAX_VMAS, PAGE, Place, Space, page_down, page_up};
use super::side_band::SideBandMapping;
use crate::model::Prot;

/// Bytes below the initial stack pointer that the kernel maps at exec (fs/exec.c, `setup_arg_pages`).
const STACK_AT_EXEC: u64 = 128 << 10;

/// What is known of a new program image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecFacts {
    /// Time of the `sched_process_exec` tracepoint: the image is in place.
    pub ktime_ns: u64,
    /// `mm_struct.start_stack`, the initial stack pointer; 0 when unknown.
    pub start_stack: u64,
    /// `mm_struct.start_brk`, the initial break; 0 when unknown.
    pub start_brk: u64,
    /// `mm_struct.brk`; 0 when unknown (then `start_brk`).
    pub brk: u64,
    /// RLIMIT_STACK (soft); 0 when unknown.
    pub stack_limit: u64,
}

/// The address spaces of all traced processes.
///
/// Several processes may share one (vfork, CLONE_VM); forked ones share the replay until either changes.
#[derive(Debug, Default)]
pub struct Spaces {
    of: HashMap<u32, u64>,
    spaces: HashMap<u64, Arc<Space>>,
    next: u64,
    refused: u64,
    /// Records of before this moment may have been lost.
    lost_until_ns: u64,
}

impl Spaces {
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to follow a process of which nothing is known yet.
    pub fn add(&mut self, tgid: u32, ktime_ns: u64) {
        self.own(tgid, Space::new(ktime_ns));
    }

    /// Processes that could not be followed, for want of room.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The address space of a process.
    pub fn space(&self, tgid: u32) -> Option<&Space> {
        self.spaces.get(self.of.get(&tgid)?).map(Arc::as_ref)
    }

    /// The same, to be changed.
    pub fn space_mut(&mut self, tgid: u32) -> Option<&mut Space> {
        self.spaces.get_mut(self.of.get(&tgid)?).map(Arc::make_mut)
    }

    /// A process began: with a copy of its parent's address space, or sharing it (vfork, CLONE_VM).
    pub fn fork(&mut self, parent: u32, child: u32, shared_mm: bool, ktime_ns: u64) {
        let Some(&id) = self.of.get(&parent) else {
            return;
        };
        if shared_mm {
            self.forget(child);
            if self.has_room() {
                self.of.insert(child, id);
            }
            return;
        }
        let Some(space) = self.spaces.get(&id) else {
            return;
        };
        let mut copy = Arc::clone(space);
        if self.would_hold_too_many(copy.len()) {
            Arc::make_mut(&mut copy).lose();
        } else if copy.iter().any(|vma| changes_at_fork(vma.flags)) || copy.loading {
            Arc::make_mut(&mut copy).become_child(ktime_ns);
        }
        self.insert(child, copy);
    }

    /// The kernel has begun to set up a new image: PERF_RECORD_COMM with PERF_RECORD_MISC_COMM_EXEC, which
    /// comes before the side-band records of the ELF loader (and `sched_process_exec` after them).
    ///
    /// Must be told for each exec: it is what gives a vfork child its own address space before the loader's
    /// records arrive.
    pub fn exec_started(&mut self, tgid: u32, ktime_ns: u64) {
        let mut space = Space::new(ktime_ns);
        space.loading = true;
        space.holed = ktime_ns <= self.lost_until_ns;
        space.stack_limit = self
            .space(tgid)
            .map_or(space.stack_limit, |old| old.stack_limit);
        self.own(tgid, space);
    }

    /// A new image is in place. What the side band told since [`Self::exec_started`] stays; without that
    /// call everything is forgotten but what followed the last report of a new stack.
    pub fn exec(&mut self, tgid: u32, facts: &ExecFacts) {
        if !self.space(tgid).is_some_and(|space| space.loading) {
            self.restart(tgid, facts.ktime_ns);
        }
        if let Some(space) = self.space_mut(tgid) {
            space.loaded(facts);
        }
    }

    /// An exec whose beginning was not told: the kernel reports the new stack first, then the loader's
    /// mappings, so the records from the last stack report on are those of the new image.
    fn restart(&mut self, tgid: u32, ktime_ns: u64) {
        let reports: Vec<_> = self.space(tgid).map_or_else(Vec::new, |space| {
            let stack = |report: &Arc<SideBandMapping>| &*report.filename == "[stack]";
            let from = space
                .reports
                .iter()
                .rposition(stack)
                .unwrap_or(space.reports.len());
            space.reports.range(from..).cloned().collect()
        });
        let shared = self.of.get(&tgid).is_some_and(|id| self.sharers(*id) > 1);
        if shared && !reports.is_empty() {
            // The loader's records went into the address space of those it was shared with.
            if let Some(space) = self.space_mut(tgid) {
                space.lose();
            }
        }
        let born = reports.first().map_or(ktime_ns, |report| report.ktime_ns);
        self.exec_started(tgid, born);
        if let Some(space) = self.space_mut(tgid) {
            for report in reports {
                space.report(&report);
            }
        }
    }

    /// The last thread of a process ended.
    pub fn exit(&mut self, tgid: u32) {
        self.forget(tgid);
    }

    /// Replaces what is known of a process by the text of its maps (or smaps) file, read at `taken_ns`.
    ///
    /// # Errors
    /// When the text is not that of a maps file; what was known stays.
    pub fn load_snapshot(
        &mut self,
        tgid: u32,
        maps_text: &str,
        taken_ns: u64,
    ) -> Result<(), MapsError> {
        let mut space = Space::from_maps(maps_text, taken_ns)?;
        match self.space_mut(tgid) {
            Some(old) => {
                space.keep_from(old, maps_text.contains("\nVmFlags:"));
                *old = space;
            }
            None => self.own(tgid, space),
        }
        Ok(())
    }

    /// Names for what lies where, from a maps file that was read later: nothing is certain, and no change is followed,
    /// until a snapshot is loaded or an exec seen.
    ///
    /// # Errors
    /// When the text is not that of a maps file; what was known stays.
    pub fn guess(&mut self, tgid: u32, maps_text: &str, taken_ns: u64) -> Result<(), MapsError> {
        self.load_snapshot(tgid, maps_text, taken_ns)?;
        if let Some(space) = self.space_mut(tgid) {
            space.lost = true;
        }
        Ok(())
    }

    /// Differences between the replay and the real file; none for a process not followed or lost.
    ///
    /// # Errors
    /// When the text is not that of a maps file.
    pub fn compare(&self, tgid: u32, maps_text: &str) -> Result<Vec<Difference>, MapsError> {
        match self.space(tgid) {
            Some(space) if !space.is_lost() => space.compare(maps_text),
            _ => Ok(Vec::new()),
        }
    }

    /// Applies a side-band record; false when its process is not followed.
    pub fn report(&mut self, report: &Arc<SideBandMapping>) -> bool {
        self.space_mut(report.tgid)
            .map(|space| space.report(report))
            .is_some()
    }

    /// Applies a memory syscall; false when its process is not followed.
    pub fn call(&mut self, tgid: u32, call: &MappingCall) -> bool {
        self.space_mut(tgid).map(|space| space.call(call)).is_some()
    }

    /// What lies at an address; uncertain for a process not followed.
    pub fn place(&self, tgid: u32, address: u64) -> Place {
        self.space(tgid)
            .map_or_else(Place::default, |space| space.place(address))
    }

    /// An access below a stack succeeded; see [`Space::touch`].
    pub fn touch(&mut self, tgid: u32, address: u64, ktime_ns: u64) -> bool {
        // Looked at first: most accesses grow nothing and must not copy a shared replay.
        self.space(tgid)
            .is_some_and(|space| space.growing_stack(address).is_some())
            && self
                .space_mut(tgid)
                .is_some_and(|space| space.touch(address, ktime_ns))
    }

    /// Side-band records of before `until_ns` were lost: no replay is to be believed until a snapshot is loaded or an
    /// exec of later seen. An exec of before may have lost what its loader mapped.
    pub fn lose_all(&mut self, until_ns: u64) {
        self.lost_until_ns = self.lost_until_ns.max(until_ns);
        for space in self.spaces.values_mut() {
            Arc::make_mut(space).lose();
        }
    }

    /// Processes followed.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.of.keys().copied()
    }

    fn own(&mut self, tgid: u32, space: Space) {
        self.insert(tgid, Arc::new(space));
    }

    fn has_room(&mut self) -> bool {
        let room = self.of.len() < MAX_PROCESSES as usize;
        self.refused = self.refused.saturating_add(u64::from(!room));
        room
    }

    /// Mappings of all processes together, as if none were shared.
    fn would_hold_too_many(&self, more: usize) -> bool {
        let held = || self.spaces.values().map(|space| space.len()).sum::<usize>();
        // Counted only where it can be near.
        let near = more.saturating_mul(self.spaces.len() + 1) > MAX_VMAS / 16;
        near && held().saturating_add(more) > MAX_VMAS
    }

    fn insert(&mut self, tgid: u32, space: Arc<Space>) {
        self.forget(tgid);
        if !self.has_room() {
            return;
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.of.insert(tgid, id);
        self.spaces.insert(id, space);
    }

    fn sharers(&self, id: u64) -> usize {
        self.of.values().filter(|other| **other == id).count()
    }

    fn forget(&mut self, tgid: u32) {
        if let Some(id) = self.of.remove(&tgid)
            && self.sharers(id) == 0
        {
            self.spaces.remove(&id);
        }
    }
}

/// What a child does not inherit (kernel/fork.c, `dup_mmap`): mappings marked so, locks, and registration
/// with userfaultfd (unless its owner asked for fork events).
const fn changes_at_fork(flags: u32) -> bool {
    flags & (flag::DONT_FORK | flag::LOCKED | flag::UFFD) != 0
}

impl Space {
    /// Turns a copy of the parent's address space into the child's.
    fn become_child(&mut self, ktime_ns: u64) {
        self.loading = false;
        let changed: Vec<_> = self
            .iter()
            .filter(|vma| changes_at_fork(vma.flags))
            .map(|vma| (vma.start, vma.end))
            .collect();
        for (start, end) in changed {
            self.vmas.change(start, end, |mut vma| {
                if vma.has(flag::DONT_FORK) {
                    return None;
                }
                vma.doubt |= vma.flags & flag::UFFD != 0;
                vma.flags &= !(flag::LOCKED | flag::UFFD);
                vma.since_ns = vma.since_ns.max(ktime_ns);
                Some(vma)
            });
        }
    }

    /// The loader is done: break and stack are known.
    fn loaded(&mut self, facts: &ExecFacts) {
        self.loading = false;
        if facts.stack_limit != 0 {
            self.stack_limit = facts.stack_limit;
        }
        if facts.start_brk != 0 {
            let end = facts.brk.max(facts.start_brk);
            self.brk = Some(Break {
                start: facts.start_brk,
                end,
            });
        }
        if facts.start_stack == 0 {
            return;
        }
        self.start_stack = Some(facts.start_stack);
        let page = page_down(facts.start_stack);
        if self.vmas.at(page).is_none() {
            // The side band did not tell. The kernel maps 128 KiB below the arguments; how far up these
            // reach is not known, so the extent is in doubt until a record or a snapshot tells it.
            let start = page.saturating_sub(STACK_AT_EXEC.min(page_down(self.stack_limit)));
            let end = page_up(facts.start_stack.saturating_add(1)).max(page.saturating_add(PAGE));
            self.put_anonymous(start.max(PAGE), end, Prot::RW, facts.ktime_ns);
            self.vmas.change(start, end, |mut vma| {
                vma.doubt = true;
                vma.flags |= flag::GROWS_DOWN;
                Some(vma)
            });
            return;
        }
        // Some kernels report the stack before it can be recognised as one, so without its name.
        let Some(stack) = self.vmas.at(page).map(|vma| self.stretch(vma)) else {
            return;
        };
        let (start, end) = (stack.start, stack.end);
        self.vmas.change(start, end, |mut vma| {
            vma.flags |= flag::GROWS_DOWN;
            Some(vma)
        });
    }

    /// What a snapshot does not show: the initial stack pointer, the limit, the exact break, build ids, and
    /// flags unless it is smaps.
    fn keep_from(&mut self, old: &Self, shows_flags: bool) {
        self.stack_limit = old.stack_limit;
        self.start_stack = old.start_stack.or(self.start_stack);
        self.brk = match (old.brk, self.brk) {
            (Some(old), Some(new)) if page_up(old.end) == page_up(new.end) => Some(old),
            (Some(old), None) => Some(old),
            (_, new) => new,
        };
        for known in old.iter() {
            self.vmas.change(known.start, known.end, |mut vma| {
                if known.same_memory(&vma) {
                    vma.learn(known);
                    if !shows_flags {
                        vma.flags |= known.flags;
                    }
                }
                Some(vma)
            });
        }
    }
}
