//! Memcached: its statistics, by the text protocol.

use std::{collections::HashMap, time::Duration};

use tokio::time::timeout;

use super::{Cause, Error, dialogue::Dialogue, http::shown, ports::connect};

/// What Memcached counts, by name: `curr_items`, `get_hits` and others.
///
/// # Errors
/// When it cannot be reached, or answers something else.
pub async fn stats(host: &str, port: u16, patience: Duration) -> Result<HashMap<String, f64>, Error> {
    let failed = |cause| Error { target: format!("Memcached at {host}:{port}"), cause };
    let stream = connect(host, port, patience).await?;
    let asked = async {
        let mut dialogue = Dialogue::new(stream);
        dialogue.send("stats\r\n").await?;
        let mut stats = HashMap::new();
        loop {
            let line = dialogue.line().await?;
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("END"), None, _) => break,
                (Some("STAT"), Some(name), Some(value)) => {
                    // Versions and names of engines are no numbers.
                    if let Ok(value) = value.parse() {
                        stats.insert(name.to_owned(), value);
                    }
                }
                _ => return Err(Cause::Answer(shown(&line))),
            }
        }
        dialogue.end("quit\r\n").await;
        Ok(stats)
    };
    timeout(patience, asked).await.map_err(|_| failed(Cause::Timeout))?.map_err(failed)
}
