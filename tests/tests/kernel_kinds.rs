//! Maps of many kinds of keys and values, on every Go asked for: each operation counted, each map's memory and
//! type told as the program finds them itself.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::panic;

use map_trace::model::Address;
use map_trace::model::event::{MapEvent, TraceLine};
use map_trace::model::summary::CountKind;
use map_trace_tests::{Flavour, GoToolchain, Session, Traced, asked_go, go, go_toolchains};

/// How the programs are built: unstripped is what other tests have; the rest when Go versions are asked for.
fn flavours() -> Vec<Flavour> {
    if asked_go().is_empty() {
        return vec![Flavour::Stripped];
    }
    vec![
        Flavour::Plain,
        Flavour::Stripped,
        Flavour::Pie,
        Flavour::External,
        Flavour::Unoptimised,
        Flavour::V3,
    ]
}

/// The operations and what the program calls their numbers.
const COUNTED: [(&str, &str); 5] = [
    ("assign", "assigns"),
    ("access", "accesses"),
    ("delete", "deletes"),
    ("iterate", "steps"),
    ("clear", "clears"),
];

struct Subject {
    toolchain: GoToolchain,
    flavour: Flavour,
}

impl Subject {
    fn all() -> Vec<Self> {
        let of = |toolchain: GoToolchain| {
            flavours().into_iter().map(move |flavour| Self {
                toolchain: toolchain.clone(),
                flavour,
            })
        };
        go_toolchains().into_iter().flat_map(of).collect()
    }

    fn name(&self) -> String {
        format!("{} {:?}", self.toolchain.label(), self.flavour)
    }

    /// Since Go 1.24 a sync.Map is a map of its own kind, whose operations are counted.
    fn run(&self, entries: &str) -> Traced {
        let mut session = Session::run(go(&self.toolchain, self.flavour, "kinds"))
            .arguments(&["-gc", "-n", entries])
            .in_full()
            .option("--census")
            .option("full");
        if self.flavour != Flavour::Unoptimised {
            session = session.argument("-idiom");
        }
        if self.toolchain.number() >= [1, 24, 0] {
            session = session.argument("-sync");
        }
        let traced = session.traced().sound();
        let name = self.name();
        assert_eq!(traced.status(), 0, "{name}: {}", traced.stderr());
        let not_probed = &traced.trace.header().not_probed;
        assert!(not_probed.is_empty(), "{name}: {not_probed:?}");
        traced
    }
}

/// What was counted beyond what the program did itself: the runtime's and the packages' own operations.
fn beyond(traced: &Traced, name: &str) -> BTreeMap<&'static str, u64> {
    let beyond = |(operation, said): (&'static str, &str)| {
        let rows = &traced.summary.operations;
        let row = rows.iter().find(|row| row.operation.word() == operation);
        let count = row.expect("a row").count;
        assert_eq!(count.kind, CountKind::Exact, "{name}: {operation}");
        let own = traced.said.number(said);
        let beyond = count.value.checked_sub(own);
        let beyond = beyond.unwrap_or_else(|| panic!("{name}: {operation} {count:?} of {own}"));
        (operation, beyond)
    };
    COUNTED.into_iter().map(beyond).collect()
}

type Ranges = BTreeSet<(u64, u64)>;

fn parse(hex: &str) -> u64 {
    u64::from_str_radix(hex.trim_start_matches("0x"), 16).expect("an address")
}

/// By header: type and memory of each map that is kept, by the program.
fn said(traced: &Traced) -> BTreeMap<u64, (String, Ranges)> {
    let mut numbered = BTreeMap::new();
    let mut maps = BTreeMap::new();
    for (number, text) in traced.said.under("map.") {
        let (header, name) = text.split_once(' ').expect("header and type");
        numbered.insert(number, parse(header));
        maps.insert(parse(header), (name.to_owned(), Ranges::new()));
    }
    for (key, text) in traced.said.under("storage.") {
        let (number, _) = key.split_once('.').expect("two numbers");
        let (start, end) = text.split_once('-').expect("a range");
        let (_, ranges) = maps.get_mut(&numbered[number]).expect("a map");
        ranges.insert((parse(start), parse(end)));
    }
    maps
}

