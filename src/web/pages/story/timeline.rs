//! The timeline of a story: what happened, step by step, with what is planned at its end.

use std::collections::BTreeMap;

use super::{Story, capital, tls_name, words_of};
use crate::{
    model::{
        event::NoticeKind,
        mail::{Entrance, Recipient, Status, StepKind, Verdict},
        open::{Open, Reader},
        scan::Symbol,
        scope::Sight,
        time::Millis,
    },
    web::{
        pages::{cause, look, mails},
        text::Lang,
    },
};

/// More equal tries than this fold into one step.
const MOST_TRIES: usize = 6;
/// Tries shown before the fold; the last one is shown behind it.
const FIRST_TRIES: usize = 2;

/// A step as it is printed.
#[derive(Default)]
pub struct Step {
    /// Moment for order.
    pub moment: Millis,
    /// The time as text, and for machines.
    pub time: String,
    pub iso: String,
    /// The day, where it is another than that of the step before.
    pub day: Option<String>,
    pub tone: &'static str,
    pub icon: &'static str,
    pub heading: String,
    pub text: String,
    pub quote: Option<String>,
    pub link: Option<(String, &'static str)>,
    pub checks: Vec<CheckRow>,
    pub checks_word: String,
    /// What is to come: a dashed line leads to it.
    pub planned: bool,
    /// The step before something planned.
    pub before_planned: bool,
}

/// One check of the spam filter.
pub struct CheckRow {
    pub name: String,
    pub score: String,
    pub text: String,
}

/// The steps of a story.
pub fn of(story: Story<'_>, symbols: &[Symbol]) -> Vec<Step> {
    let mut teller = Teller { story, answers: BTreeMap::new(), folds: folds(story) };
    let mut steps: Vec<Step> =
        story.mail.steps.iter().filter_map(|step| teller.tell(step.at, &step.kind, symbols)).collect();
    steps.extend(story.touching().map(|gap| {
        let range = story.frame.formats.range(gap.from_at, gap.to_at);
        let heading = story.lang().tf("story.gap", &[("range", &range)]);
        let text = story.lang().t("story.gap.text").to_owned();
        Step {
            moment: gap.from_at,
            tone: "wait",
            icon: "exclamation-triangle",
            heading,
            text,
            ..Step::default()
        }
    }));
    steps.extend(opened(story));
    steps.sort_by_key(|step| step.moment);
    for step in &mut steps {
        step.time = story.frame.formats.time_seconds(step.moment);
        step.iso = story.frame.formats.iso(step.moment);
    }
    if let Some(next) = story.next_try() {
        if let Some(last) = steps.last_mut() {
            last.before_planned = true;
        }
        steps.push(planned(story, next));
    }
    name_days(story, &mut steps);
    steps
}

/// Openings: one step for each kind of reader, at its first.
fn opened(story: Story<'_>) -> Vec<Step> {
    let mut kinds: BTreeMap<(Reader, bool), Vec<&Open>> = BTreeMap::new();
    for open in story.opens {
        kinds.entry((open.reader, open.verified)).or_default().push(open);
    }
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let step = |((reader, verified), opens): ((Reader, bool), Vec<&Open>)| {
        let (first, last) = (opens.first()?, opens.last()?);
        let heading = match story.mail.recipients.as_slice() {
            [row] if reader == Reader::Person => lang.tf("story.opened.by", &[("who", &row.address)]),
            _ => lang.t_in("story.opened", reader.code()).to_owned(),
        };
        let more = opens.len() as i64 - 1;
        let again = || lang.tn("story.opened.again", more, &[("last", &formats.sentence(last.at))]);
        let several = reader == Reader::Person && story.mail.recipients.len() > 1;
        let texts = [
            Some(lang.t_in("story.opened_means", reader.code()).to_owned()),
            several.then(|| lang.t("story.opened.which").to_owned()),
            (!verified).then(|| lang.t("story.opened.old").to_owned()),
            (more > 0).then(again),
        ];
        let text = texts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let tone = if reader == Reader::Person { "info" } else { "idle" };
        Some(Step { moment: first.at, tone, icon: "eye", heading, text, ..Step::default() })
    };
    kinds.into_iter().filter_map(step).collect()
}

fn name_days(story: Story<'_>, steps: &mut [Step]) {
    let mut day = steps.first().map(|step| story.frame.formats.full_date(step.moment));
    for step in steps {
        let own = Some(story.frame.formats.full_date(step.moment));
        if own != day {
            step.day.clone_from(&own);
            day = own;
        }
    }
}

fn planned(story: Story<'_>, next: Millis) -> Step {
    let lang = story.lang();
    Step {
        moment: next,
        time: lang.tf("story.about", &[("time", &story.frame.formats.time(next))]),
        iso: story.frame.formats.iso(next),
        tone: "idle",
        icon: "clock",
        heading: lang.t("story.step.planned").to_owned(),
        text: lang.t("story.step.planned.text").to_owned(),
        planned: true,
        ..Step::default()
    }
}

/// What tells two answers apart: recipient, status and the answer's codes.
type AnswerKey = (String, Status, String);

fn answer_key(row: &Recipient) -> AnswerKey {
    (row.address.clone(), row.status, row.dsn.clone())
}

/// A run of equal tries that is told as one step.
struct Fold {
    /// Number of tries that are left out.
    hidden: usize,
    first: Millis,
    last: Millis,
}

fn folds(story: Story<'_>) -> BTreeMap<AnswerKey, Fold> {
    let mut moments: BTreeMap<AnswerKey, Vec<Millis>> = BTreeMap::new();
    for (at, row) in story.attempts() {
        moments.entry(answer_key(row)).or_default().push(at);
    }
    let fold = |(key, moments): (AnswerKey, Vec<Millis>)| {
        let hidden = moments.get(FIRST_TRIES..moments.len().checked_sub(1)?)?;
        let (first, last) = (*hidden.first()?, *hidden.last()?);
        (moments.len() > MOST_TRIES).then_some((key, Fold { hidden: hidden.len(), first, last }))
    };
    moments.into_iter().filter_map(fold).collect()
}

struct Teller<'a> {
    story: Story<'a>,
    /// How many tries with each answer were told.
    answers: BTreeMap<AnswerKey, usize>,
    folds: BTreeMap<AnswerKey, Fold>,
}

