//! Which source answers where a return address is: Go's table, frame descriptions, the instructions.

use super::go::GoTable;
use super::{Binary, CallerBp, ReturnSlot, SlotPlace, prologue};

impl Binary {
    /// Where the return address of the function executing at an address is. For a return address pass
    /// the address minus one.
    pub fn return_slot(&self, svma: u64) -> ReturnSlot {
        self.return_slots.get(svma, || self.find_return_slot(svma))
    }

    fn find_return_slot(&self, svma: u64) -> ReturnSlot {
        if !self.elf.is_x86_64() || !self.elf.is_code(svma) {
            return ReturnSlot::UNKNOWN;
        }
        if let Some(go) = self.go().filter(|go| go.contains(svma)) {
            return self.go_slot(go, svma);
        }
        if self.is_nameless_start(svma) {
            return ReturnSlot::OUTERMOST;
        }
        self.cfi()
            .and_then(|cfi| cfi.rule(svma))
            .or_else(|| self.slot_read(svma).map(prologue::State::slot))
            .unwrap_or(ReturnSlot::UNKNOWN)
    }

    /// Whether rbp is the frame pointer of the function that calls at an address, so that a chain of frame
    /// pointers leads to its caller. For a return address pass the address minus one.
    pub fn keeps_frame_pointer(&self, svma: u64) -> bool {
        self.frame_pointers
            .get(svma, || self.find_frame_pointer(svma))
    }

    fn find_frame_pointer(&self, svma: u64) -> bool {
        if !self.elf.is_x86_64() || !self.elf.is_code(svma) {
            return false;
        }
        if let Some(go) = self.go().filter(|go| go.contains(svma)) {
            return self.go_keeps_frame_pointer(go, svma);
        }
        match self.cfi().and_then(|cfi| cfi.rule(svma)) {
            Some(rule) => rule.place == SlotPlace::FromBp(8),
            None => self.slot_read(svma).is_some_and(|slot| slot.bp == Some(8)),
        }
    }

    /// A Go function with a frame saves rbp right below its return address (cmd/internal/obj/x86/obj6.go,
    /// `bpsize`), unless it is assembly declared NOFRAME, or NOSPLIT with nothing on its stack.
    fn go_keeps_frame_pointer(&self, go: &GoTable, svma: u64) -> bool {
        let Some(function) = go.function_at(svma) else {
            return false;
        };
        go.is_top(&function)
            || (go
                .stack_delta(&function, svma)
                .is_some_and(|delta| delta >= 8)
                && (!go.is_assembly(&function) || self.sets_bp(function.start)))
    }

    /// True when a function's first instructions make rbp its frame pointer.
    fn sets_bp(&self, start: u64) -> bool {
        // mov rbp, rsp (Go 1.21 and later); lea rbp, [rsp+n] (before).
        const MOV: &[u8] = &[0x48, 0x89, 0xe5];
        const LEA: [&[u8]; 3] = [
            &[0x48, 0x8d, 0x6c, 0x24],
            &[0x48, 0x8d, 0xac, 0x24],
            &[0x48, 0x8d, 0x2c, 0x24],
        ];
        let mut code = [0; 64];
        self.read(start, &mut code).is_some()
            && (0..code.len()).any(|at| {
                let code = &code[at..];
                code.starts_with(MOV) || LEA.iter().any(|lea| code.starts_with(lea))
            })
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
            return self
                .slot_read(svma)
                .map_or(ReturnSlot::UNKNOWN, prologue::State::slot);
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
    fn slot_read(&self, svma: u64) -> Option<prologue::State> {
        let (start, end) = match self.function_at(svma) {
            Some(function) => (function.start, function.end),
            None => self.init_or_fini(svma)?,
        };
        let size = end.saturating_sub(start);
        if size > prologue::MAX_BYTES {
            return None;
        }
        let mut code = vec![0; size as usize];
        self.read(start, &mut code)?;
        prologue::state(&code, start, svma)
    }

    /// `_init` or `_fini`, each alone in its section: pieces of assembly without unwind information, and in a stripped
    /// library without a name.
    fn init_or_fini(&self, svma: u64) -> Option<(u64, u64)> {
        let sections = [".init", ".fini"].map(|name| self.elf.section(name));
        let bounds = sections
            .into_iter()
            .flatten()
            .map(|section| (section.svma, section.svma.saturating_add(section.size)));
        bounds
            .into_iter()
            .find(|&(start, end)| start <= svma && svma < end)
    }
}
