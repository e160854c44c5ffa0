//! Claims from the command line: `--claims FILE` and `--expect RULE`, read before anything starts.

use std::fs;
use std::path::PathBuf;

use crate::claim::{Claim, parse_file};
use crate::error::{Error, Result};

/// Every claim that was asked for, rules of `--expect` first. `regions` are names a rule may use as operations.
pub fn read(files: &[PathBuf], expect: &[String], regions: &[String]) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (rule, number) in expect.iter().zip(1..) {
        let claim = Claim::expect(rule, number, regions);
        claims.push(claim.map_err(|why| Error::usage(format!("--expect '{rule}'"), why))?);
    }
    for path in files {
        let name = path.display().to_string();
        let what = || format!("cannot use the claims of {name}");
        let text = fs::read_to_string(path).map_err(|why| Error::usage(what(), why))?;
        let read =
            parse_file(&name, &text, regions).map_err(|why| Error::usage("wrong claim", why))?;
        claims.extend(read);
    }
    let mut ids: Vec<_> = claims.iter().map(|claim| claim.id.as_str()).collect();
    ids.sort_unstable();
    if let Some([id, ..]) = ids.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(Error::usage("two claims with one id", id));
    }
    Ok(claims)
}
