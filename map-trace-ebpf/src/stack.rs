//! The user stack: a frame-pointer walk, hashed, each stack sent once.
//!
//! `bpf_get_stack` costs 1.3 us whatever the depth; reading 16 bytes a frame costs a tenth of that and gives
//! the same frames.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use map_trace_common::limits::{MAX_FRAMES, STACK_WORDS, WINDOW_WORDS};
use map_trace_common::record::{Header, kind};

use crate::emit;
use crate::maps::{CPU, Cpu, Process, STACKS};
use crate::task::Registers;

/// See [`Cpu::window`].
type Window = [u64; WINDOW_WORDS + 1];
/// Bytes read at once.
const WINDOW_BYTES: u64 = WINDOW_WORDS as u64 * 8;
/// Words of user space outside the main text count as code when they lie this near to the ip.
const NEAR: u64 = 64 << 20;
/// A frame-pointer distance above this does not tell stacks apart: it is not the innermost frame's size.
const FRAME_MAX: u64 = 64 << 10;
/// Bounds of a text that tell instead which words tell stacks apart: the one at rsp, or none.
const ONLY_RETURN: (u64, u64) = (1, 0);
const ONLY_FRAMES: (u64, u64) = (2, 0);
/// The innermost frame is not larger than this.
const FIRST_FRAME_MAX: u64 = 1 << 20;

#[inline(always)]
fn read_user<T: Copy>(destination: *mut T, address: u64) -> bool {
    // SAFETY: the helper writes size_of::<T> bytes to memory that the caller owns, zeroes on failure.
    unsafe {
        bpf_probe_read_user(
            destination.cast(),
            size_of::<T>() as u32,
            address as *const _,
        ) == 0
    }
}

/// One step of the hash.
#[inline(always)]
pub fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// True for a word that could be a return address, so that it tells stacks apart; data words must not, or
/// every event would have a stack of its own.
#[inline(always)]
fn looks_like_code(word: u64, ip: u64, start_code: u64, end_code: u64) -> bool {
    let in_main = word >= start_code && word < end_code;
    let ip_in_main = ip >= start_code && ip < end_code;
    in_main || (!ip_in_main && word.wrapping_sub(ip).wrapping_add(NEAR) < 2 * NEAR)
}

/// Takes the stack into the CPU's scratch record and returns its hash, never 0.
#[inline(always)]
pub fn take(cpu: *mut Cpu, registers: &Registers, process: *const Process) -> u64 {
    // SAFETY: the caller holds this CPU's record for the run of the program; process is a map value.
    unsafe {
        (*cpu).stack.generation = (*process).generation;
        map_trace_take_stack(
            registers.ip,
            registers.sp,
            registers.bp,
            (*process).start_code,
            (*process).end_code,
        )
    }
}

/// As [`take`], where it is known what lies at rsp: the return address, at the first instructions of a function
/// or at its end, or, `inside` of it, nothing that tells stacks apart.
#[inline(always)]
pub fn take_at(cpu: *mut Cpu, registers: &Registers, process: *const Process, inside: bool) -> u64 {
    // SAFETY: as above.
    unsafe {
        (*cpu).stack.generation = (*process).generation;
        let (start, end) = if inside { ONLY_FRAMES } else { ONLY_RETURN };
        map_trace_take_stack(registers.ip, registers.sp, registers.bp, start, end)
    }
}

/// The body of [`take`], a global BPF function: the verifier checks it once by itself instead of on every
/// path that leads here, which makes loading ten times as fast. Only integers may be passed to one.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn map_trace_take_stack(ip: u64, sp: u64, bp: u64, start: u64, end: u64) -> u64 {
    let Some(cpu) = CPU.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's record, held by the program that called.
    let (record, window) = unsafe { (&raw mut (*cpu).stack, &raw mut (*cpu).window) };
    let mut hash = mix(0x6d61_7074_7261_6365, ip);
    let span = bp.wrapping_sub(sp);
    if span < FRAME_MAX {
        hash = mix(hash, span);
    }
    let filled = read_window(window, sp);
    // SAFETY: as above; each access is inside the record or the window.
    unsafe {
        (*record).ip = ip;
        (*record).sp = sp;
        (*record).bp = bp;
        if filled {
            (*record).word_count = STACK_WORDS as u32;
            for index in 0..STACK_WORDS {
                (*record).words[index] = (*window)[index];
            }
        } else {
            (*record).word_count = words(record, sp);
        }
        if (start, end) == ONLY_RETURN {
            hash = mix(hash, (*record).words[0]);
        }
        for index in 0..STACK_WORDS {
            let word = (*record).words[index];
            if start <= end && looks_like_code(word, ip, start, end) {
                hash = mix(hash, word.wrapping_add(index as u64));
            }
        }
    }
    // Code built without frame pointers keeps anything in rbp. What does not lie a frame above rsp is not a
    // frame's, and reading it would cost a fault of our own. Go puts up a frame of its own for duffcopy and
    // duffzero, from one word below rsp (cmd/compile/internal/amd64/ssa.go).
    let is_frame = span < FIRST_FRAME_MAX || bp.wrapping_add(8) == sp;
    let bp = if is_frame { bp } else { 0 };
    let room = if filled { WINDOW_BYTES } else { 0 };
    hash = frames(record, window, Piece { base: sp, room }, bp, hash);
    if hash == 0 { 1 } else { hash }
}

