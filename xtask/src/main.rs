//! `cargo xtask`: everything a developer runs. One step a file.

mod bench;
mod build;
mod demo;
mod kernels;
mod layers;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod links;
mod process;
mod program;
mod prove;
mod root;
mod rust_source;
mod schema;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, build, test, demo and benchmark of map-trace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Install what is missing: BPF toolchain, compilers for the workloads, tracefs
    Setup(setup::Options),
    /// Build the release binary and the workloads
    Build,
    /// Set up, build, check and test everything; root parts through sudo
    Test(test::Options),
    /// Trace a Go program that iterates and assigns into maps, on an old and a new Go
    Demo,
    /// Set up, build, and judge what is said of Go maps; --article writes docs/article.md
    Prove(prove::Options),
    /// Build, then `map-trace run` the program as root: cargo xtask run -- PROGRAM [ARG...]
    Run(program::Options),
    /// Measure the speed targets against running bare
    Bench(bench::Options),
    /// Run on other kernels, in machines emulated in software: fetches them, boots, traces, compares
    Kernels(kernels::Options),
    /// Write the JSON schemas of trace and summary into docs/schema/
    Schema,
    /// Check who imports whom, and how long the files are
    Layers,
}

fn main() -> ExitCode {
    let done = match Cli::parse().step {
        Step::Setup(options) => setup::with(&options),
        Step::Build => build::run(),
        Step::Test(options) => test::run(&options),
        Step::Demo => demo::run(),
        Step::Run(options) => return exit_code(program::run(&options)),
        Step::Prove(options) => return exit_code(prove::run(&options)),
        Step::Bench(options) => bench::run(&options),
        Step::Kernels(options) => kernels::run(&options),
        Step::Schema => schema::run(),
        Step::Layers => layers::run(),
    };
    exit_code(done.map(|()| 0))
}

fn exit_code(status: anyhow::Result<u8>) -> ExitCode {
    match status {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("xtask: {why:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_two_arguments_of_a_step_clash() {
        Cli::command().debug_assert();
    }
}
