//! An array of pages, changed page by page.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::build::{PAGE, assert_sound, visible};
use crate::space::{Call, SideBandMapping, Space, flag};

/// Pages the random mappings lie in; the heap lies behind them.
const PAGES: u64 = 48;
pub const HEAP: u64 = 100;

/// One page, as far as mappings go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    prot: u64,
    shared: bool,
    /// File number and page offset; none for anonymous memory.
    file: Option<(u8, u64)>,
    flags: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Naive {
    pub pages: BTreeMap<u64, Page>,
    pub brk: u64,
}

#[derive(Clone, Debug)]
pub enum Op {
    Map {
        at: u64,
        len: u64,
        prot: u64,
        shared: bool,
        file: Option<(u8, u64)>,
    },
    Unmap {
        at: u64,
        len: u64,
    },
    Protect {
        at: u64,
        len: u64,
        prot: u64,
    },
    Remap {
        at: u64,
        len: u64,
        new_len: u64,
        to: Option<u64>,
        keep: bool,
    },
    Break {
        pages: u64,
    },
    Advise {
        at: u64,
        len: u64,
        advice: i32,
    },
}

pub fn op() -> impl Strategy<Value = Op> {
    let at = 1..PAGES;
    let len = 1..12_u64;
    let prot = prop::sample::select(vec![0_u64, 1, 3, 5]);
    let file = prop::option::of((0..2_u8, 0..4_u64));
    let advice = prop::sample::select(vec![
        libc::MADV_DONTFORK,
        libc::MADV_DOFORK,
        libc::MADV_HUGEPAGE,
        libc::MADV_NOHUGEPAGE,
        libc::MADV_DONTNEED,
    ]);
    prop_oneof![
        4 => (at.clone(), len.clone(), prot.clone(), any::<bool>(), file)
            .prop_map(|(at, len, prot, shared, file)| Op::Map { at, len, prot, shared: shared && file.is_some(), file }),
        2 => (at.clone(), len.clone()).prop_map(|(at, len)| Op::Unmap { at, len }),
        3 => (at.clone(), len.clone(), prot).prop_map(|(at, len, prot)| Op::Protect { at, len, prot }),
        2 => (at.clone(), len.clone(), len.clone(), prop::option::of(at.clone()), any::<bool>())
            .prop_map(|(at, len, new_len, to, keep)| Op::Remap { at, len, new_len, to, keep }),
        1 => (0..12_u64).prop_map(|pages| Op::Break { pages }),
        1 => (at, len, advice).prop_map(|(at, len, advice)| Op::Advise { at, len, advice }),
    ]
}

/// A call's number, arguments and result, and the page ranges the kernel would report in the side band.
pub type Made = (Call, [u64; 6], i64, Vec<(u64, u64)>);

impl Naive {
    /// Carries the operation out.
    pub fn apply(&mut self, op: &Op) -> Made {
        match *op {
            Op::Map {
                at,
                len,
                prot,
                shared,
                file,
            } => self.map((at, len), prot, shared, file),
            Op::Unmap { at, len } => {
                self.pages.retain(|page, _| !(at..at + len).contains(page));
                (Call::Munmap, [at * PAGE, len * PAGE, 0, 0, 0, 0], 0, vec![])
            }
            Op::Protect { at, len, prot } => self.protect(at, len, prot),
            Op::Remap {
                at,
                len,
                new_len,
                to,
                keep,
            } => self.remap(at, len, new_len, to, keep),
            Op::Break { pages } => self.set_break(pages),
            Op::Advise { at, len, advice } => self.advise(at, len, advice),
        }
    }

    fn map(
        &mut self,
        (at, len): (u64, u64),
        prot: u64,
        shared: bool,
        file: Option<(u8, u64)>,
    ) -> Made {
        for page in at..at + len {
            let file = file.map(|(id, offset)| (id, offset + page - at));
            self.pages.insert(
                page,
                Page {
                    prot,
                    shared,
                    file,
                    flags: 0,
                },
            );
        }
        let anon = if file.is_none() {
            libc::MAP_ANONYMOUS
        } else {
            0
        };
        let kind = if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        let flags = (anon | kind | libc::MAP_FIXED) as u64;
        let offset = file.map_or(0, |(_, offset)| offset * PAGE);
        let args = [at * PAGE, len * PAGE, prot, flags, 3, offset];
        (Call::Mmap, args, (at * PAGE) as i64, vec![(at, at + len)])
    }

    fn protect(&mut self, at: u64, len: u64, prot: u64) -> Made {
        let mut changed = Vec::new();
        let mut result = 0;
        for page in at..at + len {
            let Some(found) = self.pages.get_mut(&page) else {
                result = -i64::from(libc::ENOMEM);
                break;
            };
            if found.prot != prot {
                changed.push((page, page + 1));
            }
            found.prot = prot;
        }
        (
            Call::Mprotect,
            [at * PAGE, len * PAGE, prot, 0, 0, 0],
            result,
            changed,
        )
    }

    fn set_break(&mut self, pages: u64) -> Made {
        let (old, new) = (self.brk, HEAP + pages);
        self.pages.retain(|page, _| *page < HEAP || *page < new);
        for page in old..new {
            self.pages.insert(
                page,
                Page {
                    prot: 3,
                    shared: false,
                    file: None,
                    flags: 0,
                },
            );
        }
        self.brk = new;
        let reported = if new > old { vec![(old, new)] } else { vec![] };
        let wanted = new * PAGE - 5;
        (Call::Brk, [wanted, 0, 0, 0, 0, 0], wanted as i64, reported)
    }

