//! When sources of a domain were first seen: on which day how many, and of each the day, so that new reports need not be
//! compared with all that were there before.
//!
//! Layout of first days: a version byte; a day that all others are told from, as all days in days since 1970; the number
//! of IPv4 sources, then each as distance from the address before and its day; the number of IPv6 sources, then each as 16 bytes
//! and its day. Numbers are those of `packed`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures_util::{
    FutureExt,
    future::BoxFuture,
    stream::{self, StreamExt, TryStreamExt},
};

use super::{
    about::{About, DAY},
    by_ip::ByIp,
    digest::{self, Digest, Extent},
    months::{self, Keep, KeptRow, Lack, Part, Wanted, lacks},
    packed::{put, take},
};
use crate::store::{
    Error,
    db::{Db, Result, Sql, places, sql},
};

const VERSION: u8 = 1;
/// Domains that one statement reads of.
const DOMAINS: usize = 32;
/// Domains whose first days are read at once.
const AT_ONCE: usize = 2;
const DEBUT: &[&str; 6] = &["domain", "reports", "stamp", "last", "days", "firsts"];
const SAME_DOMAIN: &str = "report_debut.domain = whole.domain";

/// On which day how many sources of a domain were first seen.
pub type Days = Vec<(i64, u64)>;

#[derive(sqlx::FromRow)]
struct Row {
    domain: String,
    reports: i64,
    stamp: i64,
    #[sqlx(flatten)]
    kept: KeptRow,
    days: Option<Vec<u8>>,
}

impl Row {
    fn wanted(&self) -> Wanted<'_> {
        let state = (self.reports, self.stamp);
        Wanted { domain: &self.domain, month: None, kept: self.kept.extent(), state }
    }

    async fn days_with(&self, db: &Db, lack: Lack) -> Result<Days> {
        let kept = || -> Result<Days> {
            let days = self.days.as_deref().unwrap_or_default();
            postcard::from_bytes(days).map_err(|_| Error::Damaged("days of first sightings"))
        };
        match lack {
            Lack::Nothing => return kept(),
            Lack::Newer(newer) => {
                if let Some(firsts) = firsts(db, &self.domain, self.kept.extent()).await? {
                    return with_newer(kept()?, &firsts, &newer);
                }
            }
            Lack::All => {}
        }
        Ok(Debut::work_out(db, &self.domain).await?.days())
    }
}

/// The first sightings of domains.
pub async fn days(db: &Db, about: &About) -> Result<BTreeMap<String, Days>> {
    let mut all = BTreeMap::new();
    for domains in about.domains.chunks(DOMAINS) {
        let condition = format!("domain IN ({})", places(domains.len()));
        let rows: Vec<Row> = db.fetch(statement(&condition).bind_all(domains)).await?;
        let wanted: Vec<Wanted<'_>> = rows.iter().map(Row::wanted).collect();
        let lacks = lacks(db, &wanted).await?;
        let each: Vec<BoxFuture<'_, Result<Days>>> =
            rows.iter().zip(lacks).map(|(row, lack)| row.days_with(db, lack).boxed()).collect();
        let days: Vec<Days> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
        all.extend(rows.into_iter().map(|row| row.domain).zip(days));
    }
    Ok(all)
}

/// What is kept of the first day of each source, where it is still that.
async fn firsts(db: &Db, domain: &str, kept: Extent) -> Result<Option<Vec<u8>>> {
    let text = "SELECT firsts FROM report_debut WHERE domain = ? AND reports = ? AND stamp = ?";
    let found: Option<(Vec<u8>,)> =
        db.fetch_one(sql(text).bind(domain).bind(kept.reports).bind(kept.stamp)).await?;
    Ok(found.map(|(firsts,)| firsts))
}

/// The days with the sources of newer reports, most of which are known.
fn with_newer(days: Days, firsts: &[u8], newer: &Digest) -> Result<Days> {
    let mut fresh: ByIp<Option<i64>> = ByIp::default();
    for (ip, begin) in newer.seen() {
        let day = begin.div_euclid(DAY);
        let first = fresh.entry(ip, || Some(day));
        *first = day.min(first.unwrap_or(day)).into();
    }
    let mut days: BTreeMap<i64, u64> = days.into_iter().collect();
    each_first(firsts, |ip, known| {
        let Some(first) = fresh.find(ip) else { return };
        if first.is_some_and(|first| first < known) {
            days.entry(known * DAY).and_modify(|count| *count = count.saturating_sub(1));
        } else {
            *first = None;
        }
    })?;
    for first in fresh.iter().filter_map(|(_, first)| *first) {
        *days.entry(first * DAY).or_default() += 1;
    }
    Ok(days.into_iter().filter(|(_, count)| *count > 0).collect())
}

/// The state of domains, and what is kept of them.
pub(super) fn statement(condition: &str) -> Sql<'_> {
    sql(format!(
        "SELECT whole.domain, whole.reports, whole.stamp, {}, days FROM (SELECT domain, \
         CAST(SUM(reports) AS SIGNED) AS reports, CAST(SUM(stamp) AS SIGNED) AS stamp FROM report_month \
         WHERE {condition} GROUP BY domain) AS whole LEFT JOIN report_debut ON {SAME_DOMAIN}",
        KeptRow::columns("report_debut")
    ))
}

