//! `mailcow-status serve`: the portal beside a real Mailcow.

use std::io::IsTerminal;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

use crate::{
    app::App,
    config::{Config, LogFormat, LogSettings},
};

/// Serves until SIGTERM or Ctrl-C.
pub fn run() -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    start_log(config.log);
    runtime()?.block_on(async {
        let listen = config.web.listen;
        let address = config.web.public_url.clone();
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} (LISTEN)"))?;
        let app = App::build(config).await?;
        tracing::info!(%listen, %address, "the portal is up");
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        app.serve(listener, stop).await
    })
}

/// The runtime of all commands: two threads do, and each costs memory.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Only one provider is linked; a second call, in tests, changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .context("the runtime cannot start")
}

/// Starts this program's own log, on standard error.
pub fn start_log(settings: LogSettings) {
    // Statements hold people's addresses: the database library keeps quiet whatever the level.
    let filter = EnvFilter::new(format!("{},sqlx=warn,hyper=warn,rustls=warn,h2=warn", settings.level));
    let log =
        fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().finish().try_init(),
    };
    if let Err(error) = started {
        eprintln!("mailcow-status: the log was started before: {error}");
    }
}

/// Cancels `stop` on SIGTERM or Ctrl-C.
pub async fn stop_on_signal(stop: CancellationToken) {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
}
