//! Start: is my mail all right?

use std::time::Duration;

use askama::Template;
use jiff::civil::Date;

use super::story::{Story, capital};
use crate::{
    model::{
        explain::Dictionary,
        filter::Filter,
        mail::{Direction, Status, VisibleMail},
        scope::Role,
        time::Millis,
    },
    store::{
        ingestion::{Gap, Source},
        mails::HourCount,
    },
    web::pages::{
        cause,
        frame::{Frame, Freshness},
        ingestion,
        look::{self, Look},
        mails::{self, Whose, story_link},
        query::Query,
    },
};

/// How far back the page looks.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Mails in "Needs a look".
const LOOKS: usize = 5;
/// Mails in "Latest mails".
pub const LATEST: usize = 6;
/// How many mails in trouble are asked for; more are said to be "more than".
pub const TROUBLES: usize = 50;

/// Statuses that need a look, with those that only their own side can act on.
const LOOKED_AT: [Status; 5] =
    [Status::Bounced, Status::Expired, Status::Held, Status::Quarantined, Status::Delayed];

/// The search for mails that need a look.
pub fn trouble_filter(now: Millis) -> Filter {
    Filter { statuses: LOOKED_AT.to_vec(), from: Some(now.minus(WEEK)), ..Filter::default() }
}

/// From when on hours are counted for "Your week": the begin of the day six days ago.
pub fn week_begin(frame: &Frame) -> Millis {
    days(frame).first().and_then(|day| begin(frame, *day)).unwrap_or(frame.formats.now.minus(WEEK))
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Mails of the last seven days that need a look, newest first, at most [`TROUBLES`].
    pub troubles: &'a [VisibleMail],
    /// The latest mails, at most [`LATEST`].
    pub latest: &'a [VisibleMail],
    /// Hours from [`week_begin`] on.
    pub hours: &'a [HourCount],
    /// Where the mails come from.
    pub sources: &'a [Source],
    /// Gaps of the last seven days.
    pub gaps: &'a [Gap],
    /// Whose mails the visitor sees.
    pub whose: &'a Whose,
}

/// The page.
#[derive(Template)]
#[template(path = "start.html")]
pub struct StartPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    looks: Vec<LookRow>,
    all_looks: Option<(String, String)>,
    latest: Vec<LatestRow>,
    whens: Vec<(String, &'static str)>,
    week: Option<Week>,
}

/// Something that needs a look.
struct LookRow {
    tone: &'static str,
    icon: &'static str,
    href: String,
    what: String,
    state: String,
    second: String,
    text: String,
}

struct LatestRow {
    href: String,
    look: Look,
    subject: String,
    has_subject: bool,
    party: String,
    time: String,
    iso: String,
}

/// The bars of a week.
struct Week {
    title: &'static str,
    total: String,
    bars: Vec<Bar>,
    labels: Vec<(u64, String)>,
    legend: Vec<(&'static str, &'static str, String)>,
    summary: String,
}

struct Bar {
    tone: &'static str,
    x: u64,
    y: u64,
    height: u64,
}

/// Mails by kind of trouble.
#[derive(Default)]
struct Counts {
    bad: i64,
    kept: i64,
    delayed: i64,
    total: i64,
}

/// The start page's view.
pub fn view<'a>(frame: &'a Frame, dictionary: &Dictionary, input: Input<'_>) -> StartPage<'a> {
    let counts = counts(input);
    let portal = if frame.is_admin() { portal_troubles(frame, input) } else { Vec::new() };
    let first_run = input.sources.iter().all(|source| source.newest_at.is_none()) && input.latest.is_empty();
    let (title, tone, icon) = answer(frame, &counts, portal.len(), input, first_run);
    let mails = input.troubles.iter().map(|mail| look_row(frame, dictionary, mail));
    let room = LOOKS.saturating_sub(portal.len()).max(1);
    let more = (input.troubles.len() > room).then(|| {
        let query = LOOKED_AT.into_iter().fold(Query::default(), |mut query, status| {
            query.add("status", status.code());
            query
        });
        (mails::link(frame, &query), frame.lang().tn("start.all", input.troubles.len() as i64, &[]))
    });
    StartPage {
        frame,
        grounds: if first_run { String::new() } else { grounds(frame, &counts, input) },
        title,
        tone,
        icon,
        looks: portal.into_iter().chain(mails.take(room)).collect(),
        all_looks: more,
        latest: input.latest.iter().map(|mail| latest_row(frame, mail)).collect(),
        whens: whens(frame),
        week: (counts.total > 0).then(|| week(frame, input.hours)),
    }
}

