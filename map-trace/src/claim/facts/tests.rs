//! Each kind of fact judged in both directions, and left open when its evidence is not there.

use super::*;
use crate::model::summary::VerdictWord::{Inconclusive, Refuted, Supported};
use crate::model::summary::{Control, Status};

fn output(expect: &str) -> VerdictWord {
    let printed = Printed::new(
        "n=300\nsame=300\nbig=9007199254740993\nprot=rw-p\naddr=0x10\nx.y=2.5\nnoise\n".into(),
        "fatal error: concurrent map writes\n".into(),
    );
    Comparison::parse(expect).unwrap().judge(&printed).verdict
}

#[test]
fn output_is_compared_as_numbers_where_it_is_numbers() {
    for holds in [
        "n == 300",
        "n == $same",
        "n <= 300",
        "n < 301",
        "addr == 16",
        "x.y > 2",
        "prot == rw-p",
        "prot != r--p",
        "big == 9007199254740993",
        "stderr has concurrent map writes",
        "stderr lacks SIGSEGV",
    ] {
        assert_eq!(output(holds), Supported, "{holds}");
    }
    for fails in [
        "n == 299",
        "n != $same",
        "n > 300",
        "big == 9007199254740992",
        "prot == r--p",
        "stderr has SIGSEGV",
        "stderr lacks concurrent",
    ] {
        assert_eq!(output(fails), Refuted, "{fails}");
    }
    for open in ["missing == 1", "n == $missing", "prot < 3"] {
        assert_eq!(output(open), Inconclusive, "{open}");
    }
    for wrong in ["n", "n = 3", "n has 3", "stderr == x", ""] {
        assert!(Comparison::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_end_is_told_apart_from_others() {
    let says = |text: &str, status: &Status| Ending::parse(text).unwrap().judge(status).verdict;
    let two = Status::Exited(2);
    let killed = Status::Signaled("SIGSEGV".into());
    assert_eq!(says("exits 2", &two), Supported);
    assert_eq!(says("exits 1", &two), Refuted);
    assert_eq!(says("fails", &killed), Supported);
    assert_eq!(says("succeeds", &killed), Refuted);
    assert_eq!(says("signal SIGSEGV", &killed), Supported);
    assert_eq!(says("signal SIGBUS", &killed), Refuted);
    assert_eq!(says("exits 0", &Status::Unknown), Inconclusive);
    assert_eq!(Ending::parse("dies"), None);
}

#[test]
fn a_kernel_symbol_is_there_or_not_and_unreadable_tables_prove_nothing() {
    let evidence = |text: &str| HostEvidence {
        kernel_symbols: Some(text.into()),
        ..HostEvidence::default()
    };
    let fact = |expect| HostFact::KernelSymbol {
        name: "exc_page_fault".into(),
        expect,
    };
    let table = evidence("0000 T exc_page_fault\n0000 t other\t[module]\n");
    assert_eq!(fact(Presence::Present).judge(&table).verdict, Supported);
    assert_eq!(fact(Presence::Absent).judge(&table).verdict, Refuted);
    let other = evidence("0000 T do_exc_page_fault\n");
    assert_eq!(fact(Presence::Present).judge(&other).verdict, Refuted);
    for nothing in [HostEvidence::default(), evidence("")] {
        assert_eq!(fact(Presence::Absent).judge(&nothing).verdict, Inconclusive);
    }
}

#[test]
fn a_bit_is_believed_where_a_control_saw_it_change() {
    let bit = |bit| HostFact::PteBit {
        name: "writable".into(),
        bit,
    };
    let mut evidence = HostEvidence {
        entries_usable: true,
        controls: vec![Control {
            name: "mprotect".into(),
            passed: true,
            ..Control::default()
        }],
        ..HostEvidence::default()
    };
    assert_eq!(bit(1).judge(&evidence).verdict, Supported);
    assert_eq!(bit(2).judge(&evidence).verdict, Refuted);
    evidence.controls[0].passed = false;
    let failed = bit(1).judge(&evidence);
    assert_eq!(failed.verdict, Inconclusive);
    assert!(failed.reason.contains("did not pass"), "{}", failed.reason);
    evidence.controls.clear();
    let not_run = bit(1).judge(&evidence);
    assert_eq!(not_run.verdict, Inconclusive);
    assert!(not_run.reason.contains("was not run"), "{}", not_run.reason);
    // What no control sees says where it is from.
    let user = HostFact::PteBit {
        name: "user".into(),
        bit: 1,
    };
    let user = user.judge(&evidence);
    assert_eq!(user.verdict, Refuted);
    assert!(
        user.reason.contains("kernel's definition"),
        "{}",
        user.reason
    );
}

/// This test program itself: code of Rust with symbols.
fn this() -> Binary {
    Binary::open(&std::env::current_exe().unwrap()).unwrap()
}

// SAFETY: the name is used nowhere else.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn map_trace_test_callee(value: u64) -> u64 {
    std::hint::black_box(value) + 1
}

// SAFETY: the name is used nowhere else.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn map_trace_test_caller(value: u64) -> u64 {
    map_trace_test_callee(std::hint::black_box(value)) + 1
}

#[test]
fn symbols_calls_and_code_of_a_real_program_are_judged_both_ways() {
    assert_eq!(map_trace_test_caller(1), 3);
    let binary = this();
    let symbol = |name: &str, expect| {
        let name = name.to_owned();
        BinaryFact::Symbol(Symbol { name, expect })
            .judge(&binary)
            .verdict
    };
    assert_eq!(symbol("map_trace_test_call*", Presence::Present), Supported);
    assert_eq!(symbol("map_trace_test_caller", Presence::Absent), Refuted);
    assert_eq!(
        symbol("map_trace_test_nothing", Presence::Absent),
        Supported
    );
    assert_eq!(symbol("map_trace_test_nothing", Presence::Present), Refuted);
    let calls = |calls: Calls| {
        let function = "map_trace_test_caller".to_owned();
        BinaryFact::Calls(Calls { function, ..calls })
            .judge(&binary)
            .verdict
    };
    let callee = || vec!["map_trace_test_callee".to_owned()];
    assert_eq!(
        calls(Calls {
            always: callee(),
            ..Calls::default()
        }),
        Supported
    );
    assert_eq!(
        calls(Calls {
            never: callee(),
            ..Calls::default()
        }),
        Refuted
    );
    assert_eq!(
        calls(Calls {
            only: vec!["nothing".into()],
            ..Calls::default()
        }),
        Refuted
    );
    assert_eq!(
        calls(Calls {
            always: vec!["nothing".into()],
            ..Calls::default()
        }),
        Refuted
    );
    let code = |function: &str, expect| {
        let shape = Shape::Instruction("syscall".into());
        let function = function.to_owned();
        BinaryFact::Code(Code {
            function,
            shape,
            expect,
        })
        .judge(&binary)
        .verdict
    };
    assert_eq!(code("map_trace_test_caller", Presence::Absent), Supported);
    assert_eq!(code("map_trace_test_caller", Presence::Present), Refuted);
    assert_eq!(
        code("map_trace_test_nothing", Presence::Absent),
        Inconclusive
    );
}

#[test]
fn what_is_told_of_go_only_stays_open_for_others() {
    let binary = this();
    let reach = BinaryFact::Reach(Reach {
        function: "map_trace_test_caller".into(),
        call: "mprotect".parse().unwrap(),
        expect: ReachExpect::Never,
        through: crate::binary::reach::Through::Panic,
    });
    assert_eq!(reach.judge(&binary).verdict, Inconclusive);
}
