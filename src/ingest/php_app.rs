//! Taking over what the PHP app kept: its mails and their history become stories of ours. Its tables stay as they are,
//! and repeating it changes nothing.
//!
//! What it kept is less than the log had told: a status 0 may stand for one that it did not know, an open overwrote the
//! delivery, and moments of the spam filter may lie two days too early. What cannot be told stays unknown.

use std::{collections::BTreeSet, time::Duration};

use super::correlate::{KeptMail, take_kept};
use crate::{
    model::{
        event::{Event, Fact, Kept, Parsed},
        mail::ServerId,
        open::{Reader, old_mail, window},
        scan::{Checks, Scan},
        scope::{domain_of, normalise_address},
        time::Millis,
    },
    parse::{php_app, postfix},
    store::{
        self, Db, gathered, opens,
        php_app::{Entry, Mail},
    },
};

/// Mails in one transaction.
const PIECE: usize = 250;
/// A verdict this soon after the first line belongs to its mail.
const NEAR: Duration = Duration::from_secs(600);
/// The app subtracted this from moments of the spam filter.
const SHIFT: Duration = Duration::from_secs(2 * 86_400);

/// What an import brought so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Mails of the app that were read.
    pub mails: i64,
    /// Those that are new here.
    pub new: i64,
    /// Those that are here already and have grown since.
    pub renewed: i64,
    /// Those without a usable moment or id, left out.
    pub unusable: i64,
    /// Those past the retention, left out.
    pub too_old: i64,
    /// Opens that were read.
    pub opens: i64,
}

/// An import.
pub struct Import<'a> {
    /// The app's database.
    pub from: &'a Db,
    /// Ours.
    pub to: &'a Db,
    /// Whose mails these are.
    pub server: ServerId,
    /// Mails older than this are past their retention.
    pub keep: Millis,
    /// Domains that are hosted here: their senders hand in mails.
    pub hosted: BTreeSet<String>,
}

impl Import<'_> {
    /// Takes over everything. `show` gets the share that is done, 0 to 1.
    pub async fn run(&self, show: &(dyn Fn(f64, Report) + Sync)) -> store::Result<Report> {
        let mut report = Report::default();
        let Some((low, high)) = store::php_app::span(self.from).await? else { return Ok(report) };
        let mut after = low.saturating_sub(1);
        loop {
            let mails = store::php_app::mails(self.from, after, PIECE).await?;
            let Some(last) = mails.last().map(|mail| mail.id) else { break };
            self.piece(&mails, &mut report).await?;
            after = last;
            let share = (last - low + 1) as f64 / (high - low + 1).max(1) as f64;
            show(share.min(1.0), report);
        }
        Ok(report)
    }

    async fn piece(&self, mails: &[Mail], report: &mut Report) -> store::Result<()> {
        let ids: Vec<i64> = mails.iter().map(|mail| mail.id).collect();
        let history = store::php_app::history(self.from, &ids).await?;
        let mut told = Vec::new();
        for mail in mails {
            report.mails += 1;
            let first = history.partition_point(|entry| entry.mail_id < mail.id);
            let entries = history.get(first..).unwrap_or_default();
            let count = entries.partition_point(|entry| entry.mail_id == mail.id);
            let Some(mail) = Told::new(mail, entries.get(..count).unwrap_or_default(), &self.hosted) else {
                report.unusable += 1;
                continue;
            };
            if mail.first < self.keep {
                report.too_old += 1;
                continue;
            }
            told.push(mail);
        }
        let kept: Vec<KeptMail<'_>> = told.iter().map(Told::kept).collect();
        let mut tx = self.to.begin().await?;
        let outcome = take_kept(&mut tx, self.server, &kept).await?;
        let opened: Vec<opens::Row> = told.iter().flat_map(Told::opened).collect();
        opens::add_missing(&mut tx, &opened).await?;
        tx.commit().await?;
        gathered::settle(self.to, Millis::now()).await?;
        let changed = i64::try_from(outcome.changed.len()).unwrap_or(i64::MAX);
        report.new += outcome.new_mails;
        report.renewed += changed - outcome.new_mails;
        report.opens += i64::try_from(opened.len()).unwrap_or(i64::MAX);
        Ok(())
    }
}