    fn advise(&mut self, at: u64, len: u64, advice: i32) -> Made {
        let mut result = 0;
        for page in at..at + len {
            let Some(found) = self.pages.get_mut(&page) else {
                result = -i64::from(libc::ENOMEM);
                continue;
            };
            match advice {
                libc::MADV_DONTFORK => found.flags |= flag::DONT_FORK,
                libc::MADV_DOFORK => found.flags &= !flag::DONT_FORK,
                libc::MADV_HUGEPAGE => {
                    found.flags = found.flags & !flag::NO_HUGEPAGE | flag::HUGEPAGE;
                }
                libc::MADV_NOHUGEPAGE => {
                    found.flags = found.flags & !flag::HUGEPAGE | flag::NO_HUGEPAGE;
                }
                _ => {}
            }
        }
        (
            Call::Madvise,
            [at * PAGE, len * PAGE, advice as u64, 0, 0, 0],
            result,
            vec![],
        )
    }

    fn remap(&mut self, at: u64, len: u64, new_len: u64, to: Option<u64>, keep: bool) -> Made {
        const DONT_UNMAP: u64 = 4;
        let keep = keep && to.is_some() && len == new_len;
        let flags = 1 | if to.is_some() { 2 } else { 0 } | if keep { DONT_UNMAP } else { 0 };
        let args = [
            at * PAGE,
            len * PAGE,
            new_len * PAGE,
            flags,
            to.unwrap_or(0) * PAGE,
            0,
        ];
        // Errors that leave no doubt; the others are tried on the real kernel.
        let error = if len == new_len {
            libc::EINVAL
        } else {
            libc::EFAULT
        };
        let refused = (Call::Mremap, args, -i64::from(error), vec![]);
        let source: Vec<Page> = (at..at + len)
            .filter_map(|page| self.pages.get(&page).copied())
            .collect();
        let one = source.windows(2).all(|two| follows(two[0], two[1]));
        if source.len() as u64 != len || !one {
            return refused;
        }
        let to = match to {
            Some(to) if to + new_len <= at || at + len <= to => to,
            Some(_) => return refused,
            None if new_len > len
                && (at + len..at + new_len).any(|page| self.pages.contains_key(&page)) =>
            {
                // The kernel would look for room elsewhere; page 64 here.
                64
            }
            None => at,
        };
        if !keep {
            self.pages.retain(|page, _| !(at..at + len).contains(page));
        }
        for index in 0..new_len {
            let mut page = source[0];
            page.file = page.file.map(|(id, offset)| (id, offset + index));
            self.pages.insert(to + index, page);
        }
        (Call::Mremap, args, (to * PAGE) as i64, vec![])
    }

    /// The side-band record of the mapping around a range.
    pub fn report(&self, (start, end): (u64, u64), ktime_ns: u64) -> Arc<SideBandMapping> {
        let same = |page: u64| {
            let (low, high) = (self.pages.get(&page), self.pages.get(&(page + 1)));
            low.zip(high)
                .is_some_and(|(low, high)| follows(*low, *high))
        };
        let (mut start, mut end) = (start, end);
        while start > 0 && same(start - 1) {
            start -= 1;
        }
        while same(end - 1) {
            end += 1;
        }
        let page = self.pages[&start];
        let kind = if page.shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        Arc::new(SideBandMapping {
            ktime_ns,
            tgid: 1,
            start: start * PAGE,
            length: (end - start) * PAGE,
            offset: page.file.map_or(start, |(_, offset)| offset) * PAGE,
            prot: page.prot as u32,
            flags: kind as u32,
            filename: page
                .file
                .map_or("//anon".into(), |(id, _)| format!("/file{id}").into()),
            device: None,
            inode: page.file.map(|(id, _)| u64::from(id)),
            build_id: None,
        })
    }

    /// The replay holds exactly these pages; files are only known where the side band told of them.
    pub fn assert_same(&self, space: &Space, files_known: bool) {
        assert_sound(space);
        for page in 0..HEAP * 6 {
            let held = space.lookup(page * PAGE);
            let expected = self.pages.get(&page);
            assert_eq!(
                held.is_some(),
                expected.is_some(),
                "page {page}: {:#?}",
                visible(space)
            );
            let (Some(held), Some(expected)) = (held, expected) else {
                continue;
            };
            let offset = held.offset_at(page * PAGE) / PAGE;
            assert_eq!(u64::from(held.prot.bits()), expected.prot, "page {page}");
            assert_eq!(held.shared, expected.shared, "page {page}");
            assert_eq!(held.flags, expected.flags, "page {page}");
            assert_eq!(
                offset,
                expected.file.map_or(0, |(_, offset)| offset),
                "page {page}"
            );
            assert!(!held.doubt, "page {page}");
            if files_known {
                let name = expected.file.map(|(id, _)| format!("/file{id}"));
                assert_eq!(held.name(), name.as_deref(), "page {page}");
            }
        }
    }
}

/// The kernel would hold both pages in one mapping.
fn follows(low: Page, high: Page) -> bool {
    let mut next = low;
    next.file = low.file.map(|(id, offset)| (id, offset + 1));
    next == high
}
