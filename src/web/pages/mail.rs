//! Mail: the story of one mail.

use askama::Template;

use super::story::{
    Story,
    answer::{self, Answer},
    facts::{self, Fact, RecipientRow, Span},
    timeline::{self, Step},
};
use crate::{
    model::{explain::Dictionary, mail::Status, mail::VisibleMail, open::Open, scan::Symbol, scope::Sight},
    store::{ingestion::Gap, lines::Lines},
    web::pages::{
        cause::{self, Party, Pill, Shared},
        frame::Frame,
        look::{self, Look},
        mails,
    },
};

/// What a story is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The mail.
    pub mail: &'a VisibleMail,
    /// Notices about it, the mail that it is about, parts that went on from it.
    pub related: &'a [VisibleMail],
    /// Checks of the spam filter.
    pub symbols: &'a [Symbol],
    /// Raw lines.
    pub lines: &'a Lines,
    /// When it was opened, as far as the visitor may know.
    pub opens: &'a [Open],
    /// Gaps of the log around its life.
    pub gaps: &'a [Gap],
    /// Address of the list with the filter that the visitor came from, when it is known.
    pub back: Option<&'a str>,
    /// Days for which raw lines and stories are kept.
    pub retention_days: (i64, i64),
}

/// The page.
#[derive(Template)]
#[template(path = "mail.html")]
pub struct MailPage<'a> {
    frame: &'a Frame,
    title: String,
    back: String,
    answer: Answer,
    turn: Option<Turn>,
    recipients: Vec<RecipientRow>,
    people: String,
    steps: Vec<Step>,
    day: String,
    lines: Vec<Line>,
    lines_word: String,
    lines_gone: Option<String>,
    facts: Vec<Fact>,
    spans: Vec<Span>,
    related: Vec<Related>,
    proof: String,
    stuck: bool,
}

/// Whose turn it is.
struct Turn {
    pills: Vec<Pill>,
    reasons: Vec<Reason>,
}

/// A cause with what follows from it.
struct Reason {
    /// Whom it concerns, where other recipients have another cause or none.
    who: String,
    text: String,
    is_new: bool,
    hint: Option<(String, Option<String>)>,
}

struct Line {
    time: String,
    program: String,
    text: String,
}

struct Related {
    href: String,
    look: Look,
    what: &'static str,
    subject: String,
    time: String,
}

/// The story's view.
pub fn view<'a>(frame: &'a Frame, dictionary: &Dictionary, input: Input<'_>) -> MailPage<'a> {
    let story = Story {
        frame,
        dictionary,
        mail: input.mail,
        gaps: input.gaps,
        related: input.related,
        opens: input.opens,
    };
    let (lang, formats, mail) = (frame.lang(), &frame.formats, input.mail);
    let (raw, kept) = input.retention_days;
    let gone = input.lines.gone.then(|| {
        lang.tf("story.raw_gone", &[("raw", &formats.number(raw)), ("days", &formats.number(kept))])
    });
    let answer = answer::of(story);
    MailPage {
        frame,
        title: answer.text.chars().take(80).collect(),
        back: input.back.map_or_else(|| frame.url("/mails"), str::to_owned),
        answer,
        turn: turn(story),
        recipients: facts::recipients(story),
        // One recipient among others must not learn how many there are.
        people: match mail.sight() {
            Sight::Recipients => String::new(),
            _ => lang.tn("story.people", mail.recipients.len() as i64, &[]),
        },
        steps: timeline::of(story, input.symbols),
        day: formats.full_date(mail.first_seen),
        lines: lines(frame, input.lines),
        lines_word: lang.tn("story.raw", input.lines.lines.len() as i64, &[]),
        lines_gone: gone,
        facts: facts::of(story),
        spans: facts::spans(story),
        related: input.related.iter().map(|other| related(story, other)).collect(),
        proof: frame.url(&format!("/mails/{}/proof", mail.id.0)),
        stuck: look::is_trouble(mail.status) || matches!(mail.status, Status::Rejected | Status::Unknown),
    }
}

fn turn(story: Story<'_>) -> Option<Turn> {
    let causes = story.causes();
    let turns: Vec<Party> = causes.iter().filter_map(|(cause, _)| cause.party).collect();
    (!causes.is_empty()).then(|| Turn {
        pills: cause::pills(story.frame, story.mail, &turns),
        reasons: causes.into_iter().map(|cause| reason(story, cause)).collect(),
    })
}

fn reason(story: Story<'_>, (cause, rows): Shared<'_>) -> Reason {
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let idle = cause.party.is_none() && cause.next.is_empty();
    let goes_on = rows.iter().any(|row| story.goes_on(row)).then(|| {
        let until = format!("{}, {}", formats.full_date(story.until()), formats.time(story.until()));
        lang.tf("story.until", &[("until", &until)])
    });
    let nothing = idle.then(|| lang.t("turn.none").to_owned());
    let texts = [Some(cause.text), Some(cause.next), goes_on, nothing];
    let texts: Vec<String> = texts.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let some = rows.len() < story.mail.recipients.len();
    Reason {
        who: if some { look::names(lang, &rows) } else { String::new() },
        text: texts.join(" "),
        is_new: !cause.known,
        hint: cause.hint,
    }
}

fn lines(frame: &Frame, lines: &Lines) -> Vec<Line> {
    let line = |line: &crate::store::lines::RawLine| Line {
        time: frame.formats.time_seconds(line.at),
        program: line.program.clone(),
        text: line.text.clone(),
    };
    lines.lines.iter().map(line).collect()
}

fn related(story: Story<'_>, other: &VisibleMail) -> Related {
    let lang = story.lang();
    let follows = other.parent.is_some() && other.parent == story.mail.queue_id;
    let notice = other.sender.as_deref() == Some("");
    let what = match (follows, notice) {
        (true, true) => lang.t("related.notice"),
        (true, false) => lang.t("related.went_on"),
        (false, _) if story.mail.sender.as_deref() == Some("") => lang.t("related.about"),
        (false, true) => lang.t("related.notice"),
        (false, false) => lang.t("related.came_from"),
    };
    Related {
        href: mails::story_link(story.frame, other.id),
        look: look::of_mail(other, lang),
        what,
        subject: look::subject(other, lang).0,
        time: story.frame.formats.moment(other.first_seen),
    }
}
