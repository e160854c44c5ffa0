//! Counting and sending. Every event is counted first; then it is delivered, aggregated, or dropped, and
//! the three add up.

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_probe_read_kernel};
use map_trace_common::counters::{KindCounters, TIMED_ONE_IN};
use map_trace_common::limits::{
    AGGREGATE_SHIFT, LIBRARY_WORDS, MAX_FRAMES, REGION_ANY, RING_DETAIL_BYTES, WINDOW_WORDS,
};
use map_trace_common::record::{
    self, Aggregate, AggregateKey, AggregateValue, Header, StackRecord,
};

use crate::maps::{AGGREGATES, CPU, Cpu, EVENTS, GROUPS};
use crate::settings::setting;
use crate::{atomic, goroutine, stack, task};

/// In place of an aggregate's key: the event is in none.
const DROPPED: u64 = 1;
/// No wake-up per record: user space polls; a forced wake-up costs 6 us.
pub const FLAGS: u64 = BPF_RB_NO_WAKEUP as u64;
/// `BPF_RB_AVAIL_DATA`: bytes not yet consumed.
const AVAILABLE_DATA: u64 = 0;

/// This CPU's record, marked as in use by the current task. `None` when a program of ours is already
/// running here for this task (its own read of user memory faulted).
#[inline(always)]
pub fn enter(pid_tgid: u64) -> Option<*mut Cpu> {
    let cpu = CPU.get_ptr_mut(0)?;
    // SAFETY: a per-CPU map value; programs run with migration disabled.
    unsafe {
        if (*cpu).busy == pid_tgid.wrapping_add(1) {
            (*cpu).counters.nested += 1;
            return None;
        }
        (*cpu).busy = pid_tgid.wrapping_add(1);
        let runs = (*cpu).counters.runs.wrapping_add(1);
        (*cpu).counters.runs = runs;
        if runs & (TIMED_ONE_IN - 1) == 0 {
            (*cpu).begun_ns = bpf_ktime_get_ns();
        }
    }
    Some(cpu)
}

/// Ends what [`enter`] began.
#[inline(always)]
pub fn leave(cpu: *mut Cpu) {
    // SAFETY: a per-CPU map value; a helper without arguments.
    unsafe {
        if (*cpu).begun_ns != 0 {
            let took = bpf_ktime_get_ns().wrapping_sub((*cpu).begun_ns);
            (*cpu).begun_ns = 0;
            (*cpu).counters.timed_ns += took;
            (*cpu).counters.runs_timed += 1;
        }
        (*cpu).busy = 0;
    }
}

/// A header for an event of the current task.
#[inline(always)]
pub fn header<T>(kind: u32, pid_tgid: u64) -> Header {
    Header {
        kind,
        size: size_of::<T>() as u32,
        // SAFETY: helpers without arguments.
        ktime_ns: unsafe { bpf_ktime_get_ns() },
        tgid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        // SAFETY: as above.
        cpu: unsafe { bpf_get_smp_processor_id() } as u32,
        flags: 0,
        stack: 0,
        goroutine: 0,
    }
}

/// The counters of one kind.
#[inline(always)]
pub fn counters(cpu: *mut Cpu, kind: u32) -> *mut KindCounters {
    // SAFETY: the mask keeps the index below kind::COUNT, a power of two.
    unsafe { &raw mut (*cpu).counters.kinds[kind as usize & (record::kind::COUNT - 1)] }
}

/// What an event is grouped by when it is not delivered.
pub struct Group {
    pub code: u64,
    pub pte_class: u32,
    pub generation: u32,
    pub address: u64,
    pub duration_ns: u64,
}

/// Sends a record that is always wanted in full (mappings, lifecycle), aggregating it only when the ring
/// is full. `record` starts with `header`.
#[inline(always)]
pub fn deliver<T>(cpu: *mut Cpu, header: &Header, record: &T, group: &Group) {
    let counters = counters(cpu, header.kind);
    // SAFETY: a per-CPU map value.
    unsafe { (*counters).counted += 1 };
    if EVENTS.output::<T>(record, FLAGS).is_ok() {
        // SAFETY: as above.
        unsafe { (*counters).delivered += 1 };
    } else {
        aggregate(cpu, header, group);
    }
}

