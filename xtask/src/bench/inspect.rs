//! What `inspect` takes for a large program.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use map_trace_workloads::{self as workloads, GoToolchain};

use super::measure::{median, run};
use super::{Bench, Figure};

/// Most that a look at the program may take, seconds.
const SECONDS: f64 = 1.0;
/// Functions of the program, each of which fills a map, loops over it and changes another: 60 MB. Fewer make
/// one quickly, to see that the benchmark works.
const FUNCTIONS: usize = 60_000;
const FEW: usize = 500;

/// Makes a large program and inspects it.
pub fn measure(bench: &Bench, toolchain: &GoToolchain) -> Result<(String, Vec<Figure>)> {
    let smoke = bench.rounds == 1;
    let functions = if smoke { FEW } else { FUNCTIONS };
    let folder = workloads::root().join(format!("bench-large-{functions}"));
    let source = folder.join("large");
    fs::create_dir_all(&source).with_context(|| source.display().to_string())?;
    write(&source, functions).with_context(|| source.display().to_string())?;
    // Not optimised: it is the size that counts, and it is made in half the time.
    let program = workloads::build_go_at(toolchain, workloads::Flavour::Unoptimised, &source)?;
    let bytes = fs::metadata(&program)?.len();
    let mut seconds = Vec::new();
    let mut memory = 0.0;
    for _ in 0..bench.rounds {
        let run = run(Command::new(&bench.map_trace).arg("inspect").arg(&program))?;
        seconds.push(run.wall);
        memory = f64::max(memory, run.memory);
    }
    let figures = vec![
        Figure::context("its size", bytes as f64 / 1e6, " MB"),
        Figure::limited("map-trace inspect", median(&seconds)?, " s", SECONDS),
        Figure::context("map-trace's own memory", memory, " MB"),
    ];
    let title = format!("{}: a program of {functions} functions", toolchain.version);
    Ok((title, figures))
}

/// Writes the program, the same each time.
fn write(folder: &Path, functions: usize) -> Result<()> {
    let mut out = BufWriter::new(File::create(folder.join("main.go"))?);
    out.write_all(START.as_bytes())?;
    for n in 0..functions {
        writeln!(
            out,
            "//go:noinline\nfunc work{n}(m map[uint64]value, names map[string]int, k uint64) (sum uint64) {{\n\
             \tfor i := k; i < k+{steps}; i++ {{\n\t\tm[i] = value{{i, sum}}\n\t}}\n\
             \tfor k, v := range m {{\n\t\tsum += k*v.a + v.b\n\t}}\n\
             \tnames[fmt.Sprint(\"name\", sum)]++\n\treturn sum + uint64(len(names))\n}}\n",
            steps = n % 7 + 2
        )?;
    }
    writeln!(
        out,
        "var all = []func(map[uint64]value, map[string]int, uint64) uint64{{"
    )?;
    for n in 0..functions {
        writeln!(out, "\twork{n},")?;
    }
    out.write_all(END.as_bytes())?;
    out.flush()?;
    fs::write(folder.join("../go.mod"), "module large\n\ngo 1.19\n")?;
    Ok(())
}

const START: &str = "package main\n\nimport \"fmt\"\n\ntype value struct{ a, b uint64 }\n\n";
const END: &str = "}\n\nfunc main() {\n\tm, names := map[uint64]value{}, map[string]int{}\n\tvar sum uint64\n\
                   \tfor i, f := range all {\n\t\tsum += f(m, names, uint64(i))\n\t}\n\tfmt.Println(sum)\n}\n";