/// Makes and growths in their order; whether it was a make.
fn told(traced: &Traced) -> impl Iterator<Item = (bool, u64, &MapEvent)> {
    traced.trace.lines().iter().filter_map(|line| match line {
        TraceLine::MapMake(event) => Some((true, event.context.map?.0, &**event)),
        TraceLine::MapGrow(event) => Some((false, event.context.map?.0, &**event)),
        _ => None,
    })
}

/// Names and memory of a map, by the trace: what it got, less what it left.
fn told_of(traced: &Traced, map: u64) -> (BTreeSet<String>, Ranges) {
    let (mut names, mut live) = (BTreeSet::new(), Ranges::new());
    for (made, _, event) in told(traced).filter(|(_, of, _)| *of == map) {
        if made {
            // Whatever was there is gone.
            names.clear();
            live.clear();
        }
        names.extend(event.map_type.clone());
        for range in &event.old_ranges {
            live.remove(&(range.start.0, range.end.0));
        }
        let entries = event.ranges.iter();
        let entries = entries.filter(|range| ["buckets", "group"].contains(&range.part.as_str()));
        live.extend(entries.map(|range| (range.start.0, range.end.0)));
    }
    (names, live)
}

fn check_memory(traced: &Traced, name: &str) {
    let said = said(traced);
    let mut generic = 0;
    assert!(said.len() > 20, "{name}: {} maps", said.len());
    for (map, (type_name, ranges)) in said {
        let (mut names, told) = told_of(traced, map);
        assert_eq!(told, ranges, "{name}: {type_name} at {map:#x}");
        // Generic functions of Go 1.19 hand the runtime the type of the shape they were compiled for.
        let shapes = names.len();
        names.retain(|told| !told.contains("go.shape."));
        generic += shapes - names.len();
        if shapes == 0 || !names.is_empty() {
            let only = BTreeSet::from([type_name.clone()]);
            assert_eq!(names, only, "{name}: {map:#x}");
        }
    }
    assert!(
        generic == 0 || name.starts_with("go1.19"),
        "{name}: {generic}"
    );
}

/// Each growth of the churned map is told, and whether it was into more buckets or as many.
fn check_growth(traced: &Traced, name: &str) -> u64 {
    let churned: Address = traced.said.text("churned").parse().expect("an address");
    let steps = |step: &str| {
        let of = |(_, map, event): &(bool, u64, &MapEvent)| {
            *map == churned.0 && event.step.as_str() == step
        };
        told(traced).filter(of).count() as u64
    };
    for step in ["double", "same_size"] {
        assert_eq!(steps(step), traced.said.number(step), "{name}: {step}");
    }
    steps("same_size")
}

fn check(subject: &Subject) {
    let name = subject.name();
    let [few, many] = ["40", "300"].map(|entries| subject.run(entries));
    // What Go's own start does with maps is the same in both.
    assert_eq!(beyond(&few, &name), beyond(&many, &name), "{name}");
    check_memory(&many, &name);
    let same_size = check_growth(&many, &name);
    assert_eq!(same_size > 0, !subject.toolchain.has_swiss_maps(), "{name}");
}

#[test]
fn operations_memory_and_types_of_every_kind_of_map_are_as_the_program_says() {
    let subjects = Subject::all();
    // Each is tried, so that one run tells all that is wrong.
    let failed: Vec<String> = subjects
        .iter()
        .filter(|subject| panic::catch_unwind(|| check(subject)).is_err())
        .map(Subject::name)
        .collect();
    println!("{} checked", subjects.len());
    assert!(failed.is_empty(), "{failed:?}");
}
