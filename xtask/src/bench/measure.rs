//! Running one program and taking its figures.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::show;

/// How often the memory of a running map-trace is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What one run gave.
pub struct Run {
    /// From start to end, seconds.
    pub wall: f64,
    /// The program's `key=value` lines that are numbers.
    pub said: BTreeMap<String, f64>,
    /// Most memory the started process itself ever held (VmHWM), MB of 10^6 bytes.
    pub memory: f64,
}

impl Run {
    /// A number the program said.
    ///
    /// # Errors
    ///
    /// It did not say it.
    pub fn said(&self, key: &str) -> Result<f64> {
        self.said
            .get(key)
            .copied()
            .with_context(|| format!("the program did not say {key}"))
    }
}

/// Runs a command to its end.
///
/// # Errors
///
/// It cannot be started, or ends with another status than 0.
pub fn run(command: &mut Command) -> Result<Run> {
    let shown = show(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let status_file = format!("/proc/{}/status", child.id());
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let stdout = thread::spawn(move || read_all(out.as_mut()));
    let stderr = thread::spawn(move || read_all(err.as_mut()));
    let watch = thread::spawn(move || peak_memory(&status_file));
    // The pipes close when the process ends; waiting for them costs the measurement no polling.
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    let status = child.wait()?;
    let wall = start.elapsed().as_secs_f64();
    let memory = watch.join().unwrap_or_default();
    if !status.success() {
        bail!("`{shown}` failed: {status}: {stderr}");
    }
    let pairs = stdout.lines().filter_map(|line| line.split_once('='));
    let said = pairs
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect();
    Ok(Run { wall, said, memory })
}

fn read_all(pipe: Option<&mut impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // A broken pipe ends the text early; the exit status tells why.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Looks at VmHWM (proc(5), in kB) until the process is gone or a zombie, which has no such line.
fn peak_memory(status_file: &str) -> f64 {
    let mut peak = 0.0;
    while let Ok(status) = fs::read_to_string(status_file) {
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else {
            break;
        };
        let kilobytes = line
            .trim()
            .trim_end_matches(" kB")
            .parse::<f64>()
            .unwrap_or(0.0);
        peak = f64::max(peak, kilobytes * 1024.0 / 1e6);
        thread::sleep(LOOK);
    }
    peak
}

/// The middle value; the mean of the two middle ones of an even number.
///
/// # Errors
///
/// There is none.
pub fn median(values: &[f64]) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (Some(value), 1) => Ok(*value),
        (Some(value), _) => Ok(f64::midpoint(sorted[middle - 1], *value)),
        (None, _) => bail!("nothing was measured"),
    }
}

/// The ratio of medians, and of the least of each. What else a machine does only ever adds to the CPU time of the
/// same work, and on a busy one more than what is looked for: there the second says more.
///
/// # Errors
///
/// There is none.
pub fn ratios(values: &[f64], to: &[f64]) -> Result<(f64, f64)> {
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let of_medians = median(values)? / median(to)?;
    Ok((of_medians, least(values) / least(to)))
}

/// Today's date in UTC, as `date` says it.
pub fn today() -> Result<String> {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%d"])
        .output()
        .context("date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]).unwrap() - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]).unwrap() - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_err());
    }

    #[test]
    fn ratios_are_of_the_middle_and_of_the_least() {
        let (of_medians, of_least) = ratios(&[9.0, 4.0, 3.0], &[1.0, 2.0, 3.0]).unwrap();
        assert!((of_medians - 2.0).abs() < 1e-9 && (of_least - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_gives_what_the_program_said_and_its_memory() {
        let script = "echo a=7; echo b=x; head -c 1000 /dev/zero | tr '\\0' x; sleep 0.1";
        let run = run(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!(run.said, BTreeMap::from([("a".to_owned(), 7.0)]));
        assert!(
            run.memory > 0.1 && run.wall >= 0.1,
            "{} {}",
            run.memory,
            run.wall
        );
    }
}