fn counts(input: Input<'_>) -> Counts {
    let count = |statuses: &[Status]| {
        input.troubles.iter().filter(|mail| statuses.contains(&mail.status)).count() as i64
    };
    Counts {
        bad: count(&[Status::Bounced, Status::Expired]),
        kept: count(&[Status::Held, Status::Quarantined]),
        delayed: count(&[Status::Delayed]),
        total: input.hours.iter().map(|hour| hour.received + hour.sent + hour.problems).sum(),
    }
}

fn answer(
    frame: &Frame,
    counts: &Counts,
    needs: usize,
    input: Input<'_>,
    first_run: bool,
) -> (String, &'static str, &'static str) {
    let lang = frame.lang();
    if first_run {
        return (lang.t("start.first").to_owned(), "info", "arrow-clockwise");
    }
    if frame.is_admin() {
        return match needs {
            0 => (lang.t("start.flows.fine").to_owned(), "ok", "check-lg"),
            _ => {
                let needs = lang.tn("start.needs", needs as i64, &[]);
                (format!("{} {needs}", lang.t("start.flows")), "wait", "exclamation-triangle")
            }
        };
    }
    let too = (counts.delayed > 0).then(|| lang.tn("start.delayed_too", counts.delayed, &[]));
    match counts {
        Counts { bad: 1.., .. } => {
            let bad = lang.tn("start.bad", counts.bad, &[]);
            let own = match (frame.role(), input.whose) {
                (Role::DomainAdmin, Whose::Domains(domains)) => match domains.as_slice() {
                    [domain] => lang.tn("start.domain_bad", counts.bad, &[("domain", domain)]),
                    _ => bad,
                },
                _ => bad,
            };
            let words: Vec<String> = [Some(own), too].into_iter().flatten().collect();
            (words.join(" "), "bad", "exclamation-lg")
        }
        Counts { kept: 1.., .. } => (lang.tn("start.kept", counts.kept, &[]), "junk", "shield-exclamation"),
        Counts { delayed: 1.., .. } => {
            (lang.tn("start.delayed", counts.delayed, &[]), "wait", "clock-history")
        }
        Counts { total: 0, .. } if input.latest.is_empty() => {
            (lang.t("start.none").to_owned(), "idle", "envelope")
        }
        _ => {
            let fine = match input.whose {
                Whose::Domains(domains) => lang.tn("start.domains", domains.len() as i64, &[]),
                _ => lang.t("start.fine").to_owned(),
            };
            (fine, "ok", "check-lg")
        }
    }
}

