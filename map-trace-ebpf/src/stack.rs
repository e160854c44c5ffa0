//! The user stack: a frame-pointer walk, hashed, each stack sent once.
//!
//! `bpf_get_stack` costs 1.3 us whatever the depth. A read of user memory costs 50 ns whatever its length, so
//! that the stack's first kilobyte is read in one piece and only links that leave it are read one by one.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use map_trace_common::limits::{LIBRARY_WORDS, MAX_FRAMES, OWN_WINDOW, OWN_WORDS, WINDOW_WORDS};
use map_trace_common::record::{Header, kind};

use crate::emit;
use crate::maps::{CPU, Cpu, Process, STACKS};
use crate::task::Registers;
use crate::verifier::{forgotten, unseen};

/// Words of user space outside the main text count as code when they lie this near to the ip.
const NEAR: u64 = 64 << 20;
/// A frame-pointer distance above this does not tell stacks apart: it is not the innermost frame's size.
const FRAME_MAX: u64 = 64 << 10;
/// The innermost frame is not larger than this.
const FIRST_FRAME_MAX: u64 = 1 << 20;
/// Bounds of a text that tell instead which words tell stacks apart: the one at rsp, or none.
const ONLY_RETURN: (u64, u64) = (1, 0);
const ONLY_FRAMES: (u64, u64) = (2, 0);

/// Frames followed through the window; deeper ones are read one by one. Each costs the verifier its share.
const WINDOW_FRAMES: usize = 24;

/// The user stack from rsp upward.
type Window = [u64; WINDOW_WORDS];

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

/// Where words that could be return addresses lie, which tell stacks apart; data words must not, or every event
/// would have a stack of its own. Starts and lengths. No branch depends on a word: the processor would guess
/// some of them wrong each time, and the verifier would follow each.
struct Code {
    main: (u64, u64),
    near: (u64, u64),
}

/// Nothing lies in it.
const NOWHERE: (u64, u64) = (0, 0);
/// Words of a library's stack that one turn of the loop takes.
const UNROLLED: usize = 4;

impl Code {
    #[inline(always)]
    fn around(ip: u64, start: u64, end: u64) -> Self {
        let length = end.wrapping_sub(start);
        if length.wrapping_sub(1) >> 62 != 0 {
            return Self {
                main: NOWHERE,
                near: NOWHERE,
            };
        }
        let near = if ip.wrapping_sub(start) < length {
            NOWHERE
        } else {
            (ip.wrapping_sub(NEAR), 2 * NEAR)
        };
        Self {
            main: (start, length),
            near,
        }
    }

    /// The same, the verifier not knowing which it is.
    #[inline(always)]
    fn forgotten(self, any: u64) -> Self {
        let range = |(start, length)| (forgotten(start, any), forgotten(length, any));
        Self {
            main: range(self.main),
            near: range(self.near),
        }
    }

    /// The ip is not in the program's own text.
    #[inline(always)]
    fn is_library(&self) -> bool {
        self.near.1 != 0
    }

    /// The highest bit is set for a word that lies in it: its distance from the start is not negative, and that from
    /// the end is.
    #[inline(always)]
    fn inside(range: (u64, u64), word: u64) -> u64 {
        let offset = word.wrapping_sub(range.0);
        offset ^ offset.wrapping_sub(range.1)
    }

    /// Takes a word into a sum, each with its place, when the highest bit of `inside` says so.
    #[inline(always)]
    fn add(sum: u64, word: u64, inside: u64) -> u64 {
        let told = ((inside as i64) >> 63) as u64 & word;
        sum.wrapping_mul(0x3c6e_f373).wrapping_add(told)
    }

    /// A sum over the words of the program's own stack.
    #[inline(always)]
    fn own_sum(&self, window: *const Window) -> u64 {
        let mut sum = 0u64;
        for index in 0..OWN_WORDS {
            // SAFETY: the index is below the window's length.
            let word = unsafe { (*window)[index] };
            sum = Self::add(sum, word, Self::inside(self.main, word));
        }
        sum
    }

