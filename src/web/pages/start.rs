//! Start: is my mail all right?

use std::{sync::Arc, time::Duration};

use askama::Template;
use jiff::civil::Date;

use super::story::{Story, capital};
use crate::{
    metrics::health::{Health, Standing},
    model::{
        explain::Dictionary,
        filter::Filter,
        mail::{Direction, Status, VisibleMail},
        scope::Role,
        time::Millis,
    },
    store::{
        ingestion::{Gap, Source},
        mails::{HourCount, Page},
    },
    web::pages::{
        cause::{self, Party, Shared},
        frame::{Frame, Freshness},
        ingestion,
        look::{self, Look},
        mails::{self, Whose, story_link},
        query::Query,
        system::overview,
    },
};

/// How far back the page looks, where the begin of a day is not known.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Rows of "Needs a look" and its like.
pub const LOOKS: usize = 5;
/// Mails in "Latest mails".
pub const LATEST: usize = 6;
/// How many mails of each kind are asked for; more are said to be "more than".
pub const TROUBLES: usize = 50;

/// Mails that did not arrive. With [`WAITING`], these are the problems that the store counts by the hour.
const LOST: [Status; 3] = [Status::Virus, Status::Bounced, Status::Expired];
/// Mails that have not arrived yet.
const WAITING: [Status; 2] = [Status::Held, Status::Delayed];
/// Mails that came in, and can be released.
const KEPT: [Status; 1] = [Status::Quarantined];

/// The searches for mails that need a look, within the same span as all figures of the page: mails that are lost, that
/// wait, that are kept back.
pub fn filters((from, to): (Millis, Millis)) -> [Filter; 3] {
    [&LOST[..], &WAITING, &KEPT].map(|statuses| Filter {
        statuses: statuses.to_vec(),
        from: Some(from),
        to: Some(to),
        ..Filter::default()
    })
}

/// From when on hours are counted for "Your week": the begin of the day six days ago.
pub fn week_begin(frame: &Frame) -> Millis {
    days(frame).first().and_then(|day| begin(frame, *day)).unwrap_or(frame.formats.now.minus(WEEK))
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What [`filters`] found, in their order, newest first, at most [`TROUBLES`] each.
    pub found: &'a [Arc<Page>],
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
    /// How the system is, for admins.
    pub healths: &'a [Health<'a>],
    /// Since when the first of its troubles have been.
    pub since: &'a [Option<Millis>],
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
    looks: Vec<Looks>,
    latest: Vec<LatestRow>,
    whens: Vec<(String, &'static str)>,
    week: Option<Week>,
}

/// A card of what needs a look.
struct Looks {
    title: &'static str,
    rows: Vec<LookRow>,
    /// Where all of them are, and how many.
    all: Option<(String, String)>,
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

/// A number, or that it is more than this.
#[derive(Clone, Copy)]
struct Count {
    number: i64,
    more: bool,
}

impl Count {
    fn of(page: Option<&Arc<Page>>) -> Self {
        let number = page.map_or(0, |page| page.mails.len());
        Self { number: number as i64, more: page.is_some_and(|page| page.older.is_some()) }
    }

    fn and(self, other: Self) -> Self {
        Self { number: self.number + other.number, more: self.more || other.more }
    }

    fn is_some(self) -> bool {
        self.number > 0
    }

