//! What a claim needs, as the file has it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::claim::words::hint;
use crate::claim::{Needs, controls};
use crate::model::Operation;

#[derive(Deserialize)]
#[serde(untagged)]
pub enum RawNeed {
    Count(u64),
    Names(Vec<String>),
}

/// Which conditions these are; `regions` are the experiment's, by name.
pub fn needs(raw: BTreeMap<String, RawNeed>, regions: &[String]) -> Result<Needs, String> {
    let mut needs = Needs::default();
    for (word, need) in raw {
        match (word.as_str(), need) {
            ("pte_samples", RawNeed::Count(count)) => needs.pte_samples = Some(count),
            ("controls", RawNeed::Names(names)) => {
                for name in names {
                    let name = controls::plain(&name);
                    if !controls::NAMES.contains(&name.as_str()) {
                        return Err(format!(
                            "no control '{name}'{}",
                            hint(&name, controls::NAMES)
                        ));
                    }
                    needs.controls.push(name);
                }
            }
            (name, RawNeed::Count(count)) => {
                let operation = Operation::from_word(name);
                if matches!(&operation, Operation::Region(region) if !regions.iter().any(|one| **one == **region))
                {
                    return Err(format!("'{name}' is nothing a claim can need"));
                }
                needs.operations.push((operation, count));
            }
            (name, RawNeed::Names(_)) => return Err(format!("'{name}' needs a number")),
        }
    }
    Ok(needs)
}
