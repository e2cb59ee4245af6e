//! DMARC: what is sent in the name of a domain, whether it is provably its own, and what to do next.

pub mod chart;
pub mod domains;
pub mod foreign;
pub mod period;
pub mod publish;
pub mod words;

use std::{collections::BTreeMap, net::IpAddr};

use askama::Template;

use crate::{
    model::{
        advice::{
            self, Change, History, Judge, LASTING_DAYS, LEADING, NOTABLE, Situation, Standing, Step, Survey,
            Turn, WINDOW_DAYS,
        },
        figures::{Day, DomainFigures, Source, Sums},
        time::Millis,
    },
    web::pages::{
        frame::{Frame, NavLink},
        sources,
    },
};
use chart::{Chart, Count};
use period::{Chooser, Period};
use words::{Advice, count, day, number};

/// Sources on the page.
const SHOWN: usize = 2 * LEADING;

/// A page of the section Reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Overview.
    Dmarc,
    /// Sources.
    Sources,
    /// List of reports.
    Reports,
    /// TLS reports.
    Tls,
    /// What could not be read.
    Unreadable,
    /// By hand.
    Upload,
}

/// The row below the bar.
pub fn tabs(frame: &Frame, here: Tab) -> Vec<NavLink> {
    let link = |tab, path: &str, word| NavLink { href: frame.url(path), word, here: here == tab };
    let mut tabs = vec![
        link(Tab::Dmarc, "/dmarc", frame.t("reports.tab.dmarc")),
        link(Tab::Sources, "/dmarc/sources", frame.t("reports.tab.sources")),
        link(Tab::Reports, "/dmarc/reports", frame.t("reports.tab.list")),
        link(Tab::Tls, "/tls-reports", frame.t("reports.tab.tls")),
    ];
    if frame.is_admin() {
        tabs.push(link(Tab::Unreadable, "/dmarc/unreadable", frame.t("reports.tab.unreadable")));
        tabs.push(link(Tab::Upload, "/dmarc/upload", frame.t("reports.tab.upload")));
    }
    tabs
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Figures of the period; its domain is the page's.
    pub figures: &'a DomainFigures,
    /// Days of the period and of the one before.
    pub days: &'a [Day],
    /// Measure of the sources of the period.
    pub judge: Judge<'a>,
    /// What all sources of the period come to.
    pub survey: &'a Survey,
    /// Sources of the period, most messages first.
    pub sources: &'a [Source],
    /// Sources of the period before.
    pub earlier: &'a [Source],
    /// Figures of the last [`WINDOW_DAYS`].
    pub recent: &'a DomainFigures,
    /// Measure of the sources of the last [`WINDOW_DAYS`].
    pub lately: Judge<'a>,
    /// What the sources of the last [`WINDOW_DAYS`] come to.
    pub recent_survey: &'a Survey,
    /// The domain for which each of [`advice::silent`] signs.
    pub signers: &'a BTreeMap<IpAddr, String>,
    /// The period.
    pub period: Period,
    /// Domains to choose from.
    pub domains: &'a [String],
}

/// The page.
#[derive(Template)]
#[template(path = "dmarc.html")]
pub struct DmarcPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    chooser: Chooser,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    chart: Chart,
    sources: Vec<sources::Row>,
    all_sources: String,
    changes: Vec<Changed>,
    policy: Policy,
    advice: Vec<Advice>,
    counted: String,
    rule: String,
    facts: Vec<(&'static str, String)>,
    reports: String,
    set_aside: Option<(String, String)>,
}

/// Something that changed.
struct Changed {
    day: String,
    text: String,
    href: Option<String>,
}