impl Teller<'_> {
    fn tell(&mut self, at: Millis, kind: &StepKind, symbols: &[Symbol]) -> Option<Step> {
        let lang = self.story.lang();
        let plain = |tone, icon, heading: &str, text: &str| Step {
            tone,
            icon,
            heading: heading.to_owned(),
            text: text.to_owned(),
            ..Step::default()
        };
        let mut step = match kind {
            StepKind::Received => self.received(),
            StepKind::Checked => self.checked(symbols),
            StepKind::Queued => plain("info", "inbox", lang.t("story.step.queued"), &self.queued()),
            StepKind::Attempt(row) => self.attempt(row)?,
            StepKind::Refused => self.refused(),
            StepKind::RecipientRefused(row) => self.row_refused(row),
            StepKind::Held(reason) => plain("wait", "pause-circle", lang.t("story.step.held"), reason),
            StepKind::Released => plain("info", "check-lg", lang.t("story.step.released"), ""),
            StepKind::Discarded(reason) => plain("idle", "trash3", lang.t("story.step.discarded"), reason),
            StepKind::Expired => plain(
                "bad",
                "hourglass-bottom",
                lang.t("story.step.expired"),
                lang.t("story.step.expired.text"),
            ),
            StepKind::Notice(notice) => self.notice(notice.kind, &notice.queue_id),
            StepKind::Quarantined => plain(
                "junk",
                "shield-exclamation",
                lang.t("story.step.quarantined"),
                lang.t("story.step.quarantined.text"),
            ),
            StepKind::Removed => plain("idle", "check-lg", lang.t("story.step.removed"), ""),
            StepKind::Deleted => {
                plain("idle", "trash3", lang.t("story.step.deleted"), lang.t("story.step.deleted.text"))
            }
            StepKind::Requeued => plain(
                "info",
                "arrow-repeat",
                lang.t("story.step.requeued"),
                lang.t("story.step.requeued.text"),
            ),
            StepKind::Kept => {
                plain("idle", "box-arrow-in-right", lang.t("story.step.kept"), lang.t("story.step.kept.text"))
            }
            StepKind::Noted(status, text) => {
                let (icon, tone) = look::sign(*status);
                let word = lang.t_in("status", status.code());
                let heading = lang.tf("story.step.noted", &[("status", word)]);
                Step { quote: Some(text.clone()), ..plain(tone, icon, &heading, "") }
            }
        };
        step.moment = at;
        Some(step)
    }

    fn received(&self) -> Step {
        let (story, lang, mail) = (self.story, self.story.lang(), self.story.mail);
        let heading = match (&mail.login, mail.entrance) {
            _ if story.wrote() => lang.t("story.step.from_you").to_owned(),
            (Some(login), _) => lang.tf("story.step.from", &[("who", login)]),
            (_, Some(Entrance::System)) => lang.t("story.step.from_system").to_owned(),
            _ => lang.tf("story.step.from", &[("who", &look::sender(mail, lang))]),
        };
        let host = mail.client_host.as_deref().filter(|host| !host.is_empty());
        let peer = match (host, &mail.client_ip) {
            (Some(host), Some(ip)) => format!("{host} [{ip}]"),
            (host, ip) => host.or(ip.as_deref()).unwrap_or_default().to_owned(),
        };
        let way = match mail.entrance {
            Some(Entrance::Submission | Entrance::Smtps) => Some(lang.t("entrance.program")),
            Some(Entrance::Webmail) => Some(lang.t("entrance.webmail")),
            Some(Entrance::Release) => Some(lang.t("entrance.release")),
            Some(Entrance::BccCopy) => Some(lang.t("entrance.bcc")),
            Some(Entrance::Local | Entrance::System) => Some(lang.t("entrance.local")),
            Some(Entrance::Smtp) => Some(lang.t("entrance.server")),
            None => None,
        };
        let from = (!peer.is_empty()).then(|| lang.tf("story.step.peer", &[("peer", &peer)]));
        let login = mail.login.as_ref().map(|login| lang.tf("story.step.login", &[("login", login)]));
        let tls = mail.client_tls.as_deref().map(|tls| encrypted(lang, tls));
        let text = sentence([way.map(str::to_owned), from, login, tls]);
        Step { tone: "info", icon: "box-arrow-in-right", heading, text, ..Step::default() }
    }

    fn checked(&self, symbols: &[Symbol]) -> Step {
        let (lang, formats) = (self.story.lang(), &self.story.frame.formats);
        let (tone, icon) = match self.story.mail.verdict {
            Verdict::None | Verdict::Clean | Verdict::Other => ("ok", "shield-check"),
            Verdict::Greylisted | Verdict::SoftReject => ("wait", "arrow-repeat"),
            Verdict::SubjectChanged | Verdict::Junk | Verdict::Quarantine => ("junk", "shield-exclamation"),
            Verdict::Discard => ("idle", "trash3"),
            Verdict::Reject => ("bad", "shield-exclamation"),
        };
        let check = self.story.mail.check.as_ref();
        let shown = check.filter(|check| !check.action.is_empty());
        let score = shown.map(|check| {
            let score = formats.score(check.score);
            match check.limit {
                Some(limit) => {
                    lang.tf("story.step.score", &[("score", &score), ("limit", &formats.limit(limit))])
                }
                None => lang.tf("story.step.score.alone", &[("score", &score)]),
            }
        });
        let signed = check.and_then(|check| check.signed_for.as_deref());
        let signed = signed.map(|domain| lang.tf("story.step.signed", &[("domain", domain)]));
        let mut rows: Vec<&Symbol> = symbols.iter().collect();
        rows.sort_by_key(|symbol| (std::cmp::Reverse(symbol.score.saturating_abs()), symbol.name.as_str()));
        let checks = rows.into_iter().map(|symbol| CheckRow {
            name: symbol.name.clone(),
            score: formats.score(symbol.score),
            text: explained(symbol),
        });
        Step {
            tone,
            icon,
            heading: match shown {
                Some(_) => lang.tf(
                    "story.step.checked",
                    &[("verdict", lang.t_in("checked", self.story.mail.verdict.code()))],
                ),
                None => lang.t("story.step.checked.plain").to_owned(),
            },
            text: [score, signed].into_iter().flatten().collect::<Vec<_>>().join(" "),
            checks_word: lang.tn("story.checks", symbols.len() as i64, &[]),
            checks: checks.collect(),
            ..Step::default()
        }
    }

    fn queued(&self) -> String {
        let (lang, mail) = (self.story.lang(), self.story.mail);
        let id = mail.queue_id.as_ref().map(|id| lang.tf("story.step.as", &[("id", id)]));
        let size = mail.size.map(|size| self.story.frame.formats.bytes(size));
        // One recipient among others must not learn how many there are.
        let told = mail.sight() != Sight::Recipients && !mail.recipients.is_empty();
        let count = told.then(|| lang.tn("story.step.recipients", mail.recipients.len() as i64, &[]));
        sentence([id, size, count])
    }

    fn attempt(&mut self, row: &Recipient) -> Option<Step> {
        let lang = self.story.lang();
        let key = answer_key(row);
        let told = self.answers.entry(key.clone()).or_default();
        *told += 1;
        let nth = *told;
        if let Some(fold) = self.folds.get(&key) {
            if nth == FIRST_TRIES + 1 {
                let range = self.story.frame.formats.range(fold.first, fold.last);
                let heading = lang.tn("story.folded", fold.hidden as i64, &[("range", &range)]);
                return Some(Step { tone: "wait", icon: "arrow-repeat", heading, ..Step::default() });
            }
            if nth > FIRST_TRIES && nth <= FIRST_TRIES + fold.hidden {
                return None;
            }
        }
        let same = nth > 1;
        let (tone, icon) = match row.status {
            Status::Sent => ("ok", "check-lg"),
            Status::Delayed => ("wait", "arrow-repeat"),
            Status::Bounced => ("bad", "x-lg"),
            status => {
                let (icon, tone) = look::sign(status);
                (tone, icon)
            }
        };
        let outcome = if same { lang.t("outcome.same").to_owned() } else { self.outcome(row) };
        let several = self.story.mail.recipients.len() > 1;
        let who = if several || row.status == Status::Sent && row.attempts <= 1 {
            row.address.clone()
        } else {
            ordinal(lang, row.attempts)
        };
        let host = look::relay_host(&row.relay);
        let server = (!row.local && !host.is_empty()).then(|| host.to_owned());
        let tls = row.tls.as_deref().filter(|_| !row.local).map(|tls| encrypted(lang, tls));
        let at_home = row.local && row.status == Status::Sent;
        let says_something = !(same || at_home || row.reply.is_empty());
        let through = row.orig_to.as_ref().filter(|orig| **orig != row.address);
        let through = through.map(|orig| lang.tf("story.through", &[("address", orig)]));
        Some(Step {
            tone,
            icon,
            heading: lang.tf("story.step.try", &[("who", &who), ("outcome", &outcome)]),
            text: sentence([server, tls, through]),
            quote: says_something.then(|| words_of(&row.reply).to_owned()),
            ..Step::default()
        })
    }

    fn outcome(&self, row: &Recipient) -> String {
        let lang = self.story.lang();
        match row.status {
            Status::Sent if row.local => lang.t("outcome.delivered").to_owned(),
            Status::Sent => lang.t("outcome.accepted").to_owned(),
            Status::Junk => lang.t("outcome.junk").to_owned(),
            Status::Delayed | Status::Bounced | Status::Expired => {
                let told = cause::of_row(self.story.frame, self.story.dictionary, self.story.mail, Some(row));
                told.map(|cause| super::clause(lang, &cause.short)).unwrap_or_default()
            }
            _ => lang.t_in("status", row.status.code()).to_lowercase(),
        }
    }

    fn refused(&self) -> Step {
        let mail = self.story.mail;
        let cause = self.story.cause();
        let (icon, tone) = look::sign(mail.status);
        Step {
            tone,
            icon,
            heading: match mail.status {
                Status::SoftRejected => self.story.lang().t("story.step.soft_refused"),
                _ => self.story.lang().t("story.step.refused"),
            }
            .to_owned(),
            text: cause.map(|cause| cause.text).unwrap_or_default(),
            quote: mail.refusal.as_ref().map(|refused| refused.reply.clone()),
            ..Step::default()
        }
    }

    fn row_refused(&self, row: &Recipient) -> Step {
        let (icon, tone) = look::sign(row.status);
        let cause = cause::of_row(self.story.frame, self.story.dictionary, self.story.mail, Some(row));
        Step {
            tone,
            icon,
            heading: self.story.lang().tf("story.step.row_refused", &[("recipient", &row.address)]),
            text: cause.map(|cause| cause.text).unwrap_or_default(),
            quote: Some(row.reply.clone()).filter(|reply| !reply.is_empty()),
            ..Step::default()
        }
    }

    fn notice(&self, kind: NoticeKind, queue_id: &str) -> Step {
        let lang = self.story.lang();
        let you = self.story.wrote();
        let (heading, text) = match kind {
            NoticeKind::Bounce if you => (lang.t("story.step.told_you"), lang.t("story.step.told.bounce")),
            NoticeKind::Bounce => (lang.t("story.step.told_sender"), lang.t("story.step.told.bounce")),
            NoticeKind::Delay if you => (lang.t("story.step.told_you"), lang.t("story.step.told.delay")),
            NoticeKind::Delay => (lang.t("story.step.told_sender"), lang.t("story.step.told.delay")),
            NoticeKind::Success if you => (lang.t("story.step.told_you"), lang.t("story.step.told.success")),
            NoticeKind::Success => (lang.t("story.step.told_sender"), lang.t("story.step.told.success")),
            NoticeKind::Postmaster => (lang.t("story.step.told_postmaster"), lang.t("story.step.told.copy")),
        };
        let notice = self.story.related.iter().find(|other| other.queue_id.as_deref() == Some(queue_id));
        let link =
            notice.map(|other| (mails::story_link(self.story.frame, other.id), lang.t("story.step.notice")));
        let tone = if kind == NoticeKind::Success { "ok" } else { "info" };
        Step {
            tone,
            icon: "envelope",
            heading: heading.to_owned(),
            text: text.to_owned(),
            link,
            ..Step::default()
        }
    }
}

