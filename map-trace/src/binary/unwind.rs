//! Where a function's return address is at a given instruction.
//!
//! Three sources, each asked only where it is right: Go's pcsp table for Go text, `.eh_frame` for what
//! has it (C, C++, Rust, glibc's assembly, the vDSO), and reading the instructions from the function's
//! start for the rest (assembly without unwind information).

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Pointer, Reader, Register, RegisterRule,
    UnwindContext, UnwindSection, X86_64,
};

use super::elf::{Elf, abi};
use super::window::Window;

/// `.eh_frame` without a search table is walked from the start only up to this size.
const MAX_LINEAR: usize = 1 << 20;

/// Where the return address of the function executing at an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPlace {
    /// At rsp plus this many bytes.
    FromSp(i64),
    /// At rbp plus this many bytes.
    FromBp(i64),
    /// Nowhere: nothing called this function (`_start`, `runtime.goexit`).
    Outermost,
    /// Not known.
    Unknown,
}

/// What the caller's rbp was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerBp {
    /// Still in rbp.
    Unchanged,
    /// Saved at the return address's slot plus this many bytes (-8: a frame-pointer prologue).
    Saved(i64),
    /// Not known.
    Unknown,
}

/// How to leave the function executing at an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnSlot {
    pub place: SlotPlace,
    pub caller_bp: CallerBp,
}

impl ReturnSlot {
    pub const UNKNOWN: Self = Self {
        place: SlotPlace::Unknown,
        caller_bp: CallerBp::Unknown,
    };
    pub const OUTERMOST: Self = Self {
        place: SlotPlace::Outermost,
        caller_bp: CallerBp::Unknown,
    };
}

/// The call frame information of one binary.
#[derive(Debug)]
pub(super) struct Cfi {
    frames: EhFrame<Window>,
    header: Option<gimli::ParsedEhFrameHdr<Window>>,
    bases: BaseAddresses,
    linear: bool,
}

impl Cfi {
    pub fn find(elf: &Elf) -> Option<Self> {
        let mut bases = BaseAddresses::default();
        if let Some(text) = elf.section(".text") {
            bases = bases.set_text(text.svma);
        }
        let segment = elf
            .segments
            .iter()
            .find(|s| s.kind == abi::PT_GNU_EH_FRAME)
            .copied();
        let mut header = None;
        if let Some(segment) = segment {
            bases = bases.set_eh_frame_hdr(segment.svma);
            let window = Window::new(&elf.image, segment.offset, segment.file_size);
            header = EhFrameHdr::from(window).parse(&bases, 8).ok();
        }
        let (svma, window) = match elf.section(".eh_frame") {
            Some(section) if section.kind != abi::SHT_NOBITS => (
                section.svma,
                Window::new(&elf.image, section.offset, section.size),
            ),
            _ => {
                // No section headers: the header points at the frames, which end with their segment.
                let Pointer::Direct(svma) = header.as_ref()?.eh_frame_ptr() else {
                    return None;
                };
                let (offset, room) = elf.offset_of(svma)?;
                (svma, Window::new(&elf.image, offset, room))
            }
        };
        bases = bases.set_eh_frame(svma);
        let linear = window.len() <= MAX_LINEAR;
        header = header.filter(|h| h.table().is_some());
        Some(Self {
            frames: EhFrame::from(window),
            header,
            bases,
            linear,
        })
    }

    /// The rule at an instruction; none when no frame description covers it.
    pub fn rule(&self, svma: u64) -> Option<ReturnSlot> {
        let fde = match &self.header {
            Some(header) => header
                .table()?
                .fde_for_address(&self.frames, &self.bases, svma, EhFrame::cie_from_offset)
                .ok()?,
            None if self.linear => self
                .frames
                .fde_for_address(&self.bases, svma, EhFrame::cie_from_offset)
                .ok()?,
            None => return None,
        };
        let mut context = UnwindContext::new();
        let row = fde
            .unwind_info_for_address(&self.frames, &self.bases, &mut context, svma)
            .ok()?;
        if fde.is_signal_trampoline() {
            // The kernel's signal frame: what it interrupted was not a call.
            return Some(ReturnSlot::UNKNOWN);
        }
        let return_address = row.register(fde.cie().return_address_register());
        let below_cfa = match return_address {
            Some(RegisterRule::Offset(offset)) => offset,
            Some(RegisterRule::Undefined) => return Some(ReturnSlot::OUTERMOST),
            _ => return Some(ReturnSlot::UNKNOWN),
        };
        let (place, caller_bp) = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let slot = offset.checked_add(below_cfa)?;
                let bp = caller_bp(row.register(X86_64::RBP), below_cfa);
                (self.place(*register, slot), bp)
            }
            CfaRule::Expression(expression) => {
                let expression = expression.get(&self.frames).ok()?;
                let place = of_expression(expression, svma, below_cfa);
                let bp = if place == SlotPlace::FromBp(8) {
                    CallerBp::Saved(-8)
                } else {
                    caller_bp(row.register(X86_64::RBP), below_cfa)
                };
                (place, bp)
            }
        };
        Some(ReturnSlot { place, caller_bp })
    }

    const fn place(&self, register: Register, slot: i64) -> SlotPlace {
        match register {
            X86_64::RSP => SlotPlace::FromSp(slot),
            X86_64::RBP => SlotPlace::FromBp(slot),
            _ => SlotPlace::Unknown,
        }
    }
}

/// Offsets are from the CFA; the slot is `below_cfa` from it.
fn caller_bp(rule: Option<RegisterRule<usize>>, below_cfa: i64) -> CallerBp {
    match rule {
        // Callee-saved in the x86-64 ABI: without a rule it is unchanged.
        None | Some(RegisterRule::SameValue) => CallerBp::Unchanged,
        Some(RegisterRule::Offset(offset)) => CallerBp::Saved(offset.saturating_sub(below_cfa)),
        _ => CallerBp::Unknown,
    }
}

/// The two expressions that compilers and linkers emit for a CFA.
fn of_expression(expression: gimli::Expression<Window>, svma: u64, below_cfa: i64) -> SlotPlace {
    let Ok(bytes) = expression.0.to_slice() else {
        return SlotPlace::Unknown;
    };
    match *bytes {
        // rbp+n, dereferenced: a realigned frame. The prologue pushed a copy of the return address
        // right above the saved rbp, which is as good as the original.
        [0x76, _, 0x06] => SlotPlace::FromBp(8),
        // rsp+8 + ((rip & 15) >= n) * 8: the lazy PLT, as GNU ld and lld write it.
        [
            0x77,
            8,
            0x80,
            0,
            0x3f,
            0x1a,
            limit @ 0x30..=0x4f,
            0x2a,
            0x33,
            0x24,
            0x22,
        ] => {
            let pushed = svma & 15 >= u64::from(limit - 0x30);
            SlotPlace::FromSp(8 + below_cfa + if pushed { 8 } else { 0 })
        }
        _ => SlotPlace::Unknown,
    }
}
