//! One source: what it sends, where it fails, and what an admin says of it.

use askama::Template;

use super::{
    dmarc::{
        self, Tab,
        chart::{self, Chart},
        period::{Choice, Chooser, Period},
        tabs,
        words::{self, Badge, count, number},
    },
    mails,
    query::Query,
    sources,
};
use crate::{
    model::{
        advice::{self, Judge, Standing},
        figures::{Source, SourceDetail, SourceShare, Verdict},
        scope::Role,
        time::Millis,
    },
    web::pages::frame::{Frame, NavLink},
};

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The source.
    pub detail: &'a SourceDetail,
    /// Measure of the source.
    pub judge: Judge<'a>,
    /// Only this domain; empty for all in scope.
    pub domain: &'a str,
    /// Domains to choose from.
    pub domains: &'a [String],
    /// How far back.
    pub period: Period,
    /// From when on mails are kept.
    pub mails_from: Millis,
}

/// The page.
#[derive(Template)]
#[template(path = "source.html")]
pub struct SourcePage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    chooser: Chooser,
    back: String,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    standing: Badge,
    meaning: &'static str,
    mails: Option<(String, String)>,
    chart: Chart,
    receivers: Vec<Share>,
    signers: Vec<Share>,
    facts: Vec<(&'static str, String)>,
    form: Option<Form>,
}

/// One receiver or signing domain.
struct Share {
    name: String,
    mails: String,
    passed: String,
    failed: String,
    did: String,
}

/// What an admin says of the source.
struct Form {
    action: String,
    label: String,
    verdicts: Vec<Choice>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> SourcePage<'a> {
    let (source, judge) = (&input.detail.source, &input.judge);
    let standing = judge.standing(source);
    let badge = words::standing(frame, standing, source);
    let query =
        sources::Query { domain: input.domain.to_owned(), period: input.period, ..sources::Query::default() };
    let (tone, icon) = if standing.is_own() && advice::fails(&source.sums) {
        ("wait", "exclamation-lg")
    } else {
        (badge.tone, badge.icon)
    };
    let chooser = input.period.chooser(
        frame,
        &format!("/dmarc/sources/{}", source.ip),
        input.domains,
        input.domain,
        Some(frame.t("sources.all_domains")),
    );
    SourcePage {
        frame,
        tabs: tabs(frame, Tab::Sources),
        chooser,
        back: query.link(frame),
        title: title(frame, judge, source),
        grounds: grounds(frame, source, input.period),
        tone,
        icon,
        meaning: frame.lang().t_in("standing_text", standing.code()),
        standing: badge,
        mails: own_mails(frame, input, standing),
        chart: chart(frame, input),
        receivers: input.detail.receivers.iter().map(|one| share(frame, one, false)).collect(),
        signers: input.detail.signers.iter().map(|one| share(frame, one, true)).collect(),
        facts: facts(frame, source),
        form: (frame.role() == Role::Admin).then(|| form(frame, source)),
    }
}

fn title(frame: &Frame, judge: &Judge, source: &Source) -> String {
    let lang = frame.lang();
    let name = match (&source.label, &source.name) {
        (None, None) => source.ip.to_string(),
        _ => words::source_name(frame, judge, source),
    };
    match (source.sums.failed(), source.sums.messages) {
        (_, 0) => lang.tf("source.answer.quiet", &[("name", &name)]),
        (0, mails) => lang.tn("source.answer.fine", count(mails), &[("name", &name)]),
        (failed, mails) if failed == mails => lang.tn("source.answer.lost", count(mails), &[("name", &name)]),
        (failed, mails) => {
            let failed = number(frame, failed);
            lang.tn("source.answer.failing", count(mails), &[("name", &name), ("failed", &failed)])
        }
    }
}

fn grounds(frame: &Frame, source: &Source, period: Period) -> String {
    let values = [
        ("period", period.words(frame)),
        ("first", words::day(frame, source.first)),
        ("last", words::day(frame, source.last)),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    frame.lang().tf("source.grounds", &values)
}

/// The very mails in our log: those that the own Mailcow sent for the domain, or those that came to us from the
/// address. None when the period lies before what is kept.
fn own_mails(frame: &Frame, input: Input<'_>, standing: Standing) -> Option<(String, String)> {
    let source = &input.detail.source;
    let span = input.period.span(frame.formats.now, None);
    let from = span.from.max(source.first).max(input.mails_from);
    let to = source.last.plus(std::time::Duration::from_secs(2 * dmarc::period::DAY)).min(frame.formats.now);
    if from >= to {
        return None;
    }
    let mut query = Query::default();
    let text = if standing == Standing::Mailcow {
        query.add("dir", "out");
        query.add("domain", input.domain);
        frame.t("source.mails.out")
    } else {
        query.add("ip", &source.ip.to_string());
        frame.t("source.mails.in")
    };
    add_days(frame, &mut query, from, to);
    Some((mails::link(frame, &query), text.to_owned()))
}

/// Limits a search in the log to the days of a span, in the visitor's zone.
pub fn add_days(frame: &Frame, query: &mut Query, from: Millis, to: Millis) {
    let day = |at: Millis| at.in_zone(&frame.formats.zone).date().to_string();
    query.add("from", &day(from));
    query.add("to", &day(to));
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
    let summary = dmarc::summary(frame, &input.detail.days, &input.detail.source.sums, span.from);
    chart::draw(frame, words, &span, &dmarc::counts(&input.detail.days), summary)
}

fn share(frame: &Frame, share: &SourceShare, signer: bool) -> Share {
    let name = match share.name.as_str() {
        "" if signer => frame.t("source.unsigned"),
        "" => frame.t("source.untold"),
        name => name,
    };
    Share {
        name: name.to_owned(),
        mails: number(frame, share.sums.messages),
        passed: number(frame, share.sums.aligned),
        failed: number(frame, share.sums.failed()),
        did: words::treatment(frame, &share.sums),
    }
}

fn facts(frame: &Frame, source: &Source) -> Vec<(&'static str, String)> {
    let sums = &source.sums;
    let part = |passed: u64| match sums.messages {
        0 => "–".to_owned(),
        all => frame.formats.share(passed, all),
    };
    vec![
        (frame.t("source.fact.address"), source.ip.to_string()),
        (
            frame.t("source.fact.name"),
            source.name.clone().unwrap_or_else(|| frame.t("source.no_name").to_owned()),
        ),
        (frame.t("source.column.mails"), number(frame, sums.messages)),
        (frame.t("source.fact.dkim"), part(sums.dkim)),
        (frame.t("source.fact.spf"), part(sums.spf)),
        (frame.t("source.column.did"), words::treatment(frame, sums)),
    ]
}

fn form(frame: &Frame, source: &Source) -> Form {
    let choice = |verdict: Verdict| Choice {
        value: verdict.code().to_owned(),
        word: frame.lang().t_in("verdict_of_source", verdict.code()).to_owned(),
        chosen: verdict == source.verdict,
    };
    Form {
        action: frame.url(&format!("/dmarc/sources/{}/judgement", source.ip)),
        label: source.label.clone().unwrap_or_default(),
        verdicts: Verdict::ALL.map(choice).into(),
    }
}
