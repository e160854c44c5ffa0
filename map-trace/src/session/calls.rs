//! Memory syscalls: from record to event.

use map_trace_common::record::{MemoryCallRecord, flag, kind};

use crate::model::event::{Context, MemoryCallEvent, TraceLine};
use crate::model::pte::{PteContext, PteLevel};
use crate::model::{Address, Prot, Pte, call_words};
use crate::space::{Call, MappingCall};

/// The call as the address-space replay takes it.
pub fn mapping_call(record: &MemoryCallRecord) -> Option<MappingCall> {
    Some(MappingCall {
        enter_ns: record.header.ktime_ns,
        exit_ns: record.exit_ns,
        call: Call::from_kind(record.header.kind)?,
        args: record.args,
        result: returned(record),
    })
}

/// The addresses at which a call took away what was mapped: munmap, mmap with MAP_FIXED, mremap that moves.
pub fn unmapped(record: &MemoryCallRecord) -> Option<(u64, u64)> {
    let result = returned(record).filter(|&result| !failed(result))?;
    let [address, length, _, flags, ..] = record.args;
    let gone = match record.header.kind {
        kind::MUNMAP => true,
        kind::MMAP => flags & libc::MAP_FIXED as u64 != 0,
        kind::MREMAP => result as u64 != address,
        _ => false,
    };
    gone.then(|| (address, address.saturating_add(length)))
}

/// The kernel's result, unless the return was never seen.
fn returned(record: &MemoryCallRecord) -> Option<i64> {
    (record.header.flags & flag::NO_RETURN == 0).then_some(record.result)
}

/// -4095..-1 are errors (include/linux/err.h, MAX_ERRNO); anything else is a value or an address.
fn failed(result: i64) -> bool {
    (-4095..0).contains(&result)
}

/// Everything about a call that does not come from its record.
pub struct Around {
    pub start_ns: u64,
    pub old_prot: Option<Prot>,
    pub context: Context,
}

/// The event of a call.
pub fn event(record: &MemoryCallRecord, around: Around, ptes: &PteContext) -> MemoryCallEvent {
    let result = returned(record);
    let entry =
        |raw, level| PteLevel::from_number(level).map(|level| Pte::decode(raw, level, false, ptes));
    let mut event = MemoryCallEvent {
        time_ns: record.header.ktime_ns.saturating_sub(around.start_ns),
        duration_ns: result.map(|_| record.exit_ns.saturating_sub(record.header.ktime_ns)),
        pid: record.header.tgid,
        tid: record.header.tid,
        address: Address(record.args[0]),
        length: record.args[1],
        prot: None,
        old_prot: around.old_prot,
        flags: None,
        advice: None,
        new_address: None,
        new_length: None,
        pkey: None,
        fd: None,
        offset: None,
        result: result.map(|result| if failed(result) { result } else { 0 }),
        error: result
            .filter(|&result| failed(result))
            .map(|result| call_words::errno(-result)),
        new_break: None,
        pte_before: entry(record.pte_before, record.level_before),
        pte_after: entry(record.pte_after, record.level_after),
        on: None,
        context: around.context,
    };
    arguments(record, result.filter(|&result| !failed(result)), &mut event);
    event
}

/// Fills in what only some calls have. `value` is the result of a call that succeeded.
fn arguments(record: &MemoryCallRecord, value: Option<i64>, event: &mut MemoryCallEvent) {
    let args = &record.args;
    let address = value.map(|value| Address(value.cast_unsigned()));
    match record.header.kind {
        kind::MPROTECT => event.prot = Some(Prot::from_bits(args[2])),
        kind::PKEY_MPROTECT => {
            event.prot = Some(Prot::from_bits(args[2]));
            event.pkey = Some(args[3] as i32);
        }
        kind::MMAP => {
            event.address = address.unwrap_or(event.address);
            event.prot = Some(Prot::from_bits(args[2]));
            event.flags = Some(call_words::mmap_flags(args[3]));
            event.fd = Some(args[4] as i32);
            event.offset = Some(args[5]);
        }
        kind::MREMAP => {
            event.new_length = Some(args[2]);
            event.flags = Some(call_words::mremap_flags(args[3]));
            event.new_address = address;
        }
        kind::BRK => {
            // brk has no length; its second register holds nothing of it.
            event.length = 0;
            event.new_break = address;
        }
        kind::MADVISE => event.advice = Some(call_words::advice(args[2])),
        _ => {}
    }
}

/// The trace line of a call.
pub fn line(record_kind: u32, event: MemoryCallEvent) -> Option<TraceLine> {
    let event = Box::new(event);
    Some(match record_kind {
        kind::MPROTECT => TraceLine::Mprotect(event),
        kind::PKEY_MPROTECT => TraceLine::PkeyMprotect(event),
        kind::MMAP => TraceLine::Mmap(event),
        kind::MUNMAP => TraceLine::Munmap(event),
        kind::MREMAP => TraceLine::Mremap(event),
        kind::BRK => TraceLine::Brk(event),
        kind::MADVISE => TraceLine::Madvise(event),
        _ => return None,
    })
}
