//! The operator's tool.

use std::process::ExitCode;

use clap::Parser;
use examples::bankctl::{Cli, run};
use examples::error::exit_code;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code("bankctl", run(&Cli::parse()).await)
}
