//! One run of `map-trace run`, from the command line to what it left.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use map_trace::model::summary::Summary;
use tempfile::TempDir;

use crate::binary::{map_trace, require_root};
use crate::live::Live;
use crate::said::Said;
use crate::trace::Trace;

/// Longer than any test's program takes on a busy machine; then the run counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command line of map-trace, to be run.
pub struct Session {
    command: Command,
    program: Vec<OsString>,
    stdin: Vec<u8>,
    folder: TempDir,
    trace: PathBuf,
}

/// What a run left.
pub struct Traced {
    pub output: Output,
    pub summary: Summary,
    pub trace: Trace,
    /// The saved trace's file, while this lives.
    pub trace_file: PathBuf,
    /// What the program said on stdout.
    pub said: Said,
    _folder: TempDir,
}

impl Session {
    /// `map-trace run` on a program, its trace and summary saved.
    pub fn run(program: impl AsRef<OsStr>) -> Self {
        Self::new("run").argument(program)
    }

    /// `map-trace check` on a program, its trace and summary saved.
    pub fn check(program: impl AsRef<OsStr>) -> Self {
        Self::new("check").argument(program)
    }

    /// `map-trace attach` on processes.
    pub fn attach(pids: &[u32]) -> Self {
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        Self::new("attach").option("--pid").option(pids.join(","))
    }

    fn new(subcommand: &str) -> Self {
        require_root();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(map_trace());
        command.arg(subcommand).env("RUST_BACKTRACE", "1");
        let trace = folder.path().join("trace.jsonl");
        Self {
            command,
            program: Vec::new(),
            stdin: Vec::new(),
            folder,
            trace,
        }
    }

    /// The program's next argument.
    #[must_use]
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.program.push(argument.as_ref().to_owned());
        self
    }

    /// The program's next arguments.
    #[must_use]
    pub fn arguments<T: ToString>(self, arguments: &[T]) -> Self {
        arguments.iter().fold(self, |session, argument| {
            session.argument(argument.to_string())
        })
    }

    /// An option of map-trace's own.
    #[must_use]
    pub fn option(mut self, option: impl AsRef<OsStr>) -> Self {
        self.command.arg(option);
        self
    }

    /// Every event in full, so that each can be looked at.
    #[must_use]
    pub fn in_full(self) -> Self {
        self.option("--detail").option("all")
    }

    /// What the program reads.
    #[must_use]
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// Saves the trace compressed.
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.trace = self.folder.path().join("trace.jsonl.zst");
        self
    }

    /// Changes the command itself: directory, environment, ids.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// Runs it to its end and reads what it left; fails when it left no whole trace or no summary.
    pub fn traced(mut self) -> Traced {
        let summary = self.summary_file();
        self.save_to(&summary);
        let (output, folder, trace) = self.wait();
        Traced::read(output, folder, trace, &summary)
    }

    /// Runs it to its end, saving nothing; for runs that fail.
    pub fn output(mut self) -> Output {
        self.finish_command();
        self.wait().0
    }

    /// Starts it, to be talked to while it runs.
    pub fn live(mut self) -> Live {
        let summary = self.summary_file();
        self.save_to(&summary);
        Live::start(self.command, self.folder, self.trace, summary)
    }

    fn summary_file(&self) -> PathBuf {
        self.folder.path().join("summary.json")
    }

    fn save_to(&mut self, summary: &Path) {
        self.command
            .arg("--output")
            .arg(&self.trace)
            .arg("--summary")
            .arg(summary);
        self.finish_command();
    }

    fn finish_command(&mut self) {
        if !self.program.is_empty() {
            self.command.arg("--").args(&self.program);
        }
    }

    fn wait(mut self) -> (Output, TempDir, PathBuf) {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("map-trace starts");
        let mut input = child.stdin.take().expect("a pipe to the program");
        let bytes = self.stdin;
        // A program that does not read must not block us, nor its end be a failure.
        thread::spawn(move || drop(input.write_all(&bytes)));
        let pid = child.id();
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(child.wait_with_output()));
        let Ok(output) = receive.recv_timeout(PATIENCE) else {
            kill(pid, libc::SIGKILL);
            panic!(
                "map-trace did not end within {PATIENCE:?}: {:?}",
                self.command
            );
        };
        (
            output.expect("map-trace can be waited for"),
            self.folder,
            self.trace,
        )
    }
}

