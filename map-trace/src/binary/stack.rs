//! From what the kernel recorded of a stack to the chain of callers, hidden ones put back.
//!
//! A frame-pointer walk starts at rbp. While a function has no frame of its own (glibc's `mprotect`,
//! Go's assembly leaves, any function in its prologue or epilogue) rbp still belongs to its caller, and
//! the walk begins at the caller's caller: the very function a user asks about is missing. The record
//! therefore carries the words at rsp. Each step asks the binary where the return address is; when that
//! is the slot right above rbp the walk is right for this step, else the word in the slot is the hidden
//! caller. The same happens further out (glibc's `qsort` hides its caller from the comparison); where the
//! words do not reach, the gap is marked.

use std::sync::Arc;

use map_trace_common::limits::{LIBRARY_WORDS, OWN_WORDS};

use super::{Binary, CallerBp, SlotPlace};

/// Callers looked for one by one, at most: as many as the recorded words can hold.
const MAX_STEPS: usize = LIBRARY_WORDS / 2;

/// A user stack as recorded, addresses of the traced process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawStack {
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
    /// The 8-byte words from rsp upward.
    pub words: Vec<u64>,
    /// Return addresses of the frame-pointer walk from rbp.
    pub frames: Vec<u64>,
    /// The walk stopped at its depth limit.
    pub truncated: bool,
}

impl RawStack {
    /// The recorded word at an address, when it tells this stack from others: only such a word may be taken for a caller.
    /// Of a library's stack every second one does, where the ABI has return addresses (System V ABI for AMD64, 3.2.2).
    fn telling(&self, address: u64) -> Option<u64> {
        let library = self.words.len() > OWN_WORDS;
        self.word(address).filter(|_| !library || address % 16 == 8)
    }

    /// The recorded word at an address.
    fn word(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.sp)?;
        if offset % 8 != 0 {
            return None;
        }
        self.words.get(usize::try_from(offset / 8).ok()?).copied()
    }
}

/// An instruction pointer of a stack: the first is exact, all others are return addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame {
    pub ip: u64,
    /// Put back from the words at rsp.
    pub restored: bool,
    /// Between this frame and the next one callers may be missing: it could not be told where the return
    /// address is, or it lies beyond the recorded words and rbp is not known to lead to it.
    pub gap: bool,
}

impl RawFrame {
    const fn of(ip: u64, restored: bool) -> Self {
        Self {
            ip,
            restored,
            gap: false,
        }
    }
}

/// The callers, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub frames: Vec<RawFrame>,
}

/// Which binary holds a runtime address, and the address there as the file states it.
pub type Lookup<'a> = dyn Fn(u64) -> Option<(Arc<Binary>, u64)> + 'a;

/// The frame-pointer chain: the address of the next node, where known, and the frame it gives.
struct Chain<'a> {
    raw: &'a RawStack,
    node: Option<u64>,
    next: usize,
}

impl Chain<'_> {
    /// Leaves out the nodes whose return addresses lie below `slot`: they belong to frames already
    /// passed, or to a register that was no frame pointer.
    fn pass_below(&mut self, slot: u64) {
        while let Some(node) = self.node
            && node.checked_add(8).is_some_and(|above| above < slot)
        {
            self.node = self.raw.word(node).filter(|&upper| upper > node);
            self.next += 1;
        }
    }

    /// True when the next frame of the chain was read from `slot`.
    fn meets(&self, slot: u64) -> bool {
        self.node.and_then(|node| node.checked_add(8)) == Some(slot)
            && self.next < self.raw.frames.len()
    }

    /// The next frame; the chain moves on to the frame pointer saved there, which is returned where known.
    fn take(&mut self) -> Option<(u64, Option<u64>)> {
        let frame = *self.raw.frames.get(self.next)?;
        self.next += 1;
        self.node = self.node.and_then(|node| self.raw.word(node));
        Some((frame, self.node))
    }
}

/// Where leaving one function after the other has come to.
struct Place {
    /// Exact for the innermost function, else a return address.
    at: u64,
    exact: bool,
    sp: u64,
    bp: Option<u64>,
    /// The next frame of the chain is the one that rbp leads to here.
    linked: bool,
}

/// Puts hidden callers back. A word is taken for a caller only when it lands in executable text of a
/// known binary.
///
/// Behind a function without a frame pointer of its own, rbp leads to the frame of a function further out
/// and the caller is not on the chain. As far as the recorded words reach it is put back; beyond them the gap
/// is marked.
pub fn restore(raw: &RawStack, lookup: &Lookup) -> Restored {
    let mut frames = vec![RawFrame::of(raw.ip, false)];
    let mut chain = Chain {
        raw,
        node: Some(raw.bp),
        next: 0,
    };
    let mut place = Place {
        at: raw.ip,
        exact: true,
        sp: raw.sp,
        bp: Some(raw.bp),
        linked: true,
    };
    for _ in 0..MAX_STEPS {
        match leave(&mut place, &mut chain, lookup) {
            Left::To(frame) => frames.push(frame),
            Left::Outermost => return Restored { frames },
            Left::Lost => break,
        }
    }
    if let Some(last) = frames.last_mut() {
        last.gap = place.exact || !place.linked || !keeps_frame_pointer(place.at, lookup);
    }
    let rest = raw.frames.get(chain.next..).unwrap_or_default();
    frames.extend(rest.iter().map(|&ip| RawFrame {
        gap: !keeps_frame_pointer(ip, lookup),
        ..RawFrame::of(ip, false)
    }));
    Restored { frames }
}

