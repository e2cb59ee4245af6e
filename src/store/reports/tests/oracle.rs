//! Random reports in any order, with repeats, other bodies, roll-backs and prunes: all figures equal those of a plain
//! list in memory.

use std::collections::BTreeMap;

use super::{super::packed, *};
use crate::{
    model::advice::{Judge, Standing, Survey},
    model::figures::{
        Aside, Day, DomainFigures, Handed, ReportFilter, ReportState, Source, SourceFilter, SourceSort, Span,
        Sums,
    },
    store::{inventory, names},
};

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A report as a plain list keeps it.
#[derive(Debug, Clone)]
struct Kept {
    report: Report,
    xml: String,
    proof: Proof,
    /// Bodies that were set aside.
    others: BTreeSet<String>,
}

const DOMAINS: [&str; 4] = ["alpha.test", "beta.test", "sub.alpha.test", "foreign.test"];
const HOSTED: [&str; 3] = ["alpha.test", "beta.test", "sub.alpha.test"];
const IPS: [&str; 7] =
    ["192.0.2.1", "192.0.2.2", "198.51.100.7", "203.0.113.9", "2001:db8::1", "2001:db8::2", "no address"];

fn random_report(dice: &mut Dice) -> Report {
    let records = (0..dice.below(6))
        .map(|_| {
            let word = ["pass", "fail", "odd"];
            let done = ["none", "quarantine", "reject", "odd"];
            let ip = dice.pick(&IPS);
            let mut record = record(ip, dice.below(50), dice.pick(&word), dice.pick(&word), dice.pick(&done));
            record.reasons = match dice.below(4) {
                0 => vec![Reason { kind: "forwarded".to_owned(), comment: None }],
                _ => Vec::new(),
            };
            record
        })
        .collect();
    let (domain, org) = (dice.pick(&DOMAINS), dice.pick(&["Bigmail", "tiny.example", "Größe & Co"]));
    let id = format!("id-{}", dice.below(3));
    let mut report = report(domain, org, &id, dice.below(40) as i64, records);
    report.begin = Millis(report.begin.0 + dice.below(24) as i64 / 12 * 43_200_000);
    report.policy.p = Some(dice.pick(&["none", "quarantine", "reject"]).to_owned());
    report.policy.pct = dice.pick(&[None, Some(50)]);
    report
}

/// What [`insert`] does, on a list.
fn keep(all: &mut Vec<Kept>, report: &Report, xml: &str, proof: Proof) {
    let key = |report: &Report| {
        let Report { org, report_id, begin, end, policy, .. } = report.clone();
        (org, report_id, begin, end, policy.domain)
    };
    let Some(known) = all.iter_mut().find(|kept| key(&kept.report) == key(report)) else {
        let report = report.clone();
        all.push(Kept { report, xml: xml.to_owned(), proof, others: BTreeSet::new() });
        return;
    };
    if known.xml == xml {
        known.proof = known.proof.min(proof);
    } else if proof < known.proof {
        known.others.remove(xml);
        let old = std::mem::replace(&mut known.xml, xml.to_owned());
        known.others.insert(old);
        (known.report, known.proof) = (report.clone(), proof);
    } else {
        known.others.insert(xml.to_owned());
    }
}

fn in_scope(scope: &Scope, domain: &str) -> bool {
    match scope {
        Scope::All => true,
        Scope::Only(holdings) => holdings.domains.contains(domain),
    }
}

/// The reports that count for a scope.
fn counting<'a>(all: &'a [Kept], scope: &Scope, hosted: &[&str], span: &Span) -> Vec<&'a Kept> {
    let fits = |kept: &&Kept| {
        let domain = &kept.report.policy.domain;
        in_scope(scope, domain)
            && hosted.contains(&domain.as_str())
            && span.domain.as_ref().is_none_or(|wish| wish == domain)
    };
    all.iter().filter(fits).collect()
}

fn sums<'a>(kept: impl IntoIterator<Item = &'a &'a Kept>) -> Sums {
    let mut sums = Sums::default();
    for kept in kept {
        packed::add(&mut sums, &packed::total(&kept.report.records));
    }
    sums
}

fn days_of(counted: &[&Kept]) -> Vec<Day> {
    let mut days: BTreeMap<i64, Vec<&Kept>> = BTreeMap::new();
    for kept in counted {
        days.entry(kept.report.begin.0 / DAY * DAY).or_default().push(*kept);
    }
    days.iter().map(|(at, kept)| Day { at: Millis(*at), sums: sums(kept) }).collect()
}

