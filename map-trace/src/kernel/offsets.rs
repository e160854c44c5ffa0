//! Field offsets of the running kernel, from its BTF, for the BPF programs.

use map_trace_common::settings::{NO_OFFSET, Settings, USUAL_THREAD_SIZE};

use super::btf::{Btf, Kind, TypeId};

/// A member of `task_struct` that exists only with KASAN.
const KASAN_MEMBER: &str = "kasan_depth";
/// `TOP_OF_KERNEL_STACK_PADDING` with CONFIG_X86_FRED (arch/x86/include/asm/thread_info.h, Linux 6.9).
const FRED_PADDING: u32 = 16;
/// A function that exists only with CONFIG_X86_FRED (arch/x86/kernel/fred.c).
const FRED_FUNCTION: &str = "cpu_init_fred_exceptions";

/// One offset: where it is read from and where it goes.
struct Field {
    structure: &'static str,
    path: &'static [&'static str],
    store: fn(&mut Settings) -> &mut u32,
}

const fn field(
    structure: &'static str,
    path: &'static [&'static str],
    store: fn(&mut Settings) -> &mut u32,
) -> Field {
    Field {
        structure,
        path,
        store,
    }
}

/// Fields of one structure stand together: they must come from the same definition.
const FIELDS: &[Field] = &[
    field("task_struct", &["mm"], |s| &mut s.task_mm),
    field("task_struct", &["tgid"], |s| &mut s.task_tgid),
    field("task_struct", &["pid"], |s| &mut s.task_pid),
    field("task_struct", &["stack"], |s| &mut s.task_stack),
    field("task_struct", &["min_flt"], |s| &mut s.task_min_flt),
    field("task_struct", &["maj_flt"], |s| &mut s.task_maj_flt),
    field("task_struct", &["exit_code"], |s| &mut s.task_exit_code),
    field("task_struct", &["thread_info", "status"], |s| {
        &mut s.task_status
    }),
    field("task_struct", &["thread", "fsbase"], |s| &mut s.task_fsbase),
    field("task_struct", &["pagefault_disabled"], |s| {
        &mut s.task_pagefault_disabled
    }),
    field("task_struct", &["signal"], |s| &mut s.task_signal),
    field("signal_struct", &["live"], |s| &mut s.signal_live),
    field("signal_struct", &["rlim"], |s| &mut s.signal_rlim),
    field("mm_struct", &["pgd"], |s| &mut s.mm_pgd),
    field("mm_struct", &["start_code"], |s| &mut s.mm_start_code),
    field("mm_struct", &["end_code"], |s| &mut s.mm_end_code),
    field("mm_struct", &["start_stack"], |s| &mut s.mm_start_stack),
    field("mm_struct", &["start_brk"], |s| &mut s.mm_start_brk),
    field("mm_struct", &["brk"], |s| &mut s.mm_brk),
    field("kernel_siginfo", &["si_code"], |s| &mut s.siginfo_code),
    field(
        "kernel_siginfo",
        &["_sifields", "_sigfault", "_addr"],
        |s| &mut s.siginfo_addr,
    ),
    field("k_sigaction", &["sa", "sa_handler"], |s| {
        &mut s.sigaction_handler
    }),
];

/// `struct pt_regs` of x86-64 (arch/x86/include/asm/ptrace.h): the layout our programs are built with.
const PT_REGS: &[(&str, u64)] = &[
    ("r15", 0),
    ("r14", 8),
    ("r13", 16),
    ("r12", 24),
    ("bp", 32),
    ("bx", 40),
    ("r11", 48),
    ("r10", 56),
    ("r9", 64),
    ("r8", 72),
    ("ax", 80),
    ("cx", 88),
    ("dx", 96),
    ("si", 104),
    ("di", 112),
    ("orig_ax", 120),
    ("ip", 128),
    ("cs", 136),
    ("flags", 144),
    ("sp", 152),
    ("ss", 160),
];
const PT_REGS_SIZE: u32 = 168;
/// The helper behind [`Settings::task_btf`] (kernel/trace/bpf_trace.c).
const TASK_BTF_FUNCTION: &str = "bpf_get_current_task_btf";

/// Why an offset is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffsetProblem {
    #[error("BTF has no struct {0}")]
    NoStructure(&'static str),
    #[error("struct {structure} has no member {member}")]
    NoMember {
        structure: &'static str,
        member: String,
    },
    #[error("{count} definitions of struct {structure} differ where it matters")]
    Ambiguous {
        structure: &'static str,
        count: usize,
    },
}

/// Registers that are not where our programs expect them: tracing would read wrong values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("struct pt_regs is not as expected: {0}")]
pub struct RegistersDiffer(String);

