//! `mailcow-status demo`: everything works in a browser, with a simulated Mailcow inside this program. The portal
//! reaches it over real HTTP, with the very code that a real Mailcow meets.

use std::{
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::{
    log::LogArgs,
    serve::{runtime, stop_on_signal},
};
use crate::{
    app::{self, App, SERVER},
    config::Config,
    demo::{
        Mailcow, Options, Vitals,
        doors::{self, Doors},
        readers, reports, uptime,
    },
    metrics::sources::Probes,
    model::time::Millis,
    remote::http::{self, Http},
    store::Db,
};

/// Not secret: whoever has it can make simulated opens. The same at each run, for `--data`.
const TRACKER_KEY: &str = "the key of open tracking in the demo";
/// The pause between two fresh reports.
const REPORT_PAUSE: Duration = Duration::from_secs(180);

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Mails of the last 14 days, at most 50,000: the simulated Mailcow keeps their logs in memory
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(..=50_000))]
    pub mails: u32,
    /// The same seed makes the same world
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Keep the database in this folder, instead of a temporary one
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// Serves until Ctrl-C.
pub fn run(args: DemoArgs, log: LogArgs) -> anyhow::Result<()> {
    let (folder, temporary) = match &args.data {
        Some(folder) => (folder.clone(), false),
        None => (std::env::temp_dir().join(format!("mailcow-status-demo-{}", std::process::id())), true),
    };
    make_folder(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let outcome = runtime()?.block_on(serve(&args, &folder, log));
    if temporary && let Err(error) = std::fs::remove_dir_all(&folder) {
        eprintln!("mailcow-status: {} could not be removed: {error}", folder.display());
    }
    outcome
}

/// A folder that is not there yet is for its owner only.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

async fn serve(args: &DemoArgs, folder: &Path, log: LogArgs) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let portal = listener.local_addr()?;
    let kept = folder.join("demo.sqlite").exists();
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));

    let mailcow_listener = TcpListener::bind(SocketAddr::new(portal.ip(), 0)).await?;
    let mailcow_address = mailcow_listener.local_addr()?;
    // A database that is kept has read its past already.
    let past = if kept { 0 } else { args.mails };
    let mut options = Options::demo(args.seed, past as usize, Millis::now());
    options.redirect_uris = vec![format!("http://{portal}/callback")];
    let mailcow = Arc::new(Mailcow::new(options));
    let keys = mailcow.keys.clone();
    let doors = Doors::open(portal.ip(), Millis::now(), &stop).await.context("the simulated mail host")?;
    let names = UdpSocket::bind(SocketAddr::new(portal.ip(), 0)).await?;
    let resolver = names.local_addr()?;
    let zone = doors::zone(reports::name_server(), &doors, portal.ip());
    tokio::spawn(zone.serve(names, stop.clone()));
    let (vitals, vitals_file) = (mailcow.vitals(), folder.join("collector.json"));
    write_vitals(&vitals_file, vitals)?;
    let simulation = tokio::spawn(Arc::clone(&mailcow).serve(mailcow_listener, stop.clone()));

    let settings = [
        ("MAILCOW_DOMAIN", format!("http://{mailcow_address}")),
        ("MAILCOW_CLIENT_ID", keys.client_id),
        ("MAILCOW_CLIENT_SECRET", keys.client_secret),
        ("MAILCOW_API_KEY", keys.api_key),
        ("DATABASE_URL", format!("sqlite:{}", folder.join("demo.sqlite").display())),
        ("ADMIN", "admin@alpha.test".to_owned()),
        ("DOMAIN_ADMINS", "postmaster@alpha.test=alphaadmin".to_owned()),
        ("PUBLIC_URL", format!("http://{portal}/")),
        ("LISTEN", portal.to_string()),
        ("POLL_INTERVAL", "5s".to_owned()),
        ("CRON_KEY", "demo".to_owned()),
        ("DNS_RESOLVER", resolver.to_string()),
        ("TIME_ZONE", "Europe/Berlin".to_owned()),
        ("PUBLIC_STATUS", "on".to_owned()),
        ("MAIL_HOST", doors::HOST.to_owned()),
        ("MAIL_CONNECT", portal.ip().to_string()),
        ("PROBE_PORTS", doors.setting()),
        ("MAILCOW_CA", doors.authority.clone()),
        ("MEMCACHED", SocketAddr::new(portal.ip(), doors.memcached).to_string()),
        ("CLAMD", SocketAddr::new(portal.ip(), doors.clamd).to_string()),
        ("BLOCK_LISTS", doors::BLOCK_LIST.to_owned()),
        (
            "RELEASES",
            format!(
                "http://{}/repos/mailcow/mailcow-dockerized",
                SocketAddr::new(portal.ip(), doors.releases)
            ),
        ),
        ("COLLECTOR_FILE", vitals_file.display().to_string()),
        ("BRANDS", "beta.test=Beta Post#6a3fb5".to_owned()),
        ("OPEN_TRACKING", "YES".to_owned()),
        ("TRACKER_KEY", TRACKER_KEY.to_owned()),
        // The simulated readers say where they are as a proxy would.
        ("TRUSTED_PROXIES", format!("127.0.0.1, {}", portal.ip())),
        ("LOG_LEVEL", "warn".to_owned()),
    ];
    let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    let config = Config::load(settings, None, |path| std::fs::read_to_string(path))?;
    log.start(config.log);
    let tracker = config.web.tracker.clone();
    let probes = demo_probes(&config, &doors);
    let app = App::build_with(config, probes).await?;
    if !kept {
        vitals.tell_past(&app.db, SERVER).await.context("the week before could not be written")?;
        uptime::announce(&app.db, Millis::now()).await.context("the announcements could not be written")?;
    }
    tokio::spawn(measure_host(vitals_file, vitals, stop.clone()));
    if let Some(key) = tracker {
        tokio::spawn(readers::read(Arc::clone(&mailcow), portal, key, stop.clone()));
    }
    welcome(portal, past);
    tokio::spawn(receive_reports(app.db.clone(), args.seed, stop.clone()));
    let served = app.serve(listener, stop.clone()).await;
    stop.cancel();
    simulation.await??;
    served
}