    /// A sum over every second word of a library's stack: libraries keep to the ABI, by which a call leaves rsp 8
    /// beyond a multiple of 16.
    #[inline(always)]
    fn library_sum(&self, window: *const Window, sp: u64) -> u64 {
        let mut sum = 0u64;
        let odd = unseen((sp >> 3 & 1) ^ 1) as usize & 1;
        for turn in 0..LIBRARY_WORDS / 2 / UNROLLED {
            for index in turn * UNROLLED..(turn + 1) * UNROLLED {
                // SAFETY: twice the index is at most two less than the words that are read.
                let word = unsafe { *window.cast::<u64>().add(odd + 2 * index) };
                let inside = Self::inside(self.main, word) | Self::inside(self.near, word);
                sum = Self::add(sum, word, inside);
            }
        }
        sum
    }
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
    let mut bp = near(ip, sp, bp, start, end);
    for _ in 0..=MAX_FRAMES / FAR_FRAMES {
        if bp == 0 {
            break;
        }
        bp = map_trace_far_frames(bp);
    }
    let Some(cpu) = CPU.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's record, held by the program that called.
    unsafe { (*cpu).far_hash | 1 }
}

/// What lies in the window; gives back where the chain of frames leaves it, 0 when it ends there, and leaves the hash
/// in the CPU's record. Not inlined: what it needs of the stack, which a program and all that it calls share, is
/// free again when the chain is followed further.
#[inline(never)]
fn near(ip: u64, sp: u64, bp: u64, start: u64, end: u64) -> u64 {
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
    let code = Code::around(ip, start, end).forgotten(ip);
    let library = code.is_library();
    let held = read_window(window, sp, library);
    let aligned = if sp & 7 == 0 { held } else { 0 };
    // Through memory: the verifier would follow each way to a length apart.
    // SAFETY: this CPU's record.
    let (reach, held, library) = unsafe {
        let read = &raw mut (*cpu).read;
        core::ptr::write_volatile(&raw mut (*read).links, aligned.saturating_sub(8) / 8);
        core::ptr::write_volatile(&raw mut (*read).words, held / 8);
        core::ptr::write_volatile(&raw mut (*read).library, library as u64);
        (
            core::ptr::read_volatile(&raw const (*read).links),
            core::ptr::read_volatile(&raw const (*read).words),
            core::ptr::read_volatile(&raw const (*read).library) != 0,
        )
    };
    // SAFETY: as above; each access is inside the record.
    unsafe {
        (*record).ip = ip;
        (*record).sp = sp;
        (*record).bp = bp;
        if (start, end) == ONLY_RETURN {
            hash = mix(hash, (*window)[0]);
        }
        let (telling, sum) = if library {
            (LIBRARY_WORDS, code.library_sum(window, sp))
        } else {
            (OWN_WORDS, code.own_sum(window))
        };
        (*record).word_count = held.min(telling as u64) as u32;
        hash = mix(hash, sum);
    }
    // Code built without frame pointers keeps anything in rbp. What does not lie a frame above rsp is not a
    // frame's, and reading it would cost a fault of our own. Go puts up a frame of its own for duffcopy and
    // duffzero, from one word below rsp (cmd/compile/internal/amd64/ssa.go).
    let is_frame = span < FIRST_FRAME_MAX || bp.wrapping_add(8) == sp;
    let bp = if is_frame { bp } else { 0 };
    frames(cpu, (sp, reach), bp, hash)
}

/// Reads the stack from rsp on. Where the next page is not there, which is rare, what lies before it. Returns how many
/// bytes are held; the others are 0.
#[inline(always)]
fn read_window(window: *mut Window, sp: u64, library: bool) -> u64 {
    let (wanted, read) = if library {
        let whole = window.cast::<[u64; LIBRARY_WORDS]>();
        (LIBRARY_WORDS, read_user(whole, sp))
    } else {
        let own = window.cast::<[u64; OWN_WINDOW]>();
        (OWN_WINDOW, read_user(own, sp))
    };
    let wanted = wanted as u64 * 8;
    if read {
        return wanted;
    }
    // The failed read has zeroed what it was to fill.
    let room = 4096 - (sp & 4095);
    if room >= wanted {
        return 0;
    }
    // SAFETY: less than the window's size is written.
    let failed = unsafe { bpf_probe_read_user(window.cast(), room as u32, sp as *const _) };
    if failed == 0 { room } else { 0 }
}

