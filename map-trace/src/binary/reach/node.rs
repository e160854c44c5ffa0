//! What one function's code refers to.

use std::collections::{HashMap, HashSet};

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use super::Starts;
use super::gate::{INTO_C, NEW_GOROUTINE, is_run_elsewhere};
use crate::binary::Binary;
use crate::binary::disasm::{Code, is_jump, rip_address};
use crate::binary::probe_place::stack_check;

/// What is known of rax, which holds a system call's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rax {
    Number(u32),
    /// As it was at the function's start.
    Callers,
    Unknown,
}

impl Rax {
    fn joined(self, other: Self) -> Self {
        if self == other { self } else { Self::Unknown }
    }
}

/// A function, read. Addresses of other functions are those of their first instructions.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub name: String,
    /// Address of the `syscall`, number.
    pub syscalls: Vec<(u64, Rax)>,
    /// Direct calls and jumps out: address, function, rax.
    pub calls: Vec<(u64, u64, Rax)>,
    /// Functions and closures whose address is taken.
    pub references: Vec<(u64, u64)>,
    /// Where code of another language begins.
    pub foreign: Vec<u64>,
    pub indirect_calls: u32,
    /// Why something may have been overlooked.
    pub missed: Option<String>,
}

impl Raw {
    /// Reads the function that begins at `start`.
    pub fn read(binary: &Binary, start: u64, starts: &mut Starts) -> Self {
        let Some(function) = starts.function(start) else {
            return Self {
                missed: Some(format!("no function is known at {start:#x}")),
                ..Self::default()
            };
        };
        let mut raw = Self {
            name: function.name.clone(),
            ..Self::default()
        };
        if INTO_C.contains(&raw.name.as_str()) {
            if starts.cgo {
                raw.foreign.push(start);
            }
            return raw;
        }
        match binary.code_of(&function) {
            Some(code) => raw.walk(binary, &code, starts),
            None => raw.missed = Some(format!("the code of {} cannot be read", raw.name)),
        }
        raw
    }

    /// Everything it can have called.
    pub fn targets(&self) -> impl Iterator<Item = u64> {
        let called = self.calls.iter().map(|&(_, to, _)| to);
        called.chain(self.references.iter().map(|&(_, to)| to))
    }

    fn walk(&mut self, binary: &Binary, code: &Code, starts: &mut Starts) {
        if !code.whole {
            self.missed = Some(format!("{} has bytes that are no instructions", self.name));
        }
        let mut tracker = Tracker::new(code);
        for i in &code.instructions {
            let rax = tracker.before(i);
            let at = i.ip();
            if i.mnemonic() == Mnemonic::Syscall {
                self.syscalls.push((at, rax));
            }
            match i.flow_control() {
                FlowControl::Call
                | FlowControl::UnconditionalBranch
                | FlowControl::ConditionalBranch => {
                    self.direct(code, i, rax, starts);
                }
                FlowControl::IndirectCall => self.indirect_calls += 1,
                // A scaled index is a switch inside the function.
                FlowControl::IndirectBranch if i.memory_index_scale() != 8 => {
                    self.indirect_calls += 1;
                }
                // `int 0x80`: numbers of another table.
                FlowControl::Interrupt
                    if i.mnemonic() == Mnemonic::Int && i.immediate(0) == 0x80 =>
                {
                    self.foreign.push(at);
                }
                _ => {}
            }
            let behind = rip_address(i).and_then(|named| function_behind(binary, named, starts));
            if let Some(to) = behind.filter(|&to| !starts.name_is(to, is_run_elsewhere)) {
                self.references.push((at, to));
            }
            tracker.after(i);
        }
        self.fall_through(code, &tracker, starts);
    }

    /// Code that does not end in a jump, a return or a call that never returns goes on in the next
    /// function.
    fn fall_through(&mut self, code: &Code, tracker: &Tracker, starts: &mut Starts) {
        let goes_on = code.instructions.last().is_some_and(|last| {
            matches!(
                last.flow_control(),
                FlowControl::Next | FlowControl::ConditionalBranch
            )
        });
        if let Some(next) = starts.of(code.end).filter(|_| goes_on) {
            self.calls
                .push((code.end, next, tracker.now.unwrap_or(Rax::Unknown)));
        }
    }

    fn direct(&mut self, code: &Code, i: &Instruction, rax: Rax, starts: &mut Starts) {
        let target = i.near_branch_target();
        if i.op0_kind() != OpKind::NearBranch64 || code.contains(target) {
            return;
        }
        match starts.of(target) {
            Some(to) => {
                if starts.name_is(to, |name| name == NEW_GOROUTINE) {
                    self.forget_goroutine();
                }
                self.calls.push((i.ip(), to, rax));
            }
            // Out of Go's text: C code, or the procedure linkage table.
            None => self.foreign.push(i.ip()),
        }
    }

    /// `go f()`: the closure named since the last call is run by another goroutine.
    fn forget_goroutine(&mut self) {
        let called = self.calls.last().map_or(0, |&(at, ..)| at);
        self.references.pop_if(|(at, _)| *at > called);
    }
}

/// The function whose first address this is, or that a closure object at this address calls.
fn function_behind(binary: &Binary, named: u64, starts: &mut Starts) -> Option<u64> {
    let begins = |starts: &mut Starts, svma| starts.of(svma).filter(|&start| start == svma);
    if binary.is_code(named) {
        begins(starts, named)
    } else {
        let word = binary.pointer(named).filter(|&word| binary.is_code(word))?;
        begins(starts, word)
    }
}

