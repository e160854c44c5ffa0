//! What a recording is told. Made from the command line and checked before anything starts, so that a slip
//! costs no run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::claim::{Claim, Window};
use crate::model::Address;

/// Settings of `map-trace run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSettings {
    pub program: ProgramSettings,
    pub record: RecordSettings,
}

/// Settings of `map-trace attach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachSettings {
    /// Process ids (kernel: tgid), each once, none 0.
    pub pids: Vec<u32>,
    pub record: RecordSettings,
}

/// The program to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramSettings {
    /// Its name or path, searched in PATH like env(1) does; never empty.
    pub program: OsString,
    /// Its arguments, without the name.
    pub arguments: Vec<OsString>,
    pub user: User,
    /// Variables besides map-trace's own environment, or in place of its own.
    pub environment: Vec<(OsString, OsString)>,
    /// Files for what it writes; then it reads nothing. None: map-trace's own streams.
    pub streams: Option<StreamFiles>,
}

/// Files that a program's output goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFiles {
    pub stdout: PathBuf,
    pub stderr: PathBuf,
}

/// Who the program runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// The caller of sudo(8), else the caller.
    #[default]
    Caller,
    /// `--user`: a name, or a number that is a user id.
    Named(String),
    /// `--as-root`: whoever map-trace runs as.
    Keep,
}

/// Settings shared by everything that records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSettings {
    /// The trace file; `.zst` compresses.
    pub output: Option<PathBuf>,
    /// Where the summary document goes besides the screen.
    pub summary: Option<SummaryPlace>,
    /// Claims to judge at the end.
    pub claims: Vec<Claim>,
    /// The part of the run that the claims are about; its functions are noted in the trace.
    pub window: Window,
    pub regions: Vec<Region>,
    /// Globs of functions of the program whose entries are counted, three at most.
    pub entries: Vec<String>,
    /// TOML table of symbol pattern -> operation.
    pub operations: Option<PathBuf>,
    pub census: Level,
    /// What counting by duty cycle may cost, in millionths of the program's CPU time; at most a million.
    pub census_budget_ppm: u32,
    pub pte: Level,
    /// At most four.
    pub watch: Vec<Watch>,
    pub watch_ranges: Vec<WatchRange>,
    /// Page-table samples a second, 1 to 20,000.
    pub sample_hz: u32,
    pub detail: Detail,
    pub follow_forks: bool,
    pub limits: StopSettings,
    /// Keep frame numbers of page-table entries.
    pub show_physical: bool,
    pub screen: ScreenSettings,
}

/// When to stop before the program does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopSettings {
    pub duration: Option<Duration>,
    pub max_events: Option<u64>,
}

/// What appears on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreenSettings {
    /// Nothing but errors.
    pub quiet: bool,
    /// How many `-v`.
    pub verbosity: u8,
    /// stderr takes colours and the user wants them.
    pub color: bool,
    /// A progress line is wanted and stderr is a terminal.
    pub progress: bool,
}

/// Where a summary document goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SummaryPlace {
    Stdout,
    File(PathBuf),
}

/// A region: every function whose symbol matches the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// No word of the contract, no control characters.
    pub name: String,
    /// A glob over symbol names.
    pub pattern: String,
}

/// How much of something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    Off,
    #[default]
    Sample,
    Full,
}

/// A hardware watchpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    pub place: Place,
    /// 1, 2, 4 or 8 bytes, the address a multiple of it; null: as long as the symbol, at most 8.
    pub length: Option<u8>,
}

/// Memory whose page-table entries are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchRange {
    /// From `start` up to and without `end`; `start < end`.
    Addresses { start: Address, end: Address },
    /// A symbol's own memory, or `length` bytes from it.
    Symbol { name: String, length: Option<u64> },
}

/// A place in the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Address(Address),
    Symbol(String),
}

/// Events kept in full per kind, operation and cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Limit(u64),
    All,
}

impl Default for Detail {
    fn default() -> Self {
        Self::Limit(10_000)
    }
}

/// 2 %: [`RecordSettings::census_budget_ppm`] when nobody says otherwise.
pub const DEFAULT_CENSUS_PPM: u32 = 20_000;

/// Page-table samples a second when nobody says otherwise.
pub const DEFAULT_SAMPLE_HZ: u32 = 1_000;

impl Default for RecordSettings {
    fn default() -> Self {
        Self {
            output: None,
            summary: None,
            claims: Vec::new(),
            window: Window::default(),
            regions: Vec::new(),
            entries: Vec::new(),
            operations: None,
            census: Level::Sample,
            census_budget_ppm: DEFAULT_CENSUS_PPM,
            pte: Level::Sample,
            watch: Vec::new(),
            watch_ranges: Vec::new(),
            sample_hz: DEFAULT_SAMPLE_HZ,
            detail: Detail::default(),
            follow_forks: true,
            limits: StopSettings::default(),
            show_physical: false,
            screen: ScreenSettings::default(),
        }
    }
}
