//! The replay against an independent model.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{HEAP, Naive, op};
use proptest::prelude::*;

use super::build::{PAGE, assert_sound, call};
use crate::space::{Call, MappingCall, SideBandMapping, Space};

fn start() -> (Naive, Space) {
    let mut space = Space::new(0);
    space.call(&call((1, 2), Call::Brk, [0; 6], (HEAP * PAGE) as i64));
    (
        Naive {
            pages: BTreeMap::new(),
            brk: HEAP,
        },
        space,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn calls_alone_replay_to_the_naive_model(ops in prop::collection::vec(op(), 1..60)) {
        let (mut naive, mut space) = start();
        for (index, op) in ops.iter().enumerate() {
            let (kind, args, result, _) = naive.apply(op);
            let time = 10 + index as u64 * 10;
            space.call(&call((time, time + 5), kind, args, result));
            naive.assert_same(&space, false);
        }
        prop_assert_eq!(space.contradictions(), 0);
    }

    /// Per operation: record first, call first, or record again after the call.
    #[test]
    fn records_and_calls_replay_to_the_naive_model_in_either_order(
        ops in prop::collection::vec((op(), 0..3_u8), 1..60),
    ) {
        let (mut naive, mut space) = start();
        for (index, (op, order)) in ops.iter().enumerate() {
            let (kind, args, result, reported) = naive.apply(op);
            let time = 10 + index as u64 * 10;
            let records: Vec<_> = reported.iter().map(|range| naive.report(*range, time + 3)).collect();
            let told: MappingCall = call((time, time + 5), kind, args, result);
            if *order == 1 {
                space.call(&told);
            }
            for record in &records {
                space.report(record);
            }
            if *order != 1 {
                space.call(&told);
            }
            if *order == 2 {
                for record in &records {
                    space.report(record);
                }
            }
            naive.assert_same(&space, true);
        }
    }

    #[test]
    fn no_call_or_record_breaks_the_invariants(
        calls in prop::collection::vec(
            (0..7_u32, prop::array::uniform6(hostile()), prop::option::of(hostile()), any::<u64>(), any::<u64>()),
            1..40,
        ),
    ) {
        let mut space = Space::new(0);
        for (kind, args, result, enter_ns, exit_ns) in calls {
            let call = Call::from_kind(map_trace_common::record::kind::MPROTECT + kind).expect("a memory call");
            space.call(&MappingCall { enter_ns, exit_ns, call, args, result: result.map(u64::cast_signed) });
            space.report(&Arc::new(SideBandMapping {
                ktime_ns: enter_ns,
                tgid: 1,
                start: args[0],
                length: args[1],
                offset: args[2],
                prot: args[3] as u32,
                flags: args[4] as u32,
                filename: "/x".into(),
                device: None,
                inode: None,
                build_id: None,
            }));
            assert_sound(&space);
            for address in args {
                let place = space.place(address);
                prop_assert!(place.below_stack || place.vma.is_none_or(|vma| vma.contains(address)));
                space.touch(address, exit_ns);
            }
            assert_sound(&space);
        }
    }
}

/// Numbers that break arithmetic, and small ones that make things overlap.
fn hostile() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..64_u64).prop_map(|page| page * PAGE),
        prop::sample::select(vec![
            0,
            1,
            PAGE - 1,
            u64::MAX,
            u64::MAX - PAGE + 1,
            1 << 63,
            1 << 56,
            (1 << 56) - PAGE,
            (1 << 47) - PAGE,
            (-12_i64).cast_unsigned(),
            1 << 24,
        ]),
    ]
}
