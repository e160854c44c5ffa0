//! Options shared by everything that records, and what is done with its outcome.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::color::When;
use super::{print, rules, values};
use crate::claim::{Claim, Window};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::maps::user;
use crate::model;
use crate::output::{self, View};
use crate::session::RunOutcome;
use crate::session::settings::{
    DEFAULT_CENSUS_PPM, DEFAULT_SAMPLE_HZ, Detail, Level, RecordSettings, Region, ScreenSettings,
    StopSettings, SummaryPlace, Watch, WatchRange,
};
use crate::trace::OutputFile;

#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Save the trace (JSON Lines; a name that ends in .zst compresses it)
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Save the summary as JSON; - writes it to stdout in place of the screen
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    summary: Option<PathBuf>,
    /// A TOML file of claims to judge; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    claims: Vec<PathBuf>,
    /// A rule to judge, such as 'mprotect during iterate == 0'; may be repeated
    #[arg(long, value_name = "RULE")]
    expect: Vec<String>,
    /// Name the functions that match a glob; rules and tables use the name as an operation
    #[arg(long, value_name = "NAME=PATTERN", value_parser = values::region)]
    region: Vec<Region>,
    /// A TOML table of symbol pattern -> operation, for other map libraries
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    operations: Option<PathBuf>,
    /// How map operations are counted
    #[arg(long, value_name = "LEVEL", default_value = "sample")]
    census: LevelArg,
    /// What counting with --census sample may cost, of the program's CPU time
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = values::share)]
    census_budget: u32,
    /// How page-table entries of map memory are sampled; at a fault they are always read
    #[arg(long, value_name = "LEVEL", default_value = "sample")]
    pte: LevelArg,
    /// Watch a place with a debug register; up to four times
    #[arg(long, value_name = "SYMBOL|ADDRESS[:LEN]", value_parser = values::watch)]
    watch: Vec<Watch>,
    /// Sample the page-table entries of a range; may be repeated
    #[arg(long, value_name = "START-END|SYMBOL[:LEN]", value_parser = values::watch_range)]
    watch_range: Vec<WatchRange>,
    /// Page-table samples a second
    #[arg(long, value_name = "HZ", default_value_t = DEFAULT_SAMPLE_HZ,
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    sample_rate: u32,
    /// Events kept in full per kind, operation and cause; the rest are counted exactly
    #[arg(long, value_name = "N|all", default_value = "10000", value_parser = values::detail)]
    detail: Detail,
    /// Record children too
    #[arg(long, value_name = "yes|no", default_value = "yes")]
    follow_forks: YesNo,
    /// Stop recording after a time: 1.5s, 200ms, 2m, or seconds
    #[arg(long, value_name = "T", value_parser = values::duration)]
    duration: Option<std::time::Duration>,
    /// Stop recording after a number of events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,
    /// Keep physical frame numbers in page-table entries
    #[arg(long)]
    show_physical: bool,
    #[command(flatten)]
    screen: ScreenArgs,
}

#[derive(Debug, Args)]
struct ScreenArgs {
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Say more; may be repeated
    #[arg(short, long, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: When,
    /// No progress line
    #[arg(long)]
    no_progress: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelArg {
    Off,
    Sample,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::Off => Self::Off,
            LevelArg::Sample => Self::Sample,
            LevelArg::Full => Self::Full,
        }
    }
}

impl ScreenArgs {
    fn resolve(&self) -> ScreenSettings {
        let stderr = std::io::stderr();
        ScreenSettings {
            quiet: self.quiet,
            verbosity: self.verbose,
            color: self.color.decide(&stderr),
            progress: !self.quiet && !self.no_progress && std::io::IsTerminal::is_terminal(&stderr),
        }
    }
}