fn sources_of(ever: &[&Kept], within: &dyn Fn(&Kept) -> bool) -> Vec<Source> {
    let mut all: BTreeMap<IpAddr, Source> = BTreeMap::new();
    for kept in ever {
        for record in &kept.report.records {
            let Some(ip) = record.source else { continue };
            let begin = kept.report.begin;
            let fresh = Source {
                ip,
                name: None,
                label: None,
                verdict: Default::default(),
                sums: Sums::default(),
                handed: Handed::default(),
                first: begin,
                last: begin,
            };
            let source = all.entry(ip).or_insert(fresh);
            (source.first, source.last) = (source.first.min(begin), source.last.max(begin));
            if within(kept) {
                packed::add(&mut source.sums, &packed::sums_of(record));
                source.handed.add(&packed::handed_of(record));
            }
        }
    }
    let mut all: Vec<Source> = all.into_values().collect();
    all.sort_by_key(|source| (std::cmp::Reverse(source.sums.messages), source.ip));
    all
}

async fn compare(db: &Db, all: &[Kept], scope: &Scope, hosted: &[&str], span: &Span, at: &str) {
    let at = format!("{} {at} {scope:?} {span:?}", db.engine());
    let candidates = counting(all, scope, hosted, span);
    let ever: Vec<&Kept> = candidates.iter().copied().filter(|kept| kept.proof != Proof::Failed).collect();
    let within = |kept: &Kept| (span.from..span.to).contains(&kept.report.begin);
    let counted: Vec<&Kept> = ever.iter().copied().filter(|kept| within(kept)).collect();
    assert_eq!(days(db, scope, span).await.unwrap(), days_of(&counted), "{at}: days");

    let mut wanted: BTreeMap<&str, Vec<&Kept>> = BTreeMap::new();
    for kept in &counted {
        wanted.entry(&kept.report.org).or_default().push(kept);
    }
    let found: BTreeMap<String, Sums> = receivers(db, scope, span).await.unwrap().into_iter().collect();
    let wanted: BTreeMap<String, Sums> =
        wanted.iter().map(|(org, kept)| ((*org).to_owned(), sums(kept))).collect();
    assert_eq!(found, wanted, "{at}: receivers");

    let names: BTreeSet<&str> = candidates.iter().map(|kept| kept.report.policy.domain.as_str()).collect();
    let wanted: Vec<DomainFigures> =
        names.into_iter().map(|domain| domain_figures(&candidates, domain, span)).collect();
    let found: Vec<DomainFigures> = domains(db, scope, span)
        .await
        .unwrap()
        .into_iter()
        .map(|figures| DomainFigures { policy: Default::default(), policy_before: None, ..figures })
        .collect();
    assert_eq!(found, wanted, "{at}: domains");

    let mut wanted = sources_of(&ever, &within);
    wanted.retain(|source| source.sums.messages > 0);
    let filter = SourceFilter { span: span.clone(), ..SourceFilter::default() };
    assert_eq!(sources(db, scope, &filter, 99).await.unwrap(), wanted, "{at}: sources");
    assert_eq!(
        sources(db, scope, &filter, 2).await.unwrap(),
        wanted[..wanted.len().min(2)],
        "{at}: two sources"
    );
    let messages = wanted.iter().map(|source| source.sums.messages).sum();
    let judge = Judge { mailcow: "", from: span.from, to: span.to, has_past: false, messages };
    let (found, _) = survey(db, scope, &filter, &judge, None, 1).await.unwrap();
    assert_eq!(found, Survey::of_all(&judge, &wanted), "{at}: survey");
    for standing in Standing::ALL {
        let (_, found) = survey(db, scope, &filter, &judge, Some(standing), 99).await.unwrap();
        let wanted = wanted.iter().filter(|source| judge.standing(source) == standing);
        assert_eq!(found, wanted.cloned().collect::<Vec<_>>(), "{at}: {standing:?}");
    }
    let filter = SourceFilter { failing: true, new: true, sort: SourceSort::LastSeen, ..filter };
    let mut some = wanted.clone();
    some.retain(|source| source.sums.failed() > 0 && (span.from..span.to).contains(&source.first));
    some.sort_by_key(|source| (std::cmp::Reverse(source.last), source.ip));
    assert_eq!(sources(db, scope, &filter, 99).await.unwrap(), some, "{at}: new failing sources");
    if let Some(one) = wanted.first() {
        let detail = source(db, scope, one.ip, span).await.unwrap().unwrap();
        assert_eq!(detail.source, *one, "{at}: one source");
        let mut total = Sums::default();
        detail.days.iter().for_each(|day| packed::add(&mut total, &day.sums));
        assert_eq!(total, one.sums, "{at}: days of one source");
        let mut total = Sums::default();
        detail.receivers.iter().for_each(|share| packed::add(&mut total, &share.sums));
        assert_eq!(total, one.sums, "{at}: receivers of one source");
        let mut total = Sums::default();
        detail.signers.iter().for_each(|share| packed::add(&mut total, &share.sums));
        assert_eq!(total, one.sums, "{at}: signers of one source");
    }
}