/// Follows rbp as far as it stays in the window (`reach` words from `sp` on have one behind them). As few branches as
/// can be: the verifier follows each of them in each turn.
#[inline(always)]
fn frames(cpu: *mut Cpu, (sp, reach): (u64, u64), bp: u64, mut hash: u64) -> u64 {
    let mut bp = bp;
    // SAFETY: this CPU's record, held by the program that called.
    let (record, window) = unsafe { (&raw mut (*cpu).stack, &raw const (*cpu).window) };
    // SAFETY: as above; every index is below its array's length.
    unsafe {
        (*record).depth = 0;
        (*record).truncated = 0;
        for index in 0..WINDOW_FRAMES {
            // The low bits of what is not aligned become the highest.
            let word = bp.wrapping_sub(sp).rotate_right(3);
            if word >= reach {
                break;
            }
            let next = (*window)[word as usize & (WINDOW_WORDS - 1)];
            let caller = (*window)[(word as usize + 1) & (WINDOW_WORDS - 1)];
            if caller < 4096 {
                bp = 0;
                break;
            }
            (*record).list[index] = caller;
            (*record).depth = index as u32 + 1;
            hash = mix(hash, caller);
            if next == bp {
                bp = 0;
                break;
            }
            bp = next;
        }
    }
    // SAFETY: as above.
    unsafe { (*cpu).far_hash = hash };
    bp
}

/// True for what cannot be a frame's address: below the first page, in the kernel's half, or unaligned.
#[inline(always)]
fn is_no_frame(bp: u64) -> bool {
    bp.wrapping_sub(4096) & (1 << 63 | 7) != 0
}

/// The next link, 0 for one that leads to itself; without a branch, which the verifier would follow.
#[inline(always)]
fn link(bp: u64, next: u64) -> u64 {
    let differs = bp ^ next;
    let mask = 0u64.wrapping_sub((differs | 0u64.wrapping_sub(differs)) >> 63);
    next & mask
}

/// Frames that one call of [`map_trace_far_frames`] follows. The verifier follows each of its turns once a program;
/// following all of a chain's turns cost it as much as the rest of the program.
const FAR_FRAMES: usize = 8;

/// Follows rbp one read a frame, [`FAR_FRAMES`] of them; gives back where the chain goes on, 0 at its end. The hash
/// goes through the CPU's record. Go's chain leaves the goroutine's stack for the thread's and back, so that
/// addresses need not grow; the bound on depth ends a cycle. A function of its own for the verifier, as
/// [`map_trace_take_stack`] is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn map_trace_far_frames(bp: u64) -> u64 {
    let Some(cpu) = CPU.get_ptr_mut(0) else {
        return 0;
    };
    let mut bp = bp;
    // SAFETY: this CPU's record, held by the program that called; slot is below the array's length.
    unsafe {
        let record = &raw mut (*cpu).stack;
        let mut hash = (*cpu).far_hash;
        let mut slot = unseen((*record).depth as u64) as usize;
        for _ in 0..FAR_FRAMES {
            // The helper fills it either way: zeroes set before would take a call of memset.
            let mut frame = MaybeUninit::<[u64; 2]>::uninit();
            if is_no_frame(bp) || !read_user(frame.as_mut_ptr(), bp) {
                bp = 0;
                break;
            }
            let frame = frame.assume_init();
            if frame[1] < 4096 {
                bp = 0;
                break;
            }
            if slot >= MAX_FRAMES {
                (*record).truncated = 1;
                // A whole stack of the same frames is another one.
                hash = mix(hash, MAX_FRAMES as u64);
                bp = 0;
                break;
            }
            (*record).list[slot] = frame[1];
            slot = unseen(slot as u64 + 1) as usize;
            (*record).depth = slot as u32;
            hash = mix(hash, frame[1]);
            bp = link(bp, frame[0]);
        }
        (*cpu).far_hash = hash;
    }
    bp
}

/// Sends the CPU's scratch stack unless this hash was sent before. False when the ring has no room: the
/// stack will be tried again with the next event.
#[inline(always)]
pub fn send(cpu: *mut Cpu, header: &Header, hash: u64) -> bool {
    if STACKS.get_ptr(&hash).is_some() {
        return true;
    }
    // SAFETY: this CPU's record and window, held for the run of the program.
    let sent = unsafe {
        (*cpu).stack.header = Header {
            kind: kind::STACK,
            size: 0,
            stack: hash,
            ..*header
        };
        emit::stack(&raw mut (*cpu).stack, &raw const (*cpu).window)
    };
    if sent {
        let _ = STACKS.insert(&hash, &1, 0);
    } else {
        // SAFETY: as above.
        unsafe { (*cpu).counters.stacks_dropped += 1 };
    }
    sent
}