impl RecordArgs {
    /// The first option that was given and means something only while recording.
    pub fn only_recording(&self) -> Option<&'static str> {
        let given = [
            (self.output.is_some(), "--output"),
            (self.summary.is_some(), "--summary"),
            (self.operations.is_some(), "--operations"),
            (!matches!(self.census, LevelArg::Sample), "--census"),
            (self.census_budget != DEFAULT_CENSUS_PPM, "--census-budget"),
            (!matches!(self.pte, LevelArg::Sample), "--pte"),
            (!self.watch.is_empty(), "--watch"),
            (!self.watch_range.is_empty(), "--watch-range"),
            (self.sample_rate != DEFAULT_SAMPLE_HZ, "--sample-rate"),
            (self.detail != Detail::default(), "--detail"),
            (self.follow_forks != YesNo::Yes, "--follow-forks"),
            (self.duration.is_some(), "--duration"),
            (self.max_events.is_some(), "--max-events"),
            (self.show_physical, "--show-physical"),
        ];
        given
            .into_iter()
            .find(|(given, _)| *given)
            .map(|(_, option)| option)
    }

    /// The claims, of a trace that has `recorded` regions already; and the regions that are new.
    pub fn claims_over(
        &self,
        recorded: &[user::Region],
    ) -> Result<(Vec<Claim>, Vec<user::Region>)> {
        let mut new = Vec::new();
        for region in &self.region {
            let text = format!("{}={}", region.name, region.pattern);
            let region = user::Region::parse(&text).map_err(|why| Error::usage("--region", why))?;
            match recorded.iter().find(|known| known.name == region.name) {
                Some(known) if *known == region => {}
                Some(known) => {
                    let why = format!("the trace has it as {}", known.pattern.as_str());
                    return Err(Error::usage(format!("--region {}", region.name), why));
                }
                None => new.push(region),
            }
        }
        let names: Vec<_> = recorded
            .iter()
            .chain(&new)
            .map(|region| region.name.clone())
            .collect();
        Ok((rules::read(&self.claims, &self.expect, &names)?, new))
    }

    /// Whether colours are wanted on a stream.
    pub fn color_on(&self, stream: &impl std::io::IsTerminal) -> bool {
        self.screen.color.decide(stream)
    }

    pub const fn is_quiet(&self) -> bool {
        self.screen.quiet
    }

    /// Checks what the options say together.
    pub fn resolve(self) -> Result<RecordSettings> {
        if self.watch.len() > 4 {
            let why = format!(
                "{} places, and the processor has four debug registers",
                self.watch.len()
            );
            return Err(Error::usage("too many --watch", why));
        }
        let mut names: Vec<_> = self.region.iter().map(|region| &region.name).collect();
        names.sort_unstable();
        if let Some([name, ..]) = names
            .windows(2)
            .find(|pair| pair.iter().all(|name| Some(name) == pair.first()))
        {
            return Err(Error::usage("two regions with one name", name));
        }
        let summary = self.summary.map(|path| match path.as_os_str() == "-" {
            true => SummaryPlace::Stdout,
            false => SummaryPlace::File(path),
        });
        if let (Some(output), Some(SummaryPlace::File(summary))) = (&self.output, &summary)
            && same_place(output, summary)
        {
            let why = "trace and summary cannot be one file";
            return Err(Error::usage(output.display().to_string(), why));
        }
        let regions: Vec<_> = self
            .region
            .iter()
            .map(|region| region.name.clone())
            .collect();
        Ok(RecordSettings {
            output: self.output,
            summary,
            claims: rules::read(&self.claims, &self.expect, &regions)?,
            window: Window::default(),
            regions: self.region,
            entries: Vec::new(),
            operations: self.operations,
            census: self.census.into(),
            census_budget_ppm: self.census_budget,
            pte: self.pte.into(),
            watch: self.watch,
            watch_ranges: self.watch_range,
            sample_hz: self.sample_rate,
            detail: self.detail,
            follow_forks: self.follow_forks == YesNo::Yes,
            limits: StopSettings {
                duration: self.duration,
                max_events: self.max_events,
            },
            show_physical: self.show_physical,
            screen: self.screen.resolve(),
        })
    }
}

/// Whether two paths name one file. Devices may be named twice.
fn same_place(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| {
        let whole = path.canonicalize().ok();
        whole.or_else(|| {
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new(".")).canonicalize().ok()?;
            Some(parent.join(path.file_name()?))
        })
    };
    let device = a.metadata().is_ok_and(|facts| !facts.is_file());
    !device && real(a).is_some() && real(a) == real(b)
}

/// Where the results go, opened before the program starts: a place that cannot be written costs no run.
pub struct Results {
    summary: Summary,
    screen: ScreenSettings,
}

enum Summary {
    Nowhere,
    Stdout,
    File(OutputFile),
}

impl Results {
    pub fn open(settings: &RecordSettings) -> Result<Self> {
        let summary = match &settings.summary {
            None => Summary::Nowhere,
            Some(SummaryPlace::Stdout) => Summary::Stdout,
            Some(SummaryPlace::File(path)) => Summary::File(OutputFile::create(path)?),
        };
        Ok(Self {
            summary,
            screen: settings.screen,
        })
    }

    /// Prints and saves what a recording came to; the exit status of the whole.
    pub fn deliver(self, outcome: &RunOutcome) -> Result<ExitCode> {
        let wanted = self.wants_screen();
        self.deliver_as(outcome, |summary, view| {
            if wanted {
                print::to_stderr(&output::text::render(summary, view));
            }
            Ok(())
        })
    }

    /// Whether anything is to be printed on stderr.
    pub const fn wants_screen(&self) -> bool {
        !self.screen.quiet && !matches!(self.summary, Summary::Stdout)
    }

    /// The same with another screen than the usual one.
    pub fn deliver_as(
        self,
        outcome: &RunOutcome,
        show: impl FnOnce(&model::summary::Summary, &View<'_>) -> Result<()>,
    ) -> Result<ExitCode> {
        let view = View {
            color: self.screen.color,
            saved: outcome.saved.as_ref(),
        };
        let shown = show(&outcome.summary, &view);
        let document = || output::json::render(&outcome.summary, &view);
        let written = match self.summary {
            Summary::Nowhere => Ok(()),
            Summary::Stdout => print::to_stdout(&document()),
            Summary::File(mut file) => file.fill(&document()).map_err(Error::from),
        };
        let written = shown.and(written);
        let Some(problem) = &outcome.problem else {
            return written.map(|()| outcome.status.exit_code());
        };
        if let Err(second) = written {
            print::error(&second);
        }
        print::error(problem);
        Ok(problem.code)
    }
}