/// Keeps the first sightings of all domains whose reports have changed.
pub async fn refresh(db: &Db) -> Result<()> {
    let mut keep = Keep::new("report_debut", DEBUT, &["domain"]);
    let mut rows: Vec<Row> = db.fetch(statement("1 = 1")).await?;
    rows.retain(|row| !row.kept.extent().is((row.reports, row.stamp)));
    for rows in rows.chunks(DOMAINS) {
        let wanted: Vec<Wanted<'_>> = rows.iter().map(Row::wanted).collect();
        for (row, lack) in rows.iter().zip(lacks(db, &wanted).await?) {
            let kept = row.kept.extent();
            let firsts = match &lack {
                Lack::Newer(_) => firsts(db, &row.domain, kept).await?,
                _ => None,
            };
            let debut = match (lack, firsts) {
                (Lack::Newer(newer), Some(firsts)) => Debut::decode(kept, &firsts)?.and(&newer),
                _ => Debut::work_out(db, &row.domain).await?,
            };
            let days = postcard::to_stdvec(&debut.days()).unwrap_or_default();
            let Extent { reports, stamp, last } = debut.extent;
            let firsts = debut.encode();
            let bytes = firsts.len() + days.len();
            let row = [
                row.domain.clone().into(),
                reports.into(),
                stamp.into(),
                last.into(),
                days.into(),
                firsts.into(),
            ];
            keep.add(db, row, bytes).await?;
        }
    }
    keep.write(db).await
}

/// The first day of each source of a domain.
#[derive(Debug, Default)]
struct Debut {
    extent: Extent,
    firsts: ByIp<i64>,
}

impl Debut {
    /// That of all reports of a domain.
    async fn work_out(db: &Db, domain: &str) -> Result<Self> {
        let mut debut = Self::default();
        for piece in months::pieces(db, &About::whole(domain), Part::Sightings).await? {
            debut.extent = debut.extent.and(piece.extent);
            digest::sightings(&piece.bytes, |ip, begin, _| debut.see(ip, begin))?;
        }
        Ok(debut)
    }

    /// With newer reports.
    fn and(mut self, newer: &Digest) -> Self {
        self.extent = self.extent.and(newer.extent);
        newer.seen().for_each(|(ip, begin)| self.see(ip, begin));
        self
    }

    fn see(&mut self, ip: IpAddr, begin: i64) {
        let day = begin.div_euclid(DAY);
        let first = self.firsts.entry(ip, || day);
        *first = day.min(*first);
    }

    fn days(&self) -> Days {
        let mut days: BTreeMap<i64, u64> = BTreeMap::new();
        for (_, day) in self.firsts.iter() {
            *days.entry(day * DAY).or_default() += 1;
        }
        days.into_iter().collect()
    }

    fn encode(&self) -> Vec<u8> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (ip, day) in self.firsts.iter() {
            match ip {
                IpAddr::V4(ip) => v4.push((ip.to_bits(), *day)),
                IpAddr::V6(ip) => v6.push((ip.octets(), *day)),
            }
        }
        v4.sort_unstable();
        v6.sort_unstable();
        let base = self.firsts.iter().map(|(_, day)| *day).min().unwrap_or(0);
        let mut out = vec![VERSION];
        put(&mut out, base.cast_unsigned());
        put(&mut out, v4.len() as u64);
        let mut before = 0;
        for (ip, day) in v4 {
            put(&mut out, u64::from(ip - before));
            before = ip;
            put(&mut out, day.wrapping_sub(base).cast_unsigned());
        }
        put(&mut out, v6.len() as u64);
        for (octets, day) in v6 {
            out.extend(octets);
            put(&mut out, day.wrapping_sub(base).cast_unsigned());
        }
        out
    }

    fn decode(extent: Extent, bytes: &[u8]) -> Result<Self> {
        let mut firsts = ByIp::default();
        each_first(bytes, |ip, day| *firsts.entry(ip, || day) = day)?;
        Ok(Self { extent, firsts })
    }
}

/// Calls `each` with each source and its first day.
fn each_first(bytes: &[u8], each: impl FnMut(IpAddr, i64)) -> Result<()> {
    let rest = bytes.strip_prefix(&[VERSION]);
    rest.and_then(|rest| read(rest, each))
        .ok_or(Error::Damaged("first sightings of sources that cannot be read"))
}

fn read(mut rest: &[u8], mut each: impl FnMut(IpAddr, i64)) -> Option<()> {
    let base = take(&mut rest)?.cast_signed();
    let day = |rest: &mut &[u8]| Some(base.wrapping_add(take(rest)?.cast_signed()));
    let mut ip = 0_u32;
    for _ in 0..take(&mut rest)? {
        ip = ip.checked_add(u32::try_from(take(&mut rest)?).ok()?)?;
        each(IpAddr::V4(Ipv4Addr::from_bits(ip)), day(&mut rest)?);
    }
    for _ in 0..take(&mut rest)? {
        let (octets, after) = rest.split_first_chunk::<16>()?;
        rest = after;
        each(IpAddr::V6(Ipv6Addr::from(*octets)), day(&mut rest)?);
    }
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn first_days_come_back(
            v4 in prop::collection::vec((any::<u32>(), any::<i64>()), 0..30),
            v6 in prop::collection::vec((any::<u128>(), any::<i64>()), 0..30),
        ) {
            let mut debut = Debut::default();
            v4.iter().for_each(|(ip, at)| debut.see(Ipv4Addr::from_bits(*ip).into(), *at));
            v6.iter().for_each(|(ip, at)| debut.see(Ipv6Addr::from_bits(*ip).into(), *at));
            let back = Debut::decode(Extent::default(), &debut.encode()).unwrap();
            let sorted = |debut: &Debut| {
                debut.firsts.iter().map(|(ip, day)| (ip, *day)).collect::<BTreeMap<_, _>>()
            };
            prop_assert_eq!(sorted(&back), sorted(&debut));
        }

        #[test]
        fn damage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Debut::decode(Extent::default(), &[&[VERSION], bytes.as_slice()].concat());
            prop_assert!(Debut::decode(Extent::default(), &[&[9], bytes.as_slice()].concat()).is_err());
        }
    }
}
