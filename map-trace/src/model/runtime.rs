//! What Go's runtime does of its own, and how Go programs end when they do not end well.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Address;
use super::event::Context;

/// Values of [`RuntimeEvent::what`].
pub mod what {
    /// A garbage collection begins to mark; from here on stores of pointers pass the write barrier.
    pub const GC_START: &str = "gc_start";
    /// Everything reachable is marked; stores pass the write barrier no longer, sweeping begins.
    pub const GC_END: &str = "gc_end";
    /// No goroutine ran: from the moment the runtime set about stopping them until it let them go on.
    pub const STOP: &str = "stop_the_world";
    /// Memory nobody uses is given back to the kernel.
    pub const SCAVENGE: &str = "scavenge";
    /// The heap got more address space.
    pub const HEAP_GROW: &str = "heap_grow";
}

/// Go's runtime did something of its own. Belongs to the operation `runtime`, whoever it was done for; the stack
/// says that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeEvent {
    /// Nanoseconds since the header's `start_ns`; of `stop_the_world` when it began.
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    /// `gc_start`, `gc_end`, `stop_the_world`, `scavenge`, `heap_grow`.
    pub what: String,
    /// Of `stop_the_world` its length, of `gc_end` the time since `gc_start`; null when the beginning was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
    /// Which of the process's collections, from 1; null when it ran before it was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What began a collection: `heap` (it had grown enough), `time` (two minutes without one), `forced`
    /// (`runtime.GC`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Whether stores of pointers pass the write barrier from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_barrier: Option<bool>,
    /// Why the world was stopped, in the runtime's words: `GC mark termination`, `read mem stats`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Memory given back, or added to the heap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(flatten)]
    pub context: Context,
}

/// A goroutine that was seen at work on a map before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeenOnMap {
    pub goroutine: u64,
    /// `make`, `grow`, `iterate`: what it was seen to begin. Whether it still was at it is not known.
    pub operation: String,
    /// When it last was.
    pub time_ns: u64,
}

/// A Go program ends itself: a fatal error of the runtime, or a panic that nobody recovers. `map` is the map of
/// the operation that found the program out; null when it was none, or its map is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FatalErrorEvent {
    /// Nanoseconds since the header's `start_ns`.
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    /// `throw` (the runtime found itself broken), `fatal` (the program misused it), `panic`.
    pub kind: String,
    /// What the runtime prints behind `fatal error: ` or `panic: `, its first bytes; control characters are
    /// U+FFFD. Null when it could not be read, or the panic's value is no text.
    pub text: Option<String>,
    /// The text is longer than what is here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// `map[string]int`; null when not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_type: Option<String>,
    /// Other goroutines that were seen on the map before, the last first; at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenOnMap>,
    #[serde(flatten)]
    pub context: Context,
}

/// What Go's runtime did of its own, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RuntimeSummary {
    /// Garbage collections begun, and how many of them the program asked for.
    pub gc_cycles: u64,
    pub gc_forced: u64,
    /// From begin to end of those whose both were seen.
    pub gc_ns: u64,
    /// Times the world was stopped, for how long in sum and at most.
    pub stops: u64,
    pub stop_ns: u64,
    pub longest_stop_ns: u64,
    /// Times memory was given back, and how much.
    pub scavenges: u64,
    pub scavenged_bytes: u64,
    /// Times the heap got more address space, and how much.
    pub heap_grows: u64,
    pub heap_grown_bytes: u64,
    /// Write barrier buffers emptied; null when not counted (`--census full` does).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_barrier_flushes: Option<u64>,
    /// Events that were only counted, beyond `--detail`: the sums above lack them.
    pub not_told: u64,
}

impl RuntimeSummary {
    /// Takes an event into account.
    pub fn add(&mut self, event: &RuntimeEvent) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        let duration = event.duration_ns.unwrap_or(0);
        let bytes = event.bytes.unwrap_or(0);
        match event.what.as_str() {
            what::GC_START => {
                add(&mut self.gc_cycles, 1);
                add(
                    &mut self.gc_forced,
                    u64::from(event.trigger.as_deref() == Some("forced")),
                );
            }
            what::GC_END => add(&mut self.gc_ns, duration),
            what::STOP => {
                add(&mut self.stops, 1);
                add(&mut self.stop_ns, duration);
                self.longest_stop_ns = self.longest_stop_ns.max(duration);
            }
            what::SCAVENGE => {
                add(&mut self.scavenges, 1);
                add(&mut self.scavenged_bytes, bytes);
            }
            what::HEAP_GROW => {
                add(&mut self.heap_grows, 1);
                add(&mut self.heap_grown_bytes, bytes);
            }
            _ => {}
        }
    }

    /// Events that were only counted.
    pub fn not_told(&mut self, count: u64) {
        self.not_told = self.not_told.saturating_add(count);
    }

    /// Itself, if there is anything in it.
    pub fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}
