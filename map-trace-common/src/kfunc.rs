//! Calls of functions that a kernel may or may not have. The programs are built with a number that no helper
//! has; user space puts the function in its place before loading, or, where there is none, an instruction
//! without effect.

/// Stands for `bpf_rdonly_cast` (kernel/bpf/helpers.c).
pub const READ_ONLY_CAST: i32 = 0x6d74_0001;
