//! One DMARC report: each record with its own result, the policy explained, the XML as it came.

use std::{collections::BTreeMap, net::IpAddr};

use askama::Template;

use super::{
    dmarc::{
        Tab,
        period::is_ahead,
        tabs,
        words::{self, Badge, count, number},
    },
    mails,
    query::Query,
    reports,
    source::add_days,
};
use crate::{
    model::{
        figures::{ReportState, StoredReport},
        report::{Arrival, Evaluation, Policy, Proof, Reason, Record},
        time::Millis,
    },
    web::pages::frame::{Frame, NavLink},
};

/// Records on the page; the XML holds all.
const MOST: usize = 300;
/// Reasons, signatures and checks of one record on the page, each: a receiver may write any number.
const MOST_RESULTS: usize = 10;
/// Errors on the page.
const MOST_ERRORS: usize = 50;
/// Characters of a receiver's own words on the page.
const LONGEST: usize = 300;
/// Bytes of the XML on the page; the download holds all.
const SHOWN: usize = 200_000;

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The report.
    pub stored: &'a StoredReport,
    /// Its XML.
    pub xml: Option<&'a [u8]>,
    /// Names of its sources by reverse DNS.
    pub names: &'a BTreeMap<IpAddr, String>,
    /// What admins call its sources.
    pub labels: &'a BTreeMap<IpAddr, String>,
    /// The list that the visitor came from.
    pub back: Option<&'a str>,
    /// From when on mails are kept.
    pub mails_from: Millis,
}

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
pub struct ReportPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    back: String,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    errors: Vec<String>,
    errors_cut: Option<String>,
    rows: Vec<Row>,
    cut: Option<String>,
    policy: Vec<(&'static str, String, String)>,
    facts: Vec<(&'static str, String)>,
    proof: Badge,
    proof_text: String,
    ahead: bool,
    others: Vec<(String, String)>,
    xml: Option<String>,
    xml_cut: bool,
    download: Option<String>,
}

/// One record.
struct Row {
    source: String,
    name: Option<String>,
    href: Option<String>,
    mails: String,
    passed: Badge,
    did: String,
    reasons: Vec<String>,
    reasons_cut: Option<String>,
    from: String,
    envelope: Vec<String>,
    dkim: Badge,
    dkim_results: Vec<Outcome>,
    dkim_cut: Option<String>,
    spf: Badge,
    spf_results: Vec<Outcome>,
    spf_cut: Option<String>,
    log: Option<String>,
}

/// One DKIM signature or SPF check.
struct Outcome {
    result: String,
    domain: String,
    detail: Vec<String>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'a>) -> ReportPage<'a> {
    let StoredReport { line, report, .. } = input.stored;
    let mut records: Vec<&Record> = report.records.iter().collect();
    // What fails comes first, then what is many.
    records.sort_by_key(|record| (record.aligned(), std::cmp::Reverse(record.count)));
    let all = records.len();
    records.truncate(MOST);
    let state = words::state(frame, line.state);
    let xml = input.xml.map(|xml| String::from_utf8_lossy(xml.get(..SHOWN).unwrap_or(xml)).into_owned());
    ReportPage {
        frame,
        tabs: tabs(frame, Tab::Reports),
        back: input.back.map_or_else(|| reports::Query::default().link(frame), str::to_owned),
        title: title(frame, input.stored),
        grounds: grounds(frame, input.stored),
        tone: state.tone,
        icon: state.icon,
        errors: report.errors.iter().take(MOST_ERRORS).map(|error| brief(error)).collect(),
        errors_cut: cut(frame, report.errors.len(), MOST_ERRORS),
        rows: records.into_iter().map(|record| row(frame, record, input)).collect(),
        cut: (all > MOST).then(|| frame.lang().tn("report.cut", all as i64, &[])),
        policy: policy(frame, &report.policy),
        facts: facts(frame, input.stored),
        proof: words::proof(frame, line.proof),
        proof_text: proof_text(frame, line.proof, input.stored.arrival.as_ref()),
        ahead: is_ahead(frame, line.begin),
        others: others(frame, &input.stored.others, &format!("/dmarc/reports/{}/xml", line.serial)),
        xml_cut: input.xml.is_some_and(|xml| xml.len() > SHOWN),
        xml,
        download: input.stored.has_xml.then(|| frame.url(&format!("/dmarc/reports/{}/xml", line.serial))),
    }
}

fn title(frame: &Frame, stored: &StoredReport) -> String {
    let (lang, line) = (frame.lang(), &stored.line);
    let days = reports::span(frame, line.begin, line.end);
    let values = [("org", line.org.as_str()), ("domain", &line.domain), ("days", &days)];
    let saw = lang.tn("report.saw", count(line.sums.messages), &values);
    let verdict = match (line.sums.failed(), line.sums.messages) {
        (_, 0) => return saw,
        (0, _) => lang.t("report.none_failed").to_owned(),
        (failed, all) if failed == all => lang.t("report.all_failed").to_owned(),
        (failed, _) => lang.tn("report.failed", count(failed), &[]),
    };
    format!("{saw}{verdict}")
}

fn grounds(frame: &Frame, stored: &StoredReport) -> String {
    let mut parts = vec![frame.lang().tn("report.records", stored.report.records.len() as i64, &[])];
    if !stored.line.report_id.is_empty() {
        parts.push(frame.lang().tf("report.its_id", &[("id", &stored.line.report_id)]));
    }
    parts.join(" ")
}

fn row(frame: &Frame, record: &Record, input: Input<'_>) -> Row {
    let ip = record.source;
    let state = match record {
        _ if record.aligned() => ReportState::Pass,
        Record { dkim: Evaluation::Unknown, .. } | Record { spf: Evaluation::Unknown, .. } => {
            ReportState::Other
        }
        _ => ReportState::Fail,
    };
    let written = record.source_text.clone().unwrap_or_else(|| "–".to_owned());
    Row {
        source: ip.map_or_else(|| brief(&written), |ip| ip.to_string()),
        name: ip.and_then(|ip| name(input, ip)),
        href: ip
            .map(|ip| super::sources::detail_link(frame, ip, &input.stored.line.domain, Default::default())),
        mails: number(frame, record.count),
        passed: words::state(frame, state),
        did: brief(&words::disposition(frame, &record.disposition)),
        reasons: record
            .reasons
            .iter()
            .take(MOST_RESULTS)
            .map(|reason| brief(&reason_text(frame, reason)))
            .collect(),
        reasons_cut: cut(frame, record.reasons.len(), MOST_RESULTS),
        from: brief(&record.header_from),
        envelope: envelope(frame, record),
        dkim: words::evaluation(frame, record.dkim),
        dkim_results: record
            .dkim_results
            .iter()
            .take(MOST_RESULTS)
            .map(|one| {
                let selector = one.selector.as_ref().map(|selector| format!("s={selector}"));
                outcome(&one.result, &one.domain, [selector, one.human_result.clone()])
            })
            .collect(),
        dkim_cut: cut(frame, record.dkim_results.len(), MOST_RESULTS),
        spf: words::evaluation(frame, record.spf),
        spf_results: record
            .spf_results
            .iter()
            .take(MOST_RESULTS)
            .map(|one| outcome(&one.result, &one.domain, [one.scope.clone(), one.human_result.clone()]))
            .collect(),
        spf_cut: cut(frame, record.spf_results.len(), MOST_RESULTS),
        log: (!record.aligned()).then(|| log_link(frame, record, input)).flatten(),
    }
}

/// What a list leaves out, where it is longer than what is shown of it.
fn cut(frame: &Frame, all: usize, shown: usize) -> Option<String> {
    let [count, first] = [all, shown].map(|items| number(frame, items as u64));
    (all > shown).then(|| frame.lang().tf("report.more", &[("shown", &first), ("count", &count)]))
}

/// A receiver's words, cut where they are too long to be read.
fn brief(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What the admin calls it, and its name.
fn name(input: Input<'_>, ip: IpAddr) -> Option<String> {
    let ip = ip.to_canonical();
    let both = [input.labels.get(&ip), input.names.get(&ip)];
    let words: Vec<&str> = both.into_iter().flatten().map(String::as_str).collect();
    (!words.is_empty()).then(|| words.join(" · "))
}

fn outcome(result: &str, domain: &str, detail: [Option<String>; 2]) -> Outcome {
    Outcome {
        result: if result.is_empty() { "–".to_owned() } else { brief(result) },
        domain: brief(domain),
        detail: detail
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .map(|text| brief(&text))
            .collect(),
    }
}

fn envelope(frame: &Frame, record: &Record) -> Vec<String> {
    let part = |key: &'static str, domain: &Option<String>| {
        let domain = domain.as_ref().filter(|domain| !domain.is_empty())?;
        Some(format!("{} {}", frame.lang().t_in("report_envelope", key), brief(domain)))
    };
    // The sender's domain is told only where it is another one.
    let from = record.envelope_from.clone().filter(|from| *from != record.header_from);
    [part("from", &from), part("to", &record.envelope_to)].into_iter().flatten().collect()
}

fn reason_text(frame: &Frame, reason: &Reason) -> String {
    let word = words::reason(frame, &reason.kind);
    match reason.comment.as_deref().filter(|comment| !comment.is_empty()) {
        Some(comment) => format!("{word}: {comment}"),
        None => word,
    }
}

/// The very mails of a failing record in our log: what our Mailcow sent in the days of the report, or what came to
/// us from that address.
fn log_link(frame: &Frame, record: &Record, input: Input<'_>) -> Option<String> {
    let line = &input.stored.line;
    let (from, to) = (line.begin.max(input.mails_from), line.end.min(frame.formats.now));
    let ip = record.source.filter(|_| from < to)?;
    let name = input.names.get(&ip).map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let ours = name.is_some_and(|name| name == frame.brand.host.to_ascii_lowercase());
    let mut query = Query::default();
    if ours {
        query.add("dir", "out");
        query.add("domain", &record.header_from);
        if let Some(to) = record.envelope_to.as_ref().filter(|to| !to.is_empty()) {
            query.add("rcpt", &format!("@{to}"));
        }
    } else {
        query.add("ip", &ip.to_string());
    }
    add_days(frame, &mut query, from, to);
    Some(mails::link(frame, &query))
}

/// The published policy: tag, value, meaning.
fn policy(frame: &Frame, policy: &Policy) -> Vec<(&'static str, String, String)> {
    let lang = frame.lang();
    let meaning = |word: &str| words::policy(frame, word).to_owned();
    let alignment = |word: &str| lang.t_in("alignment", word).to_owned();
    let mut rows = Vec::new();
    let mut add = |tag: &'static str, value: Option<&str>, text: &dyn Fn(&str) -> String| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            rows.push((tag, value.to_owned(), text(value)));
        }
    };
    add("p", policy.p.as_deref(), &meaning);
    add("sp", policy.sp.as_deref(), &|word| format!("{} {}", lang.t("published.for_sub"), meaning(word)));
    add("np", policy.np.as_deref(), &|word| format!("{} {}", lang.t("published.for_missing"), meaning(word)));
    let pct = policy.pct.map(|pct| pct.to_string());
    add("pct", pct.as_deref(), &|pct| lang.tf("published.pct", &[("pct", pct)]));
    add("adkim", policy.adkim.as_deref(), &alignment);
    add("aspf", policy.aspf.as_deref(), &alignment);
    add("fo", policy.fo.as_deref(), &|_| lang.t("published.fo").to_owned());
    add("t", policy.testing.as_deref(), &|word| lang.t_in("policy_testing", word).to_owned());
    add("discovery", policy.discovery.as_deref(), &|word| lang.t_in("policy_discovery", word).to_owned());
    rows
}

