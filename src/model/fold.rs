//! Folding facts into mails: pure, and independent of the order in which the facts arrived.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{
    event::{Action, Attempt, Checked, Event, Fact, Kept, Refusal, names_virus},
    mail::{
        Check, Direction, Entrance, Mail, MailId, NoticeSent, Recipient, Refused, ServerId, Status, Step,
        StepKind, Verdict,
    },
    scope::{normalise_address, untagged},
    time::Millis,
};

/// After this much silence, a queue id that starts anew is another mail even if its end was not logged.
/// Postfix keeps a mail for `maximal_queue_lifetime`, 5 days by default.
const LIFE: Duration = Duration::from_secs(6 * 24 * 3600);

/// A first fact this long after the begin of a mail is of another one, even if the end of that was not logged: Postfix logs
/// each of them once, when it takes the mail.
pub const REUSE: Duration = Duration::from_secs(24 * 3600);

/// Sorts the facts of one queue id and cuts them into mails: short queue ids come back after a while.
///
/// A new mail begins with a first fact ([`begins`]) behind an end (`removed`, a refusal of the whole mail), behind a long silence,
/// or long after the begin of the last one ([`REUSE`]). A mail on hold may be silent for ever: no
/// life time ends it (postconf(5), `maximal_queue_lifetime`), so that it takes a first fact to tell another one.
pub fn split<'a>(mut events: Vec<Event<'a>>) -> Vec<Vec<Event<'a>>> {
    events.sort_unstable();
    let mut mails: Vec<Vec<Event<'a>>> = Vec::new();
    let (mut ended, mut on_hold) = (false, false);
    for event in events {
        let silent = mails
            .last()
            .and_then(|mail| mail.last())
            .is_some_and(|last: &Event| event.at.since(last.at) > LIFE);
        let reused = mails
            .last()
            .and_then(|mail| mail.first())
            .is_some_and(|first: &Event| event.at.since(first.at) > REUSE);
        if mails.is_empty() || (silent && !on_hold) || ((silent || ended || reused) && begins(&event.fact)) {
            mails.push(Vec::new());
            (ended, on_hold) = (false, false);
        }
        ended |= ends(&event.fact);
        match event.fact {
            Fact::Held { .. } => on_hold = true,
            Fact::Refused(refusal) if refusal.action() == Action::Hold => on_hold = true,
            Fact::Released | Fact::Queued { .. } | Fact::Removed | Fact::Requeued => on_hold = false,
            _ => {}
        }
        if let Some(mail) = mails.last_mut() {
            mail.push(event);
        }
    }
    mails
}

/// Whether a fact stands at the begin of a mail: `client=`, `uid=`, or the message id where neither came before.
pub fn begins(fact: &Fact) -> bool {
    matches!(fact, Fact::Client(_) | Fact::Pickup { .. } | Fact::MessageId(_))
}

/// Whether a fact ends the life of a queue id.
pub fn ends(fact: &Fact) -> bool {
    match fact {
        Fact::Removed | Fact::Requeued => true,
        Fact::Refused(refusal) => refuses_whole(refusal),
        _ => false,
    }
}

/// Whether a refusal ends the mail, or only turns one recipient away.
pub fn refuses_whole(refusal: &Refusal) -> bool {
    refusal.refuses() && !matches!(refusal.stage, "RCPT" | "VRFY")
}

/// The id of a mail: see [`MailId`]. `name` is the queue id, or what identifies a refused attempt.
pub fn mail_id(server: ServerId, first_seen: Millis, name: &str) -> MailId {
    let hash = twox_hash::XxHash3_64::oneshot_with_seed(server.0 as u64, name.as_bytes());
    MailId((first_seen.secs() << MailId::HASH_BITS) | (hash & ((1 << MailId::HASH_BITS) - 1)) as i64)
}