fn explained(symbol: &Symbol) -> String {
    let options: Vec<&str> =
        symbol.options.iter().map(String::as_str).filter(|option| !option.is_empty()).collect();
    let description = symbol.description.as_deref().unwrap_or_default();
    match (description, options.join(", ")) {
        (description, options) if options.is_empty() => description.to_owned(),
        ("", options) => options,
        (description, options) => format!("{description} ({options})"),
    }
}

fn encrypted(lang: Lang, tls: &str) -> String {
    lang.tf("story.step.tls", &[("tls", &tls_name(tls))])
}

fn ordinal(lang: Lang, number: u32) -> String {
    match number {
        1 => lang.t("ordinal.1"),
        2 => lang.t("ordinal.2"),
        3 => lang.t("ordinal.3"),
        4 => lang.t("ordinal.4"),
        5 => lang.t("ordinal.5"),
        6 => lang.t("ordinal.6"),
        _ => return lang.tf("ordinal.n", &[("number", &number.to_string())]),
    }
    .to_owned()
}

/// Joins parts with commas into a sentence that begins with a capital.
fn sentence<const N: usize>(parts: [Option<String>; N]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    match parts.join(", ") {
        text if text.is_empty() => text,
        text if parts.len() == 1 && !text.contains(' ') => text,
        text => capital_unless_name(&text) + ".",
    }
}

/// Host names stay as they are.
fn capital_unless_name(text: &str) -> String {
    let first = text.split([' ', ',']).next().unwrap_or_default();
    if first.contains(['.', ':']) { text.to_owned() } else { capital(text) }
}
