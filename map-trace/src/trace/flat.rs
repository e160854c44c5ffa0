//! Page faults, read without a detour. `#[serde(flatten)]` keeps every field of a line in pieces until all are there;
//! most lines of a large trace are faults, and this is most of what judging one costs.

use serde::Deserialize;

use crate::model::event::{Context, Mode, PageFaultEvent};
use crate::model::vma::VmaFacts;
use crate::model::{Address, Cause, FaultCode, Operation, Pte};

/// The fields of [`PageFaultEvent`] and its [`Context`] side by side.
#[derive(Deserialize)]
pub struct FlatFault {
    time_ns: u64,
    pid: u32,
    tid: u32,
    mode: Mode,
    address: Address,
    ip: Address,
    error_code: FaultCode,
    pte: Option<Pte>,
    vma: Option<VmaFacts>,
    cause: Cause,
    #[serde(default)]
    on: Option<String>,
    #[serde(default)]
    cause_reason: Option<String>,
    #[serde(default)]
    interrupted: bool,
    operation: Operation,
    sub_operation: Option<Operation>,
    #[serde(default)]
    map: Option<Address>,
    #[serde(default)]
    goroutine: Option<u64>,
    stack: Option<u64>,
    stall_ns: Option<u64>,
}

impl From<FlatFault> for PageFaultEvent {
    fn from(flat: FlatFault) -> Self {
        Self {
            time_ns: flat.time_ns,
            pid: flat.pid,
            tid: flat.tid,
            mode: flat.mode,
            address: flat.address,
            ip: flat.ip,
            error_code: flat.error_code,
            pte: flat.pte,
            vma: flat.vma,
            cause: flat.cause,
            on: flat.on,
            cause_reason: flat.cause_reason,
            interrupted: flat.interrupted,
            context: Context {
                operation: flat.operation,
                sub_operation: flat.sub_operation,
                map: flat.map,
                goroutine: flat.goroutine,
                stack: flat.stack,
            },
            stall_ns: flat.stall_ns,
        }
    }
}