impl Mail {
    /// Folds the sorted facts of one mail. `queue_id` is `None` for an attempt that was refused before it
    /// got one; `name` identifies the mail within its second (the queue id, or the refused line).
    pub fn from_events(server: ServerId, queue_id: Option<&str>, name: &str, events: &[Event]) -> Self {
        let first_seen = events.first().map_or(Millis(0), |event| event.at);
        let mut fold = Fold::new(server, queue_id, mail_id(server, first_seen, name), first_seen);
        for event in events {
            fold.add(event);
        }
        fold.finish()
    }
}

/// The fold's state: the mail so far, and what is decided only at the end.
struct Fold {
    mail: Mail,
    recipients: BTreeMap<(String, Option<String>), Recipient>,
    checked_rcpts: Vec<String>,
    checked_size: Option<u64>,
    /// Recipients that lines about a hold or a discard name.
    kept_back: Vec<String>,
    queued: bool,
    held: bool,
    discarded: bool,
    expired: bool,
    deleted: bool,
    requeued: bool,
    quarantined: bool,
    kept: Option<Remembered>,
}

/// What the PHP app kept, as far as it is decided only at the end.
struct Remembered {
    rcpts: Vec<String>,
    subject: Option<String>,
    size: Option<u64>,
    status: Status,
    ours: bool,
}

impl Fold {
    fn new(server: ServerId, queue_id: Option<&str>, id: MailId, first_seen: Millis) -> Self {
        let mail = Mail {
            id,
            server,
            first_seen,
            last_seen: first_seen,
            queue_id: queue_id.map(str::to_owned),
            message_id: None,
            sender: None,
            login: None,
            client_host: None,
            client_ip: None,
            helo: None,
            client_tls: None,
            entrance: None,
            size: None,
            direction: Direction::In,
            status: Status::Unknown,
            verdict: Verdict::None,
            check: None,
            recipients: Vec::new(),
            refusal: None,
            notices: Vec::new(),
            parent: None,
            removed: None,
            steps: Vec::new(),
        };
        Self {
            mail,
            recipients: BTreeMap::new(),
            checked_rcpts: Vec::new(),
            checked_size: None,
            kept_back: Vec::new(),
            queued: false,
            held: false,
            discarded: false,
            expired: false,
            deleted: false,
            requeued: false,
            quarantined: false,
            kept: None,
        }
    }

    fn add(&mut self, event: &Event) {
        let at = event.at;
        self.mail.last_seen = self.mail.last_seen.max(at);
        match &event.fact {
            Fact::Client(client) => {
                self.mail.client_host = known(client.host);
                self.mail.client_ip = known(client.ip);
                self.mail.login = client.login.map(str::to_owned);
                self.mail.client_tls = client.tls.map(str::to_owned);
                self.mail.parent = client.parent.map(str::to_owned).or(self.mail.parent.take());
                self.mail.entrance = Some(entrance(event.program));
                self.step(at, StepKind::Received);
            }
            Fact::Pickup { sender, .. } => {
                self.mail.sender = Some((*sender).to_owned());
                self.mail.entrance = Some(Entrance::Local);
                self.step(at, StepKind::Received);
            }
            Fact::MessageId(id) => {
                self.mail.message_id.get_or_insert_with(|| (*id).to_owned());
                if self.mail.entrance.is_none() {
                    self.mail.entrance = Some(Entrance::System);
                }
            }
            Fact::Parent { queue_id, .. } => self.mail.parent = Some((*queue_id).to_owned()),
            Fact::Checked(checked) => self.check(at, checked),
            Fact::Refused(refusal) => self.oppose(at, event.program, refusal),
            Fact::Held { reason } => self.hold(at, reason),
            Fact::Discarded { reason } => self.discard(at, reason),
            Fact::Released => {
                self.held = false;
                self.step(at, StepKind::Released);
            }
            Fact::Queued { sender, size, .. } => {
                self.mail.sender = Some((*sender).to_owned());
                self.mail.size = Some(*size);
                self.held = false;
                if !self.queued {
                    self.queued = true;
                    self.step(at, StepKind::Queued);
                }
            }
            Fact::Attempt(attempt) => self.attempt(at, event.program, attempt),
            Fact::Expired { sender } => {
                self.mail.sender.get_or_insert_with(|| (*sender).to_owned());
                self.expired = true;
                self.step(at, StepKind::Expired);
            }
            Fact::Notice { kind, queue_id } => {
                let notice = NoticeSent { at, kind: *kind, queue_id: (*queue_id).to_owned() };
                self.mail.notices.push(notice.clone());
                self.step(at, StepKind::Notice(notice));
            }
            Fact::Quarantined => {
                self.quarantined = true;
                self.step(at, StepKind::Quarantined);
            }
            Fact::Removed => {
                // qmgr(8) removes what is done with, postsuper(1) what an admin does not want.
                self.deleted = event.program.ends_with("/postsuper");
                self.leave(at, if self.deleted { StepKind::Deleted } else { StepKind::Removed });
            }
            Fact::Requeued => {
                self.requeued = true;
                self.leave(at, StepKind::Requeued);
            }
            Fact::Kept(kept) => self.keep(at, kept),
            Fact::Noted { status, text } => {
                let status = Status::from_code(status).unwrap_or_default();
                self.step(at, StepKind::Noted(status, (*text).to_owned()));
            }
        }
    }

