//! Who sends in the name of a domain: from digests of months; one source in detail, from the packed sums of each report.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use super::{
    about::{About, DAY},
    body,
    by_ip::ByIp,
    digest,
    months::{self, Part},
    packed, rows,
};
use crate::{
    model::{
        advice::{Judge, Standing, Survey},
        figures::{
            Day, Handed, Source, SourceDetail, SourceFilter, SourceShare, SourceSort, Span, Sums, Verdict,
        },
        report::{Record, Report},
        scope::Scope,
        time::Millis,
    },
    store::{
        db::{Db, Result, Sql, Tx, Value, places, sql},
        names,
    },
};

/// Rows of packed sums that are read at once.
const STRIDE: i64 = 400;
/// Sources that are gathered before those in front are sorted out, at least.
const SORTED: usize = 4096;
/// Shares of a source that are shown of each kind.
const SHARES: usize = 50;

#[derive(sqlx::FromRow)]
struct PackedRow {
    serial: i64,
    begin_at: i64,
    sources: Vec<u8>,
}

pub(super) fn packed_statement(domain: &str, after: i64) -> Sql<'_> {
    sql("SELECT serial, begin_at, sources FROM report_source \
         WHERE domain = ? AND serial > ? AND proof <> 'failed' ORDER BY serial LIMIT ?")
    .bind(domain)
    .bind(after)
    .bind(STRIDE)
}

/// Calls `each` with serial, begin, source and sums of all reports of a domain that count.
async fn pass(db: &Db, domain: &str, mut each: impl FnMut(i64, i64, IpAddr, &Sums)) -> Result<()> {
    let mut after = -1;
    loop {
        let rows: Vec<PackedRow> = db.fetch(packed_statement(domain, after)).await?;
        for row in &rows {
            packed::unpack(&row.sources, |ip, sums| each(row.serial, row.begin_at, ip, sums))?;
        }
        match rows.last() {
            Some(last) if rows.len() as i64 == STRIDE => after = last.serial,
            _ => return Ok(()),
        }
    }
}

/// Sources with messages in the span, at most `limit`.
pub async fn sources(db: &Db, scope: &Scope, filter: &SourceFilter, limit: usize) -> Result<Vec<Source>> {
    let about = About::of(db, scope, &filter.span).await?;
    let question = format!("sources {} {} {:?} {limit}", filter.failing, filter.new, filter.sort);
    let work = select(db, &about, filter, limit, None);
    let selected = match filter.sort {
        // Names change without a report: such questions are worked out anew.
        SourceSort::Name => work.await?,
        _ => about.answer(db, &question, work).await?,
    };
    dress(db, selected.found).await
}

/// What all sources that fit come to, judged one by one, and those of them with this standing, at most `limit`.
pub async fn survey(
    db: &Db,
    scope: &Scope,
    filter: &SourceFilter,
    judge: &Judge<'_>,
    standing: Option<Standing>,
    limit: usize,
) -> Result<(Survey, Vec<Source>)> {
    let about = About::of(db, scope, &filter.span).await?;
    let court = Court::of(db, judge, standing).await?;
    let question =
        format!("survey {} {} {:?} {limit} {:x}", filter.failing, filter.new, filter.sort, court.stamp());
    let work = select(db, &about, filter, limit, Some(&court));
    let Selected { mut survey, failing, found } = match filter.sort {
        SourceSort::Name => work.await?,
        _ => about.answer(db, &question, work).await?,
    };
    survey.know(dress(db, failing).await?);
    Ok((survey, dress(db, found).await?))
}

/// By what sources are judged, beside their sums.
struct Court<'a> {
    judge: &'a Judge<'a>,
    wanted: Option<Standing>,
    /// What admins say.
    said: BTreeMap<IpAddr, Verdict>,
    /// The own Mailcow's name, of each address that has it.
    own: BTreeMap<IpAddr, String>,
}

impl<'a> Court<'a> {
    async fn of(db: &Db, judge: &'a Judge<'a>, wanted: Option<Standing>) -> Result<Self> {
        let said = names::judgements(db).await?.into_iter().map(|(ip, said)| (ip, said.verdict)).collect();
        let own = names::all(db).await?.into_iter().filter(|(_, name)| judge.is_called(name)).collect();
        Ok(Self { judge, wanted, said, own })
    }

