//! Mappings: from the side band, and read again where it lost some.

use std::sync::Arc;

use super::{Item, Pipeline};
use crate::kernel::side_band_record::{FileIdentity, Mapping, SideBandRecord};
use crate::space::{Device, SideBandMapping};

impl Pipeline {
    /// Takes one side-band record.
    pub fn accept_side_band(&mut self, record: SideBandRecord) {
        let time_ns = match &record {
            SideBandRecord::Mapping(mapping) => mapping.time_ns,
            SideBandRecord::Exec(exec) => exec.time_ns,
            SideBandRecord::Lost { .. } => return,
        };
        self.order.push(time_ns, Item::SideBand(record));
    }

    /// Changes of mappings were lost before `until_ns`: no replay is worth anything until an exec of later, or until
    /// the mappings are read.
    pub fn lose_mappings(&mut self, until_ns: u64) {
        self.losses += 1;
        self.spaces.lose_all(until_ns);
    }

    /// Takes the text of a process's maps file, read at a time: the truth from then on, and until then a guess.
    /// False when it is no such text.
    pub fn mappings_read(&mut self, tgid: u32, text: String, taken_ns: u64) -> bool {
        let read = self.spaces.guess(tgid, &text, taken_ns).is_ok();
        if read {
            let losses = self.losses;
            self.order.push(
                taken_ns,
                Item::Maps {
                    tgid,
                    text,
                    losses,
                    taken_ns,
                },
            );
        }
        read
    }

    pub(super) fn side_band(&mut self, record: SideBandRecord) {
        match record {
            // The side band of `attach` tells of every process of the machine.
            SideBandRecord::Exec(exec) if self.spaces.space(exec.tgid).is_some() => {
                self.spaces.exec_started(exec.tgid, exec.time_ns);
            }
            SideBandRecord::Exec(_) => {}
            SideBandRecord::Mapping(mapping) => {
                self.spaces.report(&Arc::new(side_band_mapping(mapping)));
            }
            SideBandRecord::Lost { .. } => {}
        }
    }
}

/// The side band's record as the replay takes it.
fn side_band_mapping(mapping: Mapping) -> SideBandMapping {
    let (device, inode, build_id) = match mapping.file {
        FileIdentity::BuildId(id) => (None, None, Some(id.into())),
        FileIdentity::Inode {
            major,
            minor,
            inode,
            ..
        } => (Some(Device { major, minor }), Some(inode), None),
        FileIdentity::None => (None, None, None),
    };
    SideBandMapping {
        ktime_ns: mapping.time_ns,
        tgid: mapping.tgid,
        start: mapping.start,
        length: mapping.len,
        offset: mapping.pgoff,
        prot: mapping.prot,
        flags: mapping.flags,
        filename: String::from_utf8_lossy(&mapping.name).into(),
        device,
        inode,
        build_id,
    }
}
