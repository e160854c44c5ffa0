//! Why the answer can be believed, or cannot: witnesses, loss, controls, calibration.

use super::plain::{clean, count, duration, number, percent};
use super::screen::Tone;
use super::table::list;
use crate::model::summary::{Status, Summary};

/// A sentence and whether it is good news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    pub tone: Tone,
    pub text: String,
}

impl Remark {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            tone: Tone::Plain,
            text: text.into(),
        }
    }

    fn bad(text: impl Into<String>) -> Self {
        Self {
            tone: Tone::Bad,
            text: text.into(),
        }
    }
}

/// Everything there is to say, in the order of a reader's doubts.
pub fn remarks(summary: &Summary) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if summary.cut_short {
        remarks.push(Remark::bad(
            "the trace is cut short: only what is whole in it is counted",
        ));
    } else {
        remarks.push(witnesses(summary));
    }
    remarks.push(loss(summary));
    if summary.loss.maps > 0 {
        remarks.push(Remark::bad(format!(
            "more Go maps than map-trace keeps: {} about them left out, so that some of their memory is not \
             told apart from other memory",
            count(summary.loss.maps, "fact")
        )));
    }
    if let Some(why) = summary.not_probed.first() {
        remarks.push(Remark::bad(format!("maps are known by stacks only: {why}")));
    }
    remarks.push(controls(summary));
    remarks.push(calibration(summary));
    remarks
}

/// `38,311 faults = perf 38,311 = 38,308 minor + 3 major`
fn witnesses(summary: &Summary) -> Remark {
    let witnesses = &summary.witnesses;
    let tracepoint = &witnesses.tracepoint;
    let traced = tracepoint
        .page_fault_user
        .saturating_add(tracepoint.page_fault_kernel);
    let Some(perf) = witnesses.perf else {
        return Remark::bad(format!(
            "{} with no second witness: perf's counters could not be opened",
            count(traced, "fault")
        ));
    };
    let mut parts = format!(
        "{} minor + {} major",
        number(perf.minor_faults),
        number(perf.major_faults)
    );
    if witnesses.refused > 0 {
        parts = format!("{parts} + {} refused", number(witnesses.refused));
    }
    if witnesses.own > 0 {
        parts = format!("{parts} ({} of these by map-trace)", number(witnesses.own));
    }
    let faults = count(traced, "fault");
    let theirs = number(perf.page_faults);
    if witnesses.balanced {
        Remark::plain(format!("{faults} = perf {theirs} = {parts}"))
    } else {
        Remark::bad(format!(
            "witnesses disagree: {faults}, perf {theirs}, {parts}"
        ))
    }
}

fn loss(summary: &Summary) -> Remark {
    let loss = &summary.loss;
    let mut lost = Vec::new();
    for (value, what) in [
        (loss.dropped, "dropped"),
        (loss.undecodable, "undecodable"),
        (loss.mappings, "mapping records lost"),
        (loss.compat_calls, "32-bit calls not decoded"),
        (loss.stacks, "stacks lost"),
    ] {
        if value > 0 {
            lost.push(format!("{} {what}", number(value)));
        }
    }
    if loss.blind_ns > 0 {
        lost.push(format!("blind for {}", duration(loss.blind_ns)));
    }
    if loss.mappings_read_again > 0 {
        let times = number(loss.mappings_read_again);
        lost.push(format!(
            "mappings read again {times} times, names from before may be of what came later"
        ));
    }
    if !loss.sums() && !summary.cut_short {
        lost.push(format!(
            "counted {} is not delivered {} + grouped {} + dropped {}",
            number(loss.counted),
            number(loss.delivered),
            number(loss.aggregated),
            number(loss.dropped)
        ));
    }
    let unattributed = match loss.unattributed {
        0 => String::new(),
        n => format!("; {} without a stack", number(n)),
    };
    if lost.is_empty() && !summary.cut_short {
        let grouped = match loss.aggregated {
            0 => String::new(),
            n => format!(" ({} of them counted by the kernel in groups)", number(n)),
        };
        Remark::plain(format!(
            "0 lost of {}{grouped}{unattributed}",
            count(loss.counted, "event")
        ))
    } else if lost.is_empty() {
        Remark::bad(format!("what was lost is not known{unattributed}"))
    } else {
        let lost: Vec<_> = lost.iter().map(String::as_str).collect();
        Remark::bad(format!("lost: {}{unattributed}", list(&lost, "and")))
    }
}

