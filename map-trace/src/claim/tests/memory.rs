//! Rules about memory: what a trace knows of a range, and what it does not.

use super::sessions::*;
use super::verdicts::says;
use crate::model::event::EventKind;
use crate::model::summary::VerdictWord::{Inconclusive, Refuted, Supported};
use crate::model::{Address, Operation, TraceLine};

#[test]
fn a_group_of_calls_whose_range_may_reach_further_is_not_counted_out() {
    let run = sound().with(TraceLine::Aggregate(Box::new(group(
        EventKind::Munmap,
        Operation::None,
        2,
    ))));
    says(
        &run,
        "munmap on 0x70009000-0x7000a000 == 0",
        Inconclusive,
        "may be on",
    );
    says(&run, "munmap on 0x6000-0x7000 == 0", Supported, "0 seen");
}

#[test]
fn memory_the_trace_does_not_know_is_no_memory_that_was_left_alone() {
    let run = sound();
    says(
        &run,
        "mprotect on buckets == 0",
        Inconclusive,
        "the trace does not know where these are",
    );
    says(
        &run,
        "mprotect on heap == 0",
        Inconclusive,
        "may be on heap",
    );
    says(&run, "signal on buckets == 0", Supported, "0 seen");
    says(
        &run,
        "page_fault during hot on heap == 1",
        Supported,
        "1 seen",
    );
    says(
        &run,
        "page_fault during hot on stack == 0",
        Supported,
        "0 in 10",
    );
    says(
        &run,
        "mprotect on some_symbol == 0",
        Inconclusive,
        "may be on some_symbol",
    );
    let mut call = call(hot(), Some(HOT));
    call.on = Some("buckets".into());
    let run = run.with(TraceLine::Mprotect(Box::new(call)));
    says(
        &run,
        "mprotect during hot on buckets == 0",
        Refuted,
        "1 seen",
    );
}

#[test]
fn memory_moved_into_a_range_touches_it() {
    let mut call = call(hot(), Some(HOT));
    call.new_address = Some(Address(0x9000));
    call.new_length = Some(4096);
    let run = sound().with(TraceLine::Mremap(Box::new(call)));
    says(&run, "mremap on 0x9000-0xa000 == 0", Refuted, "1 seen");
}