/// What leaving a function came to.
enum Left {
    To(RawFrame),
    /// Nothing called it.
    Outermost,
    /// Where its return address is, or what is there, is not known.
    Lost,
}

/// Leaves the function at a place for its caller.
fn leave(place: &mut Place, chain: &mut Chain, lookup: &Lookup) -> Left {
    let Some(rule) = rule(place.at, place.exact, lookup) else {
        return Left::Lost;
    };
    let slot = match rule.place {
        SlotPlace::FromSp(bytes) => place.sp.checked_add_signed(bytes),
        SlotPlace::FromBp(bytes) => place.bp.and_then(|bp| bp.checked_add_signed(bytes)),
        SlotPlace::Outermost => return Left::Outermost,
        SlotPlace::Unknown => None,
    };
    // A slot below rsp would be a stack that grows upward: nonsense.
    let Some(slot) = slot.filter(|&slot| slot >= place.sp) else {
        return Left::Lost;
    };
    let before = chain.next;
    chain.pass_below(slot);
    let frame = if chain.meets(slot)
        && let Some((caller, bp)) = chain.take()
    {
        (place.bp, place.linked) = (bp, true);
        RawFrame::of(caller, false)
    } else {
        let caller = chain.raw.telling(slot);
        let is_code =
            |&caller: &u64| lookup(caller).is_some_and(|(binary, svma)| binary.is_code(svma));
        let Some(caller) = caller.filter(is_code) else {
            // Of two places for the frame at least one is wrong.
            place.linked &= chain.node.is_none() && chain.next == before;
            return Left::Lost;
        };
        place.bp = match rule.caller_bp {
            CallerBp::Unchanged => place.bp,
            CallerBp::Saved(bytes) => slot
                .checked_add_signed(bytes)
                .and_then(|address| chain.raw.word(address)),
            CallerBp::Unknown => None,
        };
        place.linked = place.bp.is_some() && place.bp == chain.node;
        RawFrame::of(caller, true)
    };
    place.sp = slot.saturating_add(8);
    (place.at, place.exact) = (frame.ip, false);
    Left::To(frame)
}

/// Whether rbp is the frame pointer of the function that a return address is in.
fn keeps_frame_pointer(at: u64, lookup: &Lookup) -> bool {
    let svma = |(binary, svma): (Arc<Binary>, u64)| Some((binary, svma.checked_sub(1)?));
    lookup(at)
        .and_then(svma)
        .is_some_and(|(binary, svma)| binary.keeps_frame_pointer(svma))
}

/// The rule at an exact instruction pointer, or at a return address.
fn rule(at: u64, exact: bool, lookup: &Lookup) -> Option<super::ReturnSlot> {
    if exact && at < NULL_PAGE {
        // A call through a null pointer: the call pushed the return address and nothing ran since.
        return Some(super::ReturnSlot {
            place: SlotPlace::FromSp(0),
            caller_bp: CallerBp::Unchanged,
        });
    }
    let (binary, svma) = lookup(at)?;
    Some(binary.return_slot(if exact { svma } else { svma.checked_sub(1)? }))
}

/// Addresses nothing is mapped at (`vm.mmap_min_addr` is 64 KiB; a page is enough here).
const NULL_PAGE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_known_binary_the_walk_is_kept_and_the_gap_is_said() {
        let raw = RawStack {
            ip: 0x5000,
            sp: 0x7000,
            bp: 0x7100,
            words: vec![1, 2, 3],
            frames: vec![0x6000, 0x6100],
            truncated: false,
        };
        let restored = restore(&raw, &|_| None);
        assert!(restored.frames.iter().all(|frame| frame.gap));
        let ips: Vec<u64> = restored.frames.iter().map(|f| f.ip).collect();
        assert_eq!(ips, [0x5000, 0x6000, 0x6100]);
        assert!(restored.frames.iter().all(|f| !f.restored));
    }

    #[test]
    fn a_call_through_null_does_not_invent_a_caller() {
        let raw = RawStack {
            ip: 0,
            sp: 0x7000,
            bp: 0x7100,
            words: vec![0x1234],
            ..RawStack::default()
        };
        assert_eq!(restore(&raw, &|_| None).frames.len(), 1);
    }

    #[test]
    fn only_words_that_tell_stacks_apart_are_callers() {
        let of = |count| RawStack {
            sp: 0x7000,
            words: vec![7; count],
            ..RawStack::default()
        };
        for (words, address, telling) in [
            (OWN_WORDS, 0x7000, true),
            (OWN_WORDS, 0x7008, true),
            (LIBRARY_WORDS, 0x7000, false),
            (LIBRARY_WORDS, 0x7008, true),
            (LIBRARY_WORDS, 0x7bf8, true),
            (LIBRARY_WORDS, 0x7c08, false),
        ] {
            let told = of(words).telling(address);
            assert_eq!(told.is_some(), telling, "{words} words, {address:#x}");
        }
    }

    #[test]
    fn a_misaligned_or_distant_word_is_not_there() {
        let raw = RawStack {
            sp: 0x7000,
            words: vec![1, 2],
            ..RawStack::default()
        };
        assert_eq!(raw.word(0x7008), Some(2));
        for address in [0x7004, 0x7010, 0x6ff8, u64::MAX] {
            assert_eq!(raw.word(address), None);
        }
    }
}
