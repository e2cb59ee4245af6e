//! The public page: what strangers see. Nothing stands on it that an admin did not choose or write.

use askama::Template;

use super::{
    bars::{self, Bars},
    frame::Frame,
    look::Look,
};
use crate::{
    metrics::uptime::{Board, Service, Working},
    model::{
        announcement::{Announcement, Kind, Phase},
        uptime::{Shape, Tally},
    },
};

/// The page.
#[derive(Template)]
#[template(path = "public.html")]
pub struct PublicPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    rows: Vec<Row>,
    first_day: String,
    present: Vec<Told>,
    planned: Vec<Told>,
    over: Vec<Told>,
}

struct Row {
    name: String,
    look: Look,
    share: String,
    known: Option<String>,
    label: String,
    bars: Bars,
}

/// An announcement in words.
pub struct Told {
    /// For links within the page.
    pub id: i64,
    /// In one sentence.
    pub title: String,
    /// What it is.
    pub look: Look,
    /// From when to when.
    pub when: String,
    /// What it is about; empty for everything.
    pub about: String,
    /// When, and what was told.
    pub updates: Vec<(String, String)>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, board: &Board) -> PublicPage<'a> {
    let (title, tone, icon) = answer(frame, board);
    let told = |phase: Phase| {
        let notes = board.announced.iter().filter(|note| note.phase(board.at) == phase);
        notes.map(|note| told(frame, board, note)).collect::<Vec<_>>()
    };
    // What comes first stands first.
    let mut planned = told(Phase::Planned);
    planned.reverse();
    PublicPage {
        frame,
        title,
        grounds: grounds(frame, board),
        tone,
        icon,
        rows: board.services.iter().map(|service| row(frame, board, service)).collect(),
        first_day: board.bounds.first().map(|at| frame.formats.short_date(*at)).unwrap_or_default(),
        present: told(Phase::Present),
        planned,
        over: told(Phase::Over),
    }
}

/// How a service is, for strangers.
pub fn look(frame: &Frame, working: Working) -> Look {
    let (tone, icon) = match working {
        Working::Up => ("ok", "check-circle"),
        Working::Disturbed => ("wait", "exclamation-triangle"),
        Working::Down => ("bad", "x-octagon"),
        Working::Maintenance => ("info", "sliders"),
        Working::Unknown => ("idle", "dash-circle"),
    };
    Look { tone, icon, word: frame.lang().t_in("working", working.code()) }
}

/// What an admin says goes before what was measured: "Sending is disturbed since 18:02."
fn answer(frame: &Frame, board: &Board) -> (String, &'static str, &'static str) {
    let lang = frame.lang();
    let present = |kind: Kind| {
        let now = |note: &&Announcement| note.kind == kind && note.phase(board.at) == Phase::Present;
        board.announced.iter().find(now)
    };
    let worst = board.services.iter().filter(|service| service.working < Working::Maintenance);
    let worst = worst.min_by_key(|service| service.working);
    if let Some(note) = present(Kind::Incident) {
        let tone = if board.working() == Working::Down { "bad" } else { "wait" };
        return (note.title.clone(), tone, "exclamation-triangle");
    }
    if let Some(service) = worst {
        let word = service.working.code();
        let time = service.since.map(|at| frame.formats.sentence(at)).unwrap_or_default();
        let text = lang.tf_in("public_bad", word, &[("name", &*service.name), ("time", &*time)]);
        let (tone, icon) = (look(frame, service.working).tone, look(frame, service.working).icon);
        return (text, tone, icon);
    }
    match board.working() {
        _ if board.services.is_empty() => (lang.t("public.empty").to_owned(), "idle", "dash-circle"),
        Working::Maintenance => (lang.t("public.maintenance").to_owned(), "info", "sliders"),
        Working::Up => (lang.t("public.fine").to_owned(), "ok", "check-lg"),
        _ => (lang.t("public.unknown").to_owned(), "idle", "question-circle"),
    }
}

/// "Checked at 18:44. Last disturbance on 4 Nov."
fn grounds(frame: &Frame, board: &Board) -> String {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let mut words = vec![lang.tf("public.checked", &[("ago", &formats.ago(board.at))])];
    let bad = |index: &usize| {
        board
            .services
            .iter()
            .any(|service| service.days.get(*index).is_some_and(|day| Shape::of(day) >= Shape::Low))
    };
    let days = board.bounds.len().saturating_sub(1);
    let last = (0..days).rev().find(bad).and_then(|index| board.bounds.get(index));
    words.extend(last.map(|at| lang.tf("public.last_bad", &[("day", &formats.short_date(*at))])));
    words.join(" ")
}