/// Sends a record while its group is within the detail limit and the ring has room for detail;
/// aggregates it otherwise; returns the aggregate's key, 0 when it was sent. The stack in the CPU's scratch
/// record goes along when it is new.
#[inline(always)]
pub fn deliver_detail<T>(cpu: *mut Cpu, header: &Header, record: &T, group: &Group) -> u64 {
    let counted_in = count(cpu, header, group);
    if counted_in != 0 {
        return counted_in;
    }
    finish(cpu, header, record, group)
}

/// Counts an event; returns the key of the aggregate it is in by now, 0 when its record is to be made.
#[inline(always)]
fn count(cpu: *mut Cpu, header: &Header, group: &Group) -> u64 {
    // SAFETY: a per-CPU map value.
    unsafe { (*counters(cpu, header.kind)).counted += 1 };
    if wanted(cpu, header, group) {
        0
    } else {
        aggregate(cpu, header, group)
    }
}

/// Counts an event and says whether its record is to be made, for [`finish`]; else it is aggregated already.
#[inline(always)]
pub fn admit(cpu: *mut Cpu, header: &Header, group: &Group) -> bool {
    count(cpu, header, group) == 0
}

/// Sends the record of an event that was admitted; returns the key of its aggregate when there was no room, 0
/// when there was.
#[inline(always)]
pub fn finish<T>(cpu: *mut Cpu, header: &Header, record: &T, group: &Group) -> u64 {
    if EVENTS.output::<T>(record, FLAGS).is_ok() {
        // SAFETY: a per-CPU map value.
        unsafe { (*counters(cpu, header.kind)).delivered += 1 };
        return 0;
    }
    aggregate(cpu, header, group)
}

