//! Facts about the machine: for the trace's header, and for reading page tables.

use std::arch::x86_64::__cpuid;

use crate::model::header::Host;

/// What to keep in mind when reading page-table entries (docs/limitations.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageTableFacts {
    /// The CPU and kernel use five levels: `la57` among the kernel's CPU flags.
    pub five_levels: bool,
    /// Page-table isolation is on.
    pub page_table_isolation: bool,
    /// Position of the encryption bit (AMD SME/SEV) when the CPU has one and the kernel shows it.
    pub encryption_bit: Option<u8>,
    /// Under a hypervisor.
    pub guest: bool,
}

impl PageTableFacts {
    pub fn current() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let meltdown = read("/sys/devices/system/cpu/vulnerabilities/meltdown");
        let encrypted = has_flag(&cpuinfo, "sme") || has_flag(&cpuinfo, "sev");
        Self {
            five_levels: has_flag(&cpuinfo, "la57"),
            page_table_isolation: meltdown.contains("PTI"),
            encryption_bit: if encrypted { encryption_bit() } else { None },
            guest: hypervisor().is_some(),
        }
    }
}

/// The machine, for the header of a trace.
pub fn host() -> Host {
    let names = rustix::system::uname();
    let cpuinfo = read("/proc/cpuinfo");
    let cpu = field(&cpuinfo, "model name").unwrap_or("unknown");
    Host {
        hostname: clean(&names.nodename().to_string_lossy()),
        kernel: clean(&names.release().to_string_lossy()),
        machine: clean(&names.machine().to_string_lossy()),
        cpu: clean(cpu),
        cpus: std::thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        hypervisor: hypervisor(),
        transparent_hugepages: chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled")),
    }
}

/// The hypervisor's signature from CPUID leaf 0x4000_0000, when the hypervisor bit of leaf 1 is set.
pub fn hypervisor() -> Option<String> {
    if __cpuid(1).ecx & 1 << 31 == 0 {
        return None;
    }
    let leaf = __cpuid(0x4000_0000);
    let bytes: Vec<u8> = [leaf.ebx, leaf.ecx, leaf.edx]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .take_while(|byte| *byte != 0)
        .collect();
    let name = clean(&String::from_utf8_lossy(&bytes));
    Some(if name.is_empty() {
        "unnamed".into()
    } else {
        name
    })
}

/// CPUID leaf 0x8000_001f, EBX bits 0-5 (AMD64 Architecture Programmer's Manual, volume 3, appendix E).
fn encryption_bit() -> Option<u8> {
    const LEAF: u32 = 0x8000_001f;
    let last = __cpuid(0x8000_0000).eax;
    (last >= LEAF).then(|| (__cpuid(LEAF).ebx & 0x3f) as u8)
}

/// `(major, minor)` of a release such as `6.18.44-fc`.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The word in brackets of a sysfs choice such as `always [madvise] never`.
pub(super) fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    let (word, _) = rest.split_once(']')?;
    Some(clean(word))
}

/// A file's text, empty when it cannot be read.
pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    lines
        .into_iter()
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    field(cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|one| one == flag))
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let host = host();
        assert_eq!(host.machine, "x86_64");
        assert!(version(&host.kernel).unwrap() >= (5, 10));
        assert!(host.cpus > 0 && host.cpu != "unknown");
        let facts = PageTableFacts::current();
        assert_eq!(facts.guest, host.hypervisor.is_some());
    }

    #[test]
    fn releases_are_read_and_nonsense_is_not() {
        assert_eq!(version("6.18.44-fc-v470"), Some((6, 18)));
        assert_eq!(version("5.10-rc1"), Some((5, 10)));
        for bad in ["", "6", "x.y", "6.x", "99999999999.1"] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_chosen_word_is_in_brackets() {
        assert_eq!(chosen("always [madvise] never\n"), Some("madvise".into()));
        assert_eq!(chosen("always"), None);
        assert_eq!(chosen("] x ["), None);
    }

    #[test]
    fn a_flag_is_a_whole_word() {
        let cpuinfo = "processor\t: 0\nflags\t\t: fpu sev_es la57\n";
        assert!(has_flag(cpuinfo, "la57"));
        assert!(!has_flag(cpuinfo, "sev"));
    }
}
