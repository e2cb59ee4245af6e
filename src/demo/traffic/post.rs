//! The life of one mail: handed in, checked, queued, tried, delivered or returned.

use std::time::Duration;

use super::{
    letter::{Entry, Fate, Letter, Outcome, Peer, Reach, Trouble, Verdict},
    scan,
    scribe::{OWN_IP, Scribe, TLS, Visit, seconds},
    timeline::{Deed, Kept, Step},
};
use crate::{
    demo::{
        json::object,
        world::{Destination, Way, domain_of},
    },
    model::time::Millis,
};

/// What became known of a mail when it was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Queue id of the (first) attempt to hand it in.
    pub queue_id: String,
    /// Message id without angle brackets.
    pub message_id: String,
    /// When its last line is written; may lie in the future.
    pub ends: Millis,
}

/// A mail that lies in the queue.
pub(super) struct Queued<'a> {
    id: &'a str,
    sender: &'a str,
    size: u64,
    arrival: Millis,
    junk: bool,
    message_id: &'a str,
}

const DOVECOT: &str = "dovecot[172.22.1.250]";
const FIRST_RETRY: Duration = Duration::from_secs(300);
const LONGEST_RETRY: Duration = Duration::from_secs(4 * 3_600);
const WARNING: Duration = Duration::from_secs(4 * 3_600);
const LIFETIME: Duration = Duration::from_secs(5 * 86_400);