/// Sends a signal to a process that the test started, itself or through map-trace.
pub fn kill(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).expect("a process id");
    // SAFETY: kill has no preconditions.
    unsafe { libc::kill(pid, signal) };
}

impl Traced {
    pub(crate) fn read(
        output: Output,
        folder: TempDir,
        trace_file: PathBuf,
        summary: &Path,
    ) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = std::fs::read_to_string(summary)
            .unwrap_or_else(|why| panic!("no summary ({why}); {}: {stderr}", output.status));
        let summary = serde_json::from_str(&text).expect("the summary is of its schema");
        let trace = Trace::read(&trace_file);
        let said = Said::parse(&String::from_utf8_lossy(&output.stdout));
        Self {
            output,
            summary,
            trace,
            trace_file,
            said,
            _folder: folder,
        }
    }

    /// map-trace's exit status; fails when a signal ended it.
    pub fn status(&self) -> i32 {
        self.output
            .status
            .code()
            .unwrap_or_else(|| panic!("map-trace died: {:?}", self.output.status))
    }

    /// map-trace's stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Checks what must hold of every run that was not disturbed; returns itself.
    pub fn sound(self) -> Self {
        let summary = &self.summary;
        let witnesses = &summary.witnesses;
        assert!(witnesses.balanced, "witnesses: {witnesses:?}");
        let seen = witnesses.tracepoint.page_fault_user + witnesses.tracepoint.page_fault_kernel;
        let perf = witnesses.perf.expect("perf counters work here");
        assert_eq!(seen, perf.page_faults, "{witnesses:?}");
        let settled = perf.minor_faults + perf.major_faults + witnesses.refused;
        assert_eq!(perf.page_faults, settled, "{witnesses:?}");

        let loss = &summary.loss;
        assert!(loss.complete(), "{loss:?}");
        assert_eq!(
            summary.events.page_fault,
            seen + witnesses.tracepoint.kernel_address
        );
        assert_eq!(
            summary.causes.values().sum::<u64>(),
            summary.events.page_fault
        );
        for (kind, total) in totals(summary) {
            let rows = summary.operations.iter();
            let sum: u64 = rows
                .map(|row| row.events.get(kind).copied().unwrap_or(0))
                .sum();
            assert_eq!(
                sum, total,
                "operations do not add up to the total of {kind}"
            );
        }
        assert_eq!(summary.controls.len(), 10, "{:?}", summary.controls);
        let exact = summary.controls.iter().all(|control| control.passed);
        assert!(exact, "controls: {:?}", summary.controls);
        assert!(!summary.cut_short && summary.stopped_early.is_none());
        self.same_in_trace();
        self
    }

    /// The events of the trace, in full or aggregated, add up to the summary's totals.
    fn same_in_trace(&self) {
        use map_trace::model::event::EventKind;
        let aggregated = |kind: EventKind| {
            self.trace
                .aggregates()
                .filter(|line| line.event == kind)
                .map(|line| line.count)
                .sum::<u64>()
        };
        let faults = self.trace.faults().count() as u64 + aggregated(EventKind::PageFault);
        assert_eq!(
            faults, self.summary.events.page_fault,
            "faults of the trace"
        );
        for (kind, total) in [
            (EventKind::Mprotect, self.summary.events.mprotect),
            (EventKind::PkeyMprotect, self.summary.events.pkey_mprotect),
            (EventKind::Mmap, self.summary.events.mmap),
            (EventKind::Munmap, self.summary.events.munmap),
            (EventKind::Mremap, self.summary.events.mremap),
            (EventKind::Brk, self.summary.events.brk),
            (EventKind::Madvise, self.summary.events.madvise),
        ] {
            let calls = self.trace.calls(kind).count() as u64 + aggregated(kind);
            assert_eq!(calls, total, "{} of the trace", kind.word());
        }
    }
}

/// Every kind of event and its total.
fn totals(summary: &Summary) -> [(&'static str, u64); 9] {
    let events = &summary.events;
    [
        ("page_fault", events.page_fault),
        ("mprotect", events.mprotect),
        ("pkey_mprotect", events.pkey_mprotect),
        ("mmap", events.mmap),
        ("munmap", events.munmap),
        ("mremap", events.mremap),
        ("brk", events.brk),
        ("madvise", events.madvise),
        ("signal", events.signal.values().sum()),
    ]
}
