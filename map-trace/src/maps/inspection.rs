//! What can be told of a program's maps without running it: `map-trace inspect`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Tables;
use super::operations::TABLES;
use super::pattern::Glob;
use crate::binary::layout::Layouts;
use crate::binary::probe_place::{self, ProbePlace, ProbePlaces};
use crate::binary::reach::{CallGraph, Gate, Reach, Site, SystemCall};
use crate::binary::{Binary, Function, Language, MapImplementation};
use crate::model::Operation;

/// Map functions of one binary told, at most: templates and generics have one for each type.
const MAX_FUNCTIONS: usize = 2_000;

/// Everything told of a binary.
#[derive(Debug, Serialize)]
pub struct Inspection {
    pub schema: &'static str,
    pub path: String,
    pub build_id: Option<String>,
    /// `go`, `rust`, `c++`, `c`.
    pub language: Option<&'static str>,
    pub go_version: Option<String>,
    pub go_experiments: Vec<String>,
    pub go_build_settings: BTreeMap<String, String>,
    /// `hmap` or `swiss`.
    pub map_implementation: Option<&'static str>,
    pub machine: String,
    pub position_independent: bool,
    pub dynamic: bool,
    pub stripped: bool,
    /// By operation, then name.
    pub functions: Vec<MapFunction>,
    /// Functions beyond the limit, not told.
    pub functions_left_out: usize,
    /// Map functions of this implementation that have no code of their own here.
    pub absent: Vec<Absent>,
    /// Go only.
    pub layouts: Option<Layouts>,
    /// Where a recording probes it, whatever `--census` says. Go only.
    pub structure: Vec<StructureProbe>,
    /// Go only.
    pub calls: Option<Calls>,
    /// What could not be told, and why.
    pub notes: Vec<String>,
}

/// A function that does something to maps.
#[derive(Debug, Serialize)]
pub struct MapFunction {
    pub operation: Operation,
    pub name: String,
    /// Address stated in the file.
    #[serde(serialize_with = "crate::binary::hex")]
    pub address: u64,
    /// Bytes, padding included.
    pub size: u64,
    /// None when its code cannot be read.
    pub probes: Option<ProbePlaces>,
    /// For each system call asked about; empty for other languages than Go.
    pub reach: Vec<CallReach>,
}

/// A place that is probed to know where maps are.
#[derive(Debug, Serialize)]
pub struct StructureProbe {
    /// `runtime.hashGrow+0x4`
    pub name: String,
    pub tells: &'static str,
    #[serde(flatten)]
    pub place: ProbePlace,
}

/// A known map function without code of its own.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Absent {
    pub name: &'static str,
    pub operation: String,
    /// Inlined into its callers; else not linked in.
    pub inlined: bool,
}

/// The system calls asked about.
#[derive(Debug, Serialize)]
pub struct Calls {
    /// Functions looked at.
    pub functions: usize,
    /// Why "unreachable" could not be said, if so.
    pub incomplete: Option<String>,
    pub gates: Vec<&'static Gate>,
    pub calls: Vec<CallSites>,
    /// Places that make whatever system call the program asks for.
    pub any: Vec<Site>,
}

/// Where a system call is made.
#[derive(Debug, Serialize)]
pub struct CallSites {
    #[serde(flatten)]
    pub call: SystemCall,
    pub sites: Vec<Site>,
}

/// Whether a function can make a system call.
#[derive(Debug, Serialize)]
pub struct CallReach {
    pub call: String,
    #[serde(flatten)]
    pub reach: Reach,
}

/// Looks at a binary; `calls` are the system calls whose reachability is told.
pub fn inspect(path: &str, binary: &Binary, calls: &[SystemCall]) -> Inspection {
    let facts = binary.facts();
    let mut told = Inspection {
        schema: "map-trace/inspect/1",
        path: crate::binary::name::clean(path),
        build_id: facts.build_id.clone(),
        language: facts.language.map(Language::word),
        go_version: facts.go_version.clone(),
        go_experiments: facts.go_experiments.clone(),
        go_build_settings: facts.go_build_settings.iter().cloned().collect(),
        map_implementation: facts.map_implementation.map(MapImplementation::word),
        machine: machine(facts.machine, facts.bits),
        position_independent: facts.pie,
        dynamic: facts.interpreter.is_some(),
        stripped: facts.stripped,
        functions: Vec::new(),
        functions_left_out: 0,
        absent: Vec::new(),
        layouts: None,
        structure: Vec::new(),
        calls: None,
        notes: Vec::new(),
    };
    if !facts.x86_64 {
        told.notes
            .push("not x86-64: its code is not looked at".into());
        return told;
    }
    find_functions(binary, &mut told);
    if facts.language != Some(Language::Go) {
        told.notes
            .push("not Go: layouts and reachable system calls are told of Go programs only".into());
        return told;
    }
    if !facts.go_functions {
        told.notes.push(
            "its Go function table is missing or damaged: functions are told by symbols, and nothing that needs the table".into(),
        );
        return told;
    }
    told.absent = absent(binary, &told);
    told.layouts = Some(Layouts::find(binary));
    structure_probes(binary, &mut told);
    reach(binary, calls, &mut told);
    told.notes.extend(opened_gate(&told));
    told
}

