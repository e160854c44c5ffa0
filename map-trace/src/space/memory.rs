//! One address space: what is mapped where, and what is known of the break and the stack.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use super::mapping::{Backing, Vma, flag};
use super::maps_text::{MapsError, parse_maps};
use super::ordered::Ordered;
use super::side_band::SideBandMapping;
use crate::model::Prot;
use crate::model::vma::VmaKind;

/// Mappings kept of one address space. The kernel's own default limit (vm.max_map_count) is 65,530.
pub const MAX_VMAS: usize = 1 << 20;
/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;
/// Above every user address, 5-level paging included; what claims to lie higher is not believed.
pub(super) const USER_END: u64 = 1 << 56;
/// Default of RLIMIT_STACK (include/uapi/asm-generic/resource.h, `_STK_LIM`), bytes.
pub const DEFAULT_STACK_LIMIT: u64 = 8 << 20;

/// Mappings older than this are joined with equal neighbours: no call that started before is still under way.
const SETTLE_NS: u64 = 1_000_000_000;
/// Unmaps and side-band records remembered for tellings that come late.
const REMEMBERED: usize = 256;
/// Neighbours looked at on each side when the whole stretch of equal mappings is asked for.
const STRETCH_STEPS: usize = 4096;

/// Names made up once, since many faults are in heap and stack.
static HEAP: LazyLock<Arc<Backing>> = LazyLock::new(|| Backing::named("[heap]"));
static STACK: LazyLock<Arc<Backing>> = LazyLock::new(|| Backing::named("[stack]"));

/// An unmap, remembered so that an older side-band record does not bring the range back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removal {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) enter_ns: u64,
}

/// The program break: heap is what private anonymous memory overlaps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What lies at an address; the input of the cause classifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The mapping; for an address below a growing stack that may grow there, that stack.
    pub vma: Option<Vma>,
    /// The address is below the mapping, which would grow to it.
    pub below_stack: bool,
    /// The replay vouches for this answer.
    pub certain: bool,
}

/// An address space, replayed.
#[derive(Clone, Debug)]
pub struct Space {
    pub(super) vmas: Ordered,
    pub(super) brk: Option<Break>,
    pub(super) start_stack: Option<u64>,
    pub(super) stack_limit: u64,
    /// Nothing older than this (exec, snapshot) says anything about this address space.
    pub(super) born_ns: u64,
    /// It began with a snapshot: calls under way then may have come before or after it.
    pub(super) from_snapshot: bool,
    /// Between the exec and the program's first instruction: the kernel's loader is mapping.
    pub(super) loading: bool,
    pub(super) lost: bool,
    /// Records of it may have been lost: what it has is likely, and nothing is certain.
    pub(super) holed: bool,
    pub(super) removals: VecDeque<Removal>,
    pub(super) reports: VecDeque<Arc<SideBandMapping>>,
    /// Where something may be mapped that the replay does not have.
    doubtful_holes: Vec<(u64, u64)>,
    contradictions: u64,
    join_at: usize,
}

impl Space {
    /// An empty address space of which nothing before `born_ns` is believed.
    pub fn new(born_ns: u64) -> Self {
        Self {
            vmas: Ordered::default(),
            brk: None,
            start_stack: None,
            stack_limit: DEFAULT_STACK_LIMIT,
            born_ns,
            from_snapshot: false,
            loading: false,
            lost: false,
            holed: false,
            removals: VecDeque::new(),
            reports: VecDeque::new(),
            doubtful_holes: Vec::new(),
            contradictions: 0,
            join_at: 64,
        }
    }

    /// An address space as /proc/PID/maps (or smaps) shows it at `taken_ns`.
    ///
    /// # Errors
    /// When a line is not of that format; nothing is half loaded.
    pub fn from_maps(text: &str, taken_ns: u64) -> Result<Self, MapsError> {
        let mut space = Self::new(taken_ns);
        space.from_snapshot = true;
        for mut vma in parse_maps(text)? {
            let (start, end) = (vma.start, vma.end);
            match vma.name() {
                Some("[heap]") => {
                    let first = space.brk.map_or(start, |brk| brk.start);
                    space.brk = Some(Break { start: first, end });
                }
                // The initial stack pointer is somewhere near the top; the last byte will do to name it.
                Some("[stack]") => space.start_stack = Some(end.saturating_sub(1)),
                _ => {}
            }
            if matches!(vma.kind, VmaKind::Heap | VmaKind::Stack) {
                vma.kind = VmaKind::Anon;
                vma.backing = None;
            }
            (vma.made_ns, vma.since_ns) = (taken_ns, taken_ns);
            space.vmas.put(vma);
            if space.vmas.len() > MAX_VMAS {
                space.lose();
                break;
            }
        }
        space.join_at = space.vmas.len().saturating_mul(2).saturating_add(64);
        Ok(space)
    }