impl Scribe<'_> {
    /// Writes the whole story of `letter`, which is handed in at `at`.
    pub fn post(&mut self, at: Millis, letter: &Letter) -> Posted {
        let id = self.ids.fresh(self.rng, at);
        self.post_as(at, letter, id)
    }

    /// The same, under a queue id that is already chosen.
    pub fn post_as(&mut self, at: Millis, letter: &Letter, id: String) -> Posted {
        let (visit, arrival) = self.open(at, &letter.entry);
        let message_id = letter.message_id.clone().unwrap_or_else(|| self.own_message_id(arrival, &id));
        let named = self.accept(arrival, letter, &visit, &id, &message_id);
        let checked = self.check(named, letter, &visit, &id, &message_id);
        let rcpt = letter.targets.len();
        let refusal = match letter.verdict {
            Verdict::Spam | Verdict::Quarantine | Verdict::Virus => {
                Some("5.7.1 This message does not meet our delivery requirements")
            }
            Verdict::Greylist | Verdict::GreylistOnly => Some("4.7.1 Greylisted, please try again later"),
            Verdict::RateLimit => Some("4.7.1 Ratelimit \"mailcow\" exceeded"),
            _ => None,
        };
        let ends = match refusal {
            Some(reply) => {
                self.refuse(checked, letter, &visit, &id, reply);
                self.close(Millis(checked.0 + 20), &visit, rcpt, 0, false);
                self.come_back(checked, letter, &message_id)
            }
            None => {
                let ends = self.enqueue(checked, arrival, letter, &visit, &id, &message_id);
                self.close(Millis(checked.0 + 25), &visit, rcpt, 0, true);
                ends
            }
        };
        Posted { queue_id: id, message_id, ends }
    }

    /// `client=`, for users the replaced header, and `message-id=`.
    fn accept(&mut self, at: Millis, letter: &Letter, visit: &Visit, id: &str, message_id: &str) -> Millis {
        let mut client = format!("{id}: client={}", visit.name());
        if let Some(login) = letter.login() {
            client.push_str(&format!(", sasl_method=PLAIN, sasl_username={login}"));
        }
        self.line(at, visit.program, client);
        let at = self.later(at, 20, 90);
        if let Entry::Submission(_) | Entry::Smtps(_) = letter.entry {
            let header = self.replaced_header(at, letter, visit, id);
            self.line(at, "postfix/cleanup", header);
        }
        self.line(at, "postfix/cleanup", format!("{id}: message-id=<{message_id}>"));
        at
    }

    fn replaced_header(&self, at: Millis, letter: &Letter, visit: &Visit, id: &str) -> String {
        let first = letter.targets.first().map_or("", |target| target.address.as_str());
        let only = if letter.targets.len() == 1 { format!("??for <{first}>;") } else { ";??".to_owned() };
        format!(
            "{id}: replace: header Received: from {helo} ({host} [{ip}])??(using {tls:.116} from {name}; \
             {envelope}: Received: from [127.0.0.1] (localhost [127.0.0.1]) by localhost (Mailerdaemon) \
             with ESMTPSA id {id}{only} {date}",
            helo = visit.helo,
            host = visit.peer.host,
            ip = visit.peer.ip,
            tls = TLS,
            name = visit.name(),
            envelope = visit.envelope(&letter.sender, first),
            date = self.local(at, "%a, %d %b %Y %H:%M:%S %z (%Z)"),
        )
    }

    /// The filter's part: the history row, quarantine copies, the rate limit log.
    fn check(&mut self, at: Millis, letter: &Letter, visit: &Visit, id: &str, message_id: &str) -> Millis {
        if letter.verdict == Verdict::Unseen {
            return self.later(at, 10, 40);
        }
        let scanned = scan::scan(self.rng, letter, visit, message_id, at);
        let end = Millis(at.0 + scanned.millis);
        self.out.push((end, Deed::Scan(scanned.row)));
        if let Verdict::Quarantine | Verdict::Virus = letter.verdict {
            self.keep(end, letter, id, scanned.score);
        }
        if letter.verdict == Verdict::RateLimit {
            self.out.push((end, Deed::Ratelimited(rate_limited(letter, visit, id, message_id, at))));
        }
        Millis(end.0 + 5)
    }

    fn keep(&mut self, at: Millis, letter: &Letter, id: &str, score: f64) {
        for target in &letter.targets {
            for destination in self.world.destinations(&target.address) {
                if destination.way == Way::Mailbox {
                    let kept = Kept {
                        id: id.to_owned(),
                        subject: letter.subject.clone().unwrap_or_default(),
                        virus: letter.verdict == Verdict::Virus,
                        score: (score * 100.0).round() / 100.0,
                        to: destination.to,
                        sender: letter.sender.clone(),
                    };
                    self.out.push((at, Deed::Quarantine(kept)));
                }
            }
        }
    }

    fn refuse(&mut self, at: Millis, letter: &Letter, visit: &Visit, id: &str, reply: &str) {
        // With several recipients the line names only the last one.
        let last = letter.targets.last().map_or("", |target| target.address.as_str());
        let text = format!(
            "{id}: milter-reject: END-OF-MESSAGE from {}: {reply}; {}",
            visit.name(),
            visit.envelope(&letter.sender, last)
        );
        self.line(at, "postfix/cleanup", text);
    }

    /// A greylisted server tries again under the same message id.
    fn come_back(&mut self, at: Millis, letter: &Letter, message_id: &str) -> Millis {
        if letter.verdict != Verdict::Greylist {
            return at;
        }
        let again =
            Letter { verdict: Verdict::Clean, message_id: Some(message_id.to_owned()), ..letter.clone() };
        let next = self.later(at, 310_000, 1_500_000);
        self.post(next, &again).ends
    }

    fn enqueue(
        &mut self,
        at: Millis,
        arrival: Millis,
        letter: &Letter,
        visit: &Visit,
        id: &str,
        message_id: &str,
    ) -> Millis {
        let mut pending: Vec<(Destination, Fate)> = Vec::new();
        for target in &letter.targets {
            for destination in self.world.destinations(&target.address) {
                if pending.iter().all(|(known, _)| known.to != destination.to) {
                    pending.push((destination, target.fate.clone()));
                }
            }
        }
        let size = letter.size + self.rng.between(190, 260);
        let junk = letter.verdict == Verdict::Junk;
        let queued = Queued { id, sender: &letter.sender, size, arrival, junk, message_id };
        let last = letter.targets.last().map_or("", |target| target.address.as_str());
        let because = |action: &str| {
            let envelope = visit.envelope(&letter.sender, last);
            format!(
                "{id}: {action}: header X-Campaign: autumn from {}; {envelope}: kept back by the mail policy",
                visit.name()
            )
        };
        match letter.verdict {
            Verdict::Discard => {
                self.line(at, "postfix/cleanup", because("discard"));
                at
            }
            Verdict::Hold { released } => {
                self.line(at, "postfix/cleanup", because("hold"));
                let recipients = pending.iter().map(|(to, _)| to.to.clone()).collect();
                self.queue(at, id, Step::Hold { sender: letter.sender.clone(), size, recipients });
                if !released {
                    return at;
                }
                let free = self.later(at, 1_800_000, 5_400_000);
                self.line(free, "postfix/postsuper", format!("{id}: released from hold"));
                self.line(free, "postfix/postsuper", "Released from hold: 1 message".to_owned());
                let active = self.later(free, 200, 900);
                self.deliver(active, &queued, pending)
            }
            _ => self.deliver(at, &queued, pending),
        }
    }

    /// Runs through the queue until nobody waits any more.
    fn deliver(&mut self, at: Millis, mail: &Queued<'_>, mut pending: Vec<(Destination, Fate)>) -> Millis {
        let (mut at, mut backoff, mut warned) = (at, FIRST_RETRY, false);
        for run in 0.. {
            self.activate(at, mail, &pending);
            let round = self.attempt_all(at, mail, &mut pending, run);
            let end = round.end;
            if round.bounced {
                self.notify(end, mail, "sender non-delivery notification");
            }
            if pending.is_empty() {
                return self.remove(end, mail);
            }
            let age = end.since(mail.arrival);
            if age >= LIFETIME {
                let text = format!("{}: from=<{}>, status=expired, returned to sender", mail.id, mail.sender);
                self.line(end, "postfix/qmgr", text);
                self.notify(end, mail, "sender non-delivery notification");
                return self.remove(end, mail);
            }
            if age >= WARNING && !warned {
                warned = true;
                self.notify(end, mail, "sender delay notification");
            }
            at = self.later(end.plus(backoff), 0, 60_000);
            backoff = (backoff * 2).min(LONGEST_RETRY);
        }
        at
    }

    fn activate(&mut self, at: Millis, mail: &Queued<'_>, pending: &[(Destination, Fate)]) {
        let Queued { id, sender, size, .. } = mail;
        let text = format!("{id}: from=<{sender}>, size={size}, nrcpt={} (queue active)", pending.len());
        self.line(at, "postfix/qmgr", text);
        let recipients = pending.iter().map(|(to, _)| to.to.clone()).collect();
        self.queue(at, id, Step::Active { sender: (*sender).to_owned(), size: *size, recipients });
    }

    fn attempt_all(
        &mut self,
        at: Millis,
        mail: &Queued<'_>,
        pending: &mut Vec<(Destination, Fate)>,
        run: u32,
    ) -> Round {
        let mut round = Round { end: at, bounced: false };
        let mut greeted = Vec::new();
        pending.retain(|(to, fate)| {
            let outcome = fate.outcome(run);
            let end = self.attempt(at, mail, to, outcome, &mut greeted);
            round.end = round.end.max(end);
            round.bounced |= matches!(outcome, Outcome::Refused(_));
            matches!(outcome, Outcome::PutOff(_))
        });
        round
    }

    /// One attempt for one recipient.
    fn attempt(
        &mut self,
        at: Millis,
        mail: &Queued<'_>,
        to: &Destination,
        outcome: Outcome<'_>,
        greeted: &mut Vec<String>,
    ) -> Millis {
        let started = self.later(at, 5, 60);
        let peer = Peer::of("mx1", domain_of(&to.to));
        let enforced = domain_of(&to.to) == "bank-online.example";
        let (program, relay) = match to.way {
            Way::Mailbox => ("postfix/lmtp", format!("{DOVECOT}:24")),
            Way::Elsewhere if enforced => ("enforced-tls-smtp/smtp", format!("{}:25", peer.name())),
            Way::Elsewhere => ("postfix/smtp", format!("{}:25", peer.name())),
            Way::Nowhere => ("postfix/local", "local".to_owned()),
        };
        let mx = if to.way == Way::Mailbox { DOVECOT.to_owned() } else { peer.name() };
        let connected = match to.way {
            Way::Elsewhere => self.connect(started, program, &mx, outcome, greeted),
            _ => self.later(started, 0, 30),
        };
        let end = self.later(connected, 10, 120);
        let (status, dsn, relay, text) = match outcome {
            Outcome::Taken => ("sent", "2.0.0".to_owned(), relay, self.taken(end, mail, to)),
            Outcome::PutOff(trouble) | Outcome::Refused(trouble) => {
                let relay = if trouble.reach == Reach::Unreached { "none".to_owned() } else { relay };
                let status = if matches!(outcome, Outcome::PutOff(_)) { "deferred" } else { "bounced" };
                (status, trouble.dsn.to_string(), relay, words(trouble, &mx, &to.to))
            }
        };
        let delays =
            [at.since(mail.arrival), started.since(at), connected.since(started), end.since(connected)];
        let orig_to = to.orig_to.as_ref().map_or(String::new(), |orig| format!(" orig_to=<{orig}>,"));
        let line = format!(
            "{}: to=<{}>,{orig_to} relay={relay}, delay={}, delays={}, dsn={dsn}, status={status} ({text})",
            mail.id,
            to.to,
            seconds(end.since(mail.arrival)),
            delays.map(seconds).join("/"),
        );
        self.line(end, program, line);
        let step = match outcome {
            Outcome::PutOff(_) => Step::Wait { to: to.to.clone(), reason: text },
            _ => Step::Leave { to: to.to.clone() },
        };
        self.queue(end, mail.id, step);
        end
    }

    /// Reaches the other server, or not; once for each server in a round.
    fn connect(
        &mut self,
        at: Millis,
        program: &'static str,
        mx: &str,
        outcome: Outcome<'_>,
        greeted: &mut Vec<String>,
    ) -> Millis {
        let unreached = match outcome {
            Outcome::PutOff(trouble) | Outcome::Refused(trouble) => {
                (trouble.reach == Reach::Unreached).then_some(trouble)
            }
            Outcome::Taken => None,
        };
        if let Some(trouble) = unreached {
            let end = self.later(at, 20, 1_200);
            if trouble.text.starts_with("connect to") {
                self.line(end, program, trouble.text.replace("{mx}", mx));
            }
            return end;
        }
        let end = self.later(at, 60, 500);
        if !greeted.iter().any(|known| known == mx) {
            greeted.push(mx.to_owned());
            let trust = if program.starts_with("enforced") { "Verified" } else { "Trusted" };
            self.line(end, program, format!("{trust} TLS connection established to {mx}:25: {TLS}"));
        }
        end
    }

    /// The answer of who takes the mail; Dovecot logs its own lines.
    fn taken(&mut self, at: Millis, mail: &Queued<'_>, to: &Destination) -> String {
        match to.way {
            Way::Mailbox => {
                let session = self.session();
                let pid = self.rng.between(1_000, 30_000);
                let folder = if mail.junk {
                    "fileinto action: stored mail into mailbox 'Junk'"
                } else {
                    "stored mail into mailbox 'INBOX'"
                };
                let lines = [
                    format!("lmtp({pid}): Connect from 172.22.1.253"),
                    format!(
                        "lmtp({})<{pid}><{session}>: sieve: msgid=<{}>: {folder}",
                        crate::demo::world::untagged(&to.to),
                        mail.message_id
                    ),
                    format!("lmtp({pid}): Disconnect from 172.22.1.253: Logged out (state=READY)"),
                ];
                self.out.extend(lines.map(|line| (at, Deed::Dovecot(line))));
                format!("250 2.0.0 <{}> {session} Saved", to.to)
            }
            Way::Elsewhere => match self.rng.below(3) {
                0 => "250 2.0.0 Ok".to_owned(),
                1 => format!("250 2.0.0 Ok: queued as {}", self.rng.hex(11).to_uppercase()),
                _ => format!("250 2.6.0 <{}> Queued mail for delivery", mail.message_id),
            },
            Way::Nowhere => "delivered to file: /dev/null".to_owned(),
        }
    }

    /// A bounce or delay notice: a new mail from nobody to the sender, with a life of its own.
    fn notify(&mut self, at: Millis, mail: &Queued<'_>, kind: &str) {
        if mail.sender.is_empty() {
            return;
        }
        let id = self.ids.fresh(self.rng, at);
        let message_id = self.own_message_id(at, &id);
        self.line(at, "postfix/cleanup", format!("{id}: message-id=<{message_id}>"));
        self.line(at, "postfix/bounce", format!("{}: {kind}: {id}", mail.id));
        let size = mail.size + self.rng.between(2_100, 2_900);
        let notice = Queued { id: &id, sender: "", size, arrival: at, junk: false, message_id: &message_id };
        let pending = self.world.destinations(mail.sender).into_iter().map(|to| (to, Fate::Good)).collect();
        self.deliver(Millis(at.0 + 5), &notice, pending);
    }

    fn remove(&mut self, at: Millis, mail: &Queued<'_>) -> Millis {
        self.line(at, "postfix/qmgr", format!("{}: removed", mail.id));
        self.queue(at, mail.id, Step::Gone);
        self.ids.finish(mail.id, at);
        at
    }

    fn own_message_id(&self, at: Millis, id: &str) -> String {
        let stamp = at.in_zone(&jiff::tz::TimeZone::UTC).strftime("%Y%m%d%H%M%S").to_string();
        format!("{stamp}.{id}@{}", self.world.host)
    }

    fn session(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..22).map(|_| char::from(LETTERS[self.rng.below(64) as usize])).collect()
    }
}