/// The policy as receivers see it.
struct Policy {
    tag: String,
    meaning: &'static str,
    steps: [(&'static str, bool, bool); 3],
    more: Vec<String>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> DmarcPage<'a> {
    let domain = &input.figures.domain;
    let (judge, recent) = (input.judge, input.lately);
    let situation = Situation {
        now: frame.formats.now,
        recent: input.recent,
        survey: input.recent_survey,
        has_past: recent.has_past,
        signers: input.signers,
    };
    let steps = situation.steps();
    let policy = &input.figures.policy;
    let (tone, icon) = signal(&steps, input.figures);
    let query = sources::Query { domain: domain.clone(), period: input.period, ..Default::default() };
    DmarcPage {
        frame,
        tabs: tabs(frame, Tab::Dmarc),
        chooser: input.period.chooser(frame, "/dmarc", input.domains, domain, None),
        title: title(frame, input.figures),
        grounds: grounds(frame, input, &steps, &recent),
        tone,
        icon,
        chart: chart(frame, input),
        sources: shown(input.sources, input.survey, &judge)
            .into_iter()
            .map(|source| sources::row(frame, &judge, source, &query))
            .collect(),
        all_sources: query.link(frame),
        changes: changes(frame, input, judge),
        policy: policy_card(frame, input.figures),
        advice: steps.iter().map(|step| words::advice(frame, step, &recent, domain, policy)).collect(),
        counted: frame.lang().tn("dmarc.next.counted", count(WINDOW_DAYS), &[]),
        rule: rule(frame),
        facts: facts(frame, input.figures),
        reports: super::reports::Query::of_domain(domain).link(frame),
        set_aside: (input.figures.set_aside > 0).then(|| {
            let text = frame.lang().tn("dmarc.set_aside", count(input.figures.set_aside), &[]);
            (text, super::reports::Query::set_aside(domain).link(frame))
        }),
    }
}

/// The rule after which a stricter policy is safe, in words.
fn rule(frame: &Frame) -> String {
    let values = [WINDOW_DAYS, advice::LEAST_MAILS, advice::LEAST_RECEIVERS, NOTABLE, LASTING_DAYS];
    let values = values.map(|value| number(frame, value));
    let [days, mails, receivers, notable, lasting] = &values;
    let values = [
        ("days", days),
        ("mails", mails),
        ("receivers", receivers),
        ("notable", notable),
        ("lasting", lasting),
    ];
    frame.lang().tf("dmarc.rule", &values.map(|(name, value)| (name, value.as_str())))
}

/// "98.7 % of the mails in the name of alpha.test are provably yours."
pub fn title(frame: &Frame, figures: &DomainFigures) -> String {
    let (lang, sums, domain) = (frame.lang(), &figures.sums, figures.domain.as_str());
    match sums.messages {
        0 => lang.tf("dmarc.answer.none", &[("domain", domain)]),
        messages if sums.aligned == messages => lang.tf("dmarc.answer.all", &[("domain", domain)]),
        messages => {
            let share = frame.formats.share(sums.aligned, messages);
            lang.tf("dmarc.answer", &[("share", &share), ("domain", domain)])
        }
    }
}

fn signal(steps: &[Step], figures: &DomainFigures) -> (&'static str, &'static str) {
    let strict = matches!(figures.policy.in_force(), "quarantine" | "reject");
    match steps.first() {
        _ if figures.sums.messages == 0 => ("idle", "envelope"),
        Some(Step::Mend { .. }) if strict => ("bad", "exclamation-lg"),
        Some(Step::Mend { .. } | Step::Ask { .. } | Step::Silent(_)) => ("wait", "eye"),
        Some(Step::Wait(_, advice::Lack::Silent { .. })) => ("wait", "eye"),
        _ => ("ok", "check-lg"),
    }
}

/// Mails, days, receivers; then what somebody must act on first.
fn grounds(frame: &Frame, input: Input<'_>, steps: &[Step], judge: &Judge) -> String {
    let (lang, figures) = (frame.lang(), input.figures);
    let receivers = lang.tn("dmarc.receivers", count(figures.receivers), &[]);
    let values = [("period", input.period.words(frame)), ("receivers", receivers)];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut text = lang.tn("dmarc.grounds", count(figures.sums.messages), &values);
    let first = steps.iter().find(|step| matches!(step.turn(), Turn::You | Turn::Admin));
    if let Some(step) = first {
        let advice = words::advice(frame, step, judge, &figures.domain, &figures.policy);
        text.push(' ');
        text.push_str(&lang.tf("dmarc.grounds.next", &[("step", &advice.title)]));
    }
    text
}

fn chart(frame: &Frame, input: Input<'_>) -> Chart {
    let span = input.period.span(frame.formats.now, None);
    let words = chart::Words {
        by_day: frame.t("dmarc.chart.day"),
        by_week: frame.t("dmarc.chart.week"),
        good: frame.t("dmarc.chart.pass"),
        bad: frame.t("dmarc.chart.fail"),
        share: frame.t("dmarc.chart.share"),
    };
    let counts: Vec<Count> = counts(input.days);
    let summary = summary(frame, input.days, &input.figures.sums, span.from);
    chart::draw(frame, words, &span, &counts, summary)
}

/// Days as a chart counts them.
pub fn counts(days: &[Day]) -> Vec<Count> {
    let one = |day: &Day| Count { at: day.at, good: day.sums.aligned, bad: day.sums.failed() };
    days.iter().map(one).collect()
}

/// What the bars say: the day from which on it was otherwise, else the weakest day.
pub fn summary(frame: &Frame, days: &[Day], sums: &Sums, from: Millis) -> String {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let shift = advice::shift(days).filter(|shift| shift.at() >= from);
    if let Some(Change::Share { before, after, at }) = shift {
        let (before, after) =
            (formats.share(before.aligned, before.messages), formats.share(after.aligned, after.messages));
        let day = day(frame, at);
        return lang.tf("dmarc.chart.shift", &[("day", &day), ("before", &before), ("after", &after)]);
    }
    let thousandths = |day: &&Day| day.sums.aligned * 1000 / day.sums.messages.max(1);
    let shown = days.iter().filter(|day| day.at >= from && day.sums.messages > 0);
    match shown.min_by_key(thousandths) {
        None => lang.t("dmarc.chart.none").to_owned(),
        Some(_) if sums.failed() == 0 => lang.tn("dmarc.chart.all", count(sums.messages), &[]),
        Some(weakest) => {
            let share = formats.share(weakest.sums.aligned, weakest.sums.messages);
            let failed = number(frame, sums.failed());
            let day = day(frame, weakest.at);
            let values = [("failed", failed.as_str()), ("day", &day), ("share", &share)];
            lang.tn("dmarc.chart.weakest", count(sums.messages), &values)
        }
    }
}

/// The biggest and the most suspicious sources: what fails among the own first, then by mails.
fn shown<'a>(sources: &'a [Source], survey: &'a Survey, judge: &Judge) -> Vec<&'a Source> {
    let mut shown: Vec<&Source> = survey.failing().iter().map(|(_, source)| source).collect();
    let rest = sources.iter().filter(|source| !shown.iter().any(|own| own.ip == source.ip));
    let forged = rest.clone().find(|source| judge.standing(source) == Standing::Forged);
    let mut rest: Vec<&Source> = rest.take(SHOWN - shown.len()).collect();
    // One place is for who abuses the name, however little they send.
    if let Some(forged) = forged
        && !rest.iter().any(|source| source.ip == forged.ip)
    {
        rest.pop();
        rest.push(forged);
    }
    shown.extend(rest);
    shown.sort_by_key(|source| std::cmp::Reverse(source.sums.messages));
    shown
}

fn changes(frame: &Frame, input: Input<'_>, judge: Judge<'_>) -> Vec<Changed> {
    let history = History {
        now: frame.formats.now,
        figures: input.figures,
        days: input.days,
        sources: input.sources,
        earlier: input.earlier,
        judge,
    };
    history.changes().iter().map(|change| changed(frame, change, &judge, input.period)).collect()
}

fn changed(frame: &Frame, change: &Change, judge: &Judge, period: Period) -> Changed {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let source_link = |source: &Source| Some(sources::detail_link(frame, source.ip, "", period));
    let name = |source: &Source| match (&source.label, &source.name) {
        (None, None) => source.ip.to_string(),
        _ => words::source_name(frame, judge, source),
    };
    let (text, href) = match change {
        Change::New(source) => {
            let text = lang.tn("change.new", count(source.sums.messages), &[("name", &name(source))]);
            (text, source_link(source))
        }
        Change::Gone(source) => (lang.tf("change.gone", &[("name", &name(source))]), source_link(source)),
        Change::Share { before, after, .. } => {
            let before = formats.share(before.aligned, before.messages);
            let after = formats.share(after.aligned, after.messages);
            (lang.tf("change.share", &[("before", &before), ("after", &after)]), None)
        }
        Change::Policy { before, now, .. } => {
            let (before, now) = (words::policy_tag(before), words::policy_tag(now));
            (lang.tf("change.policy", &[("before", &before), ("now", &now)]), None)
        }
    };
    Changed { day: day(frame, change.at()), text, href }
}

fn policy_card(frame: &Frame, figures: &DomainFigures) -> Policy {
    let (lang, policy) = (frame.lang(), &figures.policy);
    const STEPS: [&str; 3] = ["none", "quarantine", "reject"];
    let reached = STEPS.iter().position(|step| *step == policy.p);
    let step = |place: usize| {
        let word = STEPS.get(place).copied().unwrap_or_default();
        (word, reached.is_some_and(|reached| place <= reached), reached == Some(place))
    };
    let part = policy
        .pct
        .filter(|pct| *pct < 100)
        .map(|pct| lang.tf("published.pct", &[("pct", &number(frame, u64::from(pct)))]));
    let sub = policy
        .sp
        .as_ref()
        .filter(|sp| **sp != policy.p)
        .map(|sp| lang.tf("published.sp", &[("sp", sp), ("meaning", words::policy(frame, sp))]));
    let tested = policy.testing.then(|| lang.t_in("policy_testing", "y").to_owned());
    let since = figures.policy_before.as_ref().map(|(before, at)| {
        lang.tf("published.since", &[("day", &day(frame, *at)), ("before", &words::policy_tag(before))])
    });
    Policy {
        tag: words::policy_tag(policy),
        meaning: words::policy(frame, policy.in_force()),
        steps: [0, 1, 2].map(step),
        more: [tested, since, part, sub].into_iter().flatten().collect(),
    }
}

fn facts(frame: &Frame, figures: &DomainFigures) -> Vec<(&'static str, String)> {
    let last = figures.last.map_or_else(|| "–".to_owned(), |at| day(frame, at));
    vec![
        (frame.t("dmarc.fact.last"), last),
        (frame.t("dmarc.fact.counted"), number(frame, figures.reports)),
        (frame.t("dmarc.fact.receivers"), number(frame, figures.receivers)),
    ]
}