    /// Sets RLIMIT_STACK (soft), bytes; `u64::MAX` for unlimited.
    pub const fn set_stack_limit(&mut self, bytes: u64) {
        self.stack_limit = bytes;
    }

    /// True when this replay is not to be believed any more (until a snapshot is loaded).
    pub const fn is_lost(&self) -> bool {
        self.lost || self.holed
    }

    /// Gives the replay up: records were lost, or its bounds exceeded.
    pub fn lose(&mut self) {
        self.lost = true;
        self.vmas = Ordered::default();
        self.removals.clear();
        self.doubtful_holes.clear();
    }

    /// Calls and records that cannot be true of the address space as replayed (a successful mprotect over
    /// a hole, an overflowing range). Not zero means something was missed.
    pub const fn contradictions(&self) -> u64 {
        self.contradictions
    }

    pub(super) const fn contradict(&mut self) {
        self.contradictions = self.contradictions.saturating_add(1);
    }

    /// Number of mappings held; neighbours that differ in nothing may still be held apart.
    pub fn len(&self) -> usize {
        self.vmas.len()
    }

    pub fn is_empty(&self) -> bool {
        self.vmas.len() == 0
    }

    /// All mappings, upwards, as held.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Vma> {
        self.vmas.iter()
    }

    /// Mappings that share a page with `start..end`, as held (not clipped).
    pub fn range(&self, start: u64, end: u64) -> impl Iterator<Item = &Vma> {
        self.vmas.overlapping(start, end)
    }

    /// The mapping `address` lies in, as held: for a quick look at protection or kind.
    pub fn lookup(&self, address: u64) -> Option<&Vma> {
        self.vmas.at(address)
    }

    /// What lies at `address`: the whole stretch of equal memory, named as the kernel names it, or the
    /// stack that may grow there.
    pub fn place(&self, address: u64) -> Place {
        let certain = !self.is_lost();
        if let Some(vma) = self.vmas.at(address) {
            return Place {
                certain: certain && !vma.doubt,
                vma: Some(self.stretch(vma)),
                below_stack: false,
            };
        }
        match self.growing_stack(address) {
            Some(vma) => Place {
                certain: certain && !vma.doubt,
                vma: Some(self.stretch(vma)),
                below_stack: true,
            },
            None => Place {
                vma: None,
                below_stack: false,
                // A stack whose extent is a guess may reach further than is known.
                certain: certain && !self.near_doubt(address),
            },
        }
    }

    /// Something may be mapped in a hole: a call that failed half way may have put it there, or the
    /// neighbour below or above is a stack of doubtful extent.
    fn near_doubt(&self, address: u64) -> bool {
        let inside = |(start, end): &(u64, u64)| *start <= address && address < *end;
        if self.doubtful_holes.iter().any(inside) {
            return true;
        }
        let above = self.vmas.upwards(address).next();
        [self.vmas.below(address), above]
            .into_iter()
            .flatten()
            .any(|vma| vma.doubt && vma.has(flag::GROWS_DOWN))
    }

    /// The stretch of equal neighbours around a held mapping, with the kernel's name and kind.
    pub(super) fn stretch(&self, vma: &Vma) -> Vma {
        let mut whole = vma.clone();
        for _ in 0..STRETCH_STEPS {
            match self.vmas.below(whole.start) {
                Some(low) if low.continues_in(&whole) => {
                    whole.offset = low.offset;
                    whole.start = low.start;
                }
                _ => break,
            }
        }
        for high in self.vmas.upwards(whole.end).take(STRETCH_STEPS) {
            if !whole.continues_in(high) {
                break;
            }
            whole.end = high.end;
        }
        self.name_as_kernel(&mut whole);
        whole
    }

    /// Heap and stack by the rule of the kernel (include/linux/mm.h, `vma_is_initial_heap` and
    /// `vma_is_initial_stack`): by where the mapping lies, not by who made it.
    fn name_as_kernel(&self, vma: &mut Vma) {
        if vma.kind != VmaKind::Anon || vma.backing.is_some() {
            return;
        }
        let heap = self
            .brk
            .is_some_and(|brk| vma.start < brk.end && vma.end > brk.start);
        let stack = self
            .start_stack
            .is_some_and(|sp| vma.start <= sp && sp <= vma.end);
        let (kind, named) = match (heap, stack) {
            (true, _) => (VmaKind::Heap, &HEAP),
            (_, true) => (VmaKind::Stack, &STACK),
            _ => return,
        };
        vma.kind = kind;
        vma.backing = Some(Arc::clone(named));
    }

    /// Registers (or with all bits clear, unregisters) a range with userfaultfd: bits of [`flag::UFFD`].
    pub fn set_userfaultfd(&mut self, start: u64, length: u64, flags: u32) {
        let Some(end) = range_end(start, length) else {
            self.contradict();
            return;
        };
        self.vmas.change(start, end, |mut vma| {
            vma.flags = vma.flags & !flag::UFFD | flags & flag::UFFD;
            Some(vma)
        });
    }

    /// What was registered with userfaultfd may be so no longer: its descriptor was closed here, and whether
    /// another process holds a copy is not known.
    pub fn doubt_userfaultfd(&mut self) {
        let registered = self.vmas.iter().filter(|vma| vma.flags & flag::UFFD != 0);
        let ranges: Vec<_> = registered.map(|vma| (vma.start, vma.end)).collect();
        for (start, end) in ranges {
            self.vmas.change(start, end, |mut vma| {
                vma.doubt = true;
                Some(vma)
            });
        }
    }

    /// Private anonymous memory over whatever was there.
    pub(super) fn put_anonymous(&mut self, start: u64, end: u64, prot: Prot, ktime_ns: u64) {
        self.vmas.put(Vma::anonymous(start, end, prot, ktime_ns));
    }

    /// From here on nothing is certain in a range, mapped or not.
    pub(super) fn doubt(&mut self, start: u64, end: u64, ktime_ns: u64) {
        self.vmas.change(start, end, |mut vma| {
            vma.doubt = true;
            vma.since_ns = ktime_ns;
            Some(vma)
        });
        for hole in self.vmas.holes(start, end) {
            if self.doubtful_holes.len() >= REMEMBERED {
                self.lose();
                return;
            }
            self.doubtful_holes.push(hole);
        }
    }

    /// The first address of a range of which it is not certain what is mapped there; `u64::MAX` for none.
    pub(super) fn first_doubt(&self, start: u64, end: u64) -> u64 {
        let mapped = self.vmas.overlapping(start, end).filter(|vma| vma.doubt);
        let holes = self.doubtful_holes.iter().copied();
        mapped
            .map(|vma| (vma.start, vma.end))
            .chain(holes)
            .filter(|(from, to)| *from < end && start < *to)
            .map(|(from, _)| from.max(start))
            .min()
            .unwrap_or(u64::MAX)
    }

    pub(super) fn remember_removal(&mut self, removal: Removal) {
        if self.removals.len() >= REMEMBERED {
            self.removals.pop_front();
        }
        self.removals.push_back(removal);
    }

    pub(super) fn remember_report(&mut self, report: Arc<SideBandMapping>) {
        if self.reports.len() >= REMEMBERED {
            self.reports.pop_front();
        }
        self.reports.push_back(report);
    }

    /// Keeps the bounds after a change at `now_ns`.
    pub(super) fn bound(&mut self, now_ns: u64) {
        if self.vmas.len() <= self.join_at {
            return;
        }
        self.vmas.join(now_ns.saturating_sub(SETTLE_NS));
        if self.vmas.len() > MAX_VMAS {
            self.vmas.join(u64::MAX);
        }
        if self.vmas.len() > MAX_VMAS {
            self.lose();
        }
        self.join_at = self
            .vmas
            .len()
            .saturating_mul(2)
            .saturating_add(64)
            .min(MAX_VMAS);
    }

    /// Joins every pair of equal neighbours, whatever their age.
    pub fn join(&mut self) {
        self.vmas.join(u64::MAX);
    }
}

/// End of the pages that `length` bytes from the page-aligned `start` cover; `None` when empty, unaligned
/// or beyond every user address.
pub(super) const fn range_end(start: u64, length: u64) -> Option<u64> {
    if !start.is_multiple_of(PAGE) || length == 0 || length > USER_END || start >= USER_END {
        return None;
    }
    let end = start + page_up(length);
    if end > USER_END { None } else { Some(end) }
}

/// Rounds up to a page; the argument must be below `u64::MAX - PAGE`.
pub(super) const fn page_up(bytes: u64) -> u64 {
    bytes.saturating_add(PAGE - 1) & !(PAGE - 1)
}

pub(super) const fn page_down(bytes: u64) -> u64 {
    bytes & !(PAGE - 1)
}
