//! How often the census's probes were hit.

use aya::maps::{Array, PerCpuArray};
use map_trace_common::census::{CensusCounts, EntryCounts, Goal, OPERATIONS};

use super::object::{Object, ObjectError, Shared};

/// Counts of every operation, all CPUs summed; by the index the places were given.
///
/// # Errors
/// The map could not be read.
pub fn counts(object: &Object) -> Result<[CensusCounts; OPERATIONS], ObjectError> {
    let name = "CENSUS_COUNTS";
    let access = |why| ObjectError::MapAccess { name, why };
    let map: PerCpuArray<_, Shared<CensusCounts>> =
        PerCpuArray::try_from(object.map(name)?).map_err(access)?;
    let mut sums = [CensusCounts::ZERO; OPERATIONS];
    for (index, sum) in (0u32..).zip(&mut sums) {
        for cpu in map.get(&index, 0).map_err(access)?.iter() {
            add(sum, &cpu.0);
        }
    }
    Ok(sums)
}

/// Asks to be told once so many operations have begun.
///
/// # Errors
/// The map could not be written.
pub fn tell_after(object: &mut Object, goal: Goal) -> Result<(), ObjectError> {
    let name = "CENSUS_GOAL";
    let access = |why| ObjectError::MapAccess { name, why };
    let mut map: Array<_, Shared<Goal>> = Array::try_from(object.map_mut(name)?).map_err(access)?;
    map.set(0, Shared(goal), 0).map_err(access)
}

fn add(sum: &mut CensusCounts, from: &CensusCounts) {
    sum.count += from.count;
    sum.no_header += from.no_header;
    let flags = sum.flags.iter_mut().zip(from.flags);
    let sizes = sum.sizes.iter_mut().zip(from.sizes);
    for (to, more) in flags.chain(sizes) {
        *to += more;
    }
    let EntryCounts {
        samples,
        present,
        writable,
        read_only,
        not_present,
        no_execute,
        unstable,
        unread,
    } = from.entries;
    let to = &mut sum.entries;
    to.samples += samples;
    to.present += present;
    to.writable += writable;
    to.read_only += read_only;
    to.not_present += not_present;
    to.no_execute += no_execute;
    to.unstable += unstable;
    to.unread += unread;
}