    /// What the log tells comes first: this only fills in.
    fn keep(&mut self, at: Millis, kept: &Kept) {
        if let Some(sender) = kept.sender {
            self.mail.sender.get_or_insert_with(|| sender.to_owned());
        }
        if self.mail.client_ip.is_none() {
            self.mail.client_ip = kept.ip.and_then(known);
        }
        self.kept = Some(Remembered {
            rcpts: kept.rcpts.lines().filter(|rcpt| !rcpt.is_empty()).map(str::to_owned).collect(),
            subject: kept.subject.map(str::to_owned),
            size: kept.size,
            status: Status::from_code(kept.status).unwrap_or_default(),
            ours: kept.ours,
        });
        self.step(at, StepKind::Kept);
    }

    fn step(&mut self, at: Millis, kind: StepKind) {
        self.mail.steps.push(Step { at, kind });
    }

    fn hold(&mut self, at: Millis, reason: &str) {
        self.held = true;
        self.step(at, StepKind::Held(reason.to_owned()));
    }

    fn discard(&mut self, at: Millis, reason: &str) {
        self.discarded = true;
        self.step(at, StepKind::Discarded(reason.to_owned()));
    }

    /// The end of the queue id's life.
    fn leave(&mut self, at: Millis, how: StepKind) {
        self.mail.removed = Some(at);
        self.held = false;
        self.step(at, how);
    }

    fn check(&mut self, at: Millis, checked: &Checked) {
        self.mail.verdict = Verdict::from_action(checked.action, checked.forced_by);
        self.checked_rcpts =
            checked.rcpts.lines().filter(|rcpt| !rcpt.is_empty()).map(str::to_owned).collect();
        self.checked_size = Some(checked.size);
        if self.mail.client_ip.is_none() {
            self.mail.client_ip = checked.ip.and_then(known);
        }
        self.mail.check = Some(Check {
            action: checked.action.to_owned(),
            score: checked.score,
            limit: checked.limit,
            junk_limit: checked.junk_limit,
            subject: checked.subject.map(str::to_owned),
            subject_hidden: checked.subject_hidden,
            virus: checked.virus,
            forced_by: checked.forced_by.map(str::to_owned),
            signed_for: checked.signed_for.map(str::to_owned),
            scan: checked.scan,
        });
        self.step(at, StepKind::Checked);
    }

