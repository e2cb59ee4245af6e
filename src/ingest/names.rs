//! Names of the sources in reports, by reverse DNS: looked up in the background and kept, so that no page waits.

use std::{net::IpAddr, time::Duration};

use futures_util::{StreamExt, stream};

use crate::{
    model::time::Millis,
    remote::{self, Cause, dns::Dns},
    store::{self, Db, names},
};

/// Addresses of one turn. A turn lasts a minute at worst, when no name server answers.
pub const TURN: usize = 48;
/// Addresses that are looked up at the same time.
const AT_ONCE: usize = 8;
/// A failure is noted as if it had been so long ago: names are asked for again after a week, failures after a day.
const UNANSWERED: Duration = Duration::from_secs(6 * 86_400);
/// Where a name is known, a failure is asked about again after an hour: the name may have changed, and is shown meanwhile.
const UNCONFIRMED: Duration = Duration::from_secs(7 * 86_400 - 3600);

/// Why names could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No name server could be asked; nothing was noted.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Looks up the names that are missing or old, at most [`TURN`] of them; gives how many were. Where nobody at all
/// answers, that is an outage of ours: it is an error, and what is known stays.
pub async fn refresh(db: &Db, dns: &Dns, now: Millis) -> Result<usize, Error> {
    let wanted = names::wanted(db, now, TURN).await?;
    let asked = wanted.into_iter().map(|ip| async move { (ip, dns.name_of(ip).await) });
    let found: Vec<(IpAddr, Result<Option<String>, remote::Error>)> =
        stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
    if let Some(error) = outage(&found) {
        return Err(error.clone().into());
    }
    let mut tx = db.begin().await?;
    for (ip, name) in &found {
        match name {
            Ok(name) => names::note(&mut tx, *ip, name.as_deref(), now).await?,
            Err(_) => {
                let (again, sooner) = (now.minus(UNANSWERED), now.minus(UNCONFIRMED));
                names::note_failure(&mut tx, *ip, again, sooner).await?;
            }
        }
    }
    tx.commit().await?;
    Ok(found.len())
}

/// The error, when every question failed and not even a failure came as an answer.
fn outage(found: &[(IpAddr, Result<Option<String>, remote::Error>)]) -> Option<&remote::Error> {
    let unheard = |result: &Result<_, remote::Error>| {
        result.as_ref().is_err_and(|error| !matches!(error.cause, Cause::Dns(_)))
    };
    let all = found.iter().all(|(_, result)| unheard(result));
    found.first().filter(|_| all).and_then(|(_, result)| result.as_ref().err())
}
