//! Any line a trace can hold, for property tests.

mod edges;

pub use edges::{footer, header};

use proptest::prelude::*;
use proptest::{collection::vec, option::of, sample::select};

use crate::model::event::*;
use crate::model::pte::PteLevel;
use crate::model::stack::{Frame, StackLine};
use crate::model::vma::{VmaFacts, VmaKind};
use crate::model::{Address, Cause, FaultCode, Operation, Prot, Pte, TraceLine};

/// Text with everything that must survive JSON: quotes, controls, wide and combining characters.
fn text() -> impl Strategy<Value = String> {
    "[a-z\"\\\\\\n\\x1b\u{85}é字/<&]{0,8}"
}

fn address() -> impl Strategy<Value = Address> {
    any::<u64>().prop_map(Address)
}

pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        select(vec![
            Operation::Make,
            Operation::Access,
            Operation::Assign,
            Operation::Delete,
            Operation::Clear,
            Operation::Grow,
            Operation::Iterate,
            Operation::Runtime,
            Operation::None,
        ]),
        "[a-z]{1,3}".prop_map(|name| Operation::Region(name.as_str().into())),
    ]
}

fn context() -> impl Strategy<Value = Context> {
    (
        operation(),
        of(operation()),
        of(address()),
        of(any::<u64>()),
        of(any::<u64>()),
    )
        .prop_map(
            |(operation, sub_operation, map, goroutine, stack)| Context {
                operation,
                sub_operation,
                map,
                goroutine,
                stack,
            },
        )
}

fn pte() -> impl Strategy<Value = Pte> {
    let levels = vec![
        PteLevel::Pte,
        PteLevel::Pmd,
        PteLevel::Pud,
        PteLevel::P4d,
        PteLevel::Pgd,
    ];
    (address(), select(levels), any::<u16>()).prop_map(|(raw, level, bits)| {
        let bit = |index: u16| bits >> index & 1 == 1;
        Pte {
            raw,
            level,
            present: bit(0),
            writable: bit(1),
            user: bit(2),
            accessed: bit(3),
            dirty: bit(4),
            no_execute: bit(5),
            zero_page: bit(6),
            saved_dirty: bit(7),
            empty: bit(8),
            prot_none: bit(9),
            uffd_wp: bit(10),
            unstable: bit(11),
        }
    })
}

fn vma() -> impl Strategy<Value = VmaFacts> {
    let kinds = vec![
        VmaKind::Anon,
        VmaKind::File,
        VmaKind::SharedAnon,
        VmaKind::Stack,
        VmaKind::Heap,
        VmaKind::Special,
    ];
    (
        (address(), address(), any::<u64>(), select(kinds)),
        (of(text()), any::<u64>(), any::<bool>(), vec(text(), 0..3)),
    )
        .prop_map(
            |((start, end, prot, kind), (name, offset, shared, flags))| VmaFacts {
                start,
                end,
                prot: Prot::from_bits(prot),
                kind,
                name,
                offset,
                shared,
                flags,
            },
        )
}

fn mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::User, Mode::Kernel])
}

fn cause() -> impl Strategy<Value = Cause> {
    select(Cause::ALL.to_vec())
}

fn page_fault() -> impl Strategy<Value = TraceLine> {
    (
        (any::<[u32; 2]>(), 0..u64::MAX, mode(), address(), address()),
        (any::<u64>(), of(pte()), of(vma()), cause(), of(text())),
        (context(), of(0..u64::from(u32::MAX))),
    )
        .prop_map(
            |(
                ([pid, tid], time_ns, mode, address, ip),
                (code, pte, vma, cause, cause_reason),
                (context, stall_ns),
            )| {
                TraceLine::PageFault(Box::new(PageFaultEvent {
                    time_ns,
                    pid,
                    tid,
                    mode,
                    address,
                    ip,
                    error_code: FaultCode(code),
                    pte,
                    vma,
                    cause,
                    on: None,
                    cause_reason,
                    interrupted: false,
                    context,
                    stall_ns,
                }))
            },
        )
}

fn memory_call() -> impl Strategy<Value = TraceLine> {
    let wrap: Vec<fn(Box<MemoryCallEvent>) -> TraceLine> = vec![
        TraceLine::Mprotect,
        TraceLine::PkeyMprotect,
        TraceLine::Mmap,
        TraceLine::Munmap,
        TraceLine::Mremap,
        TraceLine::Brk,
        TraceLine::Madvise,
    ];
    (
        (
            any::<[u32; 2]>(),
            any::<u64>(),
            of(0..u64::from(u32::MAX)),
            address(),
            any::<u64>(),
        ),
        (
            of(any::<u64>()),
            of(any::<u64>()),
            of(text()),
            of(text()),
            of(address()),
        ),
        (
            of(any::<u64>()),
            of(any::<i32>()),
            of(any::<i64>()),
            of(text()),
            of(pte()),
        ),
        (of(text()), context(), select(wrap)),
    )
        .prop_map(|(place, given, result, (on, context, wrap))| {
            let ([pid, tid], time_ns, duration_ns, address, length) = place;
            let (prot, old_prot, flags, advice, new_address) = given;
            let (new_length, number, result, error, pte) = result;
            wrap(Box::new(MemoryCallEvent {
                time_ns,
                duration_ns,
                pid,
                tid,
                address,
                length,
                prot: prot.map(Prot::from_bits),
                old_prot: old_prot.map(Prot::from_bits),
                flags,
                advice,
                new_address,
                new_length,
                pkey: number,
                fd: number,
                offset: new_length,
                result,
                error,
                new_break: new_address,
                pte_before: pte,
                pte_after: pte,
                on,
                context,
            }))
        })
}

