//! `map-trace attach`: records processes that are already running.
//!
//! ```text
//! $ sudo map-trace attach -p 4242 --duration 10s -o app.trace.jsonl.zst
//! ```
//!
//! Until they exit, the time is over, or Ctrl-C. What happened before the probes were armed is not seen; the
//! report says how long that was.

use clap::Args;

use super::record::{RecordArgs, Results};
use super::values;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::session;
use crate::session::settings::AttachSettings;

/// Record running processes, until they exit, --duration or Ctrl-C (needs root)
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Processes to record, separated by commas; may be repeated
    #[arg(short, long = "pid", value_name = "PID", required = true, value_delimiter = ',',
          value_parser = values::pid)]
    pids: Vec<u32>,
    #[command(flatten)]
    record: RecordArgs,
}

impl AttachArgs {
    pub(super) fn resolve(self) -> Result<AttachSettings> {
        let mut pids = self.pids;
        pids.sort_unstable();
        pids.dedup();
        Ok(AttachSettings {
            pids,
            record: self.record.resolve()?,
        })
    }

    pub fn run(self) -> Result<ExitCode> {
        let settings = self.resolve()?;
        let results = Results::open(&settings.record)?;
        results.deliver(&session::attach(&settings)?)
    }
}
