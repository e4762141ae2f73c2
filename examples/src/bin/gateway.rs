//! The gateway as a process.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::config::GatewayConfig;
use examples::error::{Failure, exit_code};
use examples::gateway::Gateway;
use examples::http::{TimeLimits, interrupted, listen, serve};

/// Reverse proxy: authenticate, tenant, authorize, upstream, audit.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    exit_code("gateway", run(&args).await)
}

async fn run(args: &Args) -> Result<(), Failure> {
    let config = GatewayConfig::load(&args.config)?;
    let gateway = Gateway::open(&config)?;
    // However it ends, the audit stream ends with a signed head.
    let served = serve_until_interrupted(&config, &gateway).await;
    served.and(gateway.close().await)
}

async fn serve_until_interrupted(config: &GatewayConfig, gateway: &Gateway) -> Result<(), Failure> {
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(Failure::other)?;
    println!("gateway on http://{address}, upstream {}", config.upstream);
    serve(
        listener,
        gateway.router(),
        TimeLimits::default(),
        interrupted(),
    )
    .await;
    Ok(())
}