fn signal() -> impl Strategy<Value = TraceLine> {
    (
        (any::<[u32; 2]>(), any::<u64>(), "SIG[A-Z]{2}", text()),
        (of(address()), address(), of(any::<bool>()), context()),
    )
        .prop_map(
            |(([pid, tid], time_ns, signal, code), (address, ip, handled, context))| {
                TraceLine::Signal(Box::new(SignalEvent {
                    time_ns,
                    pid,
                    tid,
                    signal,
                    code,
                    address,
                    ip,
                    handled,
                    on: None,
                    context,
                }))
            },
        )
}

fn lifecycle() -> impl Strategy<Value = TraceLine> {
    (
        any::<[u32; 4]>(),
        any::<u64>(),
        any::<[bool; 2]>(),
        of(text()),
        0..3,
    )
        .prop_map(
            |([pid, tid, child_pid, child_tid], time_ns, [one, two], text, which)| match which {
                0 => TraceLine::Fork(ForkEvent {
                    time_ns,
                    pid,
                    tid,
                    child_pid,
                    child_tid,
                    thread: one,
                    followed: two,
                }),
                1 => TraceLine::Exec(Box::new(ExecEvent {
                    time_ns,
                    pid,
                    tid,
                    build_id: text.clone(),
                    comm: text.clone().unwrap_or_default(),
                    executable: text,
                })),
                _ => TraceLine::Exit(ExitEvent {
                    time_ns,
                    pid,
                    tid,
                    process: one,
                    exited: two.then_some(-3),
                    signaled: text,
                }),
            },
        )
}

fn aggregate() -> impl Strategy<Value = TraceLine> {
    (
        (
            select(EventKind::ALL.to_vec()),
            0..1000_u64,
            any::<u32>(),
            any::<[u32; 2]>(),
        ),
        (
            address(),
            address(),
            any::<bool>(),
            of(mode()),
            of(any::<u64>()),
        ),
        (of(cause()), of(text()), of("SIG[A-Z]{2}"), of(vma())),
        (0..1000_u64, 0..10_u64, context()),
    )
        .prop_map(|(what, place, why, (duration_ns, durations, context))| {
            let (event, count, pid, [first, last]) = what;
            let (address_min, address_max, in_kernel, mode, code) = place;
            let (cause, cause_reason, signal, vma) = why;
            TraceLine::Aggregate(Box::new(AggregateLine {
                event,
                count,
                pid,
                first_ns: first.into(),
                last_ns: last.into(),
                address_min,
                address_max,
                in_kernel,
                mode,
                error_code: code.map(FaultCode),
                cause: cause.filter(|_| event == EventKind::PageFault),
                cause_reason,
                signal,
                vma,
                pte: None,
                mapped: None,
                on: None,
                duration_ns,
                durations,
                undone: durations / 2,
                context,
            }))
        })
}

fn interned() -> impl Strategy<Value = TraceLine> {
    let frame = (address(), of(text()), of(any::<u32>()), any::<[bool; 5]>()).prop_map(
        |(ip, text, line, [inlined, restored, gap, in_loop, value_store])| Frame {
            ip,
            file: text.clone(),
            module: text.clone(),
            function: text,
            line,
            inlined,
            restored,
            gap,
            in_loop,
            value_store,
        },
    );
    let stack = (
        any::<u64>(),
        any::<u32>(),
        any::<[bool; 3]>(),
        vec(frame, 0..4),
    )
        .prop_map(
            |(id, pid, [truncated, loops_known, stores_known], frames)| {
                TraceLine::Stack(StackLine {
                    id,
                    pid,
                    truncated,
                    loops_known,
                    stores_known,
                    frames,
                })
            },
        );
    let string =
        (any::<u64>(), text()).prop_map(|(id, value)| TraceLine::String(StringLine { id, value }));
    prop_oneof![stack, string]
}

/// Any line between header and footer.
pub fn event_line() -> impl Strategy<Value = TraceLine> {
    prop_oneof![
        page_fault(),
        memory_call(),
        signal(),
        lifecycle(),
        aggregate(),
        interned(),
    ]
}

/// Any line at all.
pub fn any_line() -> impl Strategy<Value = TraceLine> {
    prop_oneof![
        6 => event_line(),
        1 => header().prop_map(|line| TraceLine::Header(Box::new(line))),
        1 => footer().prop_map(|line| TraceLine::Footer(Box::new(line))),
    ]
}
