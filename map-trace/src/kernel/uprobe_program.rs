//! The uprobe program, loaded by hand: aya has no way to say that a program is for `uprobe_multi` links.
//!
//! aya-obj reads the same object again, puts the descriptors of the maps that aya made into the instructions,
//! and links the functions; what is left is two calls of bpf(2).

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use aya_obj::Object as Parsed;
use aya_obj::generated::bpf_insn;

use super::bpf_call::{self, Command, ProgramAttr};

/// `BPF_PROG_TYPE_KPROBE`, which uprobes are of, too (include/uapi/linux/bpf.h).
const KPROBE: u32 = 2;
/// `BPF_TRACE_UPROBE_MULTI` (Linux 6.6).
pub const UPROBE_MULTI: u32 = 48;
/// Bytes of the verifier's log.
const LOG: usize = 64 << 10;

/// Why the program could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum UprobeProgramError {
    #[error("the BPF object does not hold together: {0}")]
    Object(String),
    #[error("the uprobe program was refused: {why} {log}")]
    Refused { why: io::Error, log: String },
}

fn object(why: impl ToString) -> UprobeProgramError {
    UprobeProgramError::Object(why.to_string())
}

/// What is loaded: instructions with the maps in place, and their types.
pub struct UprobeProgram {
    instructions: Vec<bpf_insn>,
    functions: Vec<u8>,
    function_size: u32,
    function_count: u32,
    btf: Option<OwnedFd>,
    /// The instructions name their descriptors.
    _maps: Vec<(String, OwnedFd)>,
}

/// The part of `union bpf_attr` for `BPF_BTF_LOAD`.
#[repr(C)]
#[derive(Default)]
struct BtfAttr {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    reserved: u32,
}

impl UprobeProgram {
    /// Links a program of an object with maps that are there already, by name.
    ///
    /// # Errors
    /// The object lacks the program or one of its maps.
    pub fn link(
        bytes: &[u8],
        program: &str,
        maps: Vec<(String, OwnedFd)>,
    ) -> Result<Self, UprobeProgramError> {
        let mut parsed = Parsed::parse(bytes).map_err(object)?;
        let btf = types(&mut parsed);
        // As aya's own loader does: only this program is linked.
        parsed.programs.retain(|name, _| name == program);
        let text: HashSet<usize> = parsed
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        let definitions = std::mem::take(&mut parsed.maps);
        let known = maps.iter().filter_map(|(name, descriptor)| {
            let definition = definitions.get(name)?;
            Some((name.as_str(), descriptor.as_raw_fd(), definition))
        });
        parsed.relocate_maps(known, &text).map_err(object)?;
        parsed.relocate_calls(&text).map_err(object)?;
        let program = parsed
            .programs
            .get(program)
            .ok_or_else(|| object("no uprobe program"))?;
        let function = parsed
            .functions
            .get(&program.function_key())
            .ok_or_else(|| object("no code of the uprobe program"))?;
        Ok(Self {
            instructions: function.instructions.clone(),
            functions: function.func_info.func_info_bytes(),
            function_size: function.func_info_rec_size as u32,
            function_count: function.func_info.func_info.len() as u32,
            btf,
            _maps: maps,
        })
    }

    /// Loads it for an attach type; 0 for perf events.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn load(&self, attach_type: u32) -> Result<OwnedFd, UprobeProgramError> {
        let license = c"Dual MIT/GPL";
        let mut attr = ProgramAttr {
            kind: KPROBE,
            instructions: self.instructions.len() as u32,
            instruction: self.instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            name: *b"map_structure\0\0\0",
            expected_attach_type: attach_type,
            ..ProgramAttr::default()
        };
        if let Some(btf) = &self.btf {
            attr.btf = btf.as_raw_fd().unsigned_abs();
            attr.func_info = self.functions.as_ptr() as u64;
            attr.func_info_size = self.function_size;
            attr.func_info_count = self.function_count;
        }
        // SAFETY: everything the attribute points to lives in self or is static.
        let why = match unsafe { bpf_call::descriptor(Command::ProgLoad, &attr) } {
            Ok(descriptor) => return Ok(descriptor),
            Err(why) => why,
        };
        let mut log = vec![0_u8; LOG];
        attr.log = log.as_mut_ptr() as u64;
        attr.log_size = LOG as u32;
        attr.log_level = 1;
        // SAFETY: as above; the log lives until the end of this function.
        match unsafe { bpf_call::descriptor(Command::ProgLoad, &attr) } {
            Ok(descriptor) => Ok(descriptor),
            Err(_) => Err(UprobeProgramError::Refused {
                why,
                log: last_line(&log),
            }),
        }
    }
}

/// The last line of the verifier's log says why; the whole log would hide it.
fn last_line(log: &[u8]) -> String {
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<&str> = text
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(3)
        .collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

/// The object's types in the kernel: with them the verifier checks global functions once each. Without, it
/// takes longer.
fn types(parsed: &mut Parsed) -> Option<OwnedFd> {
    let features = aya::features().btf()?;
    let bytes = parsed.fixup_and_sanitize_btf(features).ok()??.to_bytes();
    let attr = BtfAttr {
        btf: bytes.as_ptr() as u64,
        size: bytes.len() as u32,
        ..BtfAttr::default()
    };
    // SAFETY: the bytes live until the end of this function.
    unsafe { bpf_call::descriptor(Command::BtfLoad, &attr) }.ok()
}
