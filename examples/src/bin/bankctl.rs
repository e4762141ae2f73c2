//! The operator's tool.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    examples::bankctl::main().await
}