fn facts(frame: &Frame, stored: &StoredReport) -> Vec<(&'static str, String)> {
    let (formats, report) = (&frame.formats, &stored.report);
    let moment = |at: Millis| format!("{}, {}", formats.table_date(at), formats.time(at));
    let span = format!("{} {} {}", moment(report.begin), frame.t("word.to_day"), moment(report.end));
    let mut facts = vec![
        (frame.t("reports.receiver"), stored.line.org.clone()),
        (frame.t("reports.domain"), stored.line.domain.clone()),
        (frame.t("report.fact.span"), span),
        (frame.t("reports.id"), stored.line.report_id.clone()),
    ];
    let mut add = |word: &'static str, value: &Option<String>| {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            facts.push((word, value.clone()));
        }
    };
    add(frame.t("report.fact.contact"), &report.email);
    add(frame.t("report.fact.more"), &report.extra_contact_info);
    add(frame.t("report.fact.version"), &report.version);
    add(frame.t("report.fact.generator"), &report.generator);
    if let Some(arrival) = &stored.arrival {
        facts.push((frame.t("report.fact.taken"), formats.moment(arrival.at)));
        if frame.is_admin() {
            facts.push((frame.t("report.fact.via"), arrival.via.clone()));
            if let Some(sender) = &arrival.sender {
                facts.push((frame.t("report.fact.sender"), sender.clone()));
            }
        }
    }
    facts
}