fn domain_figures(candidates: &[&Kept], domain: &str, span: &Span) -> DomainFigures {
    let own: Vec<&Kept> =
        candidates.iter().copied().filter(|kept| kept.report.policy.domain == domain).collect();
    let (aside, ever): (Vec<&Kept>, Vec<&Kept>) =
        own.iter().copied().partition(|kept| kept.proof == Proof::Failed);
    let within = |kept: &Kept| (span.from..span.to).contains(&kept.report.begin);
    let length = span.to.0 - span.from.0;
    let earlier = |kept: &Kept| (span.from.0 - length..span.from.0).contains(&kept.report.begin.0);
    let counted: Vec<&Kept> = ever.iter().copied().filter(|kept| within(kept)).collect();
    let before: Vec<&Kept> = ever.iter().copied().filter(|kept| earlier(kept)).collect();
    let receivers: BTreeSet<&str> = counted.iter().map(|kept| kept.report.org.as_str()).collect();
    let fresh = sources_of(&ever, &within);
    let fresh = fresh.iter().filter(|source| (span.from..span.to).contains(&source.first)).count();
    DomainFigures {
        domain: domain.to_owned(),
        sums: sums(&counted),
        before: sums(&before),
        reports: counted.len() as u64,
        receivers: receivers.len() as u64,
        first: counted.iter().map(|kept| kept.report.begin).min(),
        last: counted.iter().map(|kept| kept.report.begin).max(),
        new_sources: fresh as u64,
        set_aside: aside.iter().filter(|kept| within(kept)).count() as u64,
        ..DomainFigures::default()
    }
}

async fn compare_lists(db: &Db, all: &[Kept], scope: &Scope, hosted: &[&str]) {
    let text = |text: &str| Some(text.to_owned());
    for filter in [
        ReportFilter::default(),
        ReportFilter { state: Some(ReportState::Mixed), ..ReportFilter::default() },
        ReportFilter { month: Some((2026, 12)), ..ReportFilter::default() },
        ReportFilter { domain: text("alpha.test"), org: text("GRÖSS"), ..ReportFilter::default() },
        ReportFilter { org: text("größe"), ..ReportFilter::default() },
        ReportFilter { org: text("%"), ..ReportFilter::default() },
        ReportFilter { report_id: text("ID-1"), org: text("big"), ..ReportFilter::default() },
        ReportFilter { aside: Some(Aside::Unproven), ..ReportFilter::default() },
        ReportFilter { aside: Some(Aside::Foreign), ..ReportFilter::default() },
        ReportFilter { aside: Some(Aside::Foreign), domain: text("alpha.test"), ..ReportFilter::default() },
    ] {
        let has = |whole: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| whole.to_lowercase().contains(&part.to_lowercase()))
        };
        // December of 2026 is what the month stands for.
        let december = jiff::civil::date(2026, 12, 1).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        let december = december.timestamp().as_millisecond();
        let mut wanted: Vec<(i64, String, Proof, u64)> = all
            .iter()
            .filter(|kept| in_scope(scope, &kept.report.policy.domain))
            .filter(|kept| match filter.aside {
                Some(Aside::Unproven) => kept.proof == Proof::Failed,
                Some(Aside::Foreign) => !hosted.contains(&kept.report.policy.domain.as_str()),
                None => true,
            })
            .filter(|kept| filter.state.is_none_or(|state| packed::state(&kept.report.records) == state))
            .filter(|kept| {
                filter.month.is_none() || (december..december + 31 * DAY).contains(&kept.report.begin.0)
            })
            .filter(|kept| filter.domain.as_ref().is_none_or(|domain| *domain == kept.report.policy.domain))
            .filter(|kept| {
                has(&kept.report.org, &filter.org) && has(&kept.report.report_id, &filter.report_id)
            })
            .map(|kept| {
                let name = format!("{} {}", kept.report.org, kept.report.report_id);
                (kept.report.begin.0, name, kept.proof, kept.others.len() as u64)
            })
            .collect();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = list(db, scope, &filter, after, 7).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(crate::model::figures::ReportPlace { begin: last.begin, serial: last.serial });
            found.extend(page);
        }
        assert!(found.is_sorted_by_key(|line| std::cmp::Reverse((line.begin, line.serial))));
        let mut found: Vec<_> = found
            .into_iter()
            .map(|line| (line.begin.0, format!("{} {}", line.org, line.report_id), line.proof, line.variants))
            .collect();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{} {scope:?} {filter:?}", db.engine());
    }
}