    /// What a rule, a check or a milter has against the mail, and what the line tells of the client besides.
    fn oppose(&mut self, at: Millis, program: &str, refusal: &Refusal) {
        if let Some(from) = refusal.from {
            self.mail.sender.get_or_insert_with(|| from.to_owned());
        }
        if self.mail.client_ip.is_none() {
            self.mail.client_ip = known(refusal.ip);
            self.mail.client_host = known(refusal.host);
        }
        if !refusal.helo.is_empty() {
            self.mail.helo = Some(refusal.helo.to_owned());
        }
        if let Some(login) = refusal.login.or_else(|| refusal.other_login()) {
            self.mail.login.get_or_insert_with(|| login.to_owned());
        }
        if self.mail.entrance.is_none() {
            self.mail.entrance = Some(entrance(program));
        }
        match refusal.action() {
            Action::Refuse => return self.refuse(at, refusal),
            Action::Hold => self.hold(at, refusal.reply),
            Action::Discard => self.discard(at, refusal.reply),
        }
        self.kept_back.extend(refusal.to.map(str::to_owned));
    }

    fn refuse(&mut self, at: Millis, refusal: &Refusal) {
        let refused = Refused {
            verb: refusal.verb.to_owned(),
            stage: refusal.stage.to_owned(),
            code: refusal.code,
            dsn: refusal.dsn.to_owned(),
            reply: refusal.reply.to_owned(),
        };
        let status = refused_status(&refused);
        let row = refusal.to.map(|to| Recipient {
            address: to.to_owned(),
            status,
            dsn: refusal.dsn.to_owned(),
            reply: refusal.reply.to_owned(),
            attempts: 1,
            last_attempt: at,
            ..Recipient::default()
        });
        if let Some(row) = &row {
            self.recipients.insert((row.address.clone(), None), row.clone());
        }
        if refuses_whole(refusal) || self.mail.queue_id.is_none() {
            self.mail.refusal = Some(refused);
            self.step(at, StepKind::Refused);
        } else if let Some(row) = row {
            self.step(at, StepKind::RecipientRefused(Box::new(row)));
        }
    }

    fn attempt(&mut self, at: Millis, program: &str, attempt: &Attempt) {
        let key = (attempt.to.to_owned(), attempt.orig_to.map(str::to_owned));
        let tries = self.recipients.get(&key).map_or(0, |row| row.attempts);
        let status = attempt_status(program, attempt);
        let row = Recipient {
            address: attempt.to.to_owned(),
            orig_to: attempt.orig_to.map(str::to_owned),
            status,
            status_word: if status == Status::Unknown { attempt.status.to_owned() } else { String::new() },
            dsn: attempt.dsn.to_owned(),
            relay: attempt.relay.to_owned(),
            local: is_local(program, attempt),
            delay: attempt.delay.to_owned(),
            delays: attempt.delays.to_owned(),
            reply: attempt.reply.to_owned(),
            tls: attempt.tls.map(str::to_owned),
            attempts: tries + 1,
            last_attempt: at,
        };
        self.recipients.insert(key, row.clone());
        self.step(at, StepKind::Attempt(Box::new(row)));
    }

    fn finish(mut self) -> Mail {
        self.add_named_recipients();
        self.add_kept();
        let kept_junk = self.kept.as_ref().is_some_and(|kept| kept.status == Status::Junk);
        let junk = self.mail.verdict == Verdict::Junk || (kept_junk && self.mail.verdict == Verdict::None);
        let (removed, expired) = (self.mail.removed.is_some(), self.expired);
        for row in self.recipients.values_mut() {
            row.status = match row.status {
                _ if self.requeued && row.attempts == 0 => {
                    go_on(row);
                    row.last_attempt = self.mail.last_seen;
                    Status::Sent
                }
                Status::Delayed | Status::Queued | Status::Unknown if self.held => Status::Held,
                // Unknown: no line tells of a try.
                Status::Delayed | Status::Unknown if expired => Status::Expired,
                Status::Delayed if self.deleted => Status::Discarded,
                Status::Delayed if self.requeued => {
                    go_on(row);
                    Status::Sent
                }
                // It left the queue and no line says how: deleted by hand, or a gap in the log.
                Status::Delayed if removed => Status::Unknown,
                Status::Sent if junk && row.local => Status::Junk,
                status => status,
            };
        }
        if junk {
            for step in &mut self.mail.steps {
                if let StepKind::Attempt(row) = &mut step.kind
                    && row.status == Status::Sent
                    && row.local
                {
                    row.status = Status::Junk;
                }
            }
        }
        self.mail.size = self.mail.size.or(self.checked_size);
        self.mail.status = self.status();
        let refused = self.mail.refusal.is_some();
        let untried = self.recipients.values().all(|row| row.attempts == 0) && !self.one_of_several();
        for row in self.recipients.values_mut() {
            if untried || (refused && row.status == Status::Rejected) {
                row.status = self.mail.status;
            }
        }
        self.mail.direction = self.direction();
        self.mail.recipients = self.recipients.into_values().collect();
        self.mail
    }

