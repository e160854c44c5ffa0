//! Whether the tracepoints pass what our probes read.
//!
//! `tp_btf` and raw tracepoint programs get the arguments of the tracepoint's prototype, which BTF states
//! as `typedef void (*btf_trace_NAME)(void *, ...)` (include/trace/bpf_probe.h). A kernel that passes
//! something else must be found out before anything is attached.

use std::path::Path;

use super::btf::{Btf, Kind};

/// What a probe assumes of a tracepoint: C types of its first arguments, typedefs resolved.
#[derive(Clone, Copy, Debug)]
pub struct Assumption {
    pub tracepoint: &'static str,
    pub arguments: &'static [&'static str],
}

const TASK: &str = "struct task_struct *";
const REGS: &str = "struct pt_regs *";
const INFO: &str = "struct kernel_siginfo *";
const ULONG: &str = "long unsigned int";

/// All tracepoints our probes use.
pub const ASSUMPTIONS: &[Assumption] = &[
    // arch/x86/include/asm/trace/exceptions.h: address, regs, error_code
    assume("page_fault_user", &[ULONG, REGS, ULONG]),
    assume("page_fault_kernel", &[ULONG, REGS, ULONG]),
    // include/trace/events/syscalls.h: regs, id; regs, ret
    assume("sys_enter", &[REGS, "long int"]),
    assume("sys_exit", &[REGS, "long int"]),
    // include/trace/events/signal.h: sig, info, task, group, result; sig, info, ka
    assume("signal_generate", &["int", INFO, TASK, "int", "int"]),
    assume("signal_deliver", &["int", INFO, "struct k_sigaction *"]),
    // include/trace/events/sched.h: parent, child; p, old_pid, bprm; p, and group_dead since 6.16
    assume("sched_process_fork", &[TASK, TASK]),
    assume(
        "sched_process_exec",
        &[TASK, "int", "struct linux_binprm *"],
    ),
    assume("sched_process_exit", &[TASK]),
];

const fn assume(tracepoint: &'static str, arguments: &'static [&'static str]) -> Assumption {
    Assumption {
        tracepoint,
        arguments,
    }
}

/// A tracepoint that is not as assumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("BTF does not describe the tracepoint {0}")]
    Absent(String),
    #[error("tracepoint {tracepoint} passes ({found}), expected ({expected})")]
    Arguments {
        tracepoint: String,
        expected: String,
        found: String,
    },
    #[error("the format of {event} has no field {field} at offset {offset}, size {size}")]
    Format {
        event: &'static str,
        field: &'static str,
        offset: u32,
        size: u32,
    },
}

/// Checks every assumption; what is returned did not hold. More arguments than assumed are no mismatch:
/// kernels append them.
pub fn mismatches(btf: &Btf) -> Vec<Mismatch> {
    let names: Vec<String> = ASSUMPTIONS
        .iter()
        .map(|assumption| format!("btf_trace_{}", assumption.tracepoint))
        .collect();
    let wanted: Vec<(Kind, &str)> = names
        .iter()
        .map(|name| (Kind::Typedef, name.as_str()))
        .collect();
    ASSUMPTIONS
        .iter()
        .zip(btf.find(&wanted))
        .filter_map(|(assumption, ids)| check(btf, assumption, &ids).err())
        .collect()
}

fn check(btf: &Btf, assumption: &Assumption, ids: &[u32]) -> Result<(), Mismatch> {
    let absent = || Mismatch::Absent(assumption.tracepoint.to_owned());
    let mut last = Err(absent());
    for id in ids {
        let found = arguments(btf, *id).ok_or_else(absent)?;
        if found.len() >= assumption.arguments.len()
            && found.iter().zip(assumption.arguments).all(|(a, b)| a == b)
        {
            return Ok(());
        }
        last = Err(Mismatch::Arguments {
            tracepoint: assumption.tracepoint.to_owned(),
            expected: assumption.arguments.join(", "),
            found: found.join(", "),
        });
    }
    last
}

/// The arguments after the leading `void *__data`.
fn arguments(btf: &Btf, typedef: u32) -> Option<Vec<String>> {
    let pointer = btf.get(btf.strip(typedef))?;
    if pointer.kind != Kind::Pointer {
        return None;
    }
    let parameters = btf.parameters(btf.strip(pointer.size_or_type))?;
    let arguments = parameters.iter().skip(1);
    Some(arguments.map(|(_, of)| btf.spelled(*of)).collect())
}

