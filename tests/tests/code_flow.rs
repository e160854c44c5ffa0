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
fn loops_are_open_at_their_steps_and_closed_at_the_functions_ends() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let mut program = Program::open(&toolchain);
        let loops = program.callers(|name| STEPS.contains(&name));
        let loops = loops
            .into_iter()
            .filter(|(function, _)| !function.name.contains("mapiter"));
        let (mut steps, mut starts, mut unknown) = (0, 0, Vec::new());
        let (mut returns, mut inside_returns) = (0, 0);
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
                    // A `return` in the body is inside by its line.
                    inside_returns += u32::from(at == Judged::Yes);
                    returns += 1;
                }
            }
        }
        assert!(
            steps > 100 && starts >= steps,
            "{version}: {steps} {starts}"
        );
        assert!(
            returns > steps && inside_returns * 3 < returns,
            "{version}: {returns} returns"
        );
        assert!(
            unknown.len() * 50 < steps as usize,
            "{version}: {unknown:?}"
        );
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
                // Of the others a part will do.
                let stores = if touches && (after_assign || i.ip() % 8 == 0) {
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

/// The line of an address in the function that is not inlined, when that is where the code is from.
fn own_line(binary: &Binary, svma: u64) -> Option<u32> {
    let mut frames = Vec::new();
    binary.frames(svma, &mut frames);
    frames.last().and_then(|frame| frame.line)
}

#[test]
fn calls_between_the_lines_of_a_loop_are_inside_and_others_are_not() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let mut program = Program::open(&toolchain);
        let (mut agree, mut differ) = (0, Vec::new());
        for (function, code) in program.callers(|name| STEPS.contains(&name)) {
            // One loop of the function's own.
            let calls: Vec<_> = code
                .instructions
                .iter()
                .filter(|i| {
                    matches!(
                        i.flow_control(),
                        FlowControl::Call | FlowControl::IndirectCall
                    )
                })
                .map(|i| (*i, program.callee(i).to_owned()))
                .collect();
            let starts: Vec<_> = calls
                .iter()
                .filter(|(_, name)| STARTS.contains(&name.as_str()))
                .collect();
            let binary = &program.binary;
            let [(start, _)] = starts[..] else { continue };
            let mut frames = Vec::new();
            binary.frames(start.ip(), &mut frames);
            if frames.len() != 1 {
                continue;
            }
            let Some(first) = own_line(binary, start.ip()) else {
                continue;
            };
            let judged: Vec<_> = calls
                .iter()
                .filter_map(|(i, name)| {
                    Some((own_line(binary, i.ip())?, during(binary, i), name, i.ip()))
                })
                .collect();
            let Some(last) = judged
                .iter()
                .filter(|call| call.1 == Judged::Yes)
                .map(|call| call.0)
                .max()
            else {
                continue;
            };
            // On its way out of a function the runtime calls what was deferred: on the line it was deferred on.
            let judged = judged.iter().filter(|call| call.2 != "runtime.deferreturn");
            for (line, in_loop, name, ip) in judged {
                let between = *line > first && *line < last;
                let right = match in_loop {
                    Judged::Yes => *line >= first,
                    Judged::No | Judged::Unknown => !between,
                };
                if right {
                    agree += 1
                } else {
                    differ.push(format!(
                        "{} {ip:#x} {name} line {line} of {first}-{last}: {in_loop:?}",
                        function.name
                    ));
                }
            }
        }
        assert!(differ.is_empty(), "{version}: {differ:#?}");
        assert!(agree > 1000, "{version}: {agree}");
    }
}