    /// Recipients that only the spam filter or a rule names: those of a mail refused as a whole, and those whose
    /// first attempt is still to come. A milter's line names just the last recipient.
    fn add_named_recipients(&mut self) {
        let tried = !self.recipients.is_empty();
        let mut covered: HashSet<String> = self
            .recipients
            .values()
            .flat_map(|row| [Some(&row.address), row.orig_to.as_ref()])
            .flatten()
            .filter_map(|address| normalise_address(address))
            .map(|address| untagged(&address).into_owned())
            .collect();
        let refused = self.mail.refusal.as_ref().map(|refused| {
            (refused_status(refused), refused.dsn.clone(), refused.reply.clone(), self.mail.last_seen)
        });
        let named = std::mem::take(&mut self.checked_rcpts);
        for rcpt in named.into_iter().chain(std::mem::take(&mut self.kept_back)) {
            let plain = normalise_address(&rcpt).map(|address| untagged(&address).into_owned());
            let Some(plain) = plain.filter(|plain| !covered.contains(plain)) else { continue };
            // Once attempts are logged, an address without one was expanded by an alias or never queued.
            if refused.is_none() && tried {
                continue;
            }
            covered.insert(plain);
            let mut row = Recipient { address: rcpt.clone(), ..Recipient::default() };
            if let Some((status, dsn, reply, at)) = &refused {
                row.status = *status;
                row.dsn.clone_from(dsn);
                row.reply.clone_from(reply);
                row.attempts = 1;
                row.last_attempt = *at;
            }
            self.recipients.insert((rcpt, None), row);
        }
    }

    /// Whether the PHP app kept how one delivery went, of several. What Rspamd said is about the whole mail.
    fn one_of_several(&self) -> bool {
        let delivered = |kept: &Remembered| {
            matches!(kept.status, Status::Sent | Status::Delayed | Status::Bounced | Status::Unknown)
        };
        self.recipients.len() > 1 && self.kept.as_ref().is_some_and(delivered)
    }

    /// What only the PHP app kept. Of which of several recipients it kept a status, it did not say.
    fn add_kept(&mut self) {
        let Some(kept) = &mut self.kept else { return };
        // That no line tells how it came in means nothing here.
        self.mail.entrance = self.mail.entrance.filter(|entrance| *entrance != Entrance::System);
        self.mail.size = self.mail.size.or(kept.size);
        if self.mail.check.is_none() && kept.subject.is_some() {
            // An empty action: no verdict is known, only the subject.
            self.mail.check = Some(Check {
                action: String::new(),
                score: 0,
                limit: None,
                junk_limit: None,
                subject: kept.subject.take(),
                subject_hidden: false,
                virus: false,
                forced_by: None,
                signed_for: None,
                scan: 0,
            });
        }
        let there = |row: &Recipient, rcpt: &str| row.address == rcpt || row.orig_to.as_deref() == Some(rcpt);
        for rcpt in std::mem::take(&mut kept.rcpts) {
            if !self.recipients.values().any(|row| there(row, &rcpt)) {
                let row = Recipient { address: rcpt.clone(), ..Recipient::default() };
                self.recipients.insert((rcpt, None), row);
            }
        }
    }