    /// "7", or "more than 50".
    fn words(self, frame: &Frame) -> String {
        let number = frame.formats.number(self.number);
        if self.more { frame.lang().tf("start.more_than", &[("count", &number)]) } else { number }
    }
}

/// Mails by kind of trouble.
struct Counts {
    lost: Count,
    waiting: Count,
    kept: Count,
    /// All that are lost or wait.
    problems: i64,
    total: i64,
}

impl Counts {
    fn of(input: Input<'_>) -> Self {
        let count = |place: usize| Count::of(input.found.get(place));
        Self {
            lost: count(0),
            waiting: count(1),
            kept: count(2),
            problems: input.hours.iter().map(|hour| hour.problems).sum(),
            total: input.hours.iter().map(|hour| hour.received + hour.sent + hour.problems).sum(),
        }
    }
}

/// The start page's view.
pub fn view<'a>(frame: &'a Frame, dictionary: &Dictionary, input: Input<'_>) -> StartPage<'a> {
    let counts = Counts::of(input);
    let mails = Mails::of(frame, dictionary, input, &counts);
    let portal = if frame.is_admin() { portal_troubles(frame, input) } else { Vec::new() };
    let first_run = input.sources.iter().all(|source| source.newest_at.is_none()) && input.latest.is_empty();
    let needs = Count { number: portal.len() as i64, more: false };
    let needs = needs.and(Count { number: overview::troubles(input.healths).len() as i64, more: false });
    let needs = needs.and(Count { number: mails.yours, more: counts.lost.more || counts.waiting.more });
    let (title, tone, icon) = match (first_run, frame.is_admin()) {
        (true, _) => (frame.t("start.first").to_owned(), "info", "arrow-clockwise"),
        (_, true) => admins_answer(frame, needs, &portal, input),
        _ => answer(frame, &counts, input),
    };
    let system = system_looks(frame, portal, input);
    StartPage {
        frame,
        grounds: if first_run { String::new() } else { grounds(frame, &counts, input) },
        title,
        tone,
        icon,
        looks: system.into_iter().chain(mails.looks).collect(),
        latest: input.latest.iter().map(|mail| latest_row(frame, mail)).collect(),
        whens: whens(frame),
        week: (counts.total > 0).then(|| week(frame, input.hours)),
    }
}

fn admins_answer(
    frame: &Frame,
    needs: Count,
    portal: &[LookRow],
    input: Input<'_>,
) -> (String, &'static str, &'static str) {
    let lang = frame.lang();
    let standing = overview::altogether(input.healths);
    let text = lang.tn_as("start.needs", needs.number, &needs.words(frame), &[]);
    let bad = standing == Standing::Critical || portal.iter().any(|row| row.tone == "bad");
    match (needs.is_some(), standing) {
        (true, _) if bad => (capital(&text), "bad", "exclamation-lg"),
        (true, _) => (capital(&text), "wait", "exclamation-triangle"),
        (_, Standing::Unknown) => (frame.t("system.title.unknown").to_owned(), "idle", "question-circle"),
        (_, Standing::Waiting) => (frame.t("system.title.waiting").to_owned(), "info", "arrow-clockwise"),
        _ => (frame.t("start.flows.fine").to_owned(), "ok", "check-lg"),
    }
}

fn answer(frame: &Frame, counts: &Counts, input: Input<'_>) -> (String, &'static str, &'static str) {
    let lang = frame.lang();
    let Counts { lost, waiting, kept, .. } = counts;
    let [bad, late, held] = [lost, waiting, kept].map(|count| count.words(frame));
    if lost.is_some() {
        let words = match (frame.role(), input.whose) {
            (Role::DomainAdmin, Whose::Domains(domains)) if let [domain] = domains.as_slice() => {
                lang.tn_as("start.domain_bad", lost.number, &bad, &[("domain", domain.as_str())])
            }
            _ => lang.tn_as("start.bad", lost.number, &bad, &[]),
        };
        let too = waiting.is_some().then(|| lang.tn_as("start.delayed_too", waiting.number, &late, &[]));
        let words = [Some(words), too].into_iter().flatten().map(|words| capital(&words));
        let words: Vec<String> = words.collect();
        return (words.join(" "), "bad", "exclamation-lg");
    }
    if kept.is_some() {
        let words = lang.tn_as("start.kept", kept.number, &held, &[]);
        return (capital(&words), "junk", "shield-exclamation");
    }
    if waiting.is_some() {
        let words = lang.tn_as("start.delayed", waiting.number, &late, &[]);
        return (capital(&words), "wait", "clock-history");
    }
    if counts.total == 0 && input.latest.is_empty() {
        return (lang.t("start.none").to_owned(), "idle", "envelope");
    }
    let fine = match input.whose {
        Whose::Domains(domains) => lang.tn("start.domains", domains.len() as i64, &[]),
        _ => lang.t("start.fine").to_owned(),
    };
    (fine, "ok", "check-lg")
}

fn grounds(frame: &Frame, counts: &Counts, input: Input<'_>) -> String {
    let lang = frame.lang();
    let looks = Count { number: counts.problems, more: false }.and(counts.kept);
    let number = looks.words(frame);
    let mails = match (counts.total, looks.number) {
        (..1, _) => None,
        (total, 0) => Some(lang.tn("start.none_look", total, &[])),
        (total, _) => Some(lang.tn("start.some_look", total, &[("looks", &number)])),
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

/// What is wrong with the portal and with the system.
fn system_looks(frame: &Frame, portal: Vec<LookRow>, input: Input<'_>) -> Option<Looks> {
    let row = |trouble: overview::Trouble| LookRow {
        tone: trouble.look.tone,
        icon: trouble.look.icon,
        href: trouble.href,
        what: trouble.what,
        state: frame.t("turn.yours").to_owned(),
        second: trouble.module.to_owned(),
        text: trouble.text,
    };
    let all = portal.len() + overview::troubles(input.healths).len();
    let system = overview::told(frame, input.healths, input.since, LOOKS).into_iter().map(row);
    let rows: Vec<LookRow> = portal.into_iter().chain(system).take(LOOKS).collect();
    let link =
        (all > rows.len()).then(|| (frame.url("/system"), frame.lang().tn("start.all", all as i64, &[])));
    (!rows.is_empty()).then(|| Looks { title: frame.t("start.system"), rows, all: link })
}

/// The cards of mails, and in how many of them the visitor must act.
struct Mails {
    looks: Vec<Looks>,
    yours: i64,
}

impl Mails {
    fn of(frame: &Frame, dictionary: &Dictionary, input: Input<'_>, counts: &Counts) -> Self {
        let mut cards = Self { looks: Vec::new(), yours: 0 };
        let pages = |places: std::ops::Range<usize>| input.found.get(places).unwrap_or_default();
        let problems = Count { number: counts.problems, more: false };
        let statuses: Vec<Status> = LOST.into_iter().chain(WAITING).collect();
        cards.add(frame, dictionary, frame.t("start.look"), pages(0..2), problems, &statuses);
        cards.add(frame, dictionary, frame.t("start.kept_back"), pages(2..3), counts.kept, &KEPT);
        cards
    }

    /// A card with the newest mails, those first in which the visitor must act.
    fn add(
        &mut self,
        frame: &Frame,
        dictionary: &Dictionary,
        title: &'static str,
        pages: &[Arc<Page>],
        count: Count,
        statuses: &[Status],
    ) {
        let mut mails: Vec<(bool, &VisibleMail, Vec<Shared<'_>>)> = pages
            .iter()
            .flat_map(|page| &page.mails)
            .map(|mail| {
                let causes = cause::all(frame, dictionary, mail);
                let mut parties = causes.iter().filter_map(|(cause, _)| cause.party);
                (parties.any(|party| cause::is_yours(frame, mail, party)), mail, causes)
            })
            .collect();
        mails.sort_by_key(|(yours, mail, _)| std::cmp::Reverse((*yours, mail.id)));
        self.yours += mails.iter().filter(|(yours, ..)| *yours).count() as i64;
        let all = (mails.len() > LOOKS).then(|| {
            let query = statuses.iter().fold(Query::default(), |mut query, status| {
                query.add("status", status.code());
                query
            });
            let all = frame.lang().tn_as("start.all", count.number, &count.words(frame), &[]);
            (mails::link(frame, &query), all)
        });
        let rows = mails.into_iter().take(LOOKS);
        let rows: Vec<LookRow> =
            rows.map(|(_, mail, causes)| look_row(frame, dictionary, mail, &causes)).collect();
        if !rows.is_empty() {
            self.looks.push(Looks { title, rows, all });
        }
    }
}

fn look_row(frame: &Frame, dictionary: &Dictionary, mail: &VisibleMail, causes: &[Shared<'_>]) -> LookRow {
    let lang = frame.lang();
    let look = look::of_mail(mail, lang);
    let yours = |party: &Party| cause::is_yours(frame, mail, *party);
    let parties = || causes.iter().filter_map(|(cause, _)| cause.party);
    let turn = cause::turn_word(frame, mail, parties().find(yours).or_else(|| parties().next()));
    let story = Story { frame, dictionary, mail, gaps: &[], related: &[], opens: &[] };
    let words: Vec<String> = causes.iter().map(|cause| reason(story, cause, causes.len() > 1)).collect();
    LookRow {
        tone: look.tone,
        icon: look.icon,
        href: story_link(frame, mail.id),
        what: look::subject(mail, lang).0,
        state: format!("{} · {turn}", look.word),
        second: format!("{}, {}", party(frame, mail), frame.formats.moment(mail.first_seen)),
        text: words.join(" "),
    }
}

/// Cause, next step, and when we try again; with the recipients whom it concerns, where there are others.
fn reason(story: Story<'_>, (cause, rows): &Shared<'_>, several: bool) -> String {
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let waits = rows.iter().any(|row| story.goes_on(row));
    let next = story.next_try().filter(|_| waits);
    let words = [
        several.then(|| format!("{}:", look::names(lang, rows))),
        Some(cause.words()),
        next.map(|next| lang.tf("start.next_try", &[("next", &formats.sentence(next))])),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// "to info@delta.example" or "from news@garden.example": the side that is not the visitor's.
pub fn party(frame: &Frame, mail: &VisibleMail) -> String {
    let lang = frame.lang();
    let incoming = match mail.direction {
        Direction::In => true,
        Direction::Out => false,
        Direction::Internal => cause::visitor(frame, mail) == Some(Party::Recipient),
    };
    if incoming {
        return lang.tf("party.from", &[("who", &look::sender(mail, lang))]);
    }
    let recipient = look::worst(mail).map_or(lang.t("mails.recipient_unknown"), |row| &row.address);
    let to = lang.tf("party.to", &[("who", recipient)]);
    [Some(to), look::more(mail, lang)].into_iter().flatten().collect::<Vec<_>>().join(" ")
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