/// Copies the words at rsp; fewer when the stack's mapping ends before.
#[inline(always)]
unsafe fn words(record: *mut map_trace_common::record::StackRecord, sp: u64) -> u32 {
    // SAFETY: the array belongs to the caller's record.
    let words = unsafe { &raw mut (*record).words };
    if read_user(words, sp) {
        return STACK_WORDS as u32;
    }
    if read_user(words.cast::<[u64; 2]>(), sp) {
        return 2;
    }
    0
}

/// Fills the window from `address` on; false when the stack's mapping ends before.
#[inline(always)]
fn read_window(window: *mut Window, address: u64) -> bool {
    read_user(window.cast::<[u64; WINDOW_WORDS]>(), address)
}

/// What of the user's stack is in the window: `room` bytes from `base` on.
#[derive(Clone, Copy)]
struct Piece {
    base: u64,
    room: u64,
}

impl Piece {
    /// The words at `bp`: the caller's rbp and the return address. A helper call costs as much as copying
    /// some 500 bytes, and frames lie near each other, so what is around them is read along.
    #[inline(always)]
    fn frame(&mut self, window: *mut Window, bp: u64) -> Option<[u64; 2]> {
        let mut at = bp.wrapping_sub(self.base);
        if at.wrapping_add(16) > self.room || at > WINDOW_BYTES {
            self.base = bp;
            at = 0;
            self.room = if read_window(window, bp) {
                WINDOW_BYTES
            } else if read_user(window.cast::<[u64; 2]>(), bp) {
                16
            } else {
                return None;
            };
        }
        let index = (at / 8) as usize & (WINDOW_WORDS - 1);
        // SAFETY: the mask keeps both inside the window, which has a word more.
        unsafe { Some([(*window)[index], (*window)[index + 1]]) }
    }
}

/// Follows rbp. Go's chain leaves the goroutine's stack for the thread's and back, so that addresses need
/// not grow; the bound on depth ends a cycle.
#[inline(always)]
fn frames(
    record: *mut map_trace_common::record::StackRecord,
    window: *mut Window,
    mut piece: Piece,
    bp: u64,
    mut hash: u64,
) -> u64 {
    let mut bp = bp;
    let mut depth = 0u32;
    let mut more = 1u32;
    for index in 0..MAX_FRAMES {
        if bp < 4096 || bp & 7 != 0 {
            more = 0;
            break;
        }
        let Some(frame) = piece.frame(window, bp) else {
            more = 0;
            break;
        };
        if frame[1] < 4096 {
            more = 0;
            break;
        }
        // SAFETY: index is below the array's length.
        unsafe { (*record).frames[index] = frame[1] };
        depth = index as u32 + 1;
        hash = mix(hash, frame[1]);
        if frame[0] == bp {
            more = 0;
            break;
        }
        bp = frame[0];
    }
    // SAFETY: the record is the caller's.
    unsafe {
        (*record).depth = depth;
        (*record).truncated = more;
    }
    hash
}

/// Sends the CPU's scratch stack unless this hash was sent before. False when the ring has no room: the
/// stack will be tried again with the next event.
#[inline(always)]
pub fn send(cpu: *mut Cpu, header: &Header, hash: u64) -> bool {
    if STACKS.get_ptr(&hash).is_some() {
        return true;
    }
    // SAFETY: this CPU's record, held for the run of the program.
    let sent = unsafe {
        (*cpu).stack.header = Header {
            kind: kind::STACK,
            size: 0,
            stack: hash,
            ..*header
        };
        emit::stack(&raw mut (*cpu).stack)
    };
    if sent {
        let _ = STACKS.insert(&hash, &1, 0);
    } else {
        // SAFETY: as above.
        unsafe { (*cpu).counters.stacks_dropped += 1 };
    }
    sent
}
