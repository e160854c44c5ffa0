//! What is put into the programs, and that they see the same with it and without.

use std::sync::atomic::AtomicBool;

use map_trace_common::record::{Header, PageFaultRecord, kind, pte_class};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::*;
use crate::kernel::calibrate;
use crate::kernel::object::{self, Object};
use crate::kernel::offsets;
use crate::kernel::ring::Ring;

fn call_of(source: u8, number: i32) -> bpf_insn {
    // SAFETY: an instruction is integers.
    let mut instruction: bpf_insn = unsafe { std::mem::zeroed() };
    instruction.code = CALL;
    instruction.set_src_reg(source);
    instruction.imm = number;
    instruction
}

fn resolved(word_function: u32) -> Vec<(u8, u8, i32)> {
    let mut program = [
        call_of(0, READ_ONLY_CAST),
        call_of(0, 14),
        call_of(1, READ_ONLY_CAST),
    ];
    let settings = Settings {
        word_function,
        ..Settings::UNKNOWN
    };
    resolve(&mut program, &settings);
    let parts = |one: &bpf_insn| (one.code, one.src_reg(), one.imm);
    program.iter().map(parts).collect()
}

#[test]
fn only_the_number_that_stands_for_a_function_is_replaced() {
    let others = [(CALL, 0, 14), (CALL, 1, READ_ONLY_CAST)];
    assert_eq!(resolved(0x1234)[0], (CALL, KERNEL_FUNCTION, 0x1234));
    assert_eq!(resolved(0x1234)[1..], others);
}

#[test]
fn without_the_function_nothing_is_called() {
    assert_eq!(resolved(0)[0], (SET, 0, 0));
}

/// Linux 6.2 is the declared version of the function.
#[test]
fn this_kernel_has_the_function_from_its_version_on() {
    let mut settings = Settings::UNKNOWN;
    find(&Btf::running().unwrap(), &mut settings);
    let version = crate::kernel::host::version(&crate::kernel::host::host().kernel);
    assert_eq!(settings.word_type != 0, version >= Some((6, 2)));
}

/// Programs that record this very process.
fn recording(settings: &Settings, btf: &Btf) -> Ring {
    let mut object = Object::load(settings).unwrap();
    let types = object::tracepoint_types(btf);
    let none = AtomicBool::new(false);
    let found = object
        .load_programs(&types, (Vec::new(), &none), |object| {
            calibrate::calibrate(object).1
        })
        .unwrap();
    object.set_page_tables(&found.unwrap()).unwrap();
    object.attach().unwrap();
    // Programs that the kernel refuses are attached in their other form, which is slower.
    let mut attached = object.probes().iter();
    assert!(attached.all(|probe| probe.attach_point.starts_with("tp_btf:")));
    object
        .register_running(std::process::id(), &object::text_bounds(std::process::id()))
        .unwrap();
    let ring = Ring::new(object.take_ring().unwrap());
    // The programs stay until the end of the test's process.
    std::mem::forget(object);
    ring
}

/// Faults of this process in a range, in their order.
fn faults(ring: &mut Ring, range: &std::ops::Range<u64>) -> Vec<PageFaultRecord> {
    let mut faults = Vec::new();
    ring.drain(|bytes| {
        // SAFETY: a record begins with its header; its kind tells its type; integers all of it.
        unsafe {
            let header = bytes.as_ptr().cast::<Header>().read_unaligned();
            if header.kind == kind::PAGE_FAULT_USER && bytes.len() >= size_of::<PageFaultRecord>() {
                faults.push(bytes.as_ptr().cast::<PageFaultRecord>().read_unaligned());
            }
        }
    });
    faults.retain(|fault| range.contains(&fault.address));
    faults
}

/// All of a fault but when it was.
fn told(fault: &PageFaultRecord) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (fault.address, fault.ip, fault.error_code),
        (fault.pte, fault.pte_level, fault.pte_class),
        (fault.header.stack, fault.header.flags, fault.header.tid),
    )
}

#[test]
fn a_fault_is_told_alike_by_loads_and_by_the_helper() {
    let btf = Btf::running().unwrap();
    let mut settings = Settings::UNKNOWN;
    settings.detail = u64::MAX;
    offsets::fill(&btf, &mut settings);
    let mut by_helper = recording(&settings, &btf);
    find(&btf, &mut settings);
    let mut by_loads = recording(&settings, &btf);

    // What this process did while it was prepared, at the same addresses perhaps.
    faults(&mut by_helper, &(0..0));
    faults(&mut by_loads, &(0..0));
    let bytes = 4 << 20;
    let (private, both) = (MapFlags::PRIVATE, ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: a mapping of our own; every access lies in it.
    let start = unsafe {
        let start = mmap_anonymous(std::ptr::null_mut(), bytes, both, private).unwrap();
        let word = |at: usize| start.cast::<u64>().byte_add(at);
        for at in (0..bytes).step_by(64 << 10) {
            assert_eq!(word(at).read_volatile(), 0);
            word(at).write_volatile(1);
            word(at + 4096).write_volatile(1);
        }
        munmap(start, bytes).unwrap();
        start as u64
    };
    let range = start..start + bytes as u64;
    let by_helper = faults(&mut by_helper, &range);
    let by_loads = faults(&mut by_loads, &range);
    assert_eq!(by_helper.len(), by_loads.len());
    for (helper, loads) in by_helper.iter().zip(&by_loads) {
        assert_eq!(told(helper), told(loads));
    }
    for class in [pte_class::EMPTY, pte_class::PRESENT] {
        let of = by_loads.iter().filter(|fault| fault.pte_class & class != 0);
        assert!(of.count() >= 32, "{class:#x}: {}", by_loads.len());
    }
    let unstable = pte_class::UNSTABLE | pte_class::UNREAD;
    assert!(by_loads.iter().all(|fault| fault.pte_class & unstable == 0));
}
