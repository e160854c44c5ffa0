//! Functions whose first entry is noted: a probe each, taken off again once it was hit.

use std::path::Path;

use map_trace_common::place::{Goroutines, Place, flag};
use map_trace_common::record::kind;

use super::probes::Probes;
use super::structure::Structure;
use crate::binary::Binary;
use crate::error::{Error, Result};
use crate::kernel::object::Object;
use crate::kernel::uprobes::Wanted;

/// Probes functions of a program.
///
/// # Errors
/// 2 for a function that is not there or not one, 125 when the kernel refuses the probe.
pub fn attach(
    object: &mut Object,
    probes: &mut Probes,
    structure: &mut Structure,
    (program, symbols): (&Path, &[String]),
) -> Result<()> {
    let name = program.display();
    let opened = Binary::open(program);
    let binary =
        opened.map_err(|why| Error::usage(format!("cannot find functions in {name}"), why))?;
    // A Go program is known already; what is told of another has no goroutines.
    let index = probes.file(object, program, structure);
    for symbol in symbols {
        let failed =
            |why: String| Error::failed(format!("cannot note the entry into {symbol}"), why);
        let file_offset = offset(&binary, symbol)?;
        let index = match index {
            Some(index) => index,
            None => probes
                .stranger(object, Goroutines::default())
                .map_err(failed)?,
        };
        let place = Place {
            kind: kind::MAP_STATE,
            flags: flag::SUPPLEMENT,
            binary: index,
            ..Place::default()
        };
        let wanted = Wanted { file_offset, place };
        let first = probes.one(object, program, wanted).map_err(failed)?;
        structure.mark(first, symbol);
    }
    Ok(())
}

/// Where a function begins in the file.
fn offset(binary: &Binary, symbol: &str) -> Result<u64> {
    let what = || format!("cannot note the entry into {symbol}");
    match binary.symbol(symbol).as_slice() {
        [one] if binary.is_code(one.svma) => binary
            .file_offset_of_svma(one.svma)
            .ok_or_else(|| Error::usage(what(), "it is not in the file")),
        [_] => Err(Error::usage(what(), "it is not a function")),
        [] => Err(Error::usage(
            what(),
            format!("{} has no such function", binary.name()),
        )),
        several => {
            let why = format!("{} has {} of that name", binary.name(), several.len());
            Err(Error::usage(what(), why))
        }
    }
}
