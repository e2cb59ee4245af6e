//! The story on paper: one or two pages in black on white, from the same data as the story.

use askama::Template;
use sha2::{Digest, Sha256};

use super::story::{
    Story,
    answer::{self, Answer},
    facts,
    timeline::{self, Step},
};
use crate::{
    model::{explain::Dictionary, time::Millis},
    web::pages::{
        frame::Frame,
        look::{self, Look},
        mail::Input,
    },
};

/// The page.
#[derive(Template)]
#[template(path = "proof.html")]
pub struct ProofPage<'a> {
    frame: &'a Frame,
    title: String,
    made: String,
    answer: Answer,
    facts: Vec<(&'static str, String, bool)>,
    recipients: Vec<Row>,
    steps: Vec<Step>,
    lines: Vec<String>,
    lines_word: String,
    all_lines: Option<String>,
    lines_gone: bool,
    reach: &'static str,
    sum: Option<String>,
    back: String,
}

struct Row {
    address: String,
    look: Look,
    time: String,
    taken_by: String,
    code: String,
}

/// The view on paper. `whole` prints all lines instead of those that decide.
pub fn view<'a>(frame: &'a Frame, dictionary: &Dictionary, input: Input<'_>, whole: bool) -> ProofPage<'a> {
    let story = Story {
        frame,
        dictionary,
        mail: input.mail,
        gaps: input.gaps,
        related: input.related,
        opens: input.opens,
    };
    let (lang, formats, mail) = (frame.lang(), &frame.formats, input.mail);
    let all: Vec<String> = input
        .lines
        .lines
        .iter()
        .map(|line| format!("{} {}: {}", formats.iso(line.at), line.program, line.text))
        .collect();
    let decide: Vec<String> = all.iter().filter(|line| whole || decides(line)).cloned().collect();
    let counts =
        [("shown", formats.number(decide.len() as i64)), ("count", formats.number(all.len() as i64))];
    let counts: Vec<(&str, &str)> = counts.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let here = frame.url(&format!("/mails/{}", mail.id.0));
    let visitor = frame.visitor.as_ref().map(|badge| badge.address.as_str()).unwrap_or_default();
    let made = format!("{}, {}", formats.full_date(formats.now), formats.time(formats.now));
    ProofPage {
        frame,
        title: lang.t("proof.title").to_owned(),
        made: lang.tf("proof.made", &[("when", &made), ("zone", &formats.zone_name()), ("who", visitor)]),
        answer: answer::of(story),
        facts: proof_facts(story),
        recipients: mail.recipients.iter().map(|row| recipient(story, row)).collect(),
        steps: timeline::of(story, &[]),
        lines_word: lang.tf("proof.lines", &counts),
        all_lines: (decide.len() < all.len()).then(|| format!("{here}/proof?lines=all")),
        lines: decide,
        lines_gone: input.lines.gone,
        reach: match story.touching().next() {
            None => lang.t("proof.complete"),
            Some(_) => lang.t("proof.incomplete"),
        },
        sum: (!all.is_empty()).then(|| sum(&all)),
        back: here,
    }
}

/// Lines that take the mail over, try it or end it.
fn decides(line: &str) -> bool {
    [": client=", " status=", "reject: ", " uid=", "hold: ", "discard: "]
        .iter()
        .any(|mark| line.contains(mark))
}

fn sum(lines: &[String]) -> String {
    let sum = Sha256::digest(lines.join("\n").as_bytes());
    sum.chunks(4)
        .map(|part| part.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

fn proof_facts(story: Story<'_>) -> Vec<(&'static str, String, bool)> {
    let (lang, formats, mail) = (story.lang(), &story.frame.formats, story.mail);
    let utc = |at: Millis| at.in_zone(&jiff::tz::TimeZone::UTC).strftime("%H:%M:%S").to_string();
    let at = mail.first_seen;
    let taken = format!("{}, {} ({} UTC)", formats.full_date(at), formats.time_seconds(at), utc(at));
    let facts = [
        (lang.t("fact.from"), Some(look::sender(mail, lang)), false),
        (lang.t("fact.login"), mail.login.clone().filter(|login| mail.sender.as_ref() != Some(login)), false),
        (lang.t("fact.subject"), Some(look::subject(mail, lang).0), false),
        (lang.t("proof.taken"), Some(taken), false),
        (lang.t("fact.message_id"), mail.message_id.clone(), true),
        (lang.t("fact.queue_id"), mail.queue_id.clone(), true),
        (lang.t("fact.size"), mail.size.map(|size| formats.bytes_exact(size)), false),
    ];
    facts.into_iter().filter_map(|(name, value, mono)| Some((name, value?, mono))).collect()
}

fn recipient(story: Story<'_>, row: &crate::model::mail::Recipient) -> Row {
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let tried = row.attempts > 0;
    Row {
        address: row.address.clone(),
        look: look::of(row.status, row.local, lang),
        time: if tried {
            format!("{}, {}", formats.table_date(row.last_attempt), formats.time_seconds(row.last_attempt))
        } else {
            String::new()
        },
        taken_by: if row.local { lang.t("proof.this_server") } else { look::relay(&row.relay) }.to_owned(),
        code: facts::code(row).unwrap_or_default(),
    }
}
