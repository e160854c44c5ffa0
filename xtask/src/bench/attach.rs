//! Coming to a running program with every probe there is, and going again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use map_trace_workloads::{self as workloads, GoToolchain};

use super::measure::{median, run};
use super::{Bench, Figure};

/// Most that attaching, and that detaching, may take, seconds. What is measured has more in it: starting map-trace,
/// loading and proving it; reading the last events, judging and telling them.
const SECONDS: f64 = 0.3;
/// Longer than a program takes to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Attaches to a program that does nothing but operations on maps, with a probe in each of them.
pub fn measure(bench: &Bench, toolchain: &GoToolchain) -> Result<(String, Vec<Figure>)> {
    let program =
        workloads::build_go_program(toolchain, workloads::Flavour::Plain, "operations")
            .with_context(|| format!("building the Go workloads with {}", toolchain.version))?;
    let mut subject = Command::new(&program)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let measured = started(subject.id(), &program).and_then(|()| rounds(bench, &program, &subject));
    subject.kill()?;
    subject.wait()?;
    let (come, gone) = measured?;
    let title = format!(
        "{}: every probe on and off a running program",
        toolchain.version
    );
    let figures = vec![
        Figure::limited(
            "from map-trace's start to recording",
            median(&come)?,
            " s",
            SECONDS,
        ),
        Figure::limited(
            "from SIGINT to map-trace's end",
            median(&gone)?,
            " s",
            SECONDS,
        ),
    ];
    Ok((title, figures))
}

/// Waits until the program is in its memory: starting it returns a moment before.
fn started(pid: u32, program: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match changed(pid, program) {
            Err(why) if start.elapsed() > PATIENCE => return Err(why),
            Err(_) => thread::sleep(Duration::from_millis(1)),
            Ok(_) => return Ok(()),
        }
    }
}

/// Seconds until it recorded, and until it was gone, each time; and that nothing of it is left.
fn rounds(bench: &Bench, program: &Path, subject: &Child) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut come, mut gone) = (Vec::new(), Vec::new());
    let clean = Left::by(subject.id(), program)?;
    for _ in 0..bench.rounds {
        let start = Instant::now();
        let mut map_trace = Command::new(&bench.map_trace)
            .args([
                "attach",
                "--census",
                "full",
                "--pte",
                "full",
                "--no-progress",
                "--pid",
            ])
            .arg(subject.id().to_string())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(map_trace.stderr.take().context("a pipe")?);
        wait_for(&mut said, "map-trace: recording")?;
        come.push(start.elapsed().as_secs_f64());
        if Left::by(subject.id(), program)?.changed == clean.changed {
            bail!("no probe is in the program's code");
        }
        let start = Instant::now();
        run(Command::new("kill")
            .arg("-INT")
            .arg(map_trace.id().to_string()))?;
        let mut rest = String::new();
        said.read_to_string(&mut rest)?;
        let status = map_trace.wait()?;
        gone.push(start.elapsed().as_secs_f64());
        let left = Left::by(subject.id(), program)?;
        if left != clean {
            bail!("map-trace left {left:?} where there was {clean:?} ({status}): {rest}");
        }
    }
    Ok((come, gone))
}

fn wait_for(lines: &mut impl BufRead, wanted: &str) -> Result<()> {
    let mut line = String::new();
    while !line.starts_with(wanted) {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            bail!("map-trace ended before it recorded");
        }
    }
    Ok(())
}

/// What a tracer could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// Bytes of the program's code in memory that are not as in its file.
    changed: usize,
    /// Probes by name (Documentation/trace/uprobetracer.rst).
    named: String,
    /// Programs that are pinned.
    pinned: usize,
}

impl Left {
    fn by(pid: u32, program: &Path) -> Result<Self> {
        Ok(Self {
            changed: changed(pid, program)?,
            named: fs::read_to_string("/sys/kernel/tracing/uprobe_events").unwrap_or_default(),
            pinned: fs::read_dir("/sys/fs/bpf").map_or(0, Iterator::count),
        })
    }
}

/// Compares the executable mappings of a program's file with the file.
fn changed(pid: u32, program: &Path) -> Result<usize> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let file = fs::read(program)?;
    let mut changed = 0;
    let mut compared = 0;
    for line in maps
        .lines()
        .filter(|line| Path::new(line.split_whitespace().last().unwrap_or("")) == program)
    {
        let words: Vec<_> = line.split_whitespace().collect();
        let [range, "r-xp", offset, ..] = words[..] else {
            continue;
        };
        let (start, end) = range.split_once('-').context("a range")?;
        let (start, end) = (
            u64::from_str_radix(start, 16)?,
            u64::from_str_radix(end, 16)?,
        );
        let offset = usize::from_str_radix(offset, 16)?;
        let mut there = vec![0; usize::try_from(end - start)?];
        memory.read_exact_at(&mut there, start)?;
        let own = file.get(offset..).context("a mapping beyond the file")?;
        changed += there.iter().zip(own).filter(|(a, b)| a != b).count();
        compared += 1;
    }
    if compared == 0 {
        bail!("{} is not mapped: {maps}", program.display());
    }
    Ok(changed)
}