fn controls(summary: &Summary) -> Remark {
    let all = summary.controls.len();
    let failed: Vec<_> = summary
        .controls
        .iter()
        .filter(|control| !control.passed)
        .collect();
    match (all, failed.as_slice()) {
        (0, _) => Remark::plain("no controls ran"),
        (_, []) => Remark::plain(format!("{all} of {all} controls exact")),
        (_, [first, rest @ ..]) => {
            let mut text = format!(
                "control {} failed: {} of {} seen",
                clean(&first.name),
                number(first.seen),
                number(first.expected)
            );
            if let Some(invalidates) = &first.invalidates {
                text = format!("{text}, which voids {}", clean(invalidates));
            }
            if !rest.is_empty() {
                text = format!("{text}; {} more of {all} failed", rest.len());
            }
            Remark::bad(text)
        }
    }
}

fn calibration(summary: &Summary) -> Remark {
    let calibration = &summary.calibration;
    if !calibration.usable {
        let reason = calibration.reason.as_deref().unwrap_or("not calibrated");
        return Remark::plain(format!("no page-table entries: {}", clean(reason)));
    }
    let mut notes = Vec::new();
    if calibration.guest {
        notes.push("the guest's entries");
    }
    if calibration.page_table_isolation {
        notes.push("page-table isolation on");
    }
    if calibration.memory_encryption {
        notes.push("memory encryption on");
    }
    let notes = match notes.as_slice() {
        [] => String::new(),
        notes => format!(" ({})", notes.join(", ")),
    };
    match calibration.rechecked {
        Some(true) => Remark::plain(format!("PTE calibrated and re-checked{notes}")),
        Some(false) => Remark::bad(format!("PTE calibration did not hold to the end{notes}")),
        None => Remark::plain(format!("PTE calibrated{notes}")),
    }
}

/// `probes 6 ms of target time (1.5 %)`
pub fn cost(summary: &Summary) -> Option<String> {
    let ns = summary.probe_ns?;
    Some(format!(
        "probes took {} of {} ({})",
        duration(ns),
        duration(summary.duration_ns),
        percent(ns, summary.duration_ns)
    ))
}

/// `./app (go1.23.9, hmap) ran 412 ms, exited 0`
pub fn title(summary: &Summary, width: usize) -> String {
    let executable = super::answer::main_executable(summary);
    let name = match (summary.program.argv.as_slice(), executable) {
        ([], Some(executable)) => super::plain::shorten(&clean(&executable.path), width),
        ([], None) => "a program".to_owned(),
        (argv, _) => super::plain::command(argv, width),
    };
    let facts = executable.map_or_else(Vec::new, |executable| {
        [
            executable
                .go_version
                .as_ref()
                .or(executable.language.as_ref()),
            executable.map_implementation.as_ref(),
        ]
        .into_iter()
        .flatten()
        .map(|word| super::plain::shorten(&clean(word), 24))
        .collect()
    });
    let facts = match facts.as_slice() {
        [] => String::new(),
        facts => format!(" ({})", facts.join(", ")),
    };
    let stopped = match &summary.stopped_early {
        Some(reason) => format!(
            "; stopped early: {}",
            super::plain::shorten(&clean(reason), 30)
        ),
        None => String::new(),
    };
    let verb = match summary.program.status {
        Status::Running => "recorded for",
        // It ran before.
        _ if summary.loss.blind_ns > 0 => "recorded for",
        _ => "ran",
    };
    format!(
        "{name}{facts} {verb} {}, {}{stopped}",
        duration(summary.duration_ns),
        super::plain::status(&summary.program.status)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_could_not_be_probed_is_said_with_the_reason() {
        let mut summary = crate::output::samples::go_growth();
        summary.not_probed = vec!["./app: the kernel is too old".to_owned()];
        let said = remarks(&summary).into_iter().map(|remark| remark.text);
        let wanted = "maps are known by stacks only: ./app: the kernel is too old";
        assert!(said.into_iter().any(|text| text == wanted));
    }

    #[test]
    fn more_maps_than_are_kept_are_said_and_lose_no_event() {
        let mut summary = crate::output::samples::go_growth();
        let complete = summary.complete();
        let told = |summary: &Summary| -> String {
            let remarks = remarks(summary);
            remarks.into_iter().map(|remark| remark.text).collect()
        };
        assert!(!told(&summary).contains("Go maps"));
        summary.loss.maps = 1_200;
        assert!(told(&summary).contains("1,200 facts about them left out"));
        assert_eq!(summary.complete(), complete);
    }
}
