//! `mailcow-status login-link ADDRESS --role admin`: signs somebody in once. For the host's owner, who has no
//! mailbox: whoever may read the settings on this host has everything anyway.

use std::io::Write;

use anyhow::{Context, bail};

use super::serve::runtime;
use crate::{
    app::open_database,
    config::Config,
    model::{
        scope::{Role, normalise_address, normalise_domain},
        time::Millis,
        user::Grant,
    },
    store::links::LoginLink,
    web::login,
};

/// Arguments of `login-link`.
#[derive(Debug, clap::Args)]
pub struct LoginLinkArgs {
    /// The address that is signed in: an active mailbox, checked again every minute; for an admin any address
    pub address: String,
    /// What it may see, for 12 hours at most
    #[arg(long, value_parser = ["admin", "domain-admin", "user"])]
    pub role: String,
    /// Domains of a domain admin, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub domains: Vec<String>,
}

/// Makes the link and prints it.
pub fn run(args: &LoginLinkArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let address = normalise_address(&args.address).context("ADDRESS is no address")?;
    let role = Role::from_code(&args.role).context("--role")?;
    let domains = args
        .domains
        .iter()
        .map(|domain| normalise_domain(domain).with_context(|| format!("--domains {domain}: no domain")))
        .collect::<anyhow::Result<_>>()?;
    let grant = Grant { role, domains };
    if (grant.role == Role::DomainAdmin) == grant.domains.is_empty() {
        bail!("--domains goes with --role domain-admin, and only with it");
    }
    let config = Config::from_environment()?;
    let token = runtime()?.block_on(async {
        let db = open_database(&config.database).await?;
        let token = login::invite(&db, &LoginLink { address, grant }, Millis::now()).await;
        db.close().await;
        anyhow::Ok(token?)
    })?;
    writeln!(out, "{}", config.web.absolute(&format!("/login/link/{token}")))?;
    writeln!(out, "Valid once, for 10 minutes.")?;
    Ok(())
}
