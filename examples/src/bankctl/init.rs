//! `bankctl init`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::input::path_text;
use super::output::Answer;
use crate::error::Failure;
use crate::setup;

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder; keys that are there already are never overwritten.
    dir: PathBuf,
    /// Where the gateway will listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    gateway: String,
    /// Where the banking service will listen.
    #[arg(long, default_value = "127.0.0.1:8081")]
    core_banking: String,
}

impl Init {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        let Self {
            dir,
            gateway,
            core_banking,
        } = self;
        let users = setup::create(dir, gateway, core_banking, &setup::sample_staff()).await?;
        let listed: Vec<_> = users
            .iter()
            .map(|u| {
                json!({
                    "tenant": u.staff.tenant, "user": u.staff.user,
                    "roles": u.staff.roles, "password": u.password,
                })
            })
            .collect();
        let mut text = format!(
            "{} holds keys, users, policies and configuration.\n\
             Passwords, shown this once:\n",
            dir.display()
        );
        for user in &users {
            let (staff, password) = (&user.staff, &user.password);
            let roles = staff.roles.join(",");
            text += &format!(
                "  {:<14} {:<6} {roles:<10} {password}\n",
                staff.tenant, staff.user
            );
        }
        text += &format!(
            "Next: core-banking --config {}, then gateway --config {}",
            dir.join("core-banking.toml").display(),
            dir.join("gateway.toml").display()
        );
        // Nobody can be shown the passwords again.
        Ok(Answer::yes(json!({"dir": path_text(dir), "users": listed}), text)?.product())
    }
}
