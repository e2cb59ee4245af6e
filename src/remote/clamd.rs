//! The ClamAV daemon: its version and that of its signatures.

use std::time::Duration;

use tokio::time::timeout;

use super::{Cause, Error, dialogue::Dialogue, ports::connect};

/// What clamd says to `VERSION`, as `ClamAV 1.4.3/27412/Thu Nov 19 09:32:11 2026`; the parts after the slashes are missing
/// while it has no signatures.
///
/// # Errors
/// When it cannot be reached, or does not answer.
pub async fn version(host: &str, port: u16, patience: Duration) -> Result<String, Error> {
    let failed = |cause| Error { target: format!("clamd at {host}:{port}"), cause };
    let stream = connect(host, port, patience).await?;
    let asked = async {
        let mut dialogue = Dialogue::new(stream);
        dialogue.send("nVERSION\n").await?;
        let line = dialogue.line().await?;
        dialogue.end("").await;
        Ok(line)
    };
    timeout(patience, asked).await.map_err(|_| failed(Cause::Timeout))?.map_err(failed)
}
