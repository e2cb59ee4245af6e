//! `mailcow-status demo`: everything works in a browser, with a simulated Mailcow inside this program. The portal
//! reaches it over real HTTP, with the very code that a real Mailcow meets.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::serve::{runtime, start_log, stop_on_signal};
use crate::{
    app::App,
    config::Config,
    demo::{Mailcow, Options, reports},
    model::time::Millis,
    store::Db,
};

/// The pause between two fresh reports.
const REPORT_PAUSE: Duration = Duration::from_secs(180);

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Mails of the last 14 days
    #[arg(long, default_value_t = 2000)]
    pub mails: usize,
    /// The same seed makes the same world
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Keep the database in this folder, instead of a temporary one
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// Serves until Ctrl-C.
pub fn run(args: DemoArgs) -> anyhow::Result<()> {
    let (folder, temporary) = match &args.data {
        Some(folder) => (folder.clone(), false),
        None => (std::env::temp_dir().join(format!("mailcow-status-demo-{}", std::process::id())), true),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let outcome = runtime()?.block_on(serve(&args, &folder.join("demo.sqlite")));
    if temporary && let Err(error) = std::fs::remove_dir_all(&folder) {
        eprintln!("mailcow-status: {} could not be removed: {error}", folder.display());
    }
    outcome
}

async fn serve(args: &DemoArgs, database: &std::path::Path) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let portal = listener.local_addr()?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));

    let mailcow_listener = TcpListener::bind(SocketAddr::new(portal.ip(), 0)).await?;
    let mailcow_address = mailcow_listener.local_addr()?;
    let mut options = Options::demo(args.seed, args.mails, Millis::now());
    options.redirect_uris = vec![format!("http://{portal}/callback")];
    let mailcow = Arc::new(Mailcow::new(options));
    let keys = mailcow.keys.clone();
    let names = UdpSocket::bind(SocketAddr::new(portal.ip(), 0)).await?;
    let resolver = names.local_addr()?;
    tokio::spawn(reports::name_server().serve(names, stop.clone()));
    let simulation = tokio::spawn(Arc::clone(&mailcow).serve(mailcow_listener, stop.clone()));

    let settings = [
        ("MAILCOW_DOMAIN", format!("http://{mailcow_address}")),
        ("MAILCOW_CLIENT_ID", keys.client_id),
        ("MAILCOW_CLIENT_SECRET", keys.client_secret),
        ("MAILCOW_API_KEY", keys.api_key),
        ("DATABASE_URL", format!("sqlite:{}", database.display())),
        ("ADMIN", "admin@alpha.test".to_owned()),
        ("DOMAIN_ADMINS", "postmaster@alpha.test=alphaadmin".to_owned()),
        ("PUBLIC_URL", format!("http://{portal}/")),
        ("LISTEN", portal.to_string()),
        ("POLL_INTERVAL", "5s".to_owned()),
        ("CRON_KEY", "demo".to_owned()),
        ("DNS_RESOLVER", resolver.to_string()),
        ("TIME_ZONE", "Europe/Berlin".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
    ];
    let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    let config = Config::load(settings, None, |path| std::fs::read_to_string(path))?;
    start_log(config.log);
    let app = App::build(config).await?;
    welcome(portal, args);
    tokio::spawn(receive_reports(app.db.clone(), args.seed, stop.clone()));
    let served = app.serve(listener, stop.clone()).await;
    stop.cancel();
    simulation.await??;
    served
}

/// Lets the reports of the past come in, and then a fresh one every few minutes.
async fn receive_reports(db: Db, seed: u64, stop: CancellationToken) {
    let mut taken = reports::deliver_past(&db, seed, Millis::now()).await;
    for number in 0.. {
        if let Err(error) = &taken {
            tracing::warn!(%error, "a report of the simulation could not be taken");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REPORT_PAUSE) => {}
        }
        taken = reports::deliver(&db, &reports::fresh(seed, number, Millis::now())).await;
    }
}

fn welcome(portal: SocketAddr, args: &DemoArgs) {
    println!("The portal is at http://{portal}/");
    println!();
    println!("Sample logins, password \"demo\":");
    println!("  admin@alpha.test       sees everything");
    println!("  postmaster@alpha.test  domain admin of alpha.test");
    println!("  ann@alpha.test         a user, with two aliases");
    println!("  bob@alpha.test         a user");
    println!("  carla@beta.test        a user of another domain");
    println!();
    println!(
        "{} mails of the last 14 days and the reports of {} days are being read; new ones keep coming. Ctrl-C ends it.",
        args.mails,
        reports::DAYS
    );
}
