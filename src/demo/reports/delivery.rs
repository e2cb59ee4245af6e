//! Hands the simulated mails to the code that takes real ones.

use super::{DAY, Post, mail::HOST, past, senders};
use crate::{
    ingest::{reports::take, trust},
    model::{
        figures::{ReportFilter, Verdict},
        scope::Scope,
        time::Millis,
    },
    parse::envelope,
    store::{self, Db, reports},
};

/// Takes one mail, with the checks that our server noted in it.
pub async fn deliver(db: &Db, post: &Post) -> store::Result<()> {
    let head = envelope::look(&post.bytes).unwrap_or_default();
    let arrival = trust::arrival(&head, &[HOST.to_owned()], "demo", post.at);
    take(db, &arrival, post.bytes.clone()).await?;
    Ok(())
}

/// Takes what came before `now`. In a database that is kept from demo to demo, only what is newer than its reports:
/// the past of another moment differs a little.
pub async fn deliver_past(db: &Db, seed: u64, now: Millis) -> store::Result<()> {
    let newest = reports::list(db, &Scope::All, &ReportFilter::default(), None, 1).await?;
    let known = newest.first().map_or(i64::MIN, |line| line.begin.secs().div_euclid(DAY));
    // A report comes on the day after the one that it is about.
    for post in past(seed, now).filter(|post| post.at.secs().div_euclid(DAY) - 1 > known) {
        deliver(db, &post).await?;
    }
    // What its admin told the portal already: these are ours, and they fail.
    let mut tx = db.begin().await?;
    for ip in senders::newsletters() {
        reports::judge(&mut tx, ip, Some("Newsletter"), Verdict::Known).await?;
    }
    tx.commit().await
}