/// Follows rax through a function in address order.
struct Tracker {
    now: Option<Rax>,
    /// What forward jumps bring to an address.
    arriving: HashMap<u64, Rax>,
    /// Targets of backward jumps: anything may arrive there.
    looped: HashSet<u64>,
    factory: InstructionInfoFactory,
}

impl Tracker {
    fn new(code: &Code) -> Self {
        let again = stack_check(code).map(|check| check.again);
        let looped = code
            .instructions
            .iter()
            .filter(|i| is_jump(i) && i.near_branch_target() <= i.ip())
            // The jump behind a failed stack check comes with the registers as they were.
            .filter(|i| Some(i.ip()) != again)
            .map(Instruction::near_branch_target)
            .collect();
        Self {
            now: Some(Rax::Callers),
            arriving: HashMap::new(),
            looped,
            factory: InstructionInfoFactory::new(),
        }
    }

    /// rax before an instruction is executed.
    fn before(&mut self, i: &Instruction) -> Rax {
        if let Some(arrived) = self.arriving.remove(&i.ip()) {
            self.now = Some(self.now.map_or(arrived, |now| now.joined(arrived)));
        }
        if self.looped.contains(&i.ip()) {
            self.now = Some(Rax::Unknown);
        }
        self.now.unwrap_or(Rax::Unknown)
    }

    fn after(&mut self, i: &Instruction) {
        let rax = self.now.unwrap_or(Rax::Unknown);
        match i.flow_control() {
            FlowControl::Next => self.now = Some(self.written(i, rax)),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                self.arriving
                    .entry(i.near_branch_target())
                    .and_modify(|there| *there = there.joined(rax))
                    .or_insert(rax);
                if i.flow_control() == FlowControl::UnconditionalBranch {
                    self.now = None;
                }
            }
            FlowControl::Return | FlowControl::IndirectBranch | FlowControl::Exception => {
                self.now = None;
            }
            // A call or a system call leaves its result in rax.
            _ => self.now = Some(Rax::Unknown),
        }
    }

    fn written(&mut self, i: &Instruction, rax: Rax) -> Rax {
        let to_rax = i.op_count() > 0
            && i.op0_kind() == OpKind::Register
            && matches!(i.op0_register(), Register::RAX | Register::EAX);
        if to_rax && i.mnemonic() == Mnemonic::Mov && is_immediate(i.op1_kind()) {
            return u32::try_from(i.immediate(1)).map_or(Rax::Unknown, Rax::Number);
        }
        if to_rax && i.mnemonic() == Mnemonic::Xor && i.op0_register() == i.op1_register() {
            return Rax::Number(0);
        }
        let writes = self.factory.info(i).used_registers().iter().any(|used| {
            used.register().full_register() == Register::RAX
                && !matches!(
                    used.access(),
                    OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
                )
        });
        if writes { Rax::Unknown } else { rax }
    }
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// rax at each `syscall`.
    fn numbers(code: &[u8]) -> Vec<Rax> {
        let code = Code::decode(code, 0x1000);
        let mut tracker = Tracker::new(&code);
        let mut found = Vec::new();
        for i in &code.instructions {
            let rax = tracker.before(i);
            if i.mnemonic() == Mnemonic::Syscall {
                found.push(rax);
            }
            tracker.after(i);
        }
        found
    }

    #[test]
    fn a_constant_in_rax_is_the_number() {
        // mov eax,10; syscall
        assert_eq!(numbers(&[0xb8, 10, 0, 0, 0, 0x0f, 0x05]), [Rax::Number(10)]);
        // mov rax,10 (sign-extended); syscall
        let code = [0x48, 0xc7, 0xc0, 10, 0, 0, 0, 0x0f, 0x05];
        assert_eq!(numbers(&code), [Rax::Number(10)]);
        // xor eax,eax; syscall
        assert_eq!(numbers(&[0x31, 0xc0, 0x0f, 0x05]), [Rax::Number(0)]);
    }

    #[test]
    fn an_untouched_rax_is_the_callers_and_a_written_one_unknown() {
        assert_eq!(numbers(&[0x0f, 0x05]), [Rax::Callers]);
        // mov al,10; syscall
        assert_eq!(numbers(&[0xb0, 10, 0x0f, 0x05]), [Rax::Unknown]);
        // mov rax,[rsp+8]; syscall
        let code = [0x48, 0x8b, 0x44, 0x24, 8, 0x0f, 0x05];
        assert_eq!(numbers(&code), [Rax::Unknown]);
        // A system call leaves its result there: syscall; syscall
        assert_eq!(
            numbers(&[0x0f, 0x05, 0x0f, 0x05]),
            [Rax::Callers, Rax::Unknown]
        );
    }

    #[test]
    fn ways_that_bring_different_numbers_leave_it_unknown() {
        // mov eax,10; test ebx,ebx; je +5; mov eax,11; syscall
        let code = [
            0xb8, 10, 0, 0, 0, 0x85, 0xdb, 0x74, 5, 0xb8, 11, 0, 0, 0, 0x0f, 0x05,
        ];
        assert_eq!(numbers(&code), [Rax::Unknown]);
        // The same number on both ways.
        let code = [
            0xb8, 10, 0, 0, 0, 0x85, 0xdb, 0x74, 5, 0xb8, 10, 0, 0, 0, 0x0f, 0x05,
        ];
        assert_eq!(numbers(&code), [Rax::Number(10)]);
    }

    #[test]
    fn what_a_loop_brings_is_unknown() {
        // mov eax,10; again: syscall; jne again
        let code = [0xb8, 10, 0, 0, 0, 0x0f, 0x05, 0x75, 0xfc];
        assert_eq!(numbers(&code), [Rax::Unknown]);
    }
}
