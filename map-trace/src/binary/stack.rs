//! From what the kernel recorded of a stack to the chain of callers, hidden ones put back.
//!
//! A frame-pointer walk starts at rbp. While a function has no frame of its own (glibc's `mprotect`,
//! Go's assembly leaves, any function in its prologue or epilogue) rbp still belongs to its caller, and
//! the walk begins at the caller's caller: the very function a user asks about is missing. The record
//! therefore carries the words at rsp. Each step asks the binary where the return address is; when that
//! is the slot right above rbp the walk is right from there on, else the word in the slot is the hidden
//! caller.

use std::sync::Arc;

use super::{Binary, CallerBp, SlotPlace};

/// Hidden callers put back for one stack, at most.
const MAX_STEPS: usize = 16;

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
}

/// The callers, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub frames: Vec<RawFrame>,
    /// Between the last restored frame and the next one callers may be missing: it could not be told
    /// where the return address is, or it lies beyond the recorded words.
    pub caller_unknown: bool,
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

    fn rest(&self) -> impl Iterator<Item = RawFrame> {
        let frames = self.raw.frames.get(self.next..).unwrap_or_default();
        frames.iter().map(|&ip| RawFrame {
            ip,
            restored: false,
        })
    }
}

/// Puts hidden callers back. A word is taken for a caller only when it lands in executable text of a
/// known binary.
pub fn restore(raw: &RawStack, lookup: &Lookup) -> Restored {
    let mut out = Restored {
        frames: vec![RawFrame {
            ip: raw.ip,
            restored: false,
        }],
        caller_unknown: true,
    };
    let mut chain = Chain {
        raw,
        node: Some(raw.bp),
        next: 0,
    };
    let mut at = raw.ip;
    let (mut sp, mut bp) = (raw.sp, Some(raw.bp));
    for step in 0..MAX_STEPS {
        let Some(rule) = rule(at, step == 0, lookup) else {
            break;
        };
        let slot = match rule.place {
            SlotPlace::FromSp(bytes) => sp.checked_add_signed(bytes),
            SlotPlace::FromBp(bytes) => bp.and_then(|bp| bp.checked_add_signed(bytes)),
            SlotPlace::Outermost => {
                out.caller_unknown = false;
                return out;
            }
            SlotPlace::Unknown => None,
        };
        // A slot below rsp would be a stack that grows upward: nonsense.
        let Some(slot) = slot.filter(|&slot| slot >= sp) else {
            break;
        };
        chain.pass_below(slot);
        if chain.meets(slot) {
            out.caller_unknown = false;
            break;
        }
        let Some(caller) = raw.word(slot) else { break };
        if !lookup(caller).is_some_and(|(binary, svma)| binary.is_code(svma)) {
            break;
        }
        out.frames.push(RawFrame {
            ip: caller,
            restored: true,
        });
        bp = match rule.caller_bp {
            CallerBp::Unchanged => bp,
            CallerBp::Saved(bytes) => slot
                .checked_add_signed(bytes)
                .and_then(|address| raw.word(address)),
            CallerBp::Unknown => None,
        };
        sp = slot.saturating_add(8);
        at = caller;
    }
    out.frames.extend(chain.rest());
    out
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
        assert!(restored.caller_unknown);
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
