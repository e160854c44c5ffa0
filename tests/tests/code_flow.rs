//! Loops and stores in real code: every function of Go's own `go` command that iterates over a map or
//! assigns to one, for every toolchain that is installed. No root, nothing is run.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::HashMap;

use iced_x86::{FlowControl, Instruction, OpKind, Register};
use map_trace::binary::disasm::Code;
use map_trace::binary::flow::{Judged, Stores};
use map_trace::binary::{Binary, Function};
use map_trace_tests::{GoToolchain, go_toolchains};

const STARTS: [&str; 2] = ["runtime.mapiterinit", "runtime.mapIterStart"];
const STEPS: [&str; 2] = ["runtime.mapiternext", "runtime.mapIterNext"];

/// The `go` command, and the functions its calls go to.
struct Program {
    binary: Binary,
    names: HashMap<u64, String>,
}

impl Program {
    fn open(toolchain: &GoToolchain) -> Self {
        let path = toolchain.go.canonicalize().unwrap();
        Self {
            binary: Binary::open(&path).unwrap(),
            names: HashMap::new(),
        }
    }

    fn callee(&mut self, i: &Instruction) -> &str {
        if i.flow_control() != FlowControl::Call || i.op0_kind() != OpKind::NearBranch64 {
            return "";
        }
        let (binary, to) = (&self.binary, i.near_branch_target());
        self.names.entry(to).or_insert_with(|| {
            let found = binary.function_at(to);
            found.map(|function| function.name).unwrap_or_default()
        })
    }

    /// The functions with a call whose callee is wanted, decoded.
    fn callers(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(Function, Code)> {
        let mut functions = Vec::new();
        self.binary
            .functions(&mut |function| functions.push(function.clone()));
        let code = |function: Function| {
            let code = self.binary.code_of(&function)?;
            Some((function, code))
        };
        let decoded: Vec<_> = functions.into_iter().filter_map(code).collect();
        let calls = |code: &Code, program: &mut Self| {
            let mut all = code.instructions.iter();
            all.any(|i| wanted(program.callee(i)))
        };
        decoded
            .into_iter()
            .filter(|(function, code)| !wanted(&function.name) && calls(code, self))
            .collect()
    }
}

/// The answer for a call that has not come back.
fn during(binary: &Binary, i: &Instruction) -> Judged {
    binary.code_flow(i.next_ip() - 1, false).in_loop
}

#[test]
fn loops_are_open_at_their_steps_and_closed_at_every_return() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let mut program = Program::open(&toolchain);
        let loops = program.callers(|name| STEPS.contains(&name));
        let loops = loops
            .into_iter()
            .filter(|(function, _)| !function.name.contains("mapiter"));
        let (mut steps, mut starts, mut returns, mut unknown) = (0, 0, 0, Vec::new());
        let (mut inside, mut outside, mut open) = (0, 0, 0);
        for (function, code) in loops {
            let binary = &program.binary;
            let entry = binary.code_flow(function.start, true).in_loop;
            if entry == Judged::Unknown {
                unknown.push(function.name);
                continue;
            }
            assert_eq!(entry, Judged::No, "{version}: {}", function.name);
            for i in &code.instructions {
                let name = program.callee(i).to_owned();
                let binary = &program.binary;
                let place = format!("{version}: {} at {:#x}", function.name, i.ip());
                if STEPS.contains(&name.as_str()) {
                    assert_eq!(during(binary, i), Judged::Yes, "{place}");
                    let after = binary.code_flow(i.next_ip(), true).in_loop;
                    assert_eq!(after, Judged::Yes, "{place}");
                    steps += 1;
                } else if STARTS.contains(&name.as_str()) {
                    let after = binary.code_flow(i.next_ip(), true).in_loop;
                    assert_ne!(after, Judged::No, "{place}");
                    starts += 1;
                } else if !name.is_empty() {
                    match during(binary, i) {
                        Judged::Yes => inside += 1,
                        Judged::No => outside += 1,
                        Judged::Unknown => open += 1,
                    }
                }
                if i.flow_control() == FlowControl::Return {
                    let at = binary.code_flow(i.ip(), true).in_loop;
                    assert_ne!(at, Judged::Yes, "{place}");
                    returns += 1;
                }
            }
        }
        assert!(
            steps > 100 && starts >= steps,
            "{version}: {steps} {starts}"
        );
        assert!(returns > steps, "{version}: {returns} returns");
        assert!(unknown.len() * 50 < steps, "{version}: {unknown:?}");
        assert!(inside > steps && outside > inside / 4, "{version}");
        assert!(open * 4 < inside, "{version}: {open} of {inside}");
    }
}

#[test]
fn what_follows_an_assign_and_goes_through_its_register_is_a_store() {
    let is_assign = |name: &str| name.starts_with("runtime.mapassign");
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let mut program = Program::open(&toolchain);
        let (mut assigns, mut first, mut unknown) = (0, 0, 0);
        for (function, code) in program.callers(is_assign) {
            let mut after_assign = false;
            for i in &code.instructions {
                let assign = is_assign(program.callee(i));
                let binary = &program.binary;
                let through_rax =
                    i.memory_base() == Register::RAX && i.memory_index() == Register::None;
                let touches = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory)
                    && i.mnemonic() != iced_x86::Mnemonic::Lea
                    && i.mnemonic() != iced_x86::Mnemonic::Nop;
                let stores = if touches {
                    binary.code_flow(i.ip(), true).stores
                } else {
                    Stores::No
                };
                unknown += u32::from(stores == Stores::Unknown);
                if after_assign && through_rax && touches {
                    let place = format!("{version}: {} at {:#x}", function.name, i.ip());
                    assert_eq!(stores, Stores::Yes, "{place}");
                    first += 1;
                }
                assigns += u32::from(assign);
                after_assign = assign
                    || (after_assign
                        && matches!(i.flow_control(), FlowControl::Next)
                        && i.op0_register().full_register() != Register::RAX);
            }
        }
        assert!(
            assigns > 500 && first * 2 > assigns,
            "{version}: {assigns} {first}"
        );
        assert!(unknown * 10 < assigns, "{version}: {unknown}");
    }
}
