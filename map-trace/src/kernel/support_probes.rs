//! The probes behind the rows of `support`.

mod programs;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use map_trace_common::settings::Settings;
use perf_event::Builder;
use perf_event::events::{Breakpoint, Software};

use super::host::{self, PageTableFacts};
use super::support::{Context, Finding, KERNEL_FLOOR};
use super::{bpf_probe, offsets, support, tracepoint_args};
use crate::model::check::CheckState;

pub(super) use programs::programs;

/// Descriptors below which a session may run out of them.
const FEW_FILES: u64 = 1024;

pub(super) fn privilege(context: &Context) -> Finding {
    let uid = context.privilege.uid;
    let lacking = context.privilege.lacking_names();
    if lacking.is_empty() {
        return Finding::ok(format!("uid {uid} with every capability needed"));
    }
    let finding = Finding::missing(format!("uid {uid} lacks {lacking}"));
    if uid == 0 {
        finding.fix("run on the host, or start the container with --privileged --pid=host")
    } else {
        finding.fix("sudo map-trace doctor")
    }
}

pub(super) fn kernel(_: &Context) -> Finding {
    let release = host::host().kernel;
    let (major, minor) = KERNEL_FLOOR;
    match host::version(&release) {
        Some(version) if version >= KERNEL_FLOOR => Finding::ok(release),
        _ => Finding::missing(format!("{release}, older than {major}.{minor}"))
            .fix(format!("use a kernel from {major}.{minor} on")),
    }
}

pub(super) fn lockdown(_: &Context) -> Finding {
    lockdown_of(&host::read("/sys/kernel/security/lockdown"))
}

/// Confidentiality takes `bpf_probe_read_kernel` away (kernel/trace/bpf_trace.c, `LOCKDOWN_BPF_READ_KERNEL`), without
/// which no probe loads.
fn lockdown_of(text: &str) -> Finding {
    match host::chosen(text).as_deref() {
        None => Finding::ok("not in this kernel, or securityfs is not mounted"),
        Some("none") => Finding::ok("none"),
        Some("confidentiality") => Finding::missing("confidentiality: BPF may not read the kernel")
            .fix("boot without lockdown=confidentiality"),
        Some(other) => Finding::ok(other),
    }
}

pub(super) fn btf(context: &Context) -> Finding {
    match &context.btf {
        Ok(btf) => Finding::ok(format!("{} types", btf.len())),
        Err(why) => Finding::missing(why)
            .fix("use a kernel built with CONFIG_DEBUG_INFO_BTF=y (every distribution's is)"),
    }
}

pub(super) fn offsets(context: &Context) -> Finding {
    let Ok(btf) = &context.btf else {
        return Finding::missing("unknown without BTF").fix("see btf");
    };
    if let Err(error) = offsets::check_registers(btf) {
        return Finding::missing(error.to_string()).fix("report this kernel as not supported");
    }
    let mut settings = Settings::UNKNOWN;
    let problems = offsets::fill(btf, &mut settings);
    match problems.first() {
        None => Finding::ok("all found"),
        Some(first) => Finding::degraded(format!("{} unknown; first: {first}", problems.len()))
            .fix("report this kernel as not supported"),
    }
}

pub(super) fn tracepoints(context: &Context) -> Finding {
    let Ok(btf) = &context.btf else {
        return Finding::missing("unknown without BTF").fix("see btf");
    };
    match tracepoint_args::mismatches(btf).first() {
        None => Finding::ok("arguments as expected"),
        Some(first) => {
            Finding::missing(first.to_string()).fix("report this kernel as not supported")
        }
    }
}

/// What an experiment with bpf(2) came to.
pub(super) fn loads(result: io::Result<()>, otherwise: CheckState) -> Finding {
    let Err(error) = result else {
        return Finding::ok("loads");
    };
    let fix = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "run as root; in a container, start it with --privileged"
        }
        Some(libc::ENOSYS) => "use a kernel built with CONFIG_BPF_SYSCALL=y",
        _ => "use a kernel built with CONFIG_BPF_SYSCALL=y and CONFIG_BPF_EVENTS=y",
    };
    Finding {
        state: otherwise,
        ..Finding::ok(format!("refused: {error}"))
    }
    .fix(fix)
}

pub(super) fn tp_btf(context: &Context) -> Finding {
    match &context.btf {
        Ok(btf) => loads(
            bpf_probe::tracepoint_btf(btf, "page_fault_user"),
            CheckState::Degraded,
        ),
        Err(_) => Finding::degraded("unknown without BTF").fix("see btf"),
    }
}