fn grounds(frame: &Frame, counts: &Counts, input: Input<'_>) -> String {
    let lang = frame.lang();
    let troubled = counts.bad + counts.kept + counts.delayed;
    let rest = counts.total - troubled;
    let mails = match (rest, troubled) {
        (..1, _) => None,
        (_, 0) => Some(lang.tn("start.all_fine", rest, &[])),
        _ => Some(lang.tn("start.rest", rest, &[])),
    };
    let freshness = Freshness::of(input.sources, input.gaps, frame.formats.now);
    let log = freshness.as_of.map(|as_of| {
        let ago = frame.formats.ago(as_of);
        if freshness.gap {
            lang.tf("start.incomplete", &[("ago", &ago)])
        } else {
            lang.tf("start.complete", &[("ago", &ago)])
        }
    });
    [mails, log].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What is wrong with the portal itself, worst first.
fn portal_troubles(frame: &Frame, input: Input<'_>) -> Vec<LookRow> {
    let trouble = ingestion::troubles(frame, input.sources, input.gaps);
    trouble
        .into_iter()
        .map(|trouble| LookRow {
            tone: trouble.tone,
            icon: trouble.icon,
            href: frame.url("/ingestion"),
            what: trouble.what,
            state: frame.t("turn.yours").to_owned(),
            second: trouble.since.map(|at| capital(&frame.formats.moment(at))).unwrap_or_default(),
            text: trouble.text,
        })
        .collect()
}

fn look_row(frame: &Frame, dictionary: &Dictionary, mail: &VisibleMail) -> LookRow {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let look = look::of_mail(mail, lang);
    let cause = cause::of(frame, dictionary, mail);
    let turn = cause::turn_word(frame, mail, cause.as_ref().and_then(|cause| cause.party));
    let (text, next) = cause.map(|cause| (cause.text, cause.next)).unwrap_or_default();
    let story = Story { frame, dictionary, mail, gaps: &[], related: &[], opens: &[] };
    let planned =
        story.next_try().map(|next| lang.tf("start.next_try", &[("next", &formats.sentence(next))]));
    let text = match planned {
        Some(planned) => format!("{text} {planned}"),
        None => format!("{text} {next}"),
    };
    LookRow {
        tone: look.tone,
        icon: look.icon,
        href: story_link(frame, mail.id),
        what: look::subject(mail, lang).0,
        state: format!("{} · {turn}", look.word),
        second: format!("{}, {}", party(frame, mail), formats.moment(mail.first_seen)),
        text: text.trim().to_owned(),
    }
}

/// "to info@delta.example" or "from news@garden.example": the side that is not the visitor's.
pub fn party(frame: &Frame, mail: &VisibleMail) -> String {
    let lang = frame.lang();
    let incoming = match mail.direction {
        Direction::In => true,
        Direction::Out => false,
        Direction::Internal => cause::visitor(frame, mail) == Some(cause::Party::Recipient),
    };
    if incoming {
        return lang.tf("party.from", &[("who", &look::sender(mail, lang))]);
    }
    let recipient = look::worst(mail).map_or(lang.t("mails.recipient_unknown"), |row| &row.address);
    lang.tf("party.to", &[("who", recipient)])
}

fn latest_row(frame: &Frame, mail: &VisibleMail) -> LatestRow {
    let (subject, has_subject) = look::subject(mail, frame.lang());
    LatestRow {
        href: story_link(frame, mail.id),
        look: look::of_mail(mail, frame.lang()),
        subject,
        has_subject,
        party: party(frame, mail),
        time: frame.formats.moment(mail.first_seen),
        iso: frame.formats.iso(mail.first_seen),
    }
}

/// Values of the field "About when?": first day and words, the usual one first.
pub(super) fn whens(frame: &Frame) -> Vec<(String, &'static str)> {
    let today = frame.formats.now.in_zone(&frame.formats.zone).date();
    let back = |days: i64| today.saturating_sub(jiff::Span::new().days(days)).to_string();
    vec![
        (back(6), frame.t("when.week")),
        (back(0), frame.t("when.today")),
        (back(1), frame.t("when.yesterday")),
        (back(29), frame.t("when.month")),
        ("any".to_owned(), frame.t("when.any")),
    ]
}

fn days(frame: &Frame) -> Vec<Date> {
    let today = frame.formats.now.in_zone(&frame.formats.zone).date();
    (0..7).rev().map(|back| today.saturating_sub(jiff::Span::new().days(back))).collect()
}

fn begin(frame: &Frame, day: Date) -> Option<Millis> {
    let start = day.to_zoned(frame.formats.zone.clone()).ok()?.start_of_day().ok()?;
    Some(Millis(start.timestamp().as_millisecond()))
}

/// Width of a bar.
const BAR: u64 = 27;
/// From one bar to the next.
const STEP: u64 = 42;
/// Height of the highest.
const HIGHEST: u64 = 64;

fn week(frame: &Frame, hours: &[HourCount]) -> Week {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let days = days(frame);
    let of_day = |day: &Date| {
        let own = hours.iter().filter(|hour| hour.hour.in_zone(&formats.zone).date() == *day);
        own.fold([0_i64; 3], |[a, b, c], hour| [a + hour.received, b + hour.sent, c + hour.problems])
    };
    let counts: Vec<[i64; 3]> = days.iter().map(of_day).collect();
    let highest = counts.iter().map(|counts| counts.iter().sum::<i64>()).max().unwrap_or(1).max(1);
    let sums = counts.iter().fold([0_i64; 3], |[a, b, c], [x, y, z]| [a + x, b + y, c + z]);
    let words = [lang.t("start.week.received"), lang.t("start.week.sent"), lang.t("start.week.problems")];
    let tones = ["info", "idle", "bad"];
    let mut bars = Vec::new();
    for (x, counts) in (0..).map(|place| 4 + place * STEP).zip(&counts) {
        let mut y = HIGHEST + 4;
        for (tone, count) in tones.into_iter().zip(counts).filter(|(_, count)| **count > 0) {
            let height = (count.unsigned_abs() * HIGHEST / highest.unsigned_abs()).max(2);
            y = y.saturating_sub(height);
            bars.push(Bar { tone, x, y, height: height.saturating_sub(1).max(1) });
        }
    }
    let label = |(x, day): (u64, &Date)| {
        let name = begin(frame, *day).map(|at| formats.full_date(at)).unwrap_or_default();
        let letters = if lang == crate::web::text::Lang::En { 3 } else { 2 };
        (x + BAR / 2, name.chars().take(letters).collect())
    };
    let legend: Vec<_> = tones
        .into_iter()
        .zip(words)
        .zip(sums)
        .map(|((tone, word), sum)| (tone, word, formats.number(sum)))
        .collect();
    let summary: Vec<String> = legend.iter().map(|(_, word, sum)| format!("{word} {sum}")).collect();
    Week {
        title: if frame.role() == Role::User { lang.t("start.week") } else { lang.t("start.week.all") },
        total: lang.tn("start.week.total", sums.iter().sum(), &[]),
        bars,
        labels: (0..).map(|place| 4 + place * STEP).zip(&days).map(label).collect(),
        summary: summary.join(", "),
        legend,
    }
}