    /// Changes whenever another judgement may follow from the same reports.
    fn stamp(&self) -> u64 {
        let all = format!("{:?} {:?} {:?} {:?}", self.judge, self.wanted, self.said, self.own);
        twox_hash::XxHash3_64::oneshot(all.as_bytes())
    }

    fn source(&self, ip: IpAddr, brief: &Brief) -> Source {
        Source {
            ip,
            name: self.own.get(&ip).cloned(),
            label: None,
            verdict: self.said.get(&ip).copied().unwrap_or_default(),
            sums: Sums {
                messages: brief.messages,
                dkim: brief.dkim.into(),
                spf: brief.spf.into(),
                aligned: brief.aligned,
                ..Sums::default()
            },
            handed: Handed { told: brief.told.into(), own: brief.own.into() },
            first: Millis(brief.first),
            last: Millis(brief.last),
        }
    }
}

/// What is known of one source: its sums in the span, and when it was seen, ever.
#[derive(Debug, Clone, Copy)]
struct Seen {
    sums: Sums,
    handed: Handed,
    first: i64,
    last: i64,
}

impl Seen {
    fn new(first: i64, last: i64) -> Self {
        Self { sums: Sums::default(), handed: Handed::default(), first, last }
    }
}

/// By what sources are chosen, put in order and judged: small, as there may be millions. Parts that are only compared with
/// all messages need not be exact beyond four milliards.
#[derive(Debug, Clone, Copy, Default)]
struct Brief {
    messages: u64,
    aligned: u64,
    dkim: u32,
    spf: u32,
    told: u32,
    own: u32,
    first: i64,
    last: i64,
}

impl Brief {
    fn add(&mut self, sums: &Sums) {
        self.messages = self.messages.saturating_add(sums.messages);
        self.aligned = self.aligned.saturating_add(sums.aligned);
        more(&mut self.dkim, sums.dkim);
        more(&mut self.spf, sums.spf);
    }
}

fn more(part: &mut u32, mails: u64) {
    *part = part.saturating_add(u32::try_from(mails).unwrap_or(u32::MAX));
}

/// Sources that were chosen, in order, and what all that fit come to.
#[derive(Clone, Default)]
struct Selected {
    survey: Survey,
    /// Those that the survey knows one by one.
    failing: Vec<(IpAddr, Seen)>,
    found: Vec<(IpAddr, Seen)>,
}

/// Chooses sources by few numbers of each, then looks closely at those only: a forged report may speak of millions.
async fn select(
    db: &Db,
    about: &About,
    filter: &SourceFilter,
    limit: usize,
    court: Option<&Court<'_>>,
) -> Result<Selected> {
    let pieces = months::pieces(db, &about.ever(), Part::Sightings).await?;
    let mut all: ByIp<Brief> = ByIp::default();
    for piece in pieces.iter().filter(|piece| piece.meets(about)) {
        digest::sightings(&piece.bytes, |ip, begin, sums| {
            if about.holds(begin) {
                all.entry(ip, || Brief { first: begin, last: begin, ..Brief::default() }).add(sums);
            }
        })?;
        digest::handed(&piece.bytes, |ip, begin, handed| {
            if let Some(brief) = all.find(ip).filter(|_| about.holds(begin)) {
                more(&mut brief.told, handed.told);
                more(&mut brief.own, handed.own);
            }
        })?;
    }
    for piece in &pieces {
        digest::sightings(&piece.bytes, |ip, begin, _| {
            if let Some(brief) = all.find(ip).filter(|_| about.believes(begin)) {
                (brief.first, brief.last) = (brief.first.min(begin), brief.last.max(begin));
            }
        })?;
    }
    let named = match filter.sort {
        SourceSort::Name => names::all(db).await?,
        _ => HashMap::new(),
    };
    let (survey, found) = choose(about, filter, limit, court, &all, &named);
    let failing: Vec<IpAddr> = survey.failing().iter().map(|(_, source)| source.ip).collect();
    let mut seen: ByIp<Seen> = ByIp::default();
    for ip in found.iter().chain(&failing) {
        let brief = all.find(*ip).copied().unwrap_or_default();
        seen.entry(*ip, || Seen::new(brief.first, brief.last));
    }
    drop(all);
    for piece in pieces.iter().filter(|piece| piece.meets(about)) {
        digest::sightings(&piece.bytes, |ip, begin, sums| {
            if let Some(seen) = seen.find(ip).filter(|_| about.holds(begin)) {
                packed::add(&mut seen.sums, sums);
            }
        })?;
        digest::handed(&piece.bytes, |ip, begin, handed| {
            if let Some(seen) = seen.find(ip).filter(|_| about.holds(begin)) {
                seen.handed.add(handed);
            }
        })?;
    }
    let mut look = |ips: Vec<IpAddr>| -> Vec<(IpAddr, Seen)> {
        ips.into_iter().filter_map(|ip| seen.find(ip).map(|seen| (ip, *seen))).collect()
    };
    Ok(Selected { survey, failing: look(failing), found: look(found) })
}

