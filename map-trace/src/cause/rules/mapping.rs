//! Rules on the mapping.

use super::Answer;
use crate::cause::{FaultInputs, PteState};
use crate::model::Cause;

pub(super) fn uncertain(inputs: &FaultInputs) -> Answer {
    let reason = "what was mapped at that moment is not certain";
    (!inputs.vma_certain).then_some((Cause::Unknown, Some(reason)))
}

pub(super) fn none(inputs: &FaultInputs) -> Answer {
    if inputs.vma.is_some() || inputs.below_stack {
        return None;
    }
    if inputs.mapping_in_flight {
        return Some((
            Cause::Unknown,
            Some("nothing mapped, while a mapping call was under way"),
        ));
    }
    Some((Cause::Unmapped, None))
}

/// The one way, beside a signal, to `protection`: the mapping itself refuses.
pub(super) fn forbids(inputs: &FaultInputs) -> Answer {
    let vma = inputs.vma.filter(|vma| inputs.forbidden_by(vma))?;
    if inputs.mapping_in_flight {
        let reason = "the mapping forbids the access, but its protection was being changed and no signal was seen";
        return Some((Cause::Unknown, Some(reason)));
    }
    let reason = if inputs.error_code.write() {
        "a write to a mapping that is not writable"
    } else if vma.prot == crate::model::Prot::NONE {
        "an access to a mapping without any right"
    } else {
        "a fetch from a mapping that is not executable"
    };
    Some((Cause::Protection, Some(reason)))
}

pub(super) fn below_stack(inputs: &FaultInputs) -> Answer {
    inputs.below_stack.then_some((Cause::StackGrowth, None))
}

/// From here on the entry decides, and error code and mapping alone leave at least two causes open.
pub(super) fn entry_unread(inputs: &FaultInputs) -> Answer {
    if inputs.pte.state == PteState::Unread {
        return Some((Cause::Unknown, Some("pte not read")));
    }
    let reason = "pte changed while it was read";
    inputs
        .pte
        .unstable
        .then_some((Cause::Unknown, Some(reason)))
}
