//! Watched memory in words: its mapping as in /proc/PID/maps, flags as in smaps, page size, page and entry.

use super::plain::{bytes, clean, count, duration};
use crate::model::Pte;
use crate::model::summary::Summary;
use crate::model::watched::{Looked, MemoryFacts, WatchedMemory};

/// Items told at most; JSON has all.
const MAX_ITEMS: usize = 64;

/// What is told of one watched word or range.
pub struct Told {
    pub heading: String,
    pub facts: Vec<String>,
}

/// Everything watched, in words; first how often its words were written.
pub fn told(summary: &Summary) -> Vec<Told> {
    let hits = (summary.events.watch_hit != 0).then(|| Told {
        heading: format!("words: {}", count(summary.events.watch_hit, "write")),
        facts: Vec::new(),
    });
    let items = summary.watched.iter().take(MAX_ITEMS).map(item);
    hits.into_iter().chain(items).collect()
}

fn item(memory: &WatchedMemory) -> Told {
    let place = format!("{}, {}", memory.address, bytes(memory.length));
    let named = clean(&memory.name);
    let heading = if named.starts_with("0x") {
        format!("{named} ({})", bytes(memory.length))
    } else {
        format!("{named} ({place})")
    };
    let mut facts: Vec<String> = memory.seen.iter().flat_map(mapping).collect();
    if facts.is_empty() {
        facts.push("the process was gone before its mapping could be read".to_owned());
    }
    if let Some(pte) = &memory.pte {
        facts.push(format!("last sampled entry: {}", entry(pte)));
    }
    if let Some(ns) = memory.unmapped_ns {
        facts.push(format!(
            "UNMAPPED by the program after {}: samples and hits from then on are of other memory",
            duration(ns)
        ));
    }
    Told { heading, facts }
}

/// The mapping's line, and what smaps and pagemap add.
fn mapping(facts: &MemoryFacts) -> Vec<String> {
    let when = match facts.when {
        Looked::Armed => "at the start",
        Looked::FirstEvent => "at the first event",
        Looked::End => "at the end",
    };
    let Some(line) = &facts.mapping else {
        return vec![format!("{when}: nothing mapped there")];
    };
    let mut parts = Vec::new();
    if !facts.vm_flags.is_empty() {
        parts.push(clean(&facts.vm_flags.join(" ")));
    }
    if let Some(size) = facts.page_bytes {
        parts.push(format!("{} KiB pages", size / 1024));
    }
    if let Some(page) = facts.page {
        parts.push(match (page.present, page.swapped) {
            (true, _) if page.file_or_shared => "page present, of a file or shared".to_owned(),
            (true, _) => "page present, anonymous".to_owned(),
            (_, true) => "page swapped out".to_owned(),
            _ => "page not touched yet".to_owned(),
        });
    }
    let mut said = vec![format!("{when}: {}", clean(line))];
    if !parts.is_empty() {
        said.push(format!("  {}", parts.join("; ")));
    }
    said
}

fn entry(pte: &Pte) -> String {
    if pte.empty {
        return "empty".to_owned();
    }
    let words = [
        (
            true,
            if pte.present {
                "present"
            } else {
                "not present"
            },
        ),
        (
            pte.present,
            if pte.writable {
                "writable"
            } else {
                "read-only"
            },
        ),
        (pte.present && pte.dirty, "dirty"),
        (pte.present && pte.accessed, "accessed"),
        (pte.present && pte.no_execute, "no-execute"),
        (pte.zero_page, "the zero page"),
        (pte.prot_none, "PROT_NONE or NUMA hint"),
        (pte.uffd_wp, "write-protected by userfaultfd"),
    ];
    let said: Vec<&str> = words
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, w)| *w)
        .collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;
    use crate::model::watched::PageFacts;

    #[test]
    fn writes_to_watched_words_are_told_and_none_are_not() {
        let mut summary = Summary::default();
        assert!(told(&summary).is_empty());
        summary.events.watch_hit = 1_000;
        let [item] = &told(&summary)[..] else {
            panic!("one item")
        };
        assert_eq!(item.heading, "words: 1,000 writes");
    }

    #[test]
    fn watched_memory_is_told_with_its_mapping_and_its_end() {
        let armed = MemoryFacts {
            mapping: Some("1000-2000 rw-p 00000000 fe:01 7 /bin/a\x1b[2J".to_owned()),
            vm_flags: vec!["rd".to_owned(), "wr".to_owned()],
            page_bytes: Some(4096),
            page: Some(PageFacts {
                present: true,
                ..PageFacts::default()
            }),
            ..MemoryFacts::default()
        };
        let gone = MemoryFacts {
            when: Looked::End,
            ..MemoryFacts::default()
        };
        let summary = Summary {
            watched: vec![WatchedMemory {
                name: "counter".to_owned(),
                pid: 7,
                address: Address(0x1008),
                length: 8,
                seen: vec![armed, gone],
                unmapped_ns: Some(2_000_000),
                pte: None,
            }],
            ..Summary::default()
        };
        let [item] = &told(&summary)[..] else {
            panic!("one item")
        };
        assert!(item.heading.starts_with("counter (0x1008, 8 "));
        assert!(item.facts[0].contains("rw-p 00000000 fe:01 7 /bin/a"));
        assert!(!item.facts[0].contains('\x1b'));
        assert_eq!(
            item.facts[1],
            "  rd wr; 4 KiB pages; page present, anonymous"
        );
        assert_eq!(item.facts[2], "at the end: nothing mapped there");
        assert!(item.facts[3].starts_with("UNMAPPED by the program after 2"));
    }
}