/// The plan of a recording.
fn structure_probes(binary: &Binary, told: &mut Inspection) {
    let plan = match super::structure::plan(binary) {
        Ok(plan) => plan,
        Err(why) => return told.notes.push(format!("its maps are not probed: {why}")),
    };
    let probes = plan.places.into_iter().map(|planned| StructureProbe {
        name: planned.name,
        tells: planned.role.tells(),
        place: planned.at,
    });
    told.structure = probes.collect();
    told.notes.extend(plan.notes);
}

/// What the build settings say of the gate before mprotect: GODEBUG can also come from the environment.
fn opened_gate(told: &Inspection) -> Option<String> {
    let built_in = told.go_build_settings.get("DefaultGODEBUG");
    let efence = built_in.is_some_and(|list| list.split(',').any(|one| one == "efence=1"));
    let arenas = told
        .go_experiments
        .iter()
        .any(|experiment| experiment == "arenas");
    let what = match (efence, arenas) {
        (true, _) => "efence=1 is built in",
        (false, true) => "GOEXPERIMENT=arenas is built in",
        (false, false) => return None,
    };
    Some(format!("{what}: freed memory is made inaccessible"))
}

fn machine(machine: u16, bits: u8) -> String {
    // ELF e_machine (gABI, registered values).
    let name = match machine {
        3 => "x86",
        62 => "x86-64",
        40 => "ARM",
        183 => "AArch64",
        243 => "RISC-V",
        _ => return format!("machine {machine}, {bits} bits"),
    };
    name.to_owned()
}

fn find_functions(binary: &Binary, told: &mut Inspection) {
    let tables = Tables::default();
    let mut found: Vec<(Operation, Function)> = Vec::new();
    let mut left_out = 0;
    binary.functions(&mut |function| {
        let Some(operation) = tables.operation(&function.name).filter(Operation::is_map) else {
            return;
        };
        if found.len() < MAX_FUNCTIONS {
            found.push((operation, function.clone()));
        } else {
            left_out += 1;
        }
    });
    told.functions_left_out = left_out;
    told.functions = found
        .into_iter()
        .map(|(operation, function)| MapFunction {
            operation,
            probes: binary
                .code_of(&function)
                .map(|code| probe_place::choose(binary, &code)),
            address: function.start,
            size: function.end - function.start,
            name: function.name,
            reach: Vec::new(),
        })
        .collect();
    told.functions.sort_by(|a, b| {
        (&a.operation, &a.name, a.address).cmp(&(&b.operation, &b.name, b.address))
    });
}

/// The rows of this implementation's tables that name no function with code.
fn absent(binary: &Binary, told: &Inspection) -> Vec<Absent> {
    let libraries: &[&str] = match told.map_implementation {
        Some("swiss") => &["Go maps", "Go swiss"],
        Some(_) => &["Go maps", "Go hmap"],
        None => &["Go maps"],
    };
    let mut inlined = BTreeSet::new();
    let present: BTreeSet<&str> = told.functions.iter().map(|f| f.name.as_str()).collect();
    let missing: Vec<_> = TABLES
        .iter()
        .filter(|table| libraries.contains(&table.library))
        .flat_map(|table| table.rows)
        .filter(|(name, _)| Glob::new(name).is_literal() && !present.contains(name))
        .collect();
    let names: BTreeSet<&str> = missing.iter().map(|(name, _)| *name).collect();
    binary.go_names(&mut |name| {
        if let Some(known) = names.get(name) {
            inlined.insert(*known);
        }
    });
    let mut absent: Vec<Absent> = missing
        .into_iter()
        .map(|(name, operation)| Absent {
            name,
            operation: operation.to_string(),
            inlined: inlined.contains(name),
        })
        .collect();
    absent.sort();
    absent
}

fn reach(binary: &Binary, calls: &[SystemCall], told: &mut Inspection) {
    let roots: Vec<u64> = told.functions.iter().map(|f| f.address).collect();
    let graph = CallGraph::build(binary, &roots);
    for function in &mut told.functions {
        function.reach = calls
            .iter()
            .map(|call| CallReach {
                call: call.name.clone(),
                reach: graph.reach(function.address, call.number),
            })
            .collect();
    }
    told.calls = Some(Calls {
        functions: graph.len(),
        incomplete: graph.incomplete().map(str::to_owned),
        gates: graph.gates(),
        calls: calls
            .iter()
            .map(|call| CallSites {
                call: call.clone(),
                sites: graph.sites(Some(call.number)).cloned().collect(),
            })
            .collect(),
        any: graph.sites(None).cloned().collect(),
    });
}
