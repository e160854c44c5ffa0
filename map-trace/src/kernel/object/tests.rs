//! What the verifier of an older kernel allows, held without one.

use std::collections::{BTreeMap, HashSet};

use aya_obj::Object as Parsed;
use aya_obj::generated::bpf_insn;

use super::*;

/// `MAX_BPF_STACK`, for a program and all that it calls (kernel/bpf/verifier.c, `check_max_stack_depth`). Only
/// programs that were given a stack of their own, from Linux 6.13 on, have it for each function.
const STACK: i64 = 512;
/// Each function's share is rounded up to this.
const ROUNDED: i64 = 32;
/// Classes of instructions (include/uapi/linux/bpf_common.h).
const LOAD: u8 = 1;
const STORE: u8 = 2;
const STORE_REGISTER: u8 = 3;
const ALU64: u8 = 7;
const ADD: u8 = 0;
const MOVE: u8 = 0xb0;
/// `call` of a function of the program.
const CALL: u8 = 0x85;
const OF_THE_PROGRAM: u8 = 1;
/// The frame pointer.
const FRAME: u8 = 10;

/// Where a call leads.
fn called(at: usize, instruction: &bpf_insn) -> Option<usize> {
    let ours = instruction.code == CALL && instruction.src_reg() == OF_THE_PROGRAM;
    ours.then(|| (at as i64 + 1 + i64::from(instruction.imm)) as usize)
}

/// How far below the frame pointer a function reaches: by loads and stores through it, and by what is made of it.
fn depth(function: &[bpf_insn]) -> i64 {
    let mut lowest = 0;
    let mut copies = HashSet::new();
    for instruction in function {
        let (class, operation) = (instruction.code & 7, instruction.code & 0xf0);
        let offset = i64::from(instruction.off);
        let reach = match class {
            LOAD if instruction.src_reg() == FRAME => offset,
            STORE | STORE_REGISTER if instruction.dst_reg() == FRAME => offset,
            ALU64 if operation == ADD && copies.contains(&instruction.dst_reg()) => {
                i64::from(instruction.imm)
            }
            _ => 0,
        };
        lowest = lowest.min(reach);
        copies.remove(&instruction.dst_reg());
        if class == ALU64 && operation == MOVE && instruction.src_reg() == FRAME {
            copies.insert(instruction.dst_reg());
        }
    }
    -lowest
}

/// The deepest stack from a function down, and the way there.
fn deepest(program: &[bpf_insn], bounds: &BTreeMap<usize, usize>, start: usize) -> (i64, Vec<i64>) {
    let function = &program[start..bounds[&start]];
    let own = (depth(function).max(1) + ROUNDED - 1) / ROUNDED * ROUNDED;
    let calls = function.iter().zip(start..);
    let below = calls
        .filter_map(|(instruction, at)| called(at, instruction))
        .collect::<HashSet<_>>()
        .into_iter()
        .map(|target| deepest(program, bounds, target))
        .max()
        .unwrap_or_default();
    let mut way = vec![own];
    way.extend(below.1);
    (own + below.0, way)
}

#[test]
fn every_program_and_what_it_calls_fit_the_stack_that_linux_5_10_gives_them() {
    let mut parsed = Parsed::parse(OBJECT).unwrap();
    let text = parsed.functions.keys().map(|(section, _)| *section);
    let text: HashSet<usize> = text.collect();
    parsed.relocate_calls(&text).unwrap();
    let mut too_deep = Vec::new();
    for (name, program) in &parsed.programs {
        let code = &parsed.functions[&program.function_key()].instructions;
        let targets = code.iter().enumerate();
        let mut starts: Vec<usize> = targets.filter_map(|(at, one)| called(at, one)).collect();
        starts.extend([0, code.len()]);
        starts.sort_unstable();
        starts.dedup();
        let bounds = starts.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let (depth, way) = deepest(code, &bounds, 0);
        if depth > STACK {
            too_deep.push((name, depth, way));
        }
    }
    assert!(too_deep.is_empty(), "{too_deep:#?}");
}