async fn compare_all(db: &Db, all: &[Kept], hosted: &[&str], at: &str) {
    db.forget_answers();
    let spans = [(0, 40, None), (5, 25, None), (10, 30, Some("alpha.test")), (30, 41, Some("nowhere.test"))];
    let user = Scope::mailbox("ann@alpha.test", Millis(0));
    let scopes = [
        Scope::All,
        admin_of(&["alpha.test", "beta.test"]),
        admin_of(&["foreign.test"]),
        admin_of(&[]),
        user,
    ];
    for scope in &scopes {
        for (from, to, domain) in spans {
            let at_day = |day: i64| Millis(BEGIN + day * DAY);
            let span = Span {
                from: at_day(from),
                to: at_day(to),
                horizon: Millis(i64::MAX),
                domain: domain.map(str::to_owned),
            };
            compare(db, all, scope, hosted, &span, at).await;
        }
        compare_lists(db, all, scope, hosted).await;
    }
}

async fn look_at(db: &Db, hosted: &[&str]) {
    let look = inventory::Look { at: Millis(1), clock_offset: None };
    let mailboxes = hosted.iter().map(|domain| inventory::Mailbox {
        address: format!("info@{domain}"),
        name: String::new(),
        active: true,
        created: String::new(),
        since: Millis(0),
    });
    let snapshot = inventory::Snapshot {
        look,
        mailboxes: mailboxes.collect(),
        pairs: Vec::new(),
        alias_domains: Vec::new(),
    };
    let mut tx = db.begin().await.unwrap();
    inventory::replace(&mut tx, &snapshot).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn all_figures_equal_those_of_a_plain_list() {
    for seed in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            let (mut dice, mut all) = (Dice(seed), Vec::<Kept>::new());
            for step in 0..40 {
                let mut batch = Vec::new();
                for _ in 0..=dice.below(5) {
                    let (report, arrival) = (random_report(&mut dice), arrival(dice.pick(&Proof::ALL)));
                    // Some come again, with the same body or with another, perhaps in the same batch.
                    let report = match dice.below(4) {
                        0 if !all.is_empty() => all[dice.below(all.len() as u64) as usize].report.clone(),
                        _ => report,
                    };
                    let xml = format!("{report:?} {}", dice.below(2));
                    keep(&mut all, &report, &xml, arrival.proof);
                    let packed = Packed::of(&report, xml.as_bytes());
                    batch.push((arrival, report, xml, packed));
                }
                let incoming: Vec<Incoming<'_>> = batch
                    .iter()
                    .map(|(arrival, report, xml, packed)| Incoming {
                        arrival,
                        report,
                        xml: xml.as_bytes(),
                        packed,
                    })
                    .collect();
                let mut tx = db.begin().await.unwrap();
                insert(&mut tx, &incoming).await.unwrap();
                if dice.below(5) == 0 {
                    // Killed before the commit: nothing of it is there, and it can be stored again.
                    drop(tx);
                    tx = db.begin().await.unwrap();
                    insert(&mut tx, &incoming).await.unwrap();
                }
                tx.commit().await.unwrap();
                if dice.below(4) == 0 {
                    refresh(&db).await.unwrap();
                }
                if step == 20 {
                    compare_all(&db, &all, &DOMAINS, "nobody has looked at Mailcow").await;
                    look_at(&db, &HOSTED[..1]).await;
                    compare_all(&db, &all, &HOSTED[..1], "one domain is hosted").await;
                    look_at(&db, &HOSTED).await;
                }
            }
            compare_all(&db, &all, &HOSTED, "all are in").await;
            refresh(&db).await.unwrap();
            compare_all(&db, &all, &HOSTED, "digests of all months are kept").await;
            let before = Millis(BEGIN + 12 * DAY + 1);
            let mut tx = db.begin().await.unwrap();
            while prune(&mut tx, before, Millis(i64::MAX), Whose::Anybodys).await.unwrap() {}
            tx.commit().await.unwrap();
            all.retain(|kept| kept.report.begin >= before);
            compare_all(&db, &all, &HOSTED, "pruned").await;
            refresh(&db).await.unwrap();
            compare_all(&db, &all, &HOSTED, "pruned, and digests are kept of the rest").await;
            let mut tx = db.begin().await.unwrap();
            while prune(&mut tx, Millis(i64::MAX), Millis(i64::MAX), Whose::Anybodys).await.unwrap() {}
            names::prune(&mut tx, Millis(i64::MAX)).await.unwrap();
            tx.commit().await.unwrap();
            refresh(&db).await.unwrap();
            for table in TABLES {
                assert_eq!(count(&db, table).await, 0, "{} {table}", db.engine());
            }
        }
    }
}
