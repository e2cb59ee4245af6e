//! TLS reports: whether other servers could reach a domain with encryption, and what failed.

use askama::Template;

use super::dmarc::{
    Tab,
    chart::{self, Chart, Count},
    period::{Chooser, DAY, Period},
    tabs,
    words::{self, Badge, count, day, number},
};
use crate::{
    model::{
        advice,
        figures::{TlsDay, TlsFailureSum, TlsLine},
        report::TlsPolicy,
    },
    web::pages::{
        frame::{Frame, NavLink},
        reports,
    },
};

/// Reports on a page.
pub const PER_PAGE: usize = 50;

/// Kinds of failure with words of their own (RFC 8460 section 4.3).
const KINDS: [&str; 11] = [
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
];

/// A kind of failure, explained.
pub struct Failure {
    /// What failed, in words.
    pub title: String,
    /// The kind as in the report.
    pub kind: String,
    /// The usual cause, and what to do.
    pub cause: &'static str,
    /// Who acts.
    pub turn: &'static str,
}

/// The explanation of a kind.
pub fn explain(frame: &Frame, kind: &str) -> Failure {
    let known = KINDS.contains(&kind);
    Failure {
        title: if known {
            frame.lang().t_in("tls_kind", kind).to_owned()
        } else {
            frame.t("tls.odd").to_owned()
        },
        kind: kind.to_owned(),
        cause: frame.lang().t_in("tls_cause", if known { kind } else { "unknown" }),
        turn: match advice::tls_turn(kind) {
            advice::Turn::Later => frame.t("tls.turn.unclear"),
            turn => words::turn(frame, turn),
        },
    }
}

/// The name of a kind of policy.
pub fn policy_name(frame: &Frame, kind: &str) -> String {
    match kind {
        "sts" | "tlsa" | "no-policy-found" => frame.lang().t_in("tls_policy", kind).to_owned(),
        other => other.to_owned(),
    }
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Only this domain; empty for all in scope.
    pub domain: &'a str,
    /// Domains with TLS reports.
    pub domains: &'a [String],
    /// How far back.
    pub period: Period,
    /// Sessions by day.
    pub days: &'a [TlsDay],
    /// Failures by kind and server.
    pub failures: &'a [TlsFailureSum],
    /// Reports, newest first, at least [`PER_PAGE`] when there may be more.
    pub lines: &'a [TlsLine],
    /// Whether these are not the newest.
    pub paged: bool,
}

/// The page.
#[derive(Template)]
#[template(path = "tls.html")]
pub struct TlsPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    chooser: Chooser,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    chart: Chart,
    failures: Vec<FailureRow>,
    rows: Vec<Row>,
    newest: Option<String>,
    older: Option<String>,
    per_page: String,
}

struct FailureRow {
    failure: Failure,
    mx: String,
    sessions: String,
    last: String,
    goes_on: bool,
}

struct Row {
    href: String,
    state: Badge,
    span: String,
    domain: String,
    org: String,
    successful: String,
    failed: String,
    proof: Badge,
    variants: Option<String>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> TlsPage<'a> {
    let span = input.period.span(frame.formats.now, None);
    let good: u64 = input.days.iter().map(|day| day.successful).sum();
    let bad: u64 = input.days.iter().map(|day| day.failed).sum();
    let last = input.lines.last().filter(|_| input.lines.len() >= PER_PAGE);
    let (title, tone, icon) = answer(frame, input, good, bad);
    TlsPage {
        frame,
        tabs: tabs(frame, Tab::Tls),
        chooser: input.period.chooser(
            frame,
            "/tls-reports",
            input.domains,
            input.domain,
            Some(frame.t("sources.all_domains")),
        ),
        title,
        grounds: grounds(frame, input, good + bad),
        tone,
        icon,
        chart: chart(frame, input, &span, good, bad),
        failures: input.failures.iter().map(|one| failure_row(frame, one)).collect(),
        rows: input.lines.iter().map(|line| row(frame, line)).collect(),
        newest: input.paged.then(|| link(frame, input, None)),
        older: last.map(|line| link(frame, input, Some(line.id))),
        per_page: frame.lang().tn("mails.per_page", PER_PAGE as i64, &[]),
    }
}

