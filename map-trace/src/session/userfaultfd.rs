//! Which memory is registered with userfaultfd, from the calls that say so.

use std::collections::BTreeSet;

use map_trace_common::record::UserfaultfdRecord;

use crate::space::{Spaces, flag};

/// Descriptors remembered at most.
const MAX_DESCRIPTORS: usize = 4096;

/// The descriptors that processes registered memory through.
#[derive(Default)]
pub struct Registrations(BTreeSet<(u32, u32)>);

/// Modes of UFFDIO_REGISTER (include/uapi/linux/userfaultfd.h) as smaps shows them.
const MODES: [(u64, u32); 3] = [
    (1, flag::UFFD_MISSING),
    (2, flag::UFFD_WP),
    (4, flag::UFFD_MINOR),
];

impl Registrations {
    /// Applies one record to its process's mappings.
    pub fn apply(&mut self, record: &UserfaultfdRecord, spaces: &mut Spaces) {
        let tgid = record.header.tgid;
        if record.length != 0 {
            let on = MODES.iter().filter(|(mode, _)| record.mode & mode != 0);
            let flags = on.fold(0, |flags, (_, bit)| flags | bit);
            if let Some(space) = spaces.space_mut(tgid) {
                space.set_userfaultfd(record.start, record.length, flags);
            }
            if self.0.len() < MAX_DESCRIPTORS {
                self.0.insert((tgid, record.first));
            }
            return;
        }
        // A child's copy of its parent's descriptor is not in the set: closing it ends nothing.
        if record.first > record.last {
            return;
        }
        let closed: Vec<_> = self
            .0
            .range((tgid, record.first)..=(tgid, record.last))
            .copied()
            .collect();
        if closed.is_empty() {
            return;
        }
        for descriptor in closed {
            self.0.remove(&descriptor);
        }
        if let Some(space) = spaces.space_mut(tgid) {
            space.doubt_userfaultfd();
        }
    }
}

#[cfg(test)]
mod tests {
    use map_trace_common::record::Header;

    use super::*;
    use crate::model::Prot;

    const MAPS: &str = "7f0000000000-7f0000010000 rw-p 00000000 00:00 0 \n";
    const AT: u64 = 0x7f00_0000_0000;

    fn spaces() -> Spaces {
        let mut spaces = Spaces::new();
        spaces.load_snapshot(1, MAPS, 0).unwrap();
        spaces
    }

    fn record(start: u64, length: u64, mode: u64, first: u32, last: u32) -> UserfaultfdRecord {
        let header = Header {
            tgid: 1,
            ..Header::default()
        };
        UserfaultfdRecord {
            header,
            start,
            length,
            mode,
            first,
            last,
        }
    }

    fn flags(spaces: &Spaces, address: u64) -> (u32, bool) {
        let place = spaces.place(1, address);
        let vma = place.vma.unwrap();
        assert_eq!(vma.prot, Prot::RW);
        (vma.flags & flag::UFFD, place.certain)
    }

    #[test]
    fn a_range_is_registered_and_unregistered_and_its_neighbours_are_not_touched() {
        let (mut spaces, mut registrations) = (spaces(), Registrations::default());
        registrations.apply(&record(AT + 0x1000, 0x2000, 3, 5, 5), &mut spaces);
        assert_eq!(flags(&spaces, AT + 0xfff), (0, true));
        let both = flag::UFFD_MISSING | flag::UFFD_WP;
        assert_eq!(flags(&spaces, AT + 0x1000), (both, true));
        assert_eq!(flags(&spaces, AT + 0x2fff), (both, true));
        assert_eq!(flags(&spaces, AT + 0x3000), (0, true));
        registrations.apply(&record(AT + 0x2000, 0x1000, 0, 5, 5), &mut spaces);
        assert_eq!(flags(&spaces, AT + 0x1000), (both, true));
        assert_eq!(flags(&spaces, AT + 0x2000), (0, true));
    }

    #[test]
    fn closing_the_descriptor_leaves_doubt_and_closing_another_leaves_none() {
        let (mut spaces, mut registrations) = (spaces(), Registrations::default());
        registrations.apply(&record(AT, 0x1000, 1, 5, 5), &mut spaces);
        registrations.apply(&record(0, 0, 0, 6, u32::MAX), &mut spaces);
        registrations.apply(&record(0, 0, 0, 9, 2), &mut spaces);
        assert_eq!(flags(&spaces, AT), (flag::UFFD_MISSING, true));
        registrations.apply(&record(0, 0, 0, 3, u32::MAX), &mut spaces);
        assert_eq!(flags(&spaces, AT), (flag::UFFD_MISSING, false));
        assert_eq!(flags(&spaces, AT + 0x1000), (0, true));
    }
}
