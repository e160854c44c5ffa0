//! Where control goes inside one function, instruction by instruction.

use std::collections::HashMap;

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::role::Role;
use crate::binary::disasm::{Code, rip_address};

/// Instructions of a function at most; a larger one is not judged.
const MAX_INSTRUCTIONS: usize = 1 << 17;
/// Entries of one jump table at most.
const MAX_CASES: u64 = 4096;
/// Instructions looked back over for a jump table's address and bound.
const BACK: usize = 24;

/// Lists of instructions by instruction.
#[derive(Debug, Default)]
struct Edges {
    first: Vec<u32>,
    to: Vec<u32>,
}

impl Edges {
    fn new(count: usize, mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut first = vec![0; count + 1];
        for &(from, _) in &pairs {
            first[from as usize + 1] += 1;
        }
        for at in 1..first.len() {
            first[at] += first[at - 1];
        }
        Self {
            first,
            to: pairs.into_iter().map(|(_, to)| to).collect(),
        }
    }

    fn of(&self, at: usize) -> &[u32] {
        let bound = |at: usize| self.first.get(at).map_or(0, |&n| n as usize);
        self.to.get(bound(at)..bound(at + 1)).unwrap_or_default()
    }
}

/// The control flow of a function that iterates over a map or assigns to one.
#[derive(Debug)]
pub(super) struct Graph {
    pub instructions: Vec<Instruction>,
    /// What direct calls mean, by position.
    roles: HashMap<usize, Role>,
    after: Edges,
    before: Edges,
    /// False when control may go where no edge leads: nothing can be concluded.
    pub whole: bool,
}

impl Graph {
    /// Follows a function's code; none when it calls nothing that tells anything.
    pub fn build(
        code: Code,
        role: &mut dyn FnMut(u64) -> Role,
        word: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Self> {
        let mut roles = HashMap::new();
        for (at, i) in code.instructions.iter().enumerate() {
            if i.flow_control() == FlowControl::Call && i.op0_kind() == OpKind::NearBranch64 {
                let role = role(i.near_branch_target());
                if role != Role::Other {
                    roles.insert(at, role);
                }
            }
        }
        if !roles.values().any(|role| role.is_telling()) {
            return None;
        }
        let count = code.instructions.len();
        let mut whole = code.whole && count <= MAX_INSTRUCTIONS;
        let mut pairs = Vec::new();
        if whole {
            for at in 0..count {
                whole &= leave(&code, at, &roles, word, &mut pairs);
            }
        }
        if !whole {
            pairs.clear();
        }
        let back = pairs.iter().map(|&(from, to)| (to, from)).collect();
        Some(Self {
            after: Edges::new(count, pairs),
            before: Edges::new(count, back),
            roles,
            whole,
            instructions: code.instructions,
        })
    }

    /// The positions control can go to from an instruction.
    pub fn after(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.after.of(at).iter().map(|&to| to as usize)
    }

    /// The positions control can come from.
    pub fn before(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.before.of(at).iter().map(|&from| from as usize)
    }

    /// What a call means; `Other` for anything else.
    pub fn role(&self, at: usize) -> Role {
        self.roles.get(&at).copied().unwrap_or(Role::Other)
    }

    /// Every call that means something, in address order.
    pub fn roles(&self) -> Vec<(usize, Role)> {
        let mut roles: Vec<_> = self.roles.iter().map(|(&at, &role)| (at, role)).collect();
        roles.sort_unstable_by_key(|&(at, _)| at);
        roles
    }

    pub fn is_call(&self, at: usize) -> bool {
        self.instructions.get(at).is_some_and(|i| {
            matches!(
                i.flow_control(),
                FlowControl::Call | FlowControl::IndirectCall
            )
        })
    }

    /// The position of the instruction that holds an address.
    pub fn holding(&self, svma: u64) -> Option<usize> {
        let at = self.instructions.partition_point(|i| i.ip() <= svma);
        let at = at.checked_sub(1)?;
        (svma < self.instructions[at].next_ip()).then_some(at)
    }
}

/// Adds the ways out of one instruction; false when they are not all known.
fn leave(
    code: &Code,
    at: usize,
    roles: &HashMap<usize, Role>,
    word: &dyn Fn(u64) -> Option<u64>,
    pairs: &mut Vec<(u32, u32)>,
) -> bool {
    let i = &code.instructions[at];
    let mut go = |to: usize| pairs.push((at as u32, to as u32));
    let next = (at + 1 < code.instructions.len()).then_some(at + 1);
    let mut jump = |target: u64| match code.at(target) {
        Some(to) => {
            go(to);
            true
        }
        // Out of the function: a tail call. Into the middle of an instruction: no code of a compiler.
        None => !code.contains(target),
    };
    match i.flow_control() {
        FlowControl::UnconditionalBranch => jump(i.near_branch_target()),
        FlowControl::ConditionalBranch => {
            let known = jump(i.near_branch_target());
            next.into_iter().for_each(go);
            known
        }
        FlowControl::IndirectBranch => match cases(code, at, word) {
            Some(targets) => targets.into_iter().all(jump),
            None => false,
        },
        FlowControl::Return | FlowControl::Exception => true,
        FlowControl::Call if roles.get(&at).is_some_and(|role| role.is_end()) => true,
        // Transactions: an abort may go anywhere.
        FlowControl::XbeginXabortXend => false,
        FlowControl::Interrupt if i.mnemonic() == Mnemonic::Int3 => true,
        _ => {
            next.into_iter().for_each(go);
            true
        }
    }
}

/// The targets of a switch: `cmp i, n; ja default; lea r, [rip+table]; jmp [r+i*8]`
/// (cmd/compile/internal/ssagen, jump tables, from Go 1.19). Without its bound the table is read on while
/// its words point to instructions of the function.
fn cases(code: &Code, at: usize, word: &dyn Fn(u64) -> Option<u64>) -> Option<Vec<u64>> {
    let jump = &code.instructions[at];
    let scaled = jump.op0_kind() == OpKind::Memory
        && jump.memory_index_scale() == 8
        && jump.memory_displacement64() == 0;
    if !scaled {
        return None;
    }
    let before = &code.instructions[at.saturating_sub(BACK)..at];
    let writes = |i: &Instruction, register: Register| {
        i.op_count() > 0
            && i.op0_kind() == OpKind::Register
            && i.op0_register().full_register() == register
            && !matches!(i.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
    };
    let base = before
        .iter()
        .rev()
        .find(|i| writes(i, jump.memory_base()))
        .filter(|i| i.mnemonic() == Mnemonic::Lea)?;
    let table = rip_address(base)?;
    let bound = before
        .iter()
        .rev()
        .take_while(|i| !writes(i, jump.memory_index()))
        .find(|i| {
            i.mnemonic() == Mnemonic::Cmp
                && i.op0_kind() == OpKind::Register
                && i.op0_register().full_register() == jump.memory_index()
                && i.op1_kind() != OpKind::Register
                && i.op1_kind() != OpKind::Memory
        })
        .map(|i| i.immediate(1).saturating_add(1));
    let mut targets = Vec::new();
    for n in 0..bound.unwrap_or(MAX_CASES).min(MAX_CASES) {
        let target = table.checked_add(n * 8).and_then(word);
        match target.filter(|&target| code.at(target).is_some()) {
            Some(target) => targets.push(target),
            None if bound.is_some() => return None,
            None => break,
        }
    }
    (!targets.is_empty() && bound.is_none_or(|bound| bound <= MAX_CASES)).then_some(targets)
}
