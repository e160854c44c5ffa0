//! A timeline in Chrome's JSON trace format, which ui.perfetto.dev opens.
//!
//! One track a thread; what took time is a slice, what took none an instant. Times are microseconds with three
//! decimals. Written event by event, whatever the length of the trace. What was counted in groups has no moment of
//! its own: `otherData` says how many events the timeline lacks for it.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{ExportError, Lines, Out};
use crate::model::TraceLine;
use crate::model::event::{
    Context, EventKind, MapEvent, MarkEvent, MemoryCallEvent, PageFaultEvent,
};
use crate::model::runtime::{FatalErrorEvent, RuntimeEvent, what};
use crate::output::json::harmless;

/// What one entry of the timeline says.
struct Entry {
    name: String,
    start_ns: u64,
    duration_ns: Option<u64>,
    pid: u32,
    tid: u32,
    facts: Value,
    /// Begins (`b`) or ends (`e`) something that is no thread's: a garbage collection, by its number.
    cycle: Option<(char, u64)>,
}

pub fn export(lines: Lines<'_>, out: Out<'_>) -> Result<(), ExportError> {
    out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    let mut first = true;
    let mut grouped = 0_u64;
    for line in lines {
        let line = line?;
        if let TraceLine::Aggregate(group) = &line {
            grouped = grouped.saturating_add(group.count);
        }
        if let Some(entry) = entry(&line) {
            out.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            write_entry(&entry, out)?;
        }
    }
    writeln!(
        out,
        "\n],\"otherData\":{{\"counted_in_groups\":{grouped}}}}}"
    )?;
    Ok(())
}

fn write_entry(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let micros = |ns: u64| format!("{}.{:03}", ns / 1000, ns % 1000);
    let name = harmless(&Value::from(entry.name.as_str()).to_string());
    write!(
        out,
        "{{\"name\":{name},\"pid\":{},\"tid\":{},\"ts\":{}",
        entry.pid,
        entry.tid,
        micros(entry.start_ns)
    )?;
    match (entry.cycle, entry.duration_ns) {
        (Some((phase, number)), _) => write!(
            out,
            ",\"ph\":\"{phase}\",\"cat\":\"runtime\",\"id\":\"{}.{number}\"",
            entry.pid
        )?,
        (None, Some(ns)) => write!(out, ",\"ph\":\"X\",\"dur\":{}", micros(ns))?,
        (None, None) => write!(out, ",\"ph\":\"i\",\"s\":\"t\"")?,
    }
    write!(out, ",\"args\":{}}}", harmless(&entry.facts.to_string()))
}

fn with(mut facts: Value, context: &Context) -> Value {
    if let Value::Object(facts) = &mut facts {
        facts.insert("operation".to_owned(), context.operation.word().into());
        if let Some(sub) = &context.sub_operation {
            facts.insert("sub_operation".to_owned(), sub.word().into());
        }
        if let Some(stack) = context.stack {
            facts.insert("stack".to_owned(), stack.into());
        }
    }
    facts
}

/// A moment of a thread.
fn instant(name: &str, (start_ns, pid, tid): (u64, u32, u32), facts: Value) -> Entry {
    Entry {
        name: name.to_owned(),
        start_ns,
        duration_ns: None,
        pid,
        tid,
        cycle: None,
        facts,
    }
}

/// What the runtime does of its own: a stop of the world is a slice of the thread that stopped it, a collection one
/// of the process, the rest instants.
fn runtime(event: &RuntimeEvent) -> Entry {
    let (name, phase) = match event.what.as_str() {
        what::GC_START => ("gc", Some('b')),
        what::GC_END => ("gc", Some('e')),
        other => (other, None),
    };
    let facts = json!({
        "number": event.number,
        "trigger": event.trigger,
        "reason": event.reason,
        "write_barrier": event.write_barrier,
        "address": event.address,
        "bytes": event.bytes,
    });
    Entry {
        duration_ns: event.duration_ns,
        cycle: phase.map(|phase| (phase, event.number.unwrap_or(0))),
        ..instant(
            &format!("runtime: {name}"),
            (event.time_ns, event.pid, event.tid),
            with(facts, &event.context),
        )
    }
}

fn fatal_error(event: &FatalErrorEvent) -> Entry {
    let context = &event.context;
    let facts =
        json!({"map": context.map, "map_type": event.map_type, "goroutine": context.goroutine});
    instant(
        &format!("{}: {}", event.kind, event.text.as_deref().unwrap_or("?")),
        (event.time_ns, event.pid, event.tid),
        with(facts, context),
    )
}

fn page_fault(event: &PageFaultEvent) -> Entry {
    let facts = json!({"address": event.address, "ip": event.ip, "code": event.error_code.0});
    Entry {
        duration_ns: event.stall_ns,
        ..instant(
            event.cause.word(),
            (event.time_ns, event.pid, event.tid),
            with(facts, &event.context),
        )
    }
}

fn call(kind: EventKind, event: &MemoryCallEvent) -> Entry {
    let facts = json!({
        "address": event.address,
        "length": event.length,
        "prot": event.prot,
        "advice": event.advice,
        "result": event.result,
        "error": event.error,
    });
    Entry {
        duration_ns: event.duration_ns,
        ..instant(
            kind.word(),
            (event.time_ns, event.pid, event.tid),
            with(facts, &event.context),
        )
    }
}

