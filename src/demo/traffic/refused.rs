//! Stories without a queue id: refusals at RCPT, and logins that fail.

use super::{
    letter::{Entry, Peer},
    scribe::{Scribe, Visit},
    timeline::Deed,
    words::{LISTED, PEOPLE, SPAMMERS},
};
use crate::{demo::world::domain_of, model::time::Millis};

impl Scribe<'_> {
    /// One recipient refused by smtpd; `reply` begins with the reply code.
    fn refuse_rcpt(&mut self, at: Millis, entry: &Entry, from: &str, to: &str, reply: &str) -> Millis {
        let (visit, at) = self.open(at, entry);
        let text =
            format!("NOQUEUE: reject: RCPT from {}: {reply}; {}", visit.name(), visit.envelope(from, to));
        self.line(at, visit.program, text);
        let end = self.later(at, 10, 80);
        self.close(end, &visit, 1, 1, false);
        end
    }

    pub fn unknown_recipient(&mut self, at: Millis) -> Millis {
        let from = self.rng.pick(PEOPLE);
        let to =
            self.rng.pick(&["dora@alpha.test", "anne@alpha.test", "nobody@beta.test", "karla@beta.test"]);
        let reply =
            format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table");
        self.refuse_rcpt(at, &Entry::Remote(Peer::of("mx", domain_of(from))), from, to, &reply)
    }

    pub fn unknown_from_user(&mut self, at: Millis) -> Millis {
        let (from, to) = ("ann@alpha.test", "carlo@beta.test");
        let reply =
            format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table");
        self.refuse_rcpt(at, &Entry::Submission(from.into()), from, to, &reply)
    }

    pub fn relay_denied(&mut self, at: Millis) -> Millis {
        let from = self.rng.pick(SPAMMERS);
        let to = self.rng.pick(PEOPLE);
        let entry = Entry::Remote(Peer { host: "unknown".into(), ..Peer::of("scan", domain_of(from)) });
        self.refuse_rcpt(at, &entry, from, to, &format!("454 4.7.1 <{to}>: Relay access denied"))
    }

    pub fn foreign_sender(&mut self, at: Millis) -> Millis {
        let login = self.rng.pick(&["ann@alpha.test", "bob@alpha.test"]);
        let from = self.rng.pick(&["carla@beta.test", "boss@kunde-gmbh.example"]);
        let to = self.rng.pick(PEOPLE);
        let reply = format!("553 5.7.1 <{from}>: Sender address rejected: not owned by user {login}");
        self.refuse_rcpt(at, &Entry::Submission(login.to_owned()), from, to, &reply)
    }

    pub fn forged_sender(&mut self, at: Millis) -> Millis {
        let peer = Peer::of("mail", self.rng.pick(LISTED));
        let to = self.rng.pick(&["ann@alpha.test", "carla@beta.test"]);
        let (from, reply) = if self.rng.chance(50) {
            let from = "ceo@alpha.test";
            let why = "Sender address rejected: User unknown in virtual mailbox table";
            (from, format!("550 5.1.0 <{from}>: {why}"))
        } else {
            let from = "info@no-such-domain.example";
            (from, format!("450 4.1.8 <{from}>: Sender address rejected: Domain not found"))
        };
        self.refuse_rcpt(at, &Entry::Remote(peer), from, to, &reply)
    }

    /// Refused by a block list: usually by postscreen, sometimes by smtpd.
    pub fn listed(&mut self, at: Millis) -> Millis {
        let peer = Peer::of("host", self.rng.pick(LISTED));
        let from = self.rng.pick(SPAMMERS);
        let to = self.rng.pick(&["ann@alpha.test", "bob@alpha.test", "info@alpha.test", "carla@beta.test"]);
        if self.rng.chance(30) {
            let reply = format!(
                "554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.spamhaus.org; \
                 https://www.spamhaus.org/query/ip/{ip}",
                ip = peer.ip
            );
            return self.refuse_rcpt(at, &Entry::Remote(peer), from, to, &reply);
        }
        let reply =
            format!("550 5.7.1 Service unavailable; client [{}] blocked using zen.spamhaus.org", peer.ip);
        self.screened_out(at, &peer, from, to, &reply, None)
    }

    /// Refused by postscreen because it talked before its turn.
    pub fn talks_early(&mut self, at: Millis) -> Millis {
        let peer = Peer::of("bot", self.rng.pick(LISTED));
        let from = self.rng.pick(SPAMMERS);
        self.screened_out(
            at,
            &peer,
            from,
            "bob@alpha.test",
            "550 5.5.1 Protocol error",
            Some("EHLO ylmf-pc\\r\\n"),
        )
    }

    fn screened_out(
        &mut self,
        at: Millis,
        peer: &Peer,
        from: &str,
        to: &str,
        reply: &str,
        early: Option<&str>,
    ) -> Millis {
        let client = format!("[{}]:{}", peer.ip, self.rng.between(20_000, 60_000));
        let line = |scribe: &mut Self, at, text| scribe.line(at, "postfix/postscreen", text);
        line(self, at, format!("CONNECT from {client} to [172.22.1.253]:25"));
        if let Some(early) = early {
            line(self, at, format!("PREGREET 14 after 0.05 from {client}: {early}"));
        } else {
            line(self, at, format!("DNSBL rank 8 for {client}"));
        }
        let at = self.later(at, 6_000, 6_900);
        let helo = &peer.host;
        let text = format!(
            "NOQUEUE: reject: RCPT from {client}: {reply}; from=<{from}>, to=<{to}>, proto=ESMTP, helo=<{helo}>"
        );
        line(self, at, text);
        line(self, at, format!("DISCONNECT {client}"));
        at
    }

    /// A few wrong passwords; netfilter counts them, and bans after five.
    pub fn wrong_password(&mut self, at: Millis) -> Millis {
        let peer = Peer::of("brute", self.rng.pick(LISTED));
        let user = self.rng.pick(&["ann@alpha.test", "admin", "test@alpha.test", "carla@beta.test"]);
        let program = "postfix/submission/smtpd";
        let visit = Visit { program, peer, helo: "ylmf-pc".into(), tls: false, login: None };
        self.line(at, program, format!("connect from {}", visit.name()));
        let (mut at, tries) = (at, self.rng.between(1, 6));
        for attempt in 1..=tries {
            at = self.later(at, 2_000, 9_000);
            let text = format!(
                "warning: {}: SASL LOGIN authentication failed: (reason unavailable), sasl_username={user}",
                visit.name()
            );
            self.count_failure(at, &visit.peer.ip, &text, attempt);
            self.line(at, program, text);
        }
        let text =
            format!("disconnect from {} ehlo=1 auth=0/{tries} quit=1 commands=2/{}", visit.name(), tries + 2);
        self.line(at, program, text);
        at
    }

    fn count_failure(&mut self, at: Millis, ip: &str, line: &str, attempt: u64) {
        let message = format!("{ip} matched rule id 3 ({line})");
        self.out.push((at, Deed::Netfilter { priority: "warn", message }));
        let net = if ip.contains(':') { format!("{ip}/128") } else { format!("{ip}/32") };
        let (priority, message) = match 5_u64.saturating_sub(attempt) {
            0 => ("crit", format!("Banning {net} for 30 minutes")),
            left => ("warn", format!("{left} more attempts in the next 600 seconds until {net} is banned")),
        };
        self.out.push((at, Deed::Netfilter { priority, message }));
    }
}