fn link(frame: &Frame, input: Input<'_>, after: Option<i64>) -> String {
    let mut link = url::form_urlencoded::Serializer::new(String::new());
    if !input.domain.is_empty() {
        link.append_pair("domain", input.domain);
    }
    link.append_pair("range", &input.period.days.to_string());
    if let Some(after) = after {
        link.append_pair("after", &after.to_string());
    }
    format!("{}?{}", frame.url("/tls-reports"), link.finish())
}

fn answer(frame: &Frame, input: Input<'_>, good: u64, bad: u64) -> (String, &'static str, &'static str) {
    let lang = frame.lang();
    let whom = match (input.domain, input.domains) {
        ("", [only]) => only.as_str(),
        ("", _) => lang.t("tls.your_domains"),
        (domain, _) => domain,
    };
    let all = number(frame, good + bad);
    match (good + bad, bad) {
        (0, _) => (lang.tf("tls.answer.none", &[("domain", whom)]), "idle", "lock"),
        (_, 0) => (lang.tf("tls.answer.fine", &[("domain", whom)]), "ok", "check-lg"),
        (_, bad) => {
            let title = lang.tn("tls.answer.bad", count(bad), &[("all", &all), ("domain", whom)]);
            (title, "wait", "exclamation-triangle")
        }
    }
}

fn grounds(frame: &Frame, input: Input<'_>, sessions: u64) -> String {
    frame.lang().tn("tls.grounds", count(sessions), &[("period", &input.period.words(frame))])
}

fn chart(frame: &Frame, input: Input<'_>, span: &crate::model::figures::Span, good: u64, bad: u64) -> Chart {
    let words = chart::Words {
        by_day: frame.t("tls.chart.day"),
        by_week: frame.t("tls.chart.week"),
        good: frame.t("tls.chart.good"),
        bad: frame.t("tls.chart.bad"),
        share: frame.t("tls.chart.share"),
    };
    let one = |day: &TlsDay| Count { at: day.at, good: day.successful, bad: day.failed };
    let counts: Vec<Count> = input.days.iter().map(one).collect();
    let values = [("good", number(frame, good)), ("bad", number(frame, bad))];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    chart::draw(frame, words, span, &counts, frame.lang().tf("tls.chart.summary", &values))
}

fn failure_row(frame: &Frame, sum: &TlsFailureSum) -> FailureRow {
    FailureRow {
        failure: explain(frame, &sum.kind),
        mx: if sum.mx.is_empty() { frame.t("tls.mx.untold").to_owned() } else { sum.mx.clone() },
        sessions: frame.lang().tn("tls.sessions", count(sum.sessions), &[]),
        last: day(frame, sum.last),
        goes_on: frame.formats.now.since(sum.last).as_secs() < 3 * DAY,
    }
}

fn row(frame: &Frame, line: &TlsLine) -> Row {
    Row {
        href: frame.url(&format!("/tls-reports/{}", line.id)),
        state: state(frame, line.successful, line.failed),
        span: reports::span(frame, line.begin, line.end),
        domain: line.domain.clone(),
        org: line.org.clone(),
        successful: number(frame, line.successful),
        failed: number(frame, line.failed),
        proof: words::proof(frame, line.proof),
        variants: (line.variants > 0).then(|| frame.lang().tn("reports.variants", count(line.variants), &[])),
    }
}

/// How a report, or one of its policies, went.
pub fn state(frame: &Frame, good: u64, bad: u64) -> Badge {
    let (icon, tone, word) = match (good, bad) {
        (0, 0) => ("question-circle", "idle", frame.t("tls.state.none")),
        (_, 0) => ("check-circle", "ok", frame.t("tls.state.fine")),
        (0, _) => ("x-circle", "bad", frame.t("tls.state.bad")),
        _ => ("circle-half", "wait", frame.t("tls.state.partly")),
    };
    Badge { icon, tone, word: word.to_owned() }
}

/// Sessions of the policies of a report that the visitor sees.
pub fn sums(policies: &[TlsPolicy]) -> (u64, u64) {
    policies.iter().fold((0, 0), |(good, bad), policy| {
        (good.saturating_add(policy.successful), bad.saturating_add(policy.failed))
    })
}
