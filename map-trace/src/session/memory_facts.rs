//! What the kernel says of watched memory: /proc/PID/smaps and pagemap, read when watching begins, at the first event
//! of memory that was mapped later, and at the end.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::model::watched::{Looked, MemoryFacts, PageFacts};
use crate::target::procfs::Process;

const PAGE: u64 = 4096;
/// Bytes kept of a mapping's line, which may hold any file name.
const MAX_LINE: usize = 512;

/// Reads the facts of addresses of one process; none when it is gone.
pub fn read(pid: u32, addresses: &[u64], when: Looked) -> Option<Vec<MemoryFacts>> {
    let smaps = Process::open(pid).ok()?.smaps().ok()?;
    let smaps = String::from_utf8_lossy(&smaps);
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).ok();
    let facts = addresses.iter().map(|&address| MemoryFacts {
        when,
        page: pagemap.as_ref().and_then(|file| page(file, address)),
        ..facts(&smaps, address)
    });
    Some(facts.collect())
}

/// The part of smaps about the mapping that holds an address.
fn facts(smaps: &str, address: u64) -> MemoryFacts {
    let mut found = MemoryFacts::default();
    for line in smaps.lines() {
        if let Some((start, end)) = range(line) {
            if found.mapping.is_some() {
                break;
            }
            if (start..end).contains(&address) {
                found.mapping = Some(head(line));
            }
        } else if found.mapping.is_none() {
        } else if let Some(size) = line.strip_prefix("KernelPageSize:") {
            let number = size.trim().trim_end_matches(" kB").parse::<u64>().ok();
            found.page_bytes = number.and_then(|size| size.checked_mul(1024));
        } else if let Some(words) = line.strip_prefix("VmFlags:") {
            found.vm_flags = words.split_ascii_whitespace().map(str::to_owned).collect();
        }
    }
    found
}

/// The range of a mapping's line; none for any other line.
fn range(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some((hex(start)?, hex(end)?))
}

/// A mapping's line, its columns one space apart.
fn head(line: &str) -> String {
    let mut words = line.splitn(6, ' ');
    let mut text = words.by_ref().take(5).collect::<Vec<_>>().join(" ");
    let name = words.next().unwrap_or_default().trim_start();
    if !name.is_empty() {
        text.push(' ');
        text.extend(name.chars().filter(|c| !c.is_control()).take(MAX_LINE));
    }
    text
}

fn page(pagemap: &File, address: u64) -> Option<PageFacts> {
    let mut word = [0; 8];
    pagemap
        .read_exact_at(&mut word, (address / PAGE).checked_mul(8)?)
        .ok()?;
    let bit = |number: u32| u64::from_le_bytes(word) >> number & 1 == 1;
    Some(PageFacts {
        present: bit(63),
        swapped: bit(62),
        file_or_shared: bit(61),
        exclusive: bit(56),
        soft_dirty: bit(55),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
555555554000-555555555000 r--p 00000000 fe:01 1234                       /bin/a b
Size:                  4 kB
KernelPageSize:        4 kB
VmFlags: rd mr mw me sd
7ffff7c00000-7ffff7e00000 rw-p 00000000 00:00 0
KernelPageSize:     2048 kB
VmFlags: rd wr mr mw me ac ht sd
";

    #[test]
    fn an_address_has_the_facts_of_its_mapping_alone() {
        let file = facts(SMAPS, 0x5555_5555_4fff);
        assert_eq!(
            file.mapping.as_deref(),
            Some("555555554000-555555555000 r--p 00000000 fe:01 1234 /bin/a b")
        );
        assert_eq!(file.page_bytes, Some(4096));
        assert_eq!(file.vm_flags, ["rd", "mr", "mw", "me", "sd"]);
        let huge = facts(SMAPS, 0x7fff_f7c0_0000);
        assert_eq!(
            huge.mapping.as_deref(),
            Some("7ffff7c00000-7ffff7e00000 rw-p 00000000 00:00 0")
        );
        assert_eq!(huge.page_bytes, Some(2 << 20));
        assert!(huge.vm_flags.contains(&"ht".to_owned()));
    }

    #[test]
    fn where_nothing_is_mapped_nothing_is_said() {
        for address in [0, 0x5555_5555_5000, 0x7fff_f7e0_0000, u64::MAX] {
            assert_eq!(facts(SMAPS, address), MemoryFacts::default());
        }
        for text in [
            "",
            "VmFlags: rd",
            "KernelPageSize: x kB\n1-",
            "-\n- - -",
            "zz-1 r",
        ] {
            assert_eq!(facts(text, 1), MemoryFacts::default(), "{text}");
        }
    }

    #[test]
    fn a_page_of_our_own_is_present_and_anonymous() {
        let own = Box::new([1_u8; 8192]);
        let address = own.as_ptr() as u64 + 4096;
        let facts = read(std::process::id(), &[address, 1], Looked::End).unwrap();
        let page = facts[0].page.unwrap();
        assert!(page.present && !page.swapped && !page.file_or_shared);
        assert!(facts[0].vm_flags.contains(&"wr".to_owned()));
        assert_eq!(facts[0].when, Looked::End);
        assert_eq!(facts[1].mapping, None);
        assert_eq!(read(u32::MAX, &[1], Looked::End), None);
        drop(own);
    }
}
