//! What the functions that Go code calls for its maps do with their arguments and registers.

use iced_x86::Register;

/// What a call means to the flow of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Begins an iteration with the iterator this register points to.
    Start(Register),
    /// Goes on to the next entry.
    Step(Register),
    /// `reflect.(*MapIter).Next`: begins or goes on, and says whether there is an entry.
    Next,
    /// `reflect.(*MapIter).Reset`: the iterator is at its beginning again.
    Reset,
    /// Gives back the place of a value, in rax.
    Assign,
    /// Writes the memory this register points to; `keeps` the other registers.
    Copy {
        to: Register,
        keeps: bool,
    },
    /// The write barrier: keeps all registers but r11, in which it returns its buffer.
    Barrier,
    /// Does not come back.
    NoReturn,
    /// Nor does this: the runtime panics because a check of the compiler's failed.
    FailedCheck,
    Other,
}

impl Role {
    /// By a function's name. Arguments stand in rax, rbx, rcx, ... (cmd/compile/abi-internal.md).
    pub fn of(name: &str) -> Self {
        match name {
            // mapiterinit(type, map, iterator); Init is a method of the iterator.
            "runtime.mapiterinit"
            | "runtime.mapIterStart"
            | "reflect.mapiterinit"
            | "reflect.mapIterStart" => Self::Start(Register::RCX),
            "internal/runtime/maps.(*Iter).Init" => Self::Start(Register::RAX),
            "runtime.mapiternext"
            | "runtime.mapIterNext"
            | "reflect.mapiternext"
            | "reflect.mapIterNext"
            | "internal/runtime/maps.(*Iter).Next" => Self::Step(Register::RAX),
            "reflect.(*MapIter).Next" => Self::Next,
            "reflect.(*MapIter).Reset" => Self::Reset,
            // memmove(to, from, n), memclr*(ptr, n): runtime/stubs.go.
            "runtime.memmove" | "runtime.memclrNoHeapPointers" | "runtime.memclrHasPointers" => {
                Self::copy(Register::RAX)
            }
            // (type, to, ...): runtime/mbarrier.go.
            "runtime.typedmemmove"
            | "runtime.typedmemclr"
            | "runtime.wbMove"
            | "runtime.wbZero" => Self::copy(Register::RBX),
            // cmd/compile/internal/amd64: duffzero spoils rdi, duffcopy rdi and rsi.
            "runtime.duffzero" | "runtime.duffcopy" => Self::Copy {
                to: Register::RDI,
                keeps: true,
            },
            "runtime.block" => Self::NoReturn,
            _ => Self::by_prefix(name),
        }
    }

    const fn copy(to: Register) -> Self {
        Self::Copy { to, keeps: false }
    }

    fn by_prefix(name: &str) -> Self {
        const NO_RETURN: [&str; 4] = [
            "runtime.panic",
            "runtime.gopanic",
            "runtime.throw",
            "runtime.fatal",
        ];
        // runtime/panic.go, runtime/error.go.
        const FAILED_CHECKS: [&str; 10] = [
            "runtime.panicIndex",
            "runtime.panicSlice",
            "runtime.panicBounds",
            "runtime.panicExtend",
            "runtime.panicdivide",
            "runtime.panicshift",
            "runtime.panicdottype",
            "runtime.panicnildottype",
            "runtime.panicoverflow",
            "runtime.goPanic",
        ];
        if name.starts_with("runtime.mapassign") {
            Self::Assign
        } else if name.starts_with("runtime.gcWriteBarrier") {
            Self::Barrier
        } else if FAILED_CHECKS.iter().any(|prefix| name.starts_with(prefix)) {
            Self::FailedCheck
        } else if NO_RETURN.iter().any(|prefix| name.starts_with(prefix)) {
            Self::NoReturn
        } else {
            Self::Other
        }
    }

    /// Whether control never comes back.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::NoReturn | Self::FailedCheck)
    }

    /// Whether a caller of this has a loop over a map or stores a value.
    pub const fn is_telling(self) -> bool {
        matches!(
            self,
            Self::Start(_) | Self::Step(_) | Self::Next | Self::Assign
        )
    }

    /// A function that is itself a step of an iteration.
    pub const fn iterates(self) -> bool {
        matches!(
            self,
            Self::Start(_) | Self::Step(_) | Self::Next | Self::Reset
        )
    }

    /// Whether a register is after the call what it was before.
    pub fn keeps(self, register: Register) -> bool {
        match self {
            Self::Barrier => register != Register::R11,
            Self::Copy { keeps: true, .. } => !matches!(register, Register::RDI | Register::RSI),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_maps_are_known_by_name() {
        for (name, role) in [
            ("runtime.mapiterinit", Role::Start(Register::RCX)),
            ("runtime.mapassign_faststr", Role::Assign),
            ("runtime.gcWriteBarrierDX", Role::Barrier),
            ("runtime.panicIndex", Role::FailedCheck),
            ("runtime.gopanic", Role::NoReturn),
            ("main.mapiternext", Role::Other),
            ("runtime.mapaccess1", Role::Other),
        ] {
            assert_eq!(Role::of(name), role, "{name}");
        }
    }

    #[test]
    fn the_write_barrier_keeps_the_slot_in_its_register() {
        assert!(Role::Barrier.keeps(Register::RAX));
        assert!(!Role::Barrier.keeps(Register::R11));
        assert!(!Role::Other.keeps(Register::RBX));
    }
}