/// A mail of the app, with what its facts borrow.
struct Told<'a> {
    mail: &'a Mail,
    name: String,
    first: Millis,
    rcpts: String,
    /// Entries that are lines of Postfix or unknown, with the text that is parsed.
    lines: Vec<(Millis, i64, String)>,
    verdict: Option<(Millis, php_app::Verdict<'a>)>,
    status: &'static str,
    ours: bool,
    /// Opens with the fingerprint of who opened.
    opens: Vec<(Millis, &'a str)>,
}

impl<'a> Told<'a> {
    fn new(mail: &'a Mail, history: &'a [Entry], hosted: &BTreeSet<String>) -> Option<Self> {
        let at = mail.at.filter(|at| *at > 0).map(Millis::from_secs);
        let queue_id = mail.queue_id.as_deref().unwrap_or_default();
        let (mut lines, mut verdict, mut opens) = (Vec::new(), None, Vec::new());
        for entry in history {
            let text = entry.description.as_deref().unwrap_or_default();
            let Some(moment) = entry.moment().filter(|at| at.0 > 0) else { continue };
            if entry.status == php_app::OPEN {
                opens.push((moment, text));
            } else if let Some(said) = php_app::verdict(text) {
                verdict = Some((unshifted(moment, at), said));
            } else {
                lines.push((moment, entry.status, line(queue_id, text)));
            }
        }
        let moments = lines.iter().map(|(at, ..)| *at).chain(verdict.iter().map(|(at, _)| *at)).chain(at);
        let first = moments.min()?;
        let has_line = lines.iter().any(|(_, _, text)| fact(queue_id, text).is_some());
        let status = php_app::status(mail.status, history.iter().map(|entry| entry.status), has_line);
        let went_out =
            lines.iter().any(|(_, _, text)| postfix_program(text).is_some_and(|it| it == "postfix/smtp"));
        let sender = mail.sender.as_deref().and_then(normalise_address);
        let hosted = sender.as_deref().and_then(domain_of).is_some_and(|domain| hosted.contains(domain));
        let signed = verdict.as_ref().is_some_and(|(_, said)| said.handed_in());
        Some(Self {
            mail,
            name: format!("php-{}", mail.id),
            first,
            rcpts: php_app::recipients(mail.recipient.as_deref().unwrap_or_default()).join("\n"),
            lines,
            verdict,
            status,
            ours: signed || (hosted && went_out),
            opens,
        })
    }

    fn kept(&self) -> KeptMail<'_> {
        let queue_id = self.mail.queue_id.as_deref().unwrap_or_default();
        let mut events = vec![Event { at: self.first, fact: Fact::Kept(self.base()), program: "php" }];
        if let Some(id) = self.message_id() {
            events.push(Event { at: self.first, fact: Fact::MessageId(id), program: "postfix/cleanup" });
        }
        events.extend(self.lines.iter().map(|(at, status, text)| match fact(queue_id, text) {
            Some((fact, program)) => Event { at: *at, fact, program },
            None => {
                let fact = Fact::Noted { status: php_app::word(*status), text };
                Event { at: *at, fact, program: "php" }
            }
        }));
        let scan = self.scan();
        if let (None, Some((at, said))) = (&scan, &self.verdict) {
            let fact = Fact::Noted { status: php_app::word(self.mail.status.unwrap_or(0)), text: said.text };
            events.push(Event { at: *at, fact, program: "php" });
        }
        KeptMail { queue_id, name: &self.name, events, scan }
    }

    /// Opens in the order in which they were kept, at most as many as a mail of ours may have. The fingerprint was made
    /// of the address without a key, so that it can be traced back: readers are only numbered.
    fn opened(&self) -> Vec<opens::Row> {
        let (Some(queue_id), Some(message_id)) = (self.mail.queue_id.as_deref(), self.message_id()) else {
            return Vec::new();
        };
        let mut readers: Vec<&str> = Vec::new();
        let most = usize::try_from(opens::MOST_PER_MAIL).unwrap_or(usize::MAX);
        let number = |(at, fingerprint): &(Millis, &'a str)| {
            let known = readers.iter().position(|reader| reader == fingerprint);
            let reader = known.unwrap_or_else(|| {
                readers.push(fingerprint);
                readers.len() - 1
            });
            opens::Row {
                token: old_mail(queue_id, message_id),
                reader: i64::try_from(reader).unwrap_or(i64::MAX),
                slot: window(*at),
                at: *at,
                loads: 1,
                class: Reader::Person,
                verified: false,
            }
        };
        self.opens.iter().take(most).map(number).collect()
    }

    fn base(&self) -> Kept<'_> {
        let text = |text: &'a Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Kept {
            sender: self.mail.sender.as_deref(),
            rcpts: &self.rcpts,
            ip: text(&self.mail.ip),
            size: self.mail.size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0),
            subject: text(&self.mail.subject),
            status: self.status,
            ours: self.ours,
        }
    }

    fn message_id(&self) -> Option<&'a str> {
        let id = self.mail.message_id.as_deref()?.trim();
        (!id.is_empty()).then_some(id)
    }

    /// The verdict as a row of Rspamd's history. Its recipients and its sender are those that the app kept, so that it
    /// finds its mail; without a message id, or too far from the mail in time, it would find none.
    fn scan(&self) -> Option<Scan> {
        let (at, said) = self.verdict.as_ref().filter(|(at, _)| at.since(self.first) <= NEAR)?;
        let base = self.base();
        let hits = said.hits(&mut Checks::default());
        Some(Scan {
            at: *at,
            message_id: Some(self.message_id()?.to_owned()),
            subject: base.subject.map(str::to_owned),
            size: base.size.unwrap_or(0),
            ip: base.ip.map(str::to_owned),
            sender: self.mail.sender.clone().unwrap_or_default(),
            rcpts: self.rcpts.lines().map(str::to_owned).collect(),
            action: php_app::action(self.mail.status).to_owned(),
            score: said.score,
            virus: hits.iter().any(|hit| crate::parse::rspamd::is_virus(&hit.check.name)),
            hits,
            ..Scan::default()
        })
    }
}