/// Whether this event is to be delivered; counts it in its group.
#[inline(always)]
fn wanted(cpu: *mut Cpu, header: &Header, group: &Group) -> bool {
    let key = header.stack
        ^ (header.kind as u64 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(group.code.wrapping_mul(0xff51_afd7_ed55_8ccd))
            .wrapping_add((group.pte_class as u64).wrapping_mul(0xc4ce_b9fe_1a85_ec53));
    let room = EVENTS.query(AVAILABLE_DATA) < RING_DETAIL_BYTES as u64;
    if let Some(seen) = GROUPS.get_ptr_mut(&key) {
        // SAFETY: a map value; a lost increment between CPUs delivers one event more, no more.
        let seen = unsafe {
            *seen += 1;
            *seen
        };
        return room && seen <= setting!(detail);
    }
    if !room || !stack::send(cpu, header, header.stack) {
        return false;
    }
    if setting!(detail) == 0 {
        return false;
    }
    GROUPS.insert(&key, &1, 0).is_ok() || setting!(detail) == u64::MAX
}

/// Counts an event by group; returns the group's key, [`DROPPED`] when there was no room for it.
#[inline(always)]
fn aggregate(cpu: *mut Cpu, header: &Header, group: &Group) -> u64 {
    // SAFETY: this CPU's record.
    let aggregate = unsafe { &mut (*cpu).aggregate };
    aggregate.key = AggregateKey {
        kind: header.kind,
        tgid: header.tgid,
        code: group.code,
        stack: header.stack,
        region: group.address >> AGGREGATE_SHIFT,
        pte_class: group.pte_class,
        generation: group.generation,
        cpu: header.cpu as u64,
    };
    let mut counted = add(aggregate, header, group);
    if counted == DROPPED {
        aggregate.key.region = REGION_ANY;
        counted = add(aggregate, header, group);
    }
    let counters = counters(cpu, header.kind);
    // SAFETY: a per-CPU map value.
    unsafe {
        if counted == DROPPED {
            (*counters).dropped += 1;
        } else {
            (*counters).aggregated += 1;
        }
    }
    counted
}

/// Adds to the aggregate of this key and returns its hash. The key has the CPU in it, so nothing else writes these
/// fields meanwhile.
#[inline(always)]
fn add(new: &mut Aggregate, header: &Header, group: &Group) -> u64 {
    let hash = hash(&new.key);
    if let Some(aggregate) = AGGREGATES.get_ptr_mut(&hash) {
        // SAFETY: a map value that only this CPU writes.
        unsafe {
            let value = &raw mut (*aggregate).value;
            (*value).count += 1;
            (*value).last_ns = header.ktime_ns;
            (*value).duration_ns += group.duration_ns;
            if group.address < (*value).address_min {
                (*value).address_min = group.address;
            }
            if group.address > (*value).address_max {
                (*value).address_max = group.address;
            }
        }
        return hash;
    }
    new.value = AggregateValue {
        count: 1,
        first_ns: header.ktime_ns,
        last_ns: header.ktime_ns,
        address_min: group.address,
        address_max: group.address,
        duration_ns: group.duration_ns,
        undone: 0,
    };
    match AGGREGATES.insert(&hash, new, BPF_NOEXIST as u64) {
        Ok(()) => hash,
        Err(_) => DROPPED,
    }
}

/// Notes that an event counted by group was a fault that was never completed.
#[inline(always)]
pub fn undone(group: u64) {
    if let Some(aggregate) = AGGREGATES.get_ptr_mut(&group) {
        // SAFETY: an aligned field of a map value; the thread may be on another CPU by now.
        unsafe { atomic::add(&raw mut (*aggregate).value.undone, 1) };
    }
}

/// A 64-bit hash of an aggregate's key: a map looks up 8 bytes in a third of the time it takes for 56.
#[inline(always)]
fn hash(key: &AggregateKey) -> u64 {
    let ids = ((key.kind as u64) << 32) | key.tgid as u64;
    let state = ((key.pte_class as u64) << 32) | key.generation as u64;
    let mut hash = key.stack;
    for word in [ids, key.code, key.region, state, key.cpu] {
        hash = stack::mix(hash, word);
    }
    // 0 and DROPPED are no keys.
    hash | 2
}

/// Sends what belongs to an event that was sent and is no event itself: without it the event only says less.
#[inline(always)]
pub fn supplement<T>(record: &T) {
    let _no_room = EVENTS.output::<T>(record, FLAGS);
}

/// Sends a stack record, of its list only what is used: the frames, and the words behind them.
///
/// # Safety
/// `record` and `window` are this CPU's.
#[inline(always)]
pub unsafe fn stack(record: *mut StackRecord, window: *const [u64; WINDOW_WORDS]) -> bool {
    // SAFETY: the caller's record; both are read once, so that the bounds below hold for their use.
    let (depth, words) = unsafe {
        (
            core::ptr::read_volatile(&raw const (*record).depth) as usize,
            core::ptr::read_volatile(&raw const (*record).word_count) as usize,
        )
    };
    if depth > MAX_FRAMES || words > LIBRARY_WORDS {
        return false;
    }
    let size = core::mem::offset_of!(StackRecord, list) + (depth + words) * 8;
    // SAFETY: size is at most the record's, and so is where the words end.
    unsafe {
        let behind = (&raw mut (*record).list).cast::<u64>().add(depth);
        bpf_probe_read_kernel(behind.cast(), (words * 8) as u32, window.cast());
        (*record).header.size = size as u32;
        let bytes = core::slice::from_raw_parts(record.cast::<u8>(), size);
        EVENTS.output::<[u8]>(bytes, FLAGS).is_ok()
    }
}

/// Takes the user stack for an event and notes its hash and the goroutine in the header.
#[inline(always)]
pub fn take_stack(
    cpu: *mut Cpu,
    header: &mut Header,
    registers: task::Registers,
    process: *const crate::maps::Process,
) {
    if registers.ip != 0 {
        header.stack = stack::take(cpu, &registers, process);
        header.goroutine = goroutine::current(process);
    }
}