/// Policy files are served at another port than the usual one, with a certificate that nobody else trusts.
fn demo_probes(config: &Config, doors: &Doors) -> Probes {
    let trusting = http::Settings { roots_pem: Some(doors.authority.clone()), ..http::Settings::default() };
    let probes = app::probes::open(config);
    let public = probes.dns.clone().and_then(|dns| Http::by_names_of(dns, &trusting));
    Probes { public, policy_port: doors.policies, ..probes }
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

/// The simulated host collector: a fresh file each minute.
async fn measure_host(file: PathBuf, vitals: Vitals, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        if let Err(error) = write_vitals(&file, vitals) {
            tracing::warn!(%error, "the simulated host collector could not write");
        }
    }
}

fn write_vitals(file: &Path, vitals: Vitals) -> std::io::Result<()> {
    std::fs::write(file, vitals.collector_file(Millis::now()))
}

fn welcome(portal: SocketAddr, past: u32) {
    println!("The portal is at http://{portal}/");
    println!();
    println!("Sample logins, password \"demo\":");
    println!("  admin@alpha.test       sees everything");
    println!("  postmaster@alpha.test  domain admin of alpha.test");
    println!("  ann@alpha.test         a user, with two aliases");
    println!("  bob@alpha.test         a user");
    println!("  carla@beta.test        a user of another domain, which has a name and a colour of its own");
    println!();
    match past {
        0 => println!("The mails of before are kept; new ones keep coming. Ctrl-C ends it."),
        _ => println!(
            "{past} mails of the last 14 days and the reports of {} days are being read; new ones keep coming. Ctrl-C ends it.",
            reports::DAYS
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_new_folder_is_for_its_owner_only_and_an_old_one_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new/inner"), dir.path().join("old"));
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o750)).unwrap();
        for (folder, expected) in [(&new, 0o700), (&old, 0o750)] {
            make_folder(folder).unwrap();
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, expected);
        }
    }
}
