//! Mail flow: how many mails, what became of them, how long it took, from whom and to where.

use std::time::Duration;

use askama::Template;
use jiff::ToSpan;

use super::{frame::Frame, mails, query::Query};
use crate::model::{
    mail::Status,
    time::Millis,
    traffic::{Fate, Side, Top, Traffic},
};

/// Rows of a list.
const ROWS: usize = 10;
/// From one bar to the next.
const STEP: u64 = 20;
/// Height of the highest bar.
const HIGHEST: u64 = 140;

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// 24 hours, by hour.
    #[default]
    Day,
    /// 7 days, by day.
    Week,
    /// 30 days, by day.
    Month,
}

impl Reach {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The word in addresses and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The reach of a [`Self::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reach| reach.code() == code)
    }

    /// Begins of the bars, oldest first, in the visitor's zone: whole hours, or days of which the last is today.
    fn begins(self, frame: &Frame) -> Vec<Millis> {
        let (zone, now) = (&frame.formats.zone, frame.formats.now);
        let days = match self {
            Self::Day => {
                let hour = now.0 - now.0.rem_euclid(3_600_000);
                return (0..24).rev().map(|back| Millis(hour - back * 3_600_000)).collect();
            }
            Self::Week => 7_i64,
            Self::Month => 30,
        };
        let today = now.in_zone(zone).date();
        let begin = |back: i64| today.checked_sub(back.days()).ok()?.to_zoned(zone.clone()).ok();
        let begins = (0..days).rev().filter_map(begin);
        begins.map(|day| Millis(day.timestamp().as_millisecond())).collect()
    }

    /// From when to when.
    pub fn span(self, frame: &Frame) -> (Millis, Millis) {
        let begin = self.begins(frame).first().copied().unwrap_or(frame.formats.now);
        // Hours are kept as wholes.
        (Millis(begin.0 - begin.0.rem_euclid(3_600_000)), frame.formats.now.plus(Duration::from_secs(1)))
    }
}

/// What the page is made of.
pub struct Input<'a> {
    /// How far back.
    pub reach: Reach,
    /// Which side is shown; `None`: all mails.
    pub side: Option<Side>,
    /// Which domain is shown; `None`: all that the visitor may see.
    pub domain: Option<&'a str>,
    /// The domains to choose from.
    pub domains: &'a [String],
    /// Figures by hour.
    pub hours: &'a [(Millis, Traffic)],
    /// Whether all hours were counted.
    pub complete: bool,
}

/// The page.
#[derive(Template)]
#[template(path = "flow.html")]
pub struct FlowPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    incomplete: bool,
    /// Whether nothing was counted yet: then no figure is known.
    counting: bool,
    reach: &'static str,
    side: &'static str,
    domain: &'a str,
    domains: &'a [String],
    reaches: Vec<Link>,
    sides: Vec<Link>,
    figures: Vec<(&'static str, String)>,
    delays: Vec<(&'static str, String)>,
    width: u64,
    bars: Vec<Bar>,
    ends: (String, String),
    rows: Vec<Row>,
    reasons: Vec<(&'static str, String, u64)>,
    lists: Vec<List>,
}

struct Link {
    href: String,
    word: &'static str,
    here: bool,
}

struct Bar {
    x: u64,
    good: (u64, u64),
    wait: (u64, u64),
    bad: (u64, u64),
    words: String,
}

struct Row {
    time: String,
    mails: String,
    delivered: String,
    waiting: String,
    bounced: String,
    rejected: String,
}

struct List {
    id: &'static str,
    title: &'static str,
    rows: Vec<ListRow>,
    cut: bool,
}

struct ListRow {
    name: String,
    href: Option<String>,
    count: String,
    rate: String,
    waiting: String,
    failed: String,
    bytes: String,
    delay: String,
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: &Input<'a>) -> FlowPage<'a> {
    let lang = frame.lang();
    let mut sum = Traffic::default();
    input.hours.iter().for_each(|(_, hour)| sum.merge(hour));
    let (title, tone, icon) = answer(frame, input, &sum);
    let buckets = buckets(frame, input);
    let begins = input.reach.begins(frame);
    let end = |at: Option<&Millis>| match (at, input.reach) {
        (Some(at), Reach::Day) => frame.formats.time(*at),
        (Some(at), _) => frame.formats.short_date(*at),
        (None, _) => String::new(),
    };
    FlowPage {
        frame,
        title,
        grounds: grounds(frame, &sum),
        tone,
        icon,
        incomplete: !input.complete,
        counting: !input.complete && sum == Traffic::default(),
        reach: input.reach.code(),
        side: input.side.map_or("", Side::code),
        domain: input.domain.unwrap_or_default(),
        domains: input.domains,
        reaches: Reach::ALL
            .into_iter()
            .map(|reach| {
                link(frame, input, reach, input.side, lang.t_in("reach", reach.code()), reach == input.reach)
            })
            .collect(),
        sides: input
            .side
            .map(|here| {
                let side = |side: Side| {
                    link(
                        frame,
                        input,
                        input.reach,
                        Some(side),
                        lang.t_in("flow_side", side.code()),
                        side == here,
                    )
                };
                Side::ALL.map(side).into()
            })
            .unwrap_or_default(),
        figures: figures(frame, &sum),
        delays: delays(frame, &sum),
        width: buckets.len() as u64 * STEP,
        bars: bars(frame, input.reach, &buckets),
        ends: (end(begins.first()), end(begins.last())),
        rows: buckets.iter().rev().map(|(at, traffic)| row(frame, input.reach, *at, traffic)).collect(),
        reasons: reasons(frame, &sum),
        lists: lists(frame, &sum),
    }
}

fn link(
    frame: &Frame,
    input: &Input<'_>,
    reach: Reach,
    side: Option<Side>,
    word: &'static str,
    here: bool,
) -> Link {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("range", reach.code());
    query.extend_pairs(input.domain.map(|domain| ("domain", domain)));
    query.extend_pairs(side.map(|side| ("side", side.code())));
    Link { href: frame.url(&format!("/flow?{}", query.finish())), word, here }
}

/// "1,204 mails taken in; of their settled recipients 98.7 % were reached. 12 were refused."
fn answer(frame: &Frame, input: &Input<'_>, sum: &Traffic) -> (String, &'static str, &'static str) {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let all = sum.rows.iter().sum::<u64>() + sum.refused;
    if all == 0 && sum.mails == 0 {
        if !input.complete {
            return (lang.t("flow.counting").to_owned(), "info", "arrow-clockwise");
        }
        return (lang.t_in("flow_none", input.reach.code()).to_owned(), "info", "inbox");
    }
    let (good, bad) = (sum.delivered(), sum.bounced());
    let settled = good + bad;
    let share = formats.share(good, settled);
    let taken = match settled {
        0 => lang.tn("flow.no_settled", whole(sum.mails), &[]),
        _ => lang.tn("flow.answer", whole(sum.mails), &[("share", &share)]),
    };
    let refused = (sum.rejected() > 0).then(|| lang.tn("flow.refused", whole(sum.rejected()), &[]));
    let title = [taken].into_iter().chain(refused).collect::<Vec<_>>().join(" ");
    // One in twenty that comes back is worth a look; a few are nothing.
    match bad >= 20 && bad * 20 > settled {
        true => (title, "wait", "exclamation-triangle"),
        false => (title, "ok", "check-lg"),
    }
}

fn grounds(frame: &Frame, sum: &Traffic) -> String {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let time = |millis: u64| {
        let length = Duration::from_millis(millis);
        let time = formats.duration_in_sentence(length);
        if length < Duration::from_secs(1) { time } else { lang.tf("flow.at_most", &[("time", &time)]) }
    };
    let (Some(half), Some(most)) = (sum.delay_at(0.5), sum.delay_at(0.95)) else {
        return lang.t("flow.no_delay").to_owned();
    };
    match (time(half), time(most)) {
        (half, most) if half == most => lang.tf("flow.grounds.same", &[("most", &most)]),
        (half, most) => lang.tf("flow.grounds", &[("half", &half), ("most", &most)]),
    }
}

fn figures(frame: &Frame, sum: &Traffic) -> Vec<(&'static str, String)> {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let number = |count: u64| formats.number(whole(count));
    // Where names were left out, there are at least so many.
    let names = |top: &Top| match top.is_cut() {
        true => lang.tf("flow.at_least", &[("count", &number(top.names.len() as u64))]),
        false => number(top.names.len() as u64),
    };
    vec![
        (lang.t("flow.received"), number(sum.mails)),
        (lang.t("flow.bytes_received"), formats.bytes(sum.bytes)),
        (lang.t("flow.delivered"), number(sum.delivered())),
        (lang.t("flow.bytes_delivered"), formats.bytes(sum.bytes_delivered)),
        (lang.t("flow.forwarded"), number(sum.forwarded)),
        (lang.t("flow.waiting"), number(sum.waiting())),
        (lang.t("flow.bounced"), number(sum.count(Status::Bounced))),
        (lang.t("flow.expired"), number(sum.count(Status::Expired))),
        (lang.t("flow.rejected"), number(sum.rejected())),
        (lang.t("flow.junk"), number(sum.count(Status::Junk))),
        (lang.t("flow.kept"), number(sum.sum(&[Status::Held, Status::Quarantined, Status::Discarded]))),
        (lang.t("flow.senders"), names(&sum.senders)),
        (lang.t("flow.recipients"), names(&sum.recipients)),
    ]
}

fn delays(frame: &Frame, sum: &Traffic) -> Vec<(&'static str, String)> {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let time = |millis: Option<u64>| {
        millis.map_or_else(|| "–".to_owned(), |millis| formats.duration(Duration::from_millis(millis)))
    };
    let longest = (!sum.delays.is_empty()).then_some(sum.delay_max);
    vec![
        (lang.t("flow.delay.mean"), time(sum.mean_delay())),
        (lang.t("flow.delay.half"), time(sum.delay_at(0.5))),
        (lang.t("flow.delay.90"), time(sum.delay_at(0.9))),
        (lang.t("flow.delay.95"), time(sum.delay_at(0.95))),
        (lang.t("flow.delay.99"), time(sum.delay_at(0.99))),
        (lang.t("flow.delay.max"), time(longest)),
    ]
}

/// The figures of each bar.
fn buckets(frame: &Frame, input: &Input<'_>) -> Vec<(Millis, Traffic)> {
    let mut buckets: Vec<(Millis, Traffic)> =
        input.reach.begins(frame).into_iter().map(|at| (at, Traffic::default())).collect();
    for (at, hour) in input.hours {
        // An hour that begins before the first bar, in a zone of half hours, belongs to it.
        let place = buckets.partition_point(|(begin, _)| begin <= at).saturating_sub(1);
        if let Some((_, bucket)) = buckets.get_mut(place) {
            bucket.merge(hour);
        }
    }
    buckets
}

fn bars(frame: &Frame, reach: Reach, buckets: &[(Millis, Traffic)]) -> Vec<Bar> {
    let parts =
        |traffic: &Traffic| [traffic.delivered(), traffic.waiting(), traffic.bounced() + traffic.rejected()];
    let highest =
        buckets.iter().map(|(_, traffic)| parts(traffic).iter().sum::<u64>()).max().unwrap_or(0).max(1);
    let bar = |(place, (at, traffic)): (u64, &(Millis, Traffic))| {
        let heights = parts(traffic).map(|count| match count {
            0 => 0,
            // What is there is seen, however little.
            count => (count * HIGHEST / highest).max(2),
        });
        let [good, wait, bad] = heights;
        let ground = HIGHEST + 6;
        let row = row(frame, reach, *at, traffic);
        Bar {
            x: place * STEP,
            good: (ground.saturating_sub(good), good),
            wait: (ground.saturating_sub(good + wait), wait),
            bad: (ground.saturating_sub(good + wait + bad), bad),
            words: frame.lang().tf(
                "flow.bar",
                &[
                    ("time", &row.time),
                    ("good", &row.delivered),
                    ("wait", &row.waiting),
                    ("bad", &row.bounced),
                    ("refused", &row.rejected),
                ],
            ),
        }
    };
    (0..).zip(buckets).map(bar).collect()
}

fn row(frame: &Frame, reach: Reach, at: Millis, traffic: &Traffic) -> Row {
    let number = |count: u64| frame.formats.number(whole(count));
    Row {
        time: match reach {
            Reach::Day => frame.formats.moment(at),
            _ => frame.formats.short_date(at),
        },
        mails: number(traffic.mails),
        delivered: number(traffic.delivered()),
        waiting: number(traffic.waiting()),
        bounced: number(traffic.bounced()),
        rejected: number(traffic.rejected()),
    }
}

fn reasons(frame: &Frame, sum: &Traffic) -> Vec<(&'static str, String, u64)> {
    let mut reasons: Vec<(&String, &u64)> = sum.reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let most = reasons.first().map_or(1, |(_, count)| **count).max(1);
    reasons
        .into_iter()
        .map(|(reason, count)| {
            (frame.lang().t_in("refusal", reason), frame.formats.number(whole(*count)), count * 100 / most)
        })
        .collect()
}

fn lists(frame: &Frame, sum: &Traffic) -> Vec<List> {
    let lang = frame.lang();
    let mails = |field: &'static str| {
        move |name: &str| {
            let mut query = Query::default();
            query.add(field, name);
            (!name.is_empty()).then(|| mails::link(frame, &query))
        }
    };
    let none = |_: &str| None;
    let list = |id, title, top: &Top, href: &dyn Fn(&str) -> Option<String>| {
        let row = |(name, fate): (&str, &Fate)| list_row(frame, name, fate, href(name));
        List { id, title, rows: top.busiest().into_iter().take(ROWS).map(row).collect(), cut: top.is_cut() }
    };
    let all = vec![
        list("senders", lang.t("flow.by_sender"), &sum.senders, &mails("sender")),
        list("recipients", lang.t("flow.by_recipient"), &sum.recipients, &mails("rcpt")),
        list("from", lang.t("flow.by_origin"), &sum.from, &none),
        list("to", lang.t("flow.by_target"), &sum.to, &none),
        list("providers", lang.t("flow.by_provider"), &sum.providers, &none),
    ];
    all.into_iter().filter(|list| !list.rows.is_empty()).collect()
}

fn list_row(frame: &Frame, name: &str, fate: &Fate, href: Option<String>) -> ListRow {
    let formats = &frame.formats;
    let number = |count: u64| formats.number(whole(count));
    let settled = fate.delivered + fate.failed;
    ListRow {
        name: if name.is_empty() { frame.t("flow.nobody").to_owned() } else { name.to_owned() },
        href,
        count: number(fate.count()),
        rate: if settled > 0 { formats.share(fate.delivered, settled) } else { "–".to_owned() },
        waiting: number(fate.waiting),
        failed: number(fate.failed),
        bytes: formats.bytes(fate.bytes),
        delay: fate
            .mean_delay()
            .map_or_else(|| "–".to_owned(), |millis| formats.duration(Duration::from_millis(millis))),
    }
}