fn map(kind: EventKind, event: &MapEvent) -> Entry {
    let facts = json!({"map_type": event.map_type, "step": event.step, "entries": event.entries});
    instant(
        kind.word(),
        (event.time_ns, event.pid, event.tid),
        with(facts, &event.context),
    )
}

fn entry(line: &TraceLine) -> Option<Entry> {
    Some(match line {
        TraceLine::PageFault(event) => page_fault(event),
        TraceLine::Mprotect(event) => call(EventKind::Mprotect, event),
        TraceLine::PkeyMprotect(event) => call(EventKind::PkeyMprotect, event),
        TraceLine::Mmap(event) => call(EventKind::Mmap, event),
        TraceLine::Munmap(event) => call(EventKind::Munmap, event),
        TraceLine::Mremap(event) => call(EventKind::Mremap, event),
        TraceLine::Brk(event) => call(EventKind::Brk, event),
        TraceLine::Madvise(event) => call(EventKind::Madvise, event),
        TraceLine::Signal(event) => {
            let facts =
                json!({"code": event.code, "address": event.address, "handled": event.handled});
            let when = (event.time_ns, event.pid, event.tid);
            instant(&event.signal, when, with(facts, &event.context))
        }
        TraceLine::Fork(event) => {
            let facts = json!({"child_pid": event.child_pid, "child_tid": event.child_tid});
            let when = (event.time_ns, event.pid, event.tid);
            instant(EventKind::Fork.word(), when, facts)
        }
        TraceLine::Exec(event) => {
            let facts = json!({"executable": event.executable});
            let when = (event.time_ns, event.pid, event.tid);
            instant(EventKind::Exec.word(), when, facts)
        }
        TraceLine::Exit(event) => {
            let facts = json!({"exited": event.exited, "signaled": event.signaled});
            let when = (event.time_ns, event.pid, event.tid);
            instant(EventKind::Exit.word(), when, facts)
        }
        TraceLine::PteSample(event) => {
            let (address, pte) = (event.address, &event.pte);
            let facts =
                json!({"address": address, "present": pte.present, "writable": pte.writable});
            let when = (event.time_ns, event.pid, event.tid);
            instant(
                EventKind::PteSample.word(),
                when,
                with(facts, &event.context),
            )
        }
        TraceLine::WatchHit(event) => {
            let facts = json!({"address": event.address, "ip": event.ip});
            let when = (event.time_ns, event.pid, event.tid);
            instant(
                EventKind::WatchHit.word(),
                when,
                with(facts, &event.context),
            )
        }
        TraceLine::MapMake(event) => map(EventKind::MapMake, event),
        TraceLine::MapGrow(event) => map(EventKind::MapGrow, event),
        TraceLine::MapClear(event) => map(EventKind::MapClear, event),
        TraceLine::Iteration(event) => {
            let facts = json!({"map_type": event.map_type, "entries": event.entries});
            let when = (event.time_ns, event.pid, event.tid);
            instant(
                EventKind::Iteration.word(),
                when,
                with(facts, &event.context),
            )
        }
        TraceLine::Runtime(event) => runtime(event),
        TraceLine::FatalError(event) => fatal_error(event),
        TraceLine::Mark(event) => {
            let when = (event.time_ns, event.pid, event.tid);
            instant(&mark_name(event), when, json!({}))
        }
        TraceLine::Header(_)
        | TraceLine::String(_)
        | TraceLine::Stack(_)
        | TraceLine::Aggregate(_)
        | TraceLine::Footer(_) => return None,
    })
}

fn mark_name(mark: &MarkEvent) -> String {
    match (&mark.symbol, mark.after_operations, &mark.operation) {
        (Some(symbol), ..) => format!("first entry into {symbol}"),
        (None, Some(count), Some(operation)) => format!("after {count} {operation} operations"),
        (None, count, _) => format!("after {} map operations", count.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Operation;

    fn shown(what: &str, duration_ns: Option<u64>) -> String {
        let line = TraceLine::Runtime(Box::new(RuntimeEvent {
            time_ns: 5_000,
            pid: 7,
            tid: 8,
            what: what.to_owned(),
            duration_ns,
            number: Some(3),
            trigger: None,
            write_barrier: None,
            reason: None,
            address: None,
            bytes: None,
            context: Context {
                operation: Operation::Runtime,
                sub_operation: None,
                map: None,
                goroutine: None,
                stack: None,
            },
        }));
        let mut out = Vec::new();
        write_entry(&entry(&line).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_collection_is_a_slice_of_the_process_and_a_stop_one_of_its_thread() {
        for (what, phase) in [(what::GC_START, "b"), (what::GC_END, "e")] {
            let text = shown(what, None);
            let wanted = format!(r#""ts":5.000,"ph":"{phase}","cat":"runtime","id":"7.3""#);
            assert!(text.contains(&wanted), "{text}");
            assert!(text.contains(r#""name":"runtime: gc""#), "{text}");
        }
        let text = shown(what::STOP, Some(2_500));
        assert!(text.contains(r#""ph":"X","dur":2.500"#), "{text}");
        assert!(shown(what::SCAVENGE, None).contains(r#""ph":"i""#));
    }
}
