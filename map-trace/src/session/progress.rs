//! The line that shows that a long run goes on. On a terminal only, on stderr.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Runs shorter than this show nothing.
const PATIENCE: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_millis(250);

/// A progress line, shown from the first second on.
pub struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
    last: Instant,
    last_events: u64,
}

impl Progress {
    /// `shown`: the user wants it and stderr is a terminal.
    pub fn new(shown: bool) -> Self {
        let start = Instant::now();
        let bar = shown.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            start,
            last: start,
            last_events: 0,
        }
    }

    /// Tells how many events there are so far and how many were lost.
    pub fn update(&mut self, events: u64, lost: u64) {
        let Some(bar) = &self.bar else {
            return;
        };
        let since = self.last.elapsed();
        if self.start.elapsed() < PATIENCE || since < PERIOD {
            return;
        }
        let rate = (events - self.last_events) as f64 / since.as_secs_f64();
        let elapsed = self.start.elapsed().as_secs();
        bar.set_message(format!(
            "map-trace: {elapsed} s, {events} events, {rate:.0}/s, {lost} lost"
        ));
        self.last = Instant::now();
        self.last_events = events;
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