fn row(frame: &Frame, board: &Board, service: &Service) -> Row {
    let whole = service.days.iter().copied().fold(Tally::default(), Tally::and);
    let (share, known) = (bars::share(frame, &whole), bars::known(frame, &whole));
    let look = look(frame, service.working);
    let words: Vec<String> = [look.word.to_owned(), share.clone()].into_iter().chain(known.clone()).collect();
    Row {
        label: format!("{}: {}", service.name, words.join(", ")),
        name: service.name.clone(),
        bars: bars::draw(frame, &service.days, &service.planned, &board.bounds),
        look,
        share,
        known,
    }
}

/// An announcement in the reader's language and zone.
pub fn told(frame: &Frame, board: &Board, note: &Announcement) -> Told {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let when = match note.until {
        Some(until) => formats.range(note.from, until),
        None => lang.tf("public.since", &[("time", &formats.sentence(note.from))]),
    };
    let phase = note.phase(board.at);
    let (tone, icon) = match (note.kind, phase) {
        (_, Phase::Over) => ("ok", "check-circle"),
        (Kind::Incident, _) => ("wait", "exclamation-triangle"),
        (Kind::Maintenance, _) => ("info", "sliders"),
    };
    let word = match phase {
        Phase::Over => lang.t("announced.over"),
        _ => lang.t_in("announced", note.kind.code()),
    };
    Told {
        id: note.id,
        title: note.title.clone(),
        look: Look { tone, icon, word },
        when,
        about: board.named(note).join(", "),
        updates: note
            .updates
            .iter()
            .rev()
            .map(|update| (formats.moment(update.at), update.text.clone()))
            .collect(),
    }
}

/// The announcements as an Atom feed (RFC 4287). `page`: address of the public page.
#[derive(Template)]
#[template(path = "public.xml", escape = "html")]
pub struct Feed<'a> {
    frame: &'a Frame,
    page: &'a str,
    title: String,
    updated: String,
    author: String,
    entries: Vec<FeedEntry>,
}

struct FeedEntry {
    id: i64,
    title: String,
    published: String,
    updated: String,
    text: String,
}

/// The feed.
pub fn feed<'a>(frame: &'a Frame, page: &'a str, board: &Board) -> Feed<'a> {
    let newest = board.announced.iter().map(|note| note.changed).max();
    let entry = |note: &Announcement| {
        let told = told(frame, board, note);
        let about = (!told.about.is_empty()).then(|| told.about.clone());
        let head: Vec<String> =
            [told.look.word.to_owned(), told.when.clone()].into_iter().chain(about).collect();
        let lines = told.updates.iter().map(|(when, text)| format!("{when}: {text}"));
        FeedEntry {
            id: note.id,
            title: note.title.clone(),
            published: frame.formats.iso(crate::model::time::Millis(note.id)),
            updated: frame.formats.iso(note.changed),
            text: [head.join(", ")].into_iter().chain(lines).collect::<Vec<_>>().join("\n"),
        }
    };
    let mut notes: Vec<&Announcement> = board.announced.iter().collect();
    notes.sort_by_key(|note| std::cmp::Reverse(note.changed));
    let company = &frame.brand.footer_company;
    Feed {
        title: frame.t("public.feed").to_owned(),
        author: if company.is_empty() { frame.brand.name.clone() } else { company.clone() },
        // Without any entry the feed has never changed.
        updated: frame.formats.iso(newest.unwrap_or_default()),
        entries: notes.into_iter().map(entry).collect(),
        frame,
        page,
    }
}

/// The same as JSON: states as words, shares as fractions, moments as RFC 3339. What is not known is `null`.
pub fn json(frame: &Frame, board: &Board) -> serde_json::Value {
    use serde_json::json;
    let at = |at: crate::model::time::Millis| frame.formats.iso(at);
    let rounded = |share: f64| (share * 1e6).floor() / 1e6;
    let day = |(day, begin): (&Tally, &crate::model::time::Millis)| {
        json!({
            "date": begin.in_zone(&frame.formats.zone).date().to_string(),
            "state": Shape::of(day).code(),
            "uptime": day.share().map(rounded),
            "known": rounded(day.known()),
        })
    };
    let service = |service: &Service| {
        let whole = service.days.iter().copied().fold(Tally::default(), Tally::and);
        let days: Vec<_> = service.days.iter().zip(&board.bounds).map(day).collect();
        json!({
            "name": service.name, "state": service.working.code(), "since": service.since.map(at),
            "uptime": whole.share().map(rounded), "known": rounded(whole.known()), "days": days,
        })
    };
    let note = |note: &Announcement| {
        let updates = note.updates.iter().map(|update| json!({ "at": at(update.at), "text": update.text }));
        json!({
            "kind": note.kind.code(), "title": note.title, "from": at(note.from), "until": note.until.map(at),
            "over": note.phase(board.at) == Phase::Over, "services": board.named(note),
            "updates": updates.collect::<Vec<_>>(),
        })
    };
    json!({
        "state": board.working().code(),
        "at": at(board.at),
        "services": board.services.iter().map(service).collect::<Vec<_>>(),
        "announcements": board.announced.iter().map(note).collect::<Vec<_>>(),
    })
}
