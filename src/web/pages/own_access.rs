//! Who looked at the log of the own mailbox.

use std::{collections::BTreeSet, time::Duration};

use askama::Template;

use super::{
    access::{mail_of, role_word, words},
    look,
    mails::story_link,
};
use crate::{model::mail::VisibleMail, store::audit::Entry, web::pages::frame::Frame};

/// Entries on a page.
pub const PER_PAGE: usize = 50;
/// Own visits that are shown.
pub const OWN: usize = 20;
/// How far back the page looks.
pub const KEPT: Duration = Duration::from_secs(DAYS * 86_400);
const DAYS: u64 = 30;
/// Looks that lie closer together belong together.
const HOUR: Duration = Duration::from_secs(3600);

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What others did, newest first; one more than [`PER_PAGE`] when there are more.
    pub others: &'a [Entry],
    /// Whether the page begins further back.
    pub paged: bool,
    /// What the visitor did, newest first.
    pub mine: &'a [Entry],
    /// Those of the mails that are still there.
    pub mails: &'a [VisibleMail],
}

/// The page.
#[derive(Template)]
#[template(path = "own_access.html")]
pub struct OwnAccessPage<'a> {
    frame: &'a Frame,
    tone: &'static str,
    title: String,
    grounds: &'static str,
    rows: Vec<Row>,
    mine: Vec<Row>,
    own: String,
    newest: Option<String>,
    older: Option<String>,
}

/// Looks that read the same, one behind the other: told once.
struct Row {
    when: String,
    times: Option<String>,
    iso: String,
    who: String,
    role: &'static str,
    words: &'static str,
    mail: Option<(String, String)>,
    client: String,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> OwnAccessPage<'a> {
    let lang = frame.lang();
    let shown = input.others.get(..PER_PAGE).unwrap_or(input.others);
    let last = shown.last().filter(|_| input.others.len() > PER_PAGE);
    let people: BTreeSet<&str> = shown.iter().map(|entry| entry.actor.as_str()).collect();
    let (tone, title) = match (people.len(), input.paged || last.is_some()) {
        (0, false) => ("ok", lang.t("own_access.none").to_owned()),
        (_, true) => ("info", lang.t("own_access.many").to_owned()),
        (some, false) => ("info", lang.tn("own_access.some", some as i64, &[])),
    };
    let row = |entries: &[Entry]| row(frame, input.mails, entries);
    OwnAccessPage {
        frame,
        tone,
        title,
        grounds: match people.is_empty() {
            true => lang.t("own_access.none.grounds"),
            false => lang.t("own_access.grounds"),
        },
        rows: shown.chunk_by(reads_same).filter_map(row).collect(),
        mine: input.mine.chunk_by(reads_same).filter_map(row).collect(),
        own: match input.mine.len() {
            OWN => lang.tn("own_access.last", OWN as i64, &[]),
            count => lang.tn("own_access.own", count as i64, &[]),
        },
        newest: input.paged.then(|| frame.url("/mailbox/access")),
        older: last.map(|entry| frame.url(&format!("/mailbox/access?after={}.{}", entry.at.0, entry.id))),
    }
}

/// Whether two looks cannot be told apart on this page: what a list was narrowed to is not told.
fn reads_same(later: &Entry, earlier: &Entry) -> bool {
    let told =
        |entry: &Entry| (entry.actor.clone(), entry.role.clone(), entry.action.clone(), mail_of(entry));
    told(later) == told(earlier) && later.client == earlier.client && later.at.since(earlier.at) < HOUR
}

/// Newest first.
fn row(frame: &Frame, mails: &[VisibleMail], entries: &[Entry]) -> Option<Row> {
    let (entry, first) = (entries.first()?, entries.last()?);
    let times = entries.len() as i64;
    let mail = mail_of(entry).and_then(|id| mails.iter().find(|mail| mail.id == id));
    Some(Row {
        times: (times > 1).then(|| {
            let range = frame.formats.range(first.at, entry.at);
            frame.lang().tn("own_access.times", times, &[("range", &range)])
        }),
        when: frame.formats.moment(entry.at),
        iso: frame.formats.iso(entry.at),
        who: entry.actor.clone(),
        role: role_word(frame, &entry.role),
        words: words(frame, entry),
        mail: mail.map(|mail| (look::subject(mail, frame.lang()).0, story_link(frame, mail.id))),
        client: entry.client.clone(),
    })
}
