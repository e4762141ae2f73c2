//! The banking service as a process.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::config::CoreBankingConfig;
use examples::core_banking::CoreBanking;
use examples::customers::read_customers;
use examples::error::{Failure, exit_code};
use examples::http::{interrupted, listen, serve};

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
    if let Some(customers) = customers {
        bank.import(&customers).await?;
        println!("{} customers inserted", customers.len());
    }
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(Failure::other)?;
    println!("core-banking on http://{address}");
    let served = serve(listener, bank.router(), interrupted()).await;
    served.and(bank.close().await)
}
