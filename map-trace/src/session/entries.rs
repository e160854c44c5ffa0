//! How often functions are entered: a probe at the first instruction of each, which only counts.

use std::collections::BTreeMap;
use std::path::Path;

use map_trace_common::census::{CensusPlace, OPERATIONS};

use crate::binary::Binary;
use crate::kernel::census;
use crate::kernel::object::Object;
use crate::kernel::uprobes::{Counted, Uprobes};
use crate::maps::census::FLUSHES;
use crate::maps::pattern::Glob;

/// Functions that match one glob, at most: each has a probe.
const MAX_FUNCTIONS: usize = 64;

/// Which functions' entries are counted.
#[derive(Debug, Default)]
pub struct Entries {
    /// The glob, and where in the kernel its entries are counted.
    counted: Vec<(String, usize)>,
}

impl Entries {
    /// Probes the functions of a program that match these globs; a glob that none matches is left out.
    ///
    /// # Errors
    /// The program cannot be read, too much is asked for, or the kernel refuses the probes.
    pub fn attach(
        &mut self,
        object: &mut Object,
        uprobes: &mut Uprobes,
        program: &Path,
        globs: &[String],
    ) -> Result<(), String> {
        let binary = Binary::open(program).map_err(|why| why.to_string())?;
        // Behind the operations and the flushes there is room for some more.
        let room = FLUSHES as usize + 1..OPERATIONS;
        if globs.len() > room.len() {
            return Err(format!(
                "{} patterns of functions, and {} can be counted at once",
                globs.len(),
                room.len()
            ));
        }
        for (glob, slot) in globs.iter().zip(room) {
            let offsets = places(&binary, glob);
            if offsets.is_empty() {
                continue;
            }
            if offsets.len() > MAX_FUNCTIONS {
                return Err(format!("{} functions match {glob}", offsets.len()));
            }
            let place = CensusPlace {
                operation: slot as u32,
                ..CensusPlace::default()
            };
            let wanted: Vec<Counted> = offsets
                .into_iter()
                .map(|file_offset| Counted { file_offset, place })
                .collect();
            uprobes
                .count(object, program, &wanted)
                .map_err(|why| why.to_string())?;
            self.counted.push((glob.clone(), slot));
        }
        Ok(())
    }

    /// Entries by glob; none of what was not counted.
    pub fn result(&self, object: &Object) -> BTreeMap<String, u64> {
        if self.counted.is_empty() {
            return BTreeMap::new();
        }
        let Ok(sums) = census::counts(object) else {
            return BTreeMap::new();
        };
        let counted = self.counted.iter();
        counted
            .filter_map(|(glob, slot)| Some((glob.clone(), sums.get(*slot)?.count)))
            .collect()
    }
}

/// Where in the file the functions begin that match.
fn places(binary: &Binary, glob: &str) -> Vec<u64> {
    let pattern = Glob::new(glob);
    let mut starts = Vec::new();
    binary.functions(&mut |function| {
        if pattern.matches(&function.name) && !starts.contains(&function.start) {
            starts.push(function.start);
        }
    });
    let offset = |svma: u64| binary.file_offset_of_svma(svma);
    starts.into_iter().filter_map(offset).collect()
}