/// What one run through the recipients came to.
struct Round {
    end: Millis,
    bounced: bool,
}

fn words(trouble: &Trouble, mx: &str, to: &str) -> String {
    let text = trouble.text.replace("{mx}", mx).replace("{to}", to).replace("{domain}", domain_of(to));
    let text = text.replace("{own}", OWN_IP);
    match trouble.reach {
        Reach::Answered => format!("host {mx} said: {text}"),
        Reach::Dropped | Reach::Unreached => text,
    }
}

fn rate_limited(
    letter: &Letter,
    visit: &Visit,
    id: &str,
    message_id: &str,
    at: Millis,
) -> crate::demo::json::Json {
    let hash = scan::rate_hash(letter.login().unwrap_or_default());
    let rcpt: Vec<&str> = letter.targets.iter().map(|target| target.address.as_str()).collect();
    object! {
        "time": at.secs(),
        "rcpt": rcpt.join(", "),
        "from": letter.sender.as_str(),
        "user": letter.login().unwrap_or_default(),
        "rl_info": format!("mailcow({hash})"),
        "rl_name": "mailcow",
        "rl_hash": hash,
        "qid": id,
        "ip": visit.peer.ip.as_str(),
        "message_id": message_id,
        "header_subject": letter.subject.as_deref().unwrap_or_default(),
        "header_from": letter.sender.as_str(),
    }
}
