//! The banking service as a process.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::config::CoreBankingConfig;
use examples::core_banking::CoreBanking;
use examples::customers::{Customer, read_customers};
use examples::error::{Failure, exit_code};
use examples::http::{TimeLimits, interrupted, listen, serve};

/// Customers and payments over HTTP, sensitive columns encrypted.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Customers to insert before serving (CSV), all or none.
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    exit_code("core-banking", run(&args).await)
}

async fn run(args: &Args) -> Result<(), Failure> {
    let config = CoreBankingConfig::load(&args.config)?;
    let customers = args.import.as_deref().map(read_customers).transpose()?;
    let bank = CoreBanking::open(&config).await?;
    // However it ends, the audit stream ends with a signed head.
    let served = serve_until_interrupted(&config, &bank, customers.as_deref()).await;
    served.and(bank.close().await)
}

async fn serve_until_interrupted(
    config: &CoreBankingConfig,
    bank: &CoreBanking,
    customers: Option<&[Customer]>,
) -> Result<(), Failure> {
    if let Some(customers) = customers {
        bank.import(customers).await?;
        println!("{} customers inserted", customers.len());
    }
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(Failure::other)?;
    println!("core-banking on http://{address}");
    serve(
        listener,
        bank.router(),
        TimeLimits::default(),
        interrupted(),
    )
    .await;
    Ok(())
}
