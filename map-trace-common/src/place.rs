//! Places in user code where a uprobe is, and how to find a goroutine: what user space knows of a binary, told
//! to programs that know nothing of Go.

/// Places at most, over all binaries.
pub const MAX_PLACES: u32 = 1024;
/// Binaries at most.
pub const MAX_BINARIES: u32 = 64;
/// Pieces of memory read at a place.
pub const READS: usize = 3;
/// 8-byte words of each.
pub const READ_WORDS: usize = 8;
/// Registers that are kept: RAX, RBX, RCX, RDI, RSI, in the order of Go's arguments, and RDX.
pub const ARGUMENTS: usize = 6;

/// Values of [`Read::base`] and [`Read::index`].
pub mod from {
    /// Nothing is read; no index.
    pub const NOTHING: u32 = 0;
    /// Plus n: argument n.
    pub const ARGUMENT: u32 = 1;
    /// RAX at the place itself, where [`super::flag::CLOSES`] took the arguments from the opening.
    pub const RESULT: u32 = 15;
    /// Plus n: word n of what was read so far.
    pub const WORD: u32 = 16;
}

/// A piece of the user's memory to read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Where the address comes from: a value of [`from`].
    pub base: u32,
    /// A value of [`from`] whose value times 8 is added.
    pub index: u32,
    /// Bytes added.
    pub offset: u32,
    /// 1: the memory there holds the address.
    pub indirect: u32,
}

/// Bits of [`Place::flags`].
pub mod flag {
    /// Ignore a hit whose carry or zero flag is set: the stack check is about to fail.
    pub const UNLESS_FLAGS: u32 = 1;
    /// The arguments are kept, by goroutine, for a place that closes; nothing is told.
    pub const OPENS: u32 = 2;
    /// The arguments are those of the place that opened.
    pub const CLOSES: u32 = 4;
    /// Not an event: told beside the events, without being counted.
    pub const SUPPLEMENT: u32 = 8;
    /// Nothing is told: the process is only marked as one of this binary.
    pub const MARKS: u32 = 16;
    /// Inside of a function, with a frame of its own: the word at rsp is no return address.
    pub const INSIDE: u32 = 32;
    /// With [`OPENS`]: the word at [`super::Read::offset`] of the first read, from the first argument on, is kept in
    /// place of the last argument, which the function does not have. The function changes it.
    pub const KEEPS: u32 = 64;
}

/// A place; its index is the probe's cookie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Kind of the records.
    pub kind: u32,
    /// What it means, for user space; at most 255.
    pub role: u32,
    pub flags: u32,
    /// Index into the binaries.
    pub binary: u32,
    /// A value of `from`: what events are grouped and reported by (the map).
    pub subject: u32,
    /// Byte of what was read that tells groups of events apart besides, plus 1; 0: none.
    pub group_byte: u32,
    pub reads: [Read; READS],
}

/// Where a binary keeps its goroutines; all zero when not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goroutines {
    /// 1: the rest is known.
    pub known: u32,
    /// From the thread pointer (`fsbase`) to the word that holds g; negative.
    pub g_from_fs: i32,
    /// `runtime.g.goid`, `runtime.g.m`, `runtime.m.curg`.
    pub g_goid: u32,
    pub g_m: u32,
    pub m_curg: u32,
    pub reserved: u32,
}