/// Fills in every offset, [`NO_OFFSET`] where unknown, and the stack's size and padding.
///
/// Returned is what could not be found and why; the caller decides what to do without.
pub fn fill(btf: &Btf, settings: &mut Settings) -> Vec<OffsetProblem> {
    let mut problems = Vec::new();
    let groups: Vec<&[Field]> = FIELDS.chunk_by(|a, b| a.structure == b.structure).collect();
    let mut wanted: Vec<(Kind, &str)> = groups
        .iter()
        .filter_map(|group| Some((Kind::Struct, group.first()?.structure)))
        .collect();
    wanted.push((Kind::Union, "thread_union"));
    wanted.push((Kind::Function, FRED_FUNCTION));
    wanted.push((Kind::Function, TASK_BTF_FUNCTION));
    let mut found = btf.find(&wanted);
    settings.task_btf = u32::from(found.pop().is_some_and(|ids| !ids.is_empty()));
    let fred = found.pop().is_some_and(|ids| !ids.is_empty());
    let thread_union = found.pop().unwrap_or_default();
    for (group, ids) in groups.into_iter().zip(found) {
        fill_group(btf, group, &ids, settings, &mut problems);
    }
    settings.stack_padding = if fred { FRED_PADDING } else { 0 };
    settings.thread_size = thread_size(btf, &thread_union);
    problems
}

/// The size of `union thread_union` where BTF has it; else by whether KASAN is built in.
fn thread_size(btf: &Btf, thread_union: &[TypeId]) -> u32 {
    let stated = thread_union.first().and_then(|id| btf.get(*id));
    match stated.map(|union| union.size_or_type) {
        Some(size) if size.is_power_of_two() => return size,
        _ => {}
    }
    let tasks = btf.find(&[(Kind::Struct, "task_struct")]);
    let kasan = tasks
        .iter()
        .flatten()
        .any(|id| btf.member(*id, &[KASAN_MEMBER]).is_some());
    USUAL_THREAD_SIZE << u32::from(kasan)
}

/// Reads one structure's fields from the definition that has most of them.
fn fill_group(
    btf: &Btf,
    group: &[Field],
    ids: &[TypeId],
    settings: &mut Settings,
    problems: &mut Vec<OffsetProblem>,
) {
    let Some(structure) = group.first().map(|field| field.structure) else {
        return;
    };
    for field in group {
        *(field.store)(settings) = NO_OFFSET;
    }
    let mut readings: Vec<Vec<u32>> = ids
        .iter()
        .map(|id| group.iter().map(|field| offset(btf, *id, field)).collect())
        .collect();
    let known = |reading: &Vec<u32>| reading.iter().filter(|at| **at != NO_OFFSET).count();
    let most = readings.iter().map(known).max().unwrap_or(0);
    if most == 0 {
        problems.push(OffsetProblem::NoStructure(structure));
        return;
    }
    readings.retain(|reading| known(reading) == most);
    readings.dedup();
    let count = readings.len();
    let [reading] = readings.as_slice() else {
        problems.push(OffsetProblem::Ambiguous { structure, count });
        return;
    };
    for (field, at) in group.iter().zip(reading) {
        *(field.store)(settings) = *at;
        if *at == NO_OFFSET {
            problems.push(OffsetProblem::NoMember {
                structure,
                member: field.path.join("."),
            });
        }
    }
}

/// A whole-byte offset, or [`NO_OFFSET`].
fn offset(btf: &Btf, structure: TypeId, field: &Field) -> u32 {
    btf.member(structure, field.path)
        .filter(|member| member.width == 0 && member.bits % 8 == 0)
        .and_then(|member| u32::try_from(member.bits / 8).ok())
        .unwrap_or(NO_OFFSET)
}