/// What all sources that fit come to, and the first `limit` of those that are wanted, in order.
fn choose(
    about: &About,
    filter: &SourceFilter,
    limit: usize,
    court: Option<&Court<'_>>,
    all: &ByIp<Brief>,
    named: &HashMap<IpAddr, String>,
) -> (Survey, Vec<IpAddr>) {
    let fits = |(_, brief): &(IpAddr, &Brief)| {
        brief.messages > 0
            && (!filter.failing || brief.messages > brief.aligned)
            && (!filter.new || about.holds(brief.first))
    };
    let mut survey = Survey::default();
    let mut is_wanted = |ip: IpAddr, brief: &Brief| {
        let Some(court) = court else { return true };
        let standing = survey.add(court.judge, &court.source(ip, brief));
        court.wanted.is_none_or(|wanted| wanted == standing)
    };
    let mut found: Vec<(IpAddr, &Brief)> = Vec::new();
    let sort = |found: &mut Vec<(IpAddr, &Brief)>| {
        match filter.sort {
            SourceSort::Messages => found.sort_unstable_by_key(|(ip, brief)| (Reverse(brief.messages), *ip)),
            SourceSort::LastSeen => found.sort_unstable_by_key(|(ip, brief)| (Reverse(brief.last), *ip)),
            SourceSort::Name => found.sort_by_cached_key(|(ip, _)| {
                let name = named.get(ip);
                (name.is_none(), name.cloned(), *ip)
            }),
        }
        found.truncate(limit);
    };
    for (ip, brief) in all.iter().filter(fits) {
        if is_wanted(ip, brief) {
            found.push((ip, brief));
        }
        // Only the first ones matter: the rest need not wait in memory.
        if found.len() >= SORTED.max(limit.saturating_mul(2)) {
            sort(&mut found);
        }
    }
    sort(&mut found);
    let found = found.into_iter().map(|(ip, _)| ip).collect();
    (survey, found)
}

/// Adds names, labels and verdicts.
async fn dress(db: &Db, found: Vec<(IpAddr, Seen)>) -> Result<Vec<Source>> {
    let ips: Vec<IpAddr> = found.iter().map(|(ip, _)| *ip).collect();
    let (mut named, mut said) = (names::of(db, &ips).await?, names::said_of(db, &ips).await?);
    let dressed = found.into_iter().map(|(ip, seen)| {
        let said = said.remove(&ip).unwrap_or_default();
        Source {
            ip,
            name: named.remove(&ip),
            label: said.label,
            verdict: said.verdict,
            sums: seen.sums,
            handed: seen.handed,
            first: Millis(seen.first),
            last: Millis(seen.last),
        }
    });
    Ok(dressed.collect())
}

