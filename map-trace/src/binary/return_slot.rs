//! Which source answers where a return address is: Go's table, frame descriptions, the instructions.

use super::go::GoTable;
use super::{Binary, CallerBp, ReturnSlot, SlotPlace, prologue};

impl Binary {
    /// Where the return address of the function executing at an address is. For a return address pass
    /// the address minus one.
    pub fn return_slot(&self, svma: u64) -> ReturnSlot {
        if !self.elf.is_x86_64() || !self.elf.is_code(svma) {
            return ReturnSlot::UNKNOWN;
        }
        if let Some(go) = self.go().filter(|go| go.contains(svma)) {
            return self.go_slot(go, svma);
        }
        self.cfi()
            .and_then(|cfi| cfi.rule(svma))
            .or_else(|| self.slot_by_reading(svma))
            .unwrap_or(ReturnSlot::UNKNOWN)
    }

    fn go_slot(&self, go: &GoTable, svma: u64) -> ReturnSlot {
        let Some(function) = go.function_at(svma) else {
            return ReturnSlot::UNKNOWN;
        };
        if go.is_top(&function) {
            return ReturnSlot::OUTERMOST;
        }
        let Some(delta) = go.stack_delta(&function, svma) else {
            // It sets rsp (`runtime.systemstack`, `runtime.nanotime1`): the table cannot follow.
            return self.slot_by_reading(svma).unwrap_or(ReturnSlot::UNKNOWN);
        };
        let caller_bp = if delta < 8 || self.saves_bp_here(svma) {
            CallerBp::Unchanged
        } else {
            CallerBp::Saved(-8)
        };
        ReturnSlot {
            place: SlotPlace::FromSp(delta),
            caller_bp,
        }
    }

    /// True when the instruction at `svma` is the store of rbp of a Go 1.20 or older prologue
    /// (`mov [rsp+n], rbp`): the frame exists, rbp is not saved yet.
    fn saves_bp_here(&self, svma: u64) -> bool {
        // 48 89 6c 24 ib, 48 89 ac 24 id, 48 89 2c 24.
        let mut code = [0; 4];
        self.read(svma, &mut code).is_some()
            && matches!(code, [0x48, 0x89, 0x6c | 0xac | 0x2c, 0x24])
    }

    /// By disassembly, for a function whose start is known.
    fn slot_by_reading(&self, svma: u64) -> Option<ReturnSlot> {
        let function = self.function_at(svma)?;
        let size = function.end - function.start;
        if size > prologue::MAX_BYTES {
            return None;
        }
        let mut code = vec![0; size as usize];
        self.read(function.start, &mut code)?;
        Some(prologue::return_slot(&code, function.start, svma))
    }
}