/// Checks that registers lie where the programs read them.
///
/// # Errors
/// The first register that does not.
pub fn check_registers(btf: &Btf) -> Result<(), RegistersDiffer> {
    let ids = btf.find(&[(Kind::Struct, "pt_regs")]);
    let Some(id) = ids.first().and_then(|ids| ids.first()) else {
        return Err(RegistersDiffer("BTF does not describe it".into()));
    };
    let size = btf.get(*id).map_or(0, |regs| regs.size_or_type);
    if size != PT_REGS_SIZE {
        return Err(RegistersDiffer(format!(
            "{size} bytes, expected {PT_REGS_SIZE}"
        )));
    }
    for (name, at) in PT_REGS {
        match btf.member(*id, &[name]) {
            Some(member) if member.bits == at * 8 => {}
            Some(member) => {
                let found = member.bits / 8;
                return Err(RegistersDiffer(format!("{name} at {found}, expected {at}")));
            }
            None => return Err(RegistersDiffer(format!("no {name}"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::btf::tests::Maker;
    use super::*;

    #[test]
    fn every_offset_of_the_running_kernel_is_found() {
        let btf = Btf::running().unwrap();
        let mut settings = Settings::UNKNOWN;
        assert_eq!(fill(&btf, &mut settings), []);
        for field in FIELDS {
            let at = *(field.store)(&mut settings);
            assert!(at != NO_OFFSET && at < 1 << 16, "{:?}: {at}", field.path);
        }
        check_registers(&btf).unwrap();
        // uapi's siginfo_t, whose layout a user program sees: si_code at 8, si_addr at 16.
        assert_eq!((settings.siginfo_code, settings.siginfo_addr), (8, 16));
        assert_eq!(settings.sigaction_handler, 0);
        assert_eq!(settings.task_tgid, settings.task_pid + 4);
        assert_eq!(settings.task_maj_flt, settings.task_min_flt + 8);
        assert_eq!(settings.mm_end_code, settings.mm_start_code + 8);
        assert_eq!(settings.mm_brk, settings.mm_start_brk + 8);
    }

    fn kernel(structures: &[(&str, &[(&str, u32)])]) -> Settings {
        let (settings, _) = kernel_and_problems(structures);
        settings
    }

    fn kernel_and_problems(
        structures: &[(&str, &[(&str, u32)])],
    ) -> (Settings, Vec<OffsetProblem>) {
        let mut maker = Maker::default();
        let long = maker.add(Kind::Int, "long", 8, &[64]);
        for (name, members) in structures {
            let mut body = Vec::new();
            for (member, at) in *members {
                body.extend([maker.name(member), long, at * 8]);
            }
            maker.add(Kind::Struct, name, 64, &body);
        }
        let mut settings = Settings::UNKNOWN;
        let problems = fill(&Btf::parse(maker.bytes()).unwrap(), &mut settings);
        (settings, problems)
    }

    #[test]
    fn of_structures_with_one_name_the_one_with_the_members_is_taken() {
        let settings = kernel(&[
            ("mm_struct", &[("brk", 8)]),
            ("mm_struct", &[("pgd", 16), ("brk", 24)]),
        ]);
        assert_eq!((settings.mm_pgd, settings.mm_brk), (16, 24));
    }

    #[test]
    fn equal_duplicates_are_one_and_different_ones_are_refused() {
        let same: &[(&str, u32)] = &[("pgd", 16)];
        assert_eq!(
            kernel(&[("mm_struct", same), ("mm_struct", same)]).mm_pgd,
            16
        );
        let two = [("mm_struct", same), ("mm_struct", &[("pgd", 24)])];
        let (settings, problems) = kernel_and_problems(&two);
        assert_eq!(settings.mm_pgd, NO_OFFSET);
        assert!(problems.contains(&OffsetProblem::Ambiguous {
            structure: "mm_struct",
            count: 2
        }));
    }

    #[test]
    fn what_is_missing_is_named_and_has_no_offset() {
        let (settings, problems) = kernel_and_problems(&[("task_struct", &[("mm", 8)])]);
        assert_eq!((settings.task_mm, settings.task_pid), (8, NO_OFFSET));
        assert!(problems.contains(&OffsetProblem::NoStructure("mm_struct")));
        assert!(problems.contains(&OffsetProblem::NoMember {
            structure: "task_struct",
            member: "pid".into()
        }));
    }

    #[test]
    fn the_kernel_stack_is_larger_with_kasan() {
        assert_eq!(
            kernel(&[("task_struct", &[("mm", 8)])]).thread_size,
            16 << 10
        );
        let with = kernel(&[("task_struct", &[("mm", 8), (KASAN_MEMBER, 16)])]);
        assert_eq!(with.thread_size, 32 << 10);
    }

    #[test]
    fn registers_elsewhere_are_refused() {
        let mut maker = Maker::default();
        let long = maker.add(Kind::Int, "long", 8, &[64]);
        let mut body = Vec::new();
        for (name, at) in PT_REGS {
            let at = if *name == "sp" { 160 } else { *at };
            body.extend([maker.name(name), long, at as u32 * 8]);
        }
        maker.add(Kind::Struct, "pt_regs", PT_REGS_SIZE, &body);
        let refused = check_registers(&Btf::parse(maker.bytes()).unwrap());
        assert_eq!(
            refused,
            Err(RegistersDiffer("sp at 160, expected 152".into()))
        );
    }
}
