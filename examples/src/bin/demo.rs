//! Both services on loopback ports, driven with real HTTP, every answer checked.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::demo::{Options, run};
use examples::error::{Failure, exit_code};

/// Start the gateway and the banking service on loopback, drive them, check every answer.
///
/// Exit code 0 if every step went as expected, 1 if not, 2 for bad input.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Customer file (CSV); the 1,000 sample customers by default.
    #[arg(long, value_name = "FILE")]
    customers: Option<PathBuf>,
    /// Empty folder for keys, database and audit streams, kept afterwards.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the services up and print curl lines to paste.
    #[arg(long, conflicts_with = "json")]
    serve: bool,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let options = Options {
        customers: args.customers,
        dir: args.dir,
        serve: args.serve,
        json: args.json,
    };
    let result = match run(&options).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::other("a step differs")),
        Err(failure) => Err(failure),
    };
    exit_code("demo", result)
}
