//! The BPF object's programs, linked with its maps, and loaded one by one.
//!
//! aya's own loader reads all of the kernel's types each time one is made, which takes longer than to verify
//! every program, and has no way to say that a program is for `uprobe_multi` links. aya-obj reads the object and
//! links it; what is left are calls of bpf(2).

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use aya_obj::generated::bpf_insn;
use aya_obj::{Function, Map, Object as Parsed};

use super::bpf_call::{self, Command, ProgramAttr};

/// `BPF_TRACE_RAW_TP` (include/uapi/linux/bpf.h).
const TRACE_RAW_TP: u32 = 23;
/// `BPF_TRACE_UPROBE_MULTI` (Linux 6.6).
pub const UPROBE_MULTI: u32 = 48;
/// Bytes of the verifier's log.
const LOG: usize = 64 << 10;

/// What a program is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `tp_btf`, with the id of the tracepoint's type, `btf_trace_` and its name, in the kernel's BTF.
    TracepointBtf(u32),
    RawTracepoint,
    PerfEvent,
    /// For `uprobe_multi` links.
    UprobeMulti,
    /// For a perf event of one uprobe.
    Uprobe,
}

impl Form {
    /// `enum bpf_prog_type`.
    const fn kind(self) -> u32 {
        match self {
            Self::UprobeMulti | Self::Uprobe => 2,
            Self::PerfEvent => 7,
            Self::RawTracepoint => 17,
            Self::TracepointBtf(_) => 26,
        }
    }

    /// `enum bpf_attach_type`.
    const fn attach_type(self) -> u32 {
        match self {
            Self::TracepointBtf(_) => TRACE_RAW_TP,
            Self::UprobeMulti => UPROBE_MULTI,
            _ => 0,
        }
    }
}

/// Why a program could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("the BPF object does not hold together: {0}")]
    Object(String),
    #[error("{why}: {log}")]
    Refused { why: io::Error, log: String },
}

fn object(why: impl ToString) -> ProgramError {
    ProgramError::Object(why.to_string())
}

/// Every program of an object; the maps are in place.
pub struct Programs {
    linked: HashMap<String, Linked>,
    types: Option<OwnedFd>,
    /// The instructions name their descriptors.
    _maps: Vec<OwnedFd>,
}

struct Linked {
    instructions: Vec<bpf_insn>,
    functions: Vec<u8>,
    function_size: u32,
    function_count: u32,
}

/// A program to load.
pub type Job = (&'static str, Form);
/// What came of one.
pub type Loaded = (&'static str, Result<OwnedFd, ProgramError>);

impl Programs {
    /// Links the programs of an object with its maps.
    ///
    /// # Errors
    /// The object lacks one of its maps or does not hold together.
    pub fn link(
        mut parsed: Parsed,
        types: Option<OwnedFd>,
        maps: Vec<(String, Map, OwnedFd)>,
    ) -> Result<Self, ProgramError> {
        let text: HashSet<usize> = parsed
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        let known = maps
            .iter()
            .map(|(name, map, descriptor)| (name.as_str(), descriptor.as_raw_fd(), map));
        parsed.relocate_maps(known, &text).map_err(object)?;
        parsed.relocate_calls(&text).map_err(object)?;
        let linked = parsed.programs.iter().filter_map(|(name, program)| {
            let function = parsed.functions.get(&program.function_key())?;
            Some((name.clone(), Linked::of(function)))
        });
        Ok(Self {
            linked: linked.collect(),
            types,
            _maps: maps
                .into_iter()
                .map(|(.., descriptor)| descriptor)
                .collect(),
        })
    }

    /// Loads a program.
    ///
    /// # Errors
    /// It is not in the object, or what the kernel says.
    pub fn load(&self, name: &str, form: Form) -> Result<OwnedFd, ProgramError> {
        let program = self
            .linked
            .get(name)
            .ok_or_else(|| object(format!("program {name} is not in it")))?;
        let license = c"Dual MIT/GPL";
        let mut attr = ProgramAttr {
            kind: form.kind(),
            instructions: program.instructions.len() as u32,
            instruction: program.instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            expected_attach_type: form.attach_type(),
            ..ProgramAttr::default()
        };
        // The last byte stays 0 (BPF_OBJ_NAME_LEN).
        for (to, from) in attr.name.iter_mut().take(15).zip(name.bytes()) {
            *to = from;
        }
        if let Form::TracepointBtf(id) = form {
            attr.attach_btf_id = id;
        }
        if let Some(types) = &self.types {
            attr.btf = types.as_raw_fd().unsigned_abs();
            attr.func_info = program.functions.as_ptr() as u64;
            attr.func_info_size = program.function_size;
            attr.func_info_count = program.function_count;
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
            Err(_) => Err(ProgramError::Refused {
                why,
                log: last_line(&log),
            }),
        }
    }

    /// Takes jobs from a queue until it is empty.
    pub fn work(&self, queue: &Queue<'_>) -> Vec<Loaded> {
        std::iter::from_fn(|| queue.next())
            .map(|(name, form)| (name, self.load(name, form)))
            .collect()
    }

    /// A queue of programs that are needed and of some that may turn out to be.
    pub fn queue<'a>(
        &self,
        mut jobs: Vec<Job>,
        perhaps: Vec<Job>,
        wanted: &'a AtomicBool,
    ) -> Queue<'a> {
        // Taken from the end: the longest first, so that no processor is left with one at the end.
        jobs.sort_by_key(|(name, _)| {
            let program = self.linked.get(*name);
            program.map_or(0, |program| program.instructions.len())
        });
        Queue {
            jobs: Mutex::new((jobs, perhaps)),
            wanted,
        }
    }
}

/// Programs that wait to be loaded.
pub struct Queue<'a> {
    /// Those needed, and those needed if `wanted`.
    jobs: Mutex<(Vec<Job>, Vec<Job>)>,
    wanted: &'a AtomicBool,
}

impl Queue<'_> {
    fn next(&self) -> Option<Job> {
        let (needed, perhaps) = &mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        needed
            .pop()
            .or_else(|| perhaps.pop_if(|_| self.wanted.load(Ordering::Acquire)))
    }
}

impl Linked {
    fn of(function: &Function) -> Self {
        Self {
            instructions: function.instructions.clone(),
            functions: function.func_info.func_info_bytes(),
            function_size: function.func_info_rec_size as u32,
            function_count: function.func_info.func_info.len() as u32,
        }
    }
}

/// The last lines of the verifier's log say why; the whole log would hide it.
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
pub fn types(parsed: &mut Parsed) -> Option<OwnedFd> {
    let features = aya::features().btf()?;
    let bytes = parsed.fixup_and_sanitize_btf(features).ok()??.to_bytes();
    let attr = bpf_call::BtfAttr {
        btf: bytes.as_ptr() as u64,
        size: bytes.len() as u32,
        ..bpf_call::BtfAttr::default()
    };
    // SAFETY: the bytes live until the end of this function.
    unsafe { bpf_call::descriptor(Command::BtfLoad, &attr) }.ok()
}