pub(super) fn uprobes(_: &Context) -> Finding {
    if !Path::new("/sys/bus/event_source/devices/uprobe/type").exists() {
        return Finding::degraded("this kernel has no uprobe events")
            .fix("use a kernel built with CONFIG_UPROBE_EVENTS=y");
    }
    let loads = loads(
        bpf_probe::program(bpf_probe::ProgramType::Kprobe),
        CheckState::Degraded,
    );
    match (loads.state, bpf_probe::cookie(), bpf_probe::uprobe_multi()) {
        (CheckState::Ok, Err(_), _) => Finding::degraded(
            "loads, but cannot tell where it was hit: maps are known by stacks only",
        )
        .fix("use Linux 5.15 or later for bpf_get_attach_cookie"),
        (CheckState::Ok, Ok(()), Ok(())) => Finding::ok("loads, many attach at once"),
        (CheckState::Ok, Ok(()), Err(_)) => {
            Finding::degraded("loads; one by one, which takes longer")
                .fix("use Linux 6.6 or later for uprobe_multi links")
        }
        _ => loads,
    }
}

pub(super) fn tracefs(_: &Context) -> Finding {
    let Some(root) = support::tracefs() else {
        let mounts = host::read("/proc/self/mounts");
        if mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some("tracefs"))
        {
            return Finding::degraded("mounted, but closed to this user").fix("run as root");
        }
        return Finding::degraded("not mounted")
            .fix("sudo mount -t tracefs nodev /sys/kernel/tracing");
    };
    let shown = root.display();
    match tracepoint_args::format_mismatches(root).as_deref() {
        None => Finding::degraded(format!("{shown}: the exceptions events are not there"))
            .fix("use a kernel built with CONFIG_FTRACE=y"),
        Some([]) => Finding::ok(format!("{shown}, formats as expected")),
        Some([first, ..]) => {
            Finding::degraded(first.to_string()).fix("report this kernel as not supported")
        }
    }
}

fn paranoid() -> String {
    let value = host::read("/proc/sys/kernel/perf_event_paranoid");
    match value.trim() {
        "" => "kernel.perf_event_paranoid is not there".into(),
        value => format!("kernel.perf_event_paranoid is {value}"),
    }
}

/// What opening a perf event on this process came to.
fn perf(builder: &Builder<'_>, needs: &str) -> Finding {
    match builder.build() {
        Ok(_) => Finding::ok(format!("opens; {}", paranoid())),
        Err(error) => Finding::degraded(format!("refused: {error}; {}", paranoid())).fix(
            match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => {
                    "run as root, or: sudo sysctl kernel.perf_event_paranoid=-1".to_owned()
                }
                _ => format!("use {needs}"),
            },
        ),
    }
}

pub(super) fn perf_events(_: &Context) -> Finding {
    let mut builder = Builder::new(Software::PAGE_FAULTS);
    perf(
        builder.include_kernel().inherit(true),
        "a kernel built with CONFIG_PERF_EVENTS=y",
    )
}

pub(super) fn mapping_records(_: &Context) -> Finding {
    let mut builder = Builder::new(Software::DUMMY);
    let mut finding = perf(
        builder.mmap(true).mmap2(true).build_id(true),
        "Linux 5.12 or later: without, files are read while they are mapped",
    );
    if finding.state == CheckState::Ok {
        finding.found = "with build ids".into();
    }
    finding
}

pub(super) fn breakpoints(_: &Context) -> Finding {
    static WATCHED: u64 = 0;
    let at = std::ptr::from_ref(&WATCHED) as u64;
    perf(
        &Builder::new(Breakpoint::write(at, 8)),
        "a machine whose debug registers work (some virtual machines hide them)",
    )
}

/// Bits 0-54 of a pagemap entry are the frame number, zero without CAP_SYS_ADMIN
/// (Documentation/admin-guide/mm/pagemap.rst).
pub(super) fn pagemap(_: &Context) -> Finding {
    let touched = Box::new(1_u64);
    let page = std::ptr::from_ref(&*touched) as u64 / 4096;
    let mut entry = [0_u8; 8];
    let read = std::fs::File::open("/proc/self/pagemap")
        .and_then(|file| file.read_exact_at(&mut entry, page * 8));
    let entry = u64::from_le_bytes(entry);
    match read {
        Err(error) => Finding::degraded(format!("not readable: {error}"))
            .fix("use a kernel built with CONFIG_PROC_PAGE_MONITOR=y, and root"),
        Ok(()) if entry & ((1 << 55) - 1) == 0 => {
            Finding::degraded("shows no frame numbers").fix("run as root with CAP_SYS_ADMIN")
        }
        Ok(()) => Finding::ok("shows frame numbers"),
    }
}