    fn status(&self) -> Status {
        let virus = self.mail.check.as_ref().is_some_and(|check| check.virus);
        if let Some(refused) = &self.mail.refusal {
            let status = refused_status(refused);
            return match status {
                Status::Rejected if virus => Status::Virus,
                Status::Rejected if self.quarantined => Status::Quarantined,
                status => status,
            };
        }
        if self.held {
            return Status::Held;
        }
        let worst = self.recipients.values().filter(|row| row.attempts > 0).map(|row| row.status).max();
        match worst {
            Some(worst) => worst,
            None if self.discarded || self.deleted => Status::Discarded,
            None if self.expired => Status::Expired,
            None if self.requeued => Status::Sent,
            None if let Some(kept) = &self.kept => kept.status,
            None if self.mail.removed.is_some() => Status::Unknown,
            None if self.queued || self.mail.message_id.is_some() => Status::Queued,
            None => Status::Unknown,
        }
    }

    fn direction(&self) -> Direction {
        let attempted = || self.recipients.values().filter(|row| row.attempts > 0 && !row.relay.is_empty());
        let all_local = attempted().next().is_some() && attempted().all(|row| row.local);
        let ours = match self.mail.entrance {
            _ if self.mail.login.is_some() || self.kept.as_ref().is_some_and(|kept| kept.ours) => true,
            Some(Entrance::Submission | Entrance::Smtps | Entrance::Webmail | Entrance::Local) => true,
            // A notice of our own: to a mailbox here it comes in, to anybody else it goes out.
            Some(Entrance::System) => !all_local,
            _ => false,
        };
        match (ours, all_local) {
            (false, _) => Direction::In,
            (true, true) => Direction::Internal,
            (true, false) => Direction::Out,
        }
    }
}

fn known(word: &str) -> Option<String> {
    (!word.is_empty() && word != "unknown").then(|| word.to_owned())
}

/// The way in, from the syslog name of the service; Mailcow names its services in `master.cf`.
fn entrance(program: &str) -> Entrance {
    let service = program.rsplit_once('/').map_or(program, |(service, _)| service);
    match service.rsplit('/').next().unwrap_or(service) {
        "submission" | "submission-haproxy" => Entrance::Submission,
        "smtps" | "smtps-haproxy" => Entrance::Smtps,
        "sogo" => Entrance::Webmail,
        "quarantine" => Entrance::Release,
        "bcc" => Entrance::BccCopy,
        _ => Entrance::Smtp,
    }
}

/// A recipient whom the mail reaches under another queue id, if at all.
fn go_on(row: &mut Recipient) {
    Recipient::REQUEUED.clone_into(&mut row.reply);
    row.dsn.clear();
    row.delay.clear();
    row.delays.clear();
}

fn refused_status(refused: &Refused) -> Status {
    let for_now = match refused.code {
        // What is no MIME is refused for good, which the line does not tell (`src/global/mime_state.c`).
        0 => !refused.dsn.starts_with('5') && refused.stage != "mime-error",
        code => code < 500,
    };
    match for_now {
        true => Status::SoftRejected,
        false if names_virus(&refused.verb, &refused.reply) => Status::Virus,
        false => Status::Rejected,
    }
}

fn attempt_status(program: &str, attempt: &Attempt) -> Status {
    let dropped = program.ends_with("/discard") || attempt.reply.starts_with("delivered to file: /dev/null");
    match attempt.status {
        "sent" if dropped => Status::Discarded,
        "sent" => Status::Sent,
        _ if attempt.is_deferred() => Status::Delayed,
        "bounced" => Status::Bounced,
        "expired" => Status::Expired,
        _ => Status::Unknown,
    }
}

/// Whether the attempt was for a mailbox here: Mailcow hands those to Dovecot by LMTP.
fn is_local(program: &str, attempt: &Attempt) -> bool {
    let daemon = program.rsplit('/').next().unwrap_or(program);
    matches!(daemon, "lmtp" | "virtual" | "local")
        || (daemon == "pipe" && attempt.relay.starts_with("dovecot"))
}

#[cfg(test)]
mod tests;
