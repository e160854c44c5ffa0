//! map-trace: parse, run, exit code.

fn main() -> std::process::ExitCode {
    map_trace::cli::main().into()
}
