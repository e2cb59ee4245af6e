//! `mailcow-status serve`: the portal beside a real Mailcow.

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::log::LogArgs;
use crate::{app::App, config::Config};

/// Serves until SIGTERM or Ctrl-C.
pub fn run(log: LogArgs) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    log.start(config.log);
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