/// Where tracefs is mounted, newest place first.
pub const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Fields that `tracepoint` programs (the fallback of `tp_btf`) read: event, field, offset, size.
const FIELDS: &[(&str, &str, u32, u32)] = &[
    ("exceptions/page_fault_user", "address", 8, 8),
    ("exceptions/page_fault_user", "ip", 16, 8),
    ("exceptions/page_fault_user", "error_code", 24, 8),
    ("exceptions/page_fault_kernel", "address", 8, 8),
    ("exceptions/page_fault_kernel", "ip", 16, 8),
    ("exceptions/page_fault_kernel", "error_code", 24, 8),
    ("raw_syscalls/sys_enter", "id", 8, 8),
    ("raw_syscalls/sys_enter", "args", 16, 48),
    ("raw_syscalls/sys_exit", "id", 8, 8),
    ("raw_syscalls/sys_exit", "ret", 16, 8),
    ("signal/signal_generate", "sig", 8, 4),
    ("signal/signal_generate", "code", 16, 4),
    ("signal/signal_deliver", "sig", 8, 4),
    ("signal/signal_deliver", "code", 16, 4),
];

/// Compares the running kernel's `format` files with what our probes assume; `None` when tracefs is not
/// mounted at `root` (its `events` directory is missing or may not be read).
pub fn format_mismatches(root: &Path) -> Option<Vec<Mismatch>> {
    let events = root.join("events");
    if !events.join("exceptions").is_dir() {
        return None;
    }
    let mut wrong = Vec::new();
    for (event, field, offset, size) in FIELDS {
        let text = std::fs::read_to_string(events.join(event).join("format")).unwrap_or_default();
        if !has_field(&text, field, *offset, *size) {
            wrong.push(Mismatch::Format {
                event,
                field,
                offset: *offset,
                size: *size,
            });
        }
    }
    Some(wrong)
}

/// A line such as `field:unsigned long address; offset:8; size:8; signed:0;`.
fn has_field(format: &str, name: &str, offset: u32, size: u32) -> bool {
    format.lines().any(|line| {
        let mut parts = line.trim().split(';').map(str::trim);
        let declared = parts.next().and_then(|part| part.strip_prefix("field:"));
        let word = declared
            .and_then(|text| text.split_ascii_whitespace().last())
            .map(|word| word.split('[').next().unwrap_or(word));
        let number = |part: Option<&str>, label| {
            let digits = part?.strip_prefix(label)?;
            digits.parse::<u32>().ok()
        };
        word == Some(name)
            && number(parts.next(), "offset:") == Some(offset)
            && number(parts.next(), "size:") == Some(size)
    })
}

#[cfg(test)]
mod tests {
    use super::super::btf::tests::Maker;
    use super::*;

    #[test]
    fn the_running_kernels_tracepoints_are_as_assumed() {
        assert_eq!(mismatches(&Btf::running().unwrap()), []);
    }

    #[test]
    fn a_kernel_without_them_is_named_and_one_with_other_arguments_is_quoted() {
        let mut maker = Maker::default();
        let int = maker.add(Kind::Int, "int", 4, &[32]);
        let pointer = maker.add(Kind::Pointer, "", 0, &[]);
        let prototype = maker.add(Kind::Prototype, "", 0, &[0, pointer, 0, int]);
        let function = maker.add(Kind::Pointer, "", prototype, &[]);
        maker.add(Kind::Typedef, "btf_trace_sys_enter", function, &[]);
        let found = mismatches(&Btf::parse(maker.bytes()).unwrap());
        assert_eq!(found.len(), ASSUMPTIONS.len());
        assert!(found.contains(&Mismatch::Absent("page_fault_user".into())));
        assert!(found.contains(&Mismatch::Arguments {
            tracepoint: "sys_enter".into(),
            expected: "struct pt_regs *, long int".into(),
            found: "int".into(),
        }));
    }

    const FORMAT: &str = "name: page_fault_user\nID: 115\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:unsigned long address;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;\n";

    #[test]
    fn a_field_is_found_by_name_offset_and_size() {
        assert!(has_field(FORMAT, "address", 8, 8));
        assert!(has_field(FORMAT, "args", 16, 48));
        assert!(!has_field(FORMAT, "address", 16, 8));
        assert!(!has_field(FORMAT, "address", 8, 4));
        assert!(!has_field(FORMAT, "addr", 8, 8));
        assert!(!has_field("field:;offset:8;size:8", "", 8, 8));
    }

    #[test]
    fn an_unmounted_tracefs_is_no_mismatch_and_a_strange_one_is() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(format_mismatches(directory.path()), None);
        let event = directory.path().join("events/exceptions/page_fault_user");
        std::fs::create_dir_all(&event).unwrap();
        std::fs::write(event.join("format"), FORMAT).unwrap();
        let wrong = format_mismatches(directory.path()).unwrap();
        assert_eq!(wrong.len(), FIELDS.len() - 1);
    }
}