/// The message as Postfix wrote it: some descriptions lack the queue id.
fn line(queue_id: &str, text: &str) -> String {
    let head = format!("{queue_id}: ");
    if queue_id.is_empty() || text.starts_with(&head) { text.to_owned() } else { head + text }
}

/// The fact of a line about this very mail, and the program that wrote it, which the app did not keep.
fn fact<'a>(queue_id: &str, text: &'a str) -> Option<(Fact<'a>, &'static str)> {
    let program = postfix_program(text)?;
    match postfix::parse(program, text) {
        Parsed::Mail { queue_id: its, fact } if its == queue_id => Some((fact, program)),
        _ => None,
    }
}

/// Which daemon writes such a line: Mailcow hands mails for mailboxes to Dovecot by LMTP.
fn postfix_program(text: &str) -> Option<&'static str> {
    let Some((_, relay)) = text.split_once(", relay=") else {
        let refused = ["milter-reject: ", "reject: "].iter().any(|verb| text.contains(verb));
        return Some(if refused { "postfix/cleanup" } else { "postfix/qmgr" });
    };
    let name = relay.split(['[', ',', ':']).next().unwrap_or_default();
    Some(match name {
        "dovecot" => "postfix/lmtp",
        "local" => "postfix/local",
        "virtual" => "postfix/virtual",
        "none" => "postfix/error",
        _ => "postfix/smtp",
    })
}

/// The true moment of a verdict. The app took two days from it where it kept it beside a mail of the log.
fn unshifted(at: Millis, mail: Option<Millis>) -> Millis {
    let Some(mail) = mail else { return at };
    let moved = at.plus(SHIFT);
    if moved.0.abs_diff(mail.0) < at.0.abs_diff(mail.0) { moved } else { at }
}

#[cfg(test)]
mod tests;
