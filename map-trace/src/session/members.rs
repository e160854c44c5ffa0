//! The causes of delivered faults by what the kernel groups by, for the faults it only counted.

use std::collections::HashMap;

use map_trace_common::record::{AggregateKey, PageFaultRecord};

use crate::model::Cause;

/// Groups remembered at most.
const MAX_MEMBERS: usize = 1 << 16;

/// Kind, error code, entry class, stack: what events of a detail group share.
type Key = (u32, u64, u32, u64);

/// Causes seen by group; `None` once two differed.
#[derive(Debug, Default)]
pub struct Members(HashMap<Key, Option<Cause>>);

impl Members {
    /// A fault of a group turned out to have this cause.
    pub fn learn(&mut self, record: &PageFaultRecord, cause: Cause) {
        // Which of the rest waited for a disk is not known; that any of these did tells nothing of them.
        let cause = match cause {
            Cause::FileRead => Cause::FileMap,
            cause => cause,
        };
        let header = &record.header;
        let key = (
            header.kind,
            record.error_code,
            record.pte_class,
            header.stack,
        );
        if let Some(known) = self.0.get_mut(&key) {
            if *known != Some(cause) {
                *known = None;
            }
        } else if self.0.len() < MAX_MEMBERS {
            self.0.insert(key, Some(cause));
        }
    }

    /// The one cause that every delivered fault of the group had; `file_map` stands for `file_read` too.
    pub fn cause(&self, key: &AggregateKey) -> Option<Cause> {
        *self
            .0
            .get(&(key.kind, key.code, key.pte_class, key.stack))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_two_causes_has_none() {
        let record = PageFaultRecord {
            error_code: 6,
            pte_class: 2,
            ..PageFaultRecord::default()
        };
        let key = AggregateKey {
            code: 6,
            pte_class: 2,
            ..AggregateKey::default()
        };
        let mut members = Members::default();
        assert_eq!(members.cause(&key), None);
        members.learn(&record, Cause::FirstTouch);
        members.learn(&record, Cause::FirstTouch);
        assert_eq!(members.cause(&key), Some(Cause::FirstTouch));
        assert_eq!(members.cause(&AggregateKey { stack: 1, ..key }), None);
        members.learn(&record, Cause::Protection);
        assert_eq!(members.cause(&key), None);
    }
}
