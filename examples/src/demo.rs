//! The demo: both services on loopback ports, driven with real HTTP, every answer checked.

pub mod client;
pub mod report;
pub mod services;
mod steps;
pub mod tamper;

use std::path::{Path, PathBuf};

use crate::customers::{Customer, parse_customers, read_customers};
use crate::error::{BadInput, Failure};
use crate::setup::staff_of;
use crate::users::Staff;

use self::client::{Client, Send};
use self::report::Report;
use self::services::Services;

/// The sample file, made by `bankctl customers generate` with its defaults.
const SAMPLE_CUSTOMERS: &[u8] = include_bytes!("../data/customers.csv");

/// How the demo runs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Customer file; the sample customers by default.
    pub customers: Option<PathBuf>,
    /// Folder for keys, database and audit streams; kept afterwards. A temporary one by default.
    pub dir: Option<PathBuf>,
    /// Keep the services up instead of driving them.
    pub serve: bool,
    /// Print one JSON document instead of lines.
    pub json: bool,
}

/// Runs the demo. True if every step went as expected.
///
/// # Errors
/// The customer file is malformed, or a service could not be run.
pub async fn run(options: &Options) -> Result<bool, Failure> {
    let customers = match &options.customers {
        Some(path) => read_customers(path)?,
        None => parse_customers("examples/data/customers.csv", SAMPLE_CUSTOMERS)?,
    };
    let cast = Cast::choose(&customers)?;
    let temporary = tempfile::tempdir().map_err(Failure::other)?;
    let dir = options.dir.as_deref().unwrap_or(temporary.path());
    let mut report = Report::new(options.json);
    report.say("starting gateway and core-banking ...");
    let services = Services::start(dir, &cast.staff).await?;
    report.say(&format!(
        "gateway on {}, core-banking on {}, {} customers\n",
        services.gateway,
        services.core_banking,
        customers.len()
    ));
    services.bank.import(&customers).await?;
    if options.serve {
        return serve(&services, &customers, &report)
            .await
            .and(services.stop().await)
            .map(|()| true);
    }
    steps::drive(&mut report, &services, &customers, &cast).await?;
    let (gateway, bank) = (
        services.gateway_config.audit.clone(),
        services.core_banking_config.audit.clone(),
    );
    services.stop().await?;
    steps::check_audit(&mut report, dir, &gateway, &bank)?;
    Ok(report.finish())
}

/// Who the steps are about, chosen from the customer file.
struct Cast<'a> {
    /// Of the manager's own bank and branch.
    ours: &'a Customer,
    /// Another of the same bank.
    neighbour: &'a Customer,
    /// Manager and analyst of that branch, and a manager of another bank.
    staff: [Staff; 3],
}

impl<'a> Cast<'a> {
    fn choose(customers: &'a [Customer]) -> Result<Self, BadInput> {
        let pair = customers.iter().enumerate().find_map(|(at, ours)| {
            let mut later = customers.iter().skip(at + 1);
            let neighbour = later.find(|c| c.tenant_id == ours.tenant_id)?;
            Some((ours, neighbour))
        });
        let (ours, neighbour) = pair.ok_or_else(|| {
            BadInput::new("--customers", "the demo needs two customers of one tenant")
        })?;
        let stranger = customers.iter().find(|c| c.tenant_id != ours.tenant_id);
        // A file of one bank only: the stranger's bank has no customers.
        let (other, other_branch) = match stranger {
            Some(stranger) => (stranger.tenant_id.as_str(), stranger.branch.as_str()),
            None if ours.tenant_id == "other-bank" => ("another-bank", "head-office"),
            None => ("other-bank", "head-office"),
        };
        let staff = staff_of(&ours.tenant_id, &ours.branch, other, other_branch);
        Ok(Self {
            ours,
            neighbour,
            staff,
        })
    }
}

async fn serve(
    services: &Services,
    customers: &[Customer],
    report: &Report,
) -> Result<(), Failure> {
    let client = Client::new(services.gateway);
    let origin = format!("http://{}", services.gateway);
    let first = customers
        .first()
        .map_or("C000001", |c| c.customer_id.as_str());
    for user in &services.users {
        let staff = &user.staff;
        let login = serde_json::json!({
            "tenant": staff.tenant, "user": staff.user, "password": user.password,
        });
        let path = "/api/v1/session/login";
        let answer = client
            .send(axum::http::Method::POST, path, Send::default().body(&login))
            .await?;
        let token = answer.text("token").unwrap_or_default();
        report.say(&format!(
            "# {} ({}) of {}",
            staff.user,
            staff.roles.join(","),
            staff.tenant
        ));
        report.say(&format!(
            "curl -sS {origin}{path} -H 'content-type: application/json' -d '{login}'"
        ));
        report.say(&format!(
            "curl -sS {origin}/api/v1/customers/{first} -H 'authorization: Bearer {token}'\n"
        ));
    }
    report.say(&format!("files are in {}", path_text(&services.dir)));
    report.say("serving until Ctrl-C");
    crate::http::interrupted().await;
    Ok(())
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
