//! The program `mailcow-status`.

use clap::Parser;
use mailcow_status::{
    commands::{Cli, run},
    work::memory,
};

fn main() -> std::process::ExitCode {
    memory::keep_small();
    match run(Cli::parse()) {
        Ok(code) => code,
        // Somebody closed the pipe that we print to: nothing is wrong.
        Err(error) if broken_pipe(&error) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailcow-status: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