/// Which check proves the sender, or what its lack means.
pub fn proof_text(frame: &Frame, proof: Proof, arrival: Option<&Arrival>) -> String {
    let text = frame.lang().t_in("proof_text", proof.code());
    match arrival.and_then(|arrival| arrival.evidence.as_deref()).filter(|evidence| !evidence.is_empty()) {
        Some(evidence) => format!("{text} {}", frame.lang().tf("report.evidence", &[("evidence", evidence)])),
        None => text.to_owned(),
    }
}

/// Other bodies of a report: what to know of each, and where it is, by the address of the report's own.
pub fn others(frame: &Frame, others: &[(i64, Arrival)], path: &str) -> Vec<(String, String)> {
    let one = |(number, arrival): &(i64, Arrival)| {
        let (when, proof) = (frame.formats.when(arrival.at), words::proof(frame, arrival.proof).word);
        let text = frame.lang().tf("report.other", &[("when", &when), ("proof", &proof)]);
        (text, frame.url(&format!("{path}?other={number}")))
    };
    others.iter().map(one).collect()
}

/// A file name that is safe in a header and on every disk: `domain_org_2026-11-19_7.xml`. `end`: number and kind.
pub fn file_name(domain: &str, org: &str, begin: Millis, end: &str) -> String {
    let safe = |text: &str| {
        let kept = text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        let kept: String = kept.take(80).collect();
        kept.trim_matches('.').to_owned()
    };
    let day = begin.in_zone(&jiff::tz::TimeZone::UTC).date();
    let (domain, org) = (safe(domain), safe(org));
    format!("{domain}_{org}_{day}_{end}")
}