pub(super) fn page_tables(_: &Context) -> Finding {
    let facts = PageTableFacts::current();
    let mut words = vec![if facts.five_levels {
        "5 levels".to_owned()
    } else {
        "4 levels".to_owned()
    }];
    if facts.page_table_isolation {
        words.push("isolated from the kernel's (PTI)".into());
    }
    if let Some(bit) = facts.encryption_bit {
        words.push(format!("encryption bit {bit} possible"));
    }
    if facts.guest {
        words.push("a guest's".into());
    }
    Finding::ok(words.join(", "))
}

pub(super) fn userfaultfd(_: &Context) -> Finding {
    // SAFETY: userfaultfd takes flags and returns a new descriptor or -1; it is closed at once.
    let opened = unsafe {
        let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
        if let Ok(fd) = libc::c_int::try_from(fd)
            && fd >= 0
        {
            libc::close(fd);
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    match opened {
        Ok(()) => Finding::ok("opens"),
        Err(error) => Finding::degraded(format!("refused: {error}"))
            .fix("run as root on a kernel built with CONFIG_USERFAULTFD=y"),
    }
}

fn limit(resource: libc::__rlimit_resource_t) -> (u64, u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a writable rlimit; a failure leaves zeroes.
    unsafe { libc::getrlimit(resource, &mut limit) };
    (limit.rlim_cur, limit.rlim_max)
}

fn shown(limit: u64) -> String {
    if limit == libc::RLIM_INFINITY {
        "unlimited".into()
    } else {
        limit.to_string()
    }
}

/// BPF memory is charged to the control group from Linux 5.11 on, to this limit before.
pub(super) fn memlock(context: &Context) -> Finding {
    let (soft, _) = limit(libc::RLIMIT_MEMLOCK);
    let charged = host::version(&host::host().kernel).is_none_or(|version| version < (5, 11));
    let found = format!("{} bytes", shown(soft));
    if charged && soft != libc::RLIM_INFINITY && !context.privilege.lacking().is_empty() {
        return Finding::degraded(found).fix("ulimit -l unlimited, as root");
    }
    Finding::ok(found)
}

pub(super) fn open_files(_: &Context) -> Finding {
    let (soft, hard) = limit(libc::RLIMIT_NOFILE);
    let found = format!("{} (hard limit {})", shown(soft), shown(hard));
    if hard < FEW_FILES {
        return Finding::degraded(found).fix(format!("ulimit -Hn {FEW_FILES}, as root"));
    }
    Finding::ok(found)
}

pub(super) fn huge_pages(_: &Context) -> Finding {
    match host::host().transparent_hugepages {
        Some(mode) => Finding::ok(format!("transparent huge pages: {mode}")),
        None => Finding::ok("no transparent huge pages in this kernel"),
    }
}

pub(super) fn swap(_: &Context) -> Finding {
    let areas = host::read("/proc/swaps").lines().skip(1).count();
    Finding::ok(match areas {
        0 => "none".to_owned(),
        1 => "1 area".to_owned(),
        areas => format!("{areas} areas"),
    })
}

pub(super) fn pointers(_: &Context) -> Finding {
    let value = host::read("/proc/sys/kernel/kptr_restrict");
    Finding::ok(format!("kernel.kptr_restrict is {}", value.trim()))
}

pub(super) fn hypervisor(_: &Context) -> Finding {
    Finding::ok(match host::hypervisor() {
        Some(name) => format!("{name}: page-table entries are the guest's"),
        None => "none".into(),
    })
}

/// The version is read from the toolchain's VERSION file; nothing is executed.
pub(super) fn go(_: &Context) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let go = std::env::split_paths(&path)
        .map(|directory| directory.join("go"))
        .find(|file| file.is_file());
    let Some(go) = go else {
        return Finding::degraded("no go in PATH").fix("cargo xtask setup");
    };
    let root = go.canonicalize().ok();
    let version = root
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent)
        .and_then(|root| std::fs::read_to_string(root.join("VERSION")).ok())
        .and_then(|text| text.lines().next().map(str::to_owned));
    let shown = go.display();
    Finding::ok(match version {
        Some(version) => format!("{version} at {shown}"),
        None => shown.to_string(),
    })
}
