//! Starts both services on loopback ports and stops them again.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{CoreBankingConfig, GatewayConfig};
use crate::core_banking::CoreBanking;
use crate::error::Failure;
use crate::gateway::Gateway;
use crate::http::{TimeLimits, listen, serve};
use crate::setup::{self, SampleUser};
use crate::users::Staff;

/// Both services, running.
pub struct Services {
    /// Where their files are.
    pub dir: PathBuf,
    /// Who may log in.
    pub users: Vec<SampleUser>,
    /// The gateway's address.
    pub gateway: SocketAddr,
    /// The banking service's address.
    pub core_banking: SocketAddr,
    /// The gateway's configuration.
    pub gateway_config: GatewayConfig,
    /// The banking service's configuration.
    pub core_banking_config: CoreBankingConfig,
    /// The banking service itself, for imports and counts.
    pub bank: CoreBanking,
    running: Running,
}

struct Running {
    gateway: Gateway,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Services {
    /// Fills `dir` with keys and configuration and starts both services from it.
    ///
    /// # Errors
    /// A file could not be made, or a service not be started.
    pub async fn start(dir: &Path, staff: &[Staff]) -> Result<Self, Failure> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bank_listener = listen(free).await?;
        let gateway_listener = listen(free).await?;
        let core_banking = bank_listener.local_addr().map_err(Failure::other)?;
        let gateway = gateway_listener.local_addr().map_err(Failure::other)?;
        let users =
            setup::create(dir, &gateway.to_string(), &core_banking.to_string(), staff).await?;

        let gateway_config = GatewayConfig::load(&dir.join("gateway.toml"))?;
        let core_banking_config = CoreBankingConfig::load(&dir.join("core-banking.toml"))?;
        let bank = CoreBanking::open(&core_banking_config).await?;
        let front = Gateway::open(&gateway_config)?;
        let (stop, stopped) = watch::channel(false);
        let until = |mut stopped: watch::Receiver<bool>| async move {
            // An error means that the sender is gone: stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let limits = TimeLimits::default();
        let tasks = vec![
            tokio::spawn(serve(
                bank_listener,
                bank.router(),
                limits,
                until(stopped.clone()),
            )),
            tokio::spawn(serve(
                gateway_listener,
                front.router(),
                limits,
                until(stopped),
            )),
        ];
        Ok(Self {
            dir: dir.to_owned(),
            users,
            gateway,
            core_banking,
            gateway_config,
            core_banking_config,
            bank,
            running: Running {
                gateway: front,
                stop,
                tasks,
            },
        })
    }

    /// Lets both end their requests, and ends both audit streams with a signed head.
    ///
    /// # Errors
    /// A service failed while it ran, or its last records did not become durable.
    pub async fn stop(self) -> Result<(), Failure> {
        self.running.stop.send_replace(true);
        for task in self.running.tasks {
            task.await.map_err(Failure::other)?;
        }
        self.running.gateway.close().await?;
        self.bank.close().await
    }
}
