//! Find: where is my mail? Three questions for people who would never use a filter, or a pasted notice.

use askama::Template;

use super::story::{Story, answer};
use crate::{
    model::{explain::Dictionary, filter::Filter, mail::VisibleMail},
    web::pages::{
        cause,
        frame::Frame,
        known::{Blind, Known},
        look::{self, Look},
        mails::story_link,
        query::Query,
        start::{party, whens},
    },
};

/// Hits that are shown.
pub const MOST: usize = 10;

/// Which way the visitor's mail went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// "I sent it."
    Sent,
    /// "I wait for it."
    Waiting,
}

/// The three questions, answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which way.
    pub way: Way,
    /// With whom: an address, `@domain`, or a part of one.
    pub who: String,
    /// First day, as in the list's `from`; empty means the last seven days.
    pub from: String,
}

impl Question {
    /// The question in an address: `way=sent&who=...&from=...`; `None` when nobody is named.
    pub fn new(way: &str, who: &str, from: &str) -> Option<Self> {
        let who = who.trim();
        let way = if way == "sent" { Way::Sent } else { Way::Waiting };
        let named = !who.is_empty() && who.len() <= 320;
        named.then(|| Self { way, who: who.to_owned(), from: from.to_owned() })
    }

    /// The list's query that looks for it.
    pub fn query(&self) -> Query {
        let mut query = Query::default();
        query.add(if self.way == Way::Sent { "rcpt" } else { "sender" }, &self.who);
        query.add("from", &self.from);
        query
    }

    /// What to search for.
    pub fn filter(&self, frame: &Frame) -> Filter {
        self.query().filter(&frame.formats.zone, frame.formats.now, None)
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing yet.
    Nothing,
    /// The three questions.
    Question(Question),
    /// A pasted text.
    Paste,
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What was asked.
    pub asked: &'a Asked,
    /// The mails that fit, newest first, at most [`MOST`].
    pub hits: &'a [VisibleMail],
    /// What the log tells of the time that was asked for.
    pub known: Known<'a>,
}

/// The page.
#[derive(Template)]
#[template(path = "find.html")]
pub struct FindPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    hits: Vec<Hit>,
    sent: bool,
    who: String,
    whens: Vec<(String, &'static str, bool)>,
    all: Option<String>,
}

struct Hit {
    href: String,
    look: Look,
    subject: String,
    second: String,
    why: String,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, dictionary: &Dictionary, input: Input<'_>) -> FindPage<'a> {
    let (title, grounds, tone, icon) = answered(frame, dictionary, input);
    let question = match input.asked {
        Asked::Question(question) => Some(question),
        _ => None,
    };
    let from = question.map_or("", |question| &question.from);
    FindPage {
        frame,
        title,
        grounds,
        tone,
        icon,
        hits: input.hits.iter().map(|mail| hit(frame, dictionary, mail)).collect(),
        sent: question.is_none_or(|question| question.way == Way::Sent),
        who: question.map(|question| question.who.clone()).unwrap_or_default(),
        whens: whens(frame).into_iter().map(|(value, word)| (value.clone(), word, value == from)).collect(),
        all: question
            .filter(|_| input.hits.len() >= MOST)
            .map(|question| frame.url("/mails") + &question.query().link()),
    }
}

fn answered(
    frame: &Frame,
    dictionary: &Dictionary,
    input: Input<'_>,
) -> (String, String, &'static str, &'static str) {
    let lang = frame.lang();
    let blind = input.known.blind().first().copied();
    match (input.asked, input.hits) {
        (Asked::Nothing, _) => {
            (lang.t("find.title").to_owned(), lang.t("find.intro").to_owned(), "info", "search")
        }
        (_, [mail]) => {
            let story = Story { frame, dictionary, mail, gaps: input.known.gaps, related: &[], opens: &[] };
            let answer = answer::of(story);
            (answer.text, answer.grounds, answer.tone, answer.icon)
        }
        (_, [_, ..]) => {
            let hits = lang.tn("find.hits", input.hits.len() as i64, &[]);
            (hits, lang.t("find.hits.newest").to_owned(), "info", "search")
        }
        (_, []) if let Some(blind) = blind => {
            let next = lang.t("find.gap.next").to_owned();
            (unknown(frame, blind), next, "wait", "exclamation-triangle")
        }
        (Asked::Question(question), []) => {
            let who = [("who", question.who.as_str())];
            let (text, next) = match question.way {
                Way::Waiting => (lang.tf("find.none.in", &who), lang.t("find.none.in.next")),
                Way::Sent => (lang.tf("find.none.out", &who), lang.t("find.none.out.next")),
            };
            (text, next.to_owned(), "idle", "question-circle")
        }
        (Asked::Paste, []) => {
            let text = lang.t("find.none.paste").to_owned();
            (text, lang.t("find.none.paste.next").to_owned(), "idle", "question-circle")
        }
    }
}

/// Why nobody can say that there was no mail.
fn unknown(frame: &Frame, blind: Blind) -> String {
    let (lang, formats) = (frame.lang(), &frame.formats);
    match blind {
        Blind::ToCome => lang.t("find.to_come").to_owned(),
        Blind::Unread => lang.t("find.unread").to_owned(),
        Blind::Before(at) | Blind::Begins(at) => lang.tf("find.begins", &[("date", &formats.table_date(at))]),
        Blind::Stale(at) => lang.tf("find.stale", &[("ago", &formats.ago(at))]),
        Blind::Gaps(missing) => lang.tf("find.gap", &[("duration", &formats.duration(missing))]),
    }
}

fn hit(frame: &Frame, dictionary: &Dictionary, mail: &VisibleMail) -> Hit {
    let cause = cause::of(frame, dictionary, mail);
    Hit {
        href: story_link(frame, mail.id),
        look: look::of_mail(mail, frame.lang()),
        subject: look::subject(mail, frame.lang()).0,
        second: format!("{}, {}", party(frame, mail), frame.formats.moment(mail.first_seen)),
        why: cause.map(|cause| cause.short).unwrap_or_default(),
    }
}
