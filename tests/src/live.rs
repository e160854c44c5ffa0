//! A run that is talked to while it runs: signals, lines, attach.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::session::{Traced, kill};

/// Longer than any line takes to come on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a program, without map-trace, that waits for a byte once it has said that it is ready.
pub fn gated(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    (child, lines)
}

/// Starts a program that may have been written a moment ago: a child that another test made meanwhile has it open
/// for writing until it becomes another program itself.
fn spawn(command: &mut Command) -> Child {
    let begun = Instant::now();
    loop {
        match command.spawn() {
            Err(why)
                if why.kind() == ErrorKind::ExecutableFileBusy && begun.elapsed() < PATIENCE =>
            {
                thread::yield_now();
            }
            started => return started.expect("the program starts"),
        }
    }
}

/// A running map-trace and the program's pipes.
pub struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    heard: String,
    errors: Receiver<String>,
    stderr: String,
    folder: TempDir,
    trace: PathBuf,
    summary: PathBuf,
}

impl Live {
    pub(crate) fn start(
        mut command: Command,
        folder: TempDir,
        trace: PathBuf,
        summary: PathBuf,
    ) -> Self {
        // A group of its own, so that a test can send what a terminal sends on Ctrl-C.
        command.process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("map-trace starts");
        let stdin = child.stdin.take();
        let lines = follow(child.stdout.take().expect("a pipe from the program"));
        let errors = follow(child.stderr.take().expect("a pipe from map-trace"));
        Self {
            child,
            stdin,
            lines,
            heard: String::new(),
            errors,
            stderr: String::new(),
            folder,
            trace,
            summary,
        }
    }

    /// Waits until the program says a line that is, or starts with, `wanted`; returns the rest of it.
    pub fn wait_for(&mut self, wanted: &str) -> String {
        wait_for(&self.lines, &mut self.heard, wanted)
    }

    /// Waits until map-trace says such a line on stderr.
    pub fn wait_for_error(&mut self, wanted: &str) -> String {
        wait_for(&self.errors, &mut self.stderr, wanted)
    }

    /// Gives the program something to read.
    pub fn tell(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin
            .write_all(bytes)
            .and_then(|()| stdin.flush())
            .expect("the program reads");
    }

    /// map-trace's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to map-trace alone.
    pub fn signal(&self, signal: i32) {
        kill(self.child.id(), signal);
    }

    /// Sends a signal to map-trace and the program, as a terminal does.
    pub fn signal_all(&self, signal: i32) {
        let group = -i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: kill has no preconditions; the group is our child's and it was not waited for.
        unsafe { libc::kill(group, signal) };
    }

    /// Closes stdin, waits for the end and reads what was left.
    pub fn finish(mut self) -> Traced {
        let status = self.end();
        let output = Output {
            status,
            stdout: self.heard.into_bytes(),
            stderr: self.stderr.into_bytes(),
        };
        Traced::read(output, self.folder, self.trace, &self.summary)
    }

    /// Waits for map-trace's end, while the program may go on.
    pub fn wait(&mut self) -> ExitStatus {
        let (send, gone) = mpsc::channel::<()>();
        let pid = self.child.id();
        let watch = thread::spawn(move || {
            if gone.recv_timeout(2 * PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                kill(pid, libc::SIGKILL);
            }
        });
        let status = self.child.wait().expect("map-trace can be waited for");
        drop(send);
        watch.join().expect("the watch ends");
        status
    }

    /// Closes stdin and waits until map-trace has ended and nobody has its pipes open.
    fn end(&mut self) -> ExitStatus {
        self.stdin = None;
        let status = self.wait();
        drain(&self.lines, &mut self.heard);
        drain(&self.errors, &mut self.stderr);
        status
    }
}

/// Reads on until the pipe closes.
fn drain(lines: &Receiver<String>, heard: &mut String) {
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => heard.push_str(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody still has the pipe open"),
        }
    }
}

fn wait_for(lines: &Receiver<String>, heard: &mut String, wanted: &str) -> String {
    loop {
        let Ok(line) = lines.recv_timeout(PATIENCE) else {
            panic!("no line {wanted:?} came; heard: {heard}");
        };
        heard.push_str(&line);
        if let Some(rest) = line.strip_prefix(wanted) {
            return rest.trim_end().to_owned();
        }
    }
}

/// Reads lines on a thread, each with its line break.
fn follow(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if send.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}