/// One source in detail; `None` when no report that counts and is in scope ever spoke of it.
pub async fn source(db: &Db, scope: &Scope, ip: IpAddr, span: &Span) -> Result<Option<SourceDetail>> {
    let ip = ip.to_canonical();
    let about = About::of(db, scope, span).await?;
    let mut seen: Option<Seen> = None;
    let mut reports: BTreeMap<i64, Sums> = BTreeMap::new();
    let mut days: BTreeMap<i64, Sums> = BTreeMap::new();
    for domain in &about.domains {
        pass(db, domain, |serial, begin, found, sums| {
            if found != ip || !about.believes(begin) {
                return;
            }
            let known = seen.get_or_insert(Seen::new(begin, begin));
            known.first = known.first.min(begin);
            known.last = known.last.max(begin);
            if about.holds(begin) {
                packed::add(&mut known.sums, sums);
                packed::add(reports.entry(serial).or_default(), sums);
                packed::add(days.entry(begin - begin.rem_euclid(DAY)).or_default(), sums);
            }
        })
        .await?;
    }
    let Some(mut seen) = seen else { return Ok(None) };
    for piece in months::pieces(db, &about, Part::Sightings).await? {
        digest::handed(&piece.bytes, |found, begin, handed| {
            if found == ip && about.holds(begin) {
                seen.handed.add(handed);
            }
        })?;
    }
    let Some(source) = dress(db, vec![(ip, seen)]).await?.pop() else { return Ok(None) };
    let days = days.into_iter().map(|(at, sums)| Day { at: Millis(at), sums }).collect();
    let (receivers, signers) = (receivers_of(db, &reports).await?, signers_of(db, ip, &reports).await?);
    Ok(Some(SourceDetail { source, receivers, signers, days }))
}

fn shares(all: BTreeMap<String, Sums>) -> Vec<SourceShare> {
    let mut shares: Vec<SourceShare> =
        all.into_iter().map(|(name, sums)| SourceShare { name, sums }).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.sums.messages));
    shares.truncate(SHARES);
    shares
}

async fn receivers_of(db: &Db, reports: &BTreeMap<i64, Sums>) -> Result<Vec<SourceShare>> {
    let mut all: BTreeMap<String, Sums> = BTreeMap::new();
    let serials: Vec<i64> = reports.keys().copied().collect();
    for serials in serials.chunks(256) {
        let text = format!("SELECT serial, org FROM report_line WHERE serial IN ({})", places(serials.len()));
        let rows: Vec<(i64, String)> = db.fetch(sql(text).bind_all(serials.iter().copied())).await?;
        for (serial, org) in rows {
            if let Some(sums) = reports.get(&serial) {
                packed::add(all.entry(org).or_default(), sums);
            }
        }
    }
    Ok(shares(all))
}

async fn signers_of(db: &Db, ip: IpAddr, reports: &BTreeMap<i64, Sums>) -> Result<Vec<SourceShare>> {
    let mut all: BTreeMap<String, Sums> = BTreeMap::new();
    let serials: Vec<i64> = reports.keys().copied().collect();
    for serials in serials.chunks(64) {
        let mut foreign: HashSet<i64> = serials.iter().copied().collect();
        let text =
            format!("SELECT serial, body FROM report_body WHERE serial IN ({})", places(serials.len()));
        let rows: Vec<(i64, Vec<u8>)> = db.fetch(sql(text).bind_all(serials.iter().copied())).await?;
        for (serial, body) in rows {
            foreign.remove(&serial);
            add_signers(&mut all, ip, &body::decode::<Report>(body)?.records);
        }
        // Rows of other programs have no body of ours beside them.
        for serial in foreign {
            if let Some(report) = rows::look(db, serial).await? {
                add_signers(&mut all, ip, &report.records);
            }
        }
    }
    Ok(shares(all))
}

/// Each signing domain with its result; a mail with two signatures of one domain counts once for it.
fn add_signers(all: &mut BTreeMap<String, Sums>, ip: IpAddr, records: &[Record]) {
    for record in records.iter().filter(|record| record.source.map(|ip| ip.to_canonical()) == Some(ip)) {
        let mut names: Vec<String> = record
            .dkim_results
            .iter()
            .map(|result| format!("{} ({})", result.domain, result.result))
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            names.push(String::new());
        }
        for name in names {
            packed::add(all.entry(name).or_default(), &packed::sums_of(record));
        }
    }
}

/// Notes what an admin says of a source.
pub async fn judge(tx: &mut Tx, ip: IpAddr, label: Option<&str>, verdict: Verdict) -> Result<()> {
    let key = names::octets(ip);
    if label.is_none() && verdict == Verdict::Unsaid {
        tx.execute(sql("DELETE FROM source_judgement WHERE ip = ?").bind(key)).await?;
        return Ok(());
    }
    let row: [Value<'_>; 3] =
        [key.into(), label.map(|label| rows::fit(label, 255)).into(), verdict.code().into()];
    tx.upsert("source_judgement", ["ip", "label", "verdict"], &["ip"], &["label", "verdict"], vec![row]).await
}
