//! Names of sources: what reverse DNS says, and what admins say.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{
    db::{Db, Record, Result, Tx, Value, places, sql},
    reports,
};
use crate::model::{
    figures::{SourceFilter, Span, Verdict},
    scope::Scope,
    time::Millis,
};

/// A name that was looked up longer ago is looked up again.
const STALE: Duration = Duration::from_secs(7 * 86_400);
/// Sources that send more than all others get names; a forged report may speak of millions.
const NAMED: usize = 2000;

/// What an admin says of a source.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// What it is called.
    pub label: Option<String>,
    /// What it is.
    pub verdict: Verdict,
}

/// The bytes of an address in the database: 4 or 16.
pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

/// Sources whose name is not known or was looked up long ago, those with most messages first.
pub async fn wanted(db: &Db, now: Millis, limit: usize) -> Result<Vec<IpAddr>> {
    let span = Span {
        from: Millis(0),
        to: now.plus(Duration::from_secs(86_400)),
        horizon: Millis(i64::MAX),
        domain: None,
    };
    let filter = SourceFilter { span, ..SourceFilter::default() };
    let biggest = reports::sources(db, &Scope::All, &filter, NAMED).await?;
    let ips: Vec<IpAddr> = biggest.iter().map(|source| source.ip).collect();
    let rows: Vec<(Vec<u8>, Millis)> = among(db, "SELECT ip, looked_at FROM source_name", &ips).await?;
    let fresh = rows.into_iter().filter(|(_, at)| now.since(*at) < STALE);
    let fresh: Vec<IpAddr> = fresh.filter_map(|(bytes, _)| address(&bytes)).collect();
    Ok(ips.into_iter().filter(|ip| !fresh.contains(ip)).take(limit).collect())
}

/// Notes the name of a source, or that it has none.
pub async fn note(tx: &mut Tx, ip: IpAddr, name: Option<&str>, now: Millis) -> Result<()> {
    // No host name is longer (RFC 1035 section 2.3.4).
    let name = name.filter(|name| name.len() <= 255);
    let row: [Value<'_>; 3] = [octets(ip).into(), name.into(), now.into()];
    tx.upsert("source_name", ["ip", "name", "looked_at"], &["ip"], &["name", "looked_at"], vec![row]).await
}

/// Notes that name servers failed to tell the name of a source: a name that is known stays. `again` counts as the moment of the
/// look-up; `sooner` does where a name is known, so that it is soon confirmed or gone.
pub async fn note_failure(tx: &mut Tx, ip: IpAddr, again: Millis, sooner: Millis) -> Result<()> {
    let row: [Value<'_>; 3] = [octets(ip).into(), None::<&str>.into(), again.into()];
    tx.upsert("source_name", ["ip", "name", "looked_at"], &["ip"], &["looked_at"], vec![row]).await?;
    let kept = sql("UPDATE source_name SET looked_at = ? WHERE ip = ? AND name IS NOT NULL");
    tx.execute(kept.bind(sooner).bind(octets(ip))).await?;
    Ok(())
}

/// Forgets names that were last looked up before a moment: their sources no longer stand in reports.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    tx.execute(sql("DELETE FROM source_name WHERE looked_at < ?").bind(before)).await?;
    Ok(())
}

/// All rows of a statement for these addresses, in pieces.
async fn among<T: Record>(db: &Db, head: &str, ips: &[IpAddr]) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for ips in ips.chunks(256) {
        let text = format!("{head} WHERE ip IN ({})", places(ips.len()));
        all.extend(db.fetch::<T>(sql(text).bind_all(ips.iter().map(|ip| octets(*ip)))).await?);
    }
    Ok(all)
}

/// The names of these sources.
pub async fn of(db: &Db, ips: &[IpAddr]) -> Result<HashMap<IpAddr, String>> {
    let rows: Vec<(Vec<u8>, Option<String>)> = among(db, "SELECT ip, name FROM source_name", ips).await?;
    Ok(rows.into_iter().filter_map(|(bytes, name)| Some((address(&bytes)?, name?))).collect())
}

/// All names.
pub(super) async fn all(db: &Db) -> Result<HashMap<IpAddr, String>> {
    let rows: Vec<(Vec<u8>, String)> =
        db.fetch(sql("SELECT ip, name FROM source_name WHERE name IS NOT NULL")).await?;
    Ok(rows.into_iter().filter_map(|(bytes, name)| Some((address(&bytes)?, name))).collect())
}

type JudgementRow = (Vec<u8>, Option<String>, String);

fn judgements_of(rows: Vec<JudgementRow>) -> HashMap<IpAddr, Judgement> {
    let read = |(bytes, label, verdict): JudgementRow| {
        let verdict = Verdict::from_code(&verdict).unwrap_or_default();
        Some((address(&bytes)?, Judgement { label, verdict }))
    };
    rows.into_iter().filter_map(read).collect()
}

/// What admins say of these sources.
pub async fn said_of(db: &Db, ips: &[IpAddr]) -> Result<HashMap<IpAddr, Judgement>> {
    Ok(judgements_of(among(db, "SELECT ip, label, verdict FROM source_judgement", ips).await?))
}

/// All that admins say of sources.
pub(super) async fn judgements(db: &Db) -> Result<HashMap<IpAddr, Judgement>> {
    Ok(judgements_of(db.fetch(sql("SELECT ip, label, verdict FROM source_judgement")).await?))
}
