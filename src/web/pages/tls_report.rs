//! One TLS report: each policy with its sessions, each failure explained.

use askama::Template;

use super::{
    dmarc::{
        Tab, tabs,
        words::{self, Badge, count, number},
    },
    report::{others, proof_text},
    reports,
    tls::{self, Failure},
    tls_now::{self, Check},
};
use crate::{
    model::{
        figures::StoredTlsReport,
        report::{TlsFailure, TlsPolicy},
    },
    store::samples::Latest,
    web::pages::frame::{Frame, NavLink},
};

/// Failures of one policy on the page.
const MOST: usize = 200;

/// The page.
#[derive(Template)]
#[template(path = "tls_report.html")]
pub struct TlsReportPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    policies: Vec<PolicyCard>,
    facts: Vec<(&'static str, String)>,
    proof: Badge,
    proof_text: String,
    others: Vec<(String, String)>,
    download: Option<String>,
}

struct PolicyCard {
    id: usize,
    name: String,
    domain: String,
    state: Badge,
    sessions: String,
    text: String,
    hosts: String,
    failures: Vec<Row>,
    cut: Option<String>,
    now: Vec<Check>,
}

struct Row {
    failure: Failure,
    sessions: String,
    facts: Vec<(&'static str, String)>,
}

/// The view; `now` is what our own probes saw last ([`tls_now::SERIES`]).
pub fn view<'a>(frame: &'a Frame, stored: &StoredTlsReport, now: &[Latest]) -> TlsReportPage<'a> {
    let report = &stored.report;
    let (good, bad) = tls::sums(&report.policies);
    let state = tls::state(frame, good, bad);
    let days = reports::span(frame, report.begin, report.end);
    let domains: std::collections::BTreeSet<&str> =
        report.policies.iter().map(|policy| policy.domain.as_str()).collect();
    let domains = domains.into_iter().collect::<Vec<_>>().join(", ");
    let all = number(frame, good + bad);
    let path = format!("/tls-reports/{}/json", stored.id);
    let values = [("org", report.org.as_str()), ("domain", &domains), ("days", &days), ("all", &all)];
    TlsReportPage {
        frame,
        tabs: tabs(frame, Tab::Tls),
        title: match (good + bad, bad) {
            (0, _) => frame.lang().tf("tls_report.none", &values[..3]),
            (all, 0) => frame.lang().tn("tls_report.fine", count(all), &values[..3]),
            (_, bad) => frame.lang().tn("tls_report.bad", count(bad), &values),
        },
        grounds: frame.lang().tf("report.its_id", &[("id", &report.report_id)]),
        tone: state.tone,
        icon: state.icon,
        policies: report
            .policies
            .iter()
            .enumerate()
            .map(|(id, policy)| card(frame, id, policy, stored.whole, now))
            .collect(),
        facts: facts(frame, stored),
        proof: words::proof(frame, stored.arrival.proof),
        proof_text: proof_text(frame, stored.arrival.proof, Some(&stored.arrival)),
        others: others(frame, &stored.others, &path),
        download: stored.whole.then(|| frame.url(&path)),
    }
}

fn card(frame: &Frame, id: usize, policy: &TlsPolicy, whole: bool, now: &[Latest]) -> PolicyCard {
    let [count, shown] = [policy.failures.len(), MOST].map(|failures| number(frame, failures as u64));
    let values = [("shown", shown.as_str()), ("count", &count)];
    let cut = match whole {
        true => frame.lang().tf("tls.cut", &values),
        false => frame.lang().tf("tls.cut.part", &values),
    };
    let good = number(frame, policy.successful);
    let bad = number(frame, policy.failed);
    PolicyCard {
        id,
        name: tls::policy_name(frame, &policy.kind),
        domain: policy.domain.clone(),
        state: tls::state(frame, policy.successful, policy.failed),
        sessions: frame.lang().tf("tls.chart.summary", &[("good", &good), ("bad", &bad)]),
        text: policy.text.join("\n"),
        hosts: policy.mx_hosts.join(", "),
        failures: policy.failures.iter().take(MOST).map(|failure| row(frame, failure)).collect(),
        cut: (policy.failures.len() > MOST).then_some(cut),
        now: if policy.failed > 0 { tls_now::checks(frame, &policy.domain, now) } else { Vec::new() },
    }
}

fn row(frame: &Frame, failure: &TlsFailure) -> Row {
    let server = match (&failure.mx, &failure.mx_helo) {
        (Some(mx), Some(helo)) if mx != helo => Some(format!("{mx} ({helo})")),
        (mx, helo) => mx.clone().or_else(|| helo.clone()),
    };
    let parts = [
        (frame.t("tls.fact.mx"), server),
        (frame.t("tls.fact.receiving"), failure.receiving_ip.clone()),
        (frame.t("tls.fact.sending"), failure.sending_ip.clone()),
        (frame.t("tls.fact.code"), failure.reason_code.clone()),
        (frame.t("tls.fact.more"), failure.more.clone()),
    ];
    Row {
        failure: tls::explain(frame, &failure.kind),
        sessions: frame.lang().tn("tls.sessions", count(failure.sessions), &[]),
        facts: parts
            .into_iter()
            .filter_map(|(word, value)| Some((word, value.filter(|value| !value.is_empty())?)))
            .collect(),
    }
}

fn facts(frame: &Frame, stored: &StoredTlsReport) -> Vec<(&'static str, String)> {
    let (formats, report) = (&frame.formats, &stored.report);
    let moment = |at| format!("{}, {}", formats.table_date(at), formats.time(at));
    let span = format!("{} {} {}", moment(report.begin), frame.t("word.to_day"), moment(report.end));
    let mut facts = vec![
        (frame.t("reports.receiver"), report.org.clone()),
        (frame.t("report.fact.span"), span),
        (frame.t("reports.id"), report.report_id.clone()),
    ];
    if let Some(contact) = &report.contact {
        facts.push((frame.t("report.fact.contact"), contact.clone()));
    }
    facts.push((frame.t("report.fact.taken"), formats.moment(stored.arrival.at)));
    if frame.is_admin() {
        facts.push((frame.t("report.fact.via"), stored.arrival.via.clone()));
    }
    facts
}
