//! Writes what happens: moments, queue ids, and the lines that more than one story needs.

use std::{borrow::Cow, collections::HashSet, collections::VecDeque, time::Duration};

use jiff::tz::TimeZone;

use super::{
    letter::{Entry, Peer},
    timeline::{Deed, Line, Step},
};
use crate::{
    demo::{rng::Rng, world::World},
    model::time::Millis,
};

/// The server's own address as others see it.
pub(super) const OWN_IP: &str = "198.51.100.10";

/// Writes one story.
pub(super) struct Scribe<'a> {
    pub rng: &'a mut Rng,
    pub ids: &'a mut Ids,
    pub world: &'a World,
    pub zone: &'a TimeZone,
    pub out: Vec<(Millis, Deed)>,
}

/// Hands out short queue ids: five hex digits of microseconds, then the inode of the queue file.
#[derive(Debug, Default)]
pub(super) struct Ids {
    used: HashSet<String>,
    finished: VecDeque<(Millis, String)>,
}

impl Ids {
    /// An id that was never used.
    pub fn fresh(&mut self, rng: &mut Rng, at: Millis) -> String {
        loop {
            let micros = at.0.rem_euclid(1000) as u64 * 1000 + rng.below(1000);
            // Freed inodes are taken again soon, so only a few dozen ever occur.
            let id = format!("{micros:05X}{:X}", 0x9E_0080 + rng.below(96));
            if self.used.insert(id.clone()) {
                return id;
            }
        }
    }

    /// An id whose mail left the queue more than a day before `at`; a fresh one if there is none.
    pub fn again(&mut self, rng: &mut Rng, at: Millis) -> String {
        let old = self.finished.front().is_some_and(|(end, _)| at.since(*end) > Duration::from_secs(86_400));
        match old.then(|| self.finished.pop_front()).flatten() {
            Some((_, id)) => id,
            None => self.fresh(rng, at),
        }
    }

    /// Notes that the mail with this id left the queue.
    pub fn finish(&mut self, id: &str, at: Millis) {
        self.finished.push_back((at, id.to_owned()));
        if self.finished.len() > 512 {
            self.finished.pop_front();
        }
        if self.used.len() > 500_000 {
            self.used.clear();
        }
    }
}

/// A connection that hands in a mail.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub program: &'static str,
    pub peer: Peer,
    pub helo: String,
    pub tls: bool,
    pub login: Option<String>,
}

impl Visit {
    pub fn name(&self) -> String {
        self.peer.name()
    }

    /// The tail of a reject line.
    pub fn envelope(&self, from: &str, to: &str) -> String {
        format!("from=<{from}> to=<{to}> proto=ESMTP helo=<{}>", self.helo)
    }
}

impl Scribe<'_> {
    pub fn line(&mut self, at: Millis, program: impl Into<Cow<'static, str>>, message: String) {
        let priority = if message.starts_with("warning:") { "warning" } else { "info" };
        let line = Line { time: at.secs(), program: program.into(), priority, message };
        self.out.push((at, Deed::Postfix(line)));
    }

    pub fn queue(&mut self, at: Millis, id: &str, step: Step) {
        self.out.push((at, Deed::Queue { id: id.to_owned(), step }));
    }

    /// `at` plus between `low` and `high` milliseconds.
    pub fn later(&mut self, at: Millis, low: u64, high: u64) -> Millis {
        Millis(at.0 + self.rng.between(low, high) as i64)
    }

    /// Opens a connection; gives it back with the moment from which mail can be handed in.
    pub fn open(&mut self, at: Millis, entry: &Entry) -> (Visit, Millis) {
        match entry {
            Entry::Remote(peer) => self.open_remote(at, peer),
            Entry::Submission(login) => self.open_client(at, "postfix/submission/smtpd", login),
            Entry::Smtps(login) => self.open_client(at, "postfix/smtps/smtpd", login),
            Entry::Webmail(login) => self.open_webmail(at, login),
        }
    }

    fn open_remote(&mut self, at: Millis, peer: &Peer) -> (Visit, Millis) {
        let seen = self.rng.chance(90);
        let at = self.screen(at, peer, if seen { "PASS OLD" } else { "PASS NEW" });
        let visit = Visit {
            program: "postfix/smtpd",
            peer: peer.clone(),
            helo: peer.host.clone(),
            tls: self.rng.chance(88),
            login: None,
        };
        self.line(at, visit.program, format!("connect from {}", visit.name()));
        (visit.clone(), self.encrypt(at, &visit))
    }

    /// Postscreen's part: `CONNECT`, then what it decides.
    pub fn screen(&mut self, at: Millis, peer: &Peer, decision: &str) -> Millis {
        let from = format!("[{}]:{}", peer.ip, self.rng.between(20_000, 60_000));
        self.line(at, "postfix/postscreen", format!("CONNECT from {from} to [172.22.1.253]:25"));
        let at = if decision == "PASS NEW" { self.later(at, 6_000, 6_200) } else { self.later(at, 0, 20) };
        self.line(at, "postfix/postscreen", format!("{decision} {from}"));
        at
    }

    fn open_client(&mut self, at: Millis, program: &'static str, login: &str) -> (Visit, Millis) {
        let seat = login.bytes().map(u64::from).sum::<u64>() % 150 + 20;
        let peer = Peer { host: format!("client-{seat}.isp.example"), ip: format!("198.51.100.{seat}") };
        let visit = Visit { program, peer, helo: "laptop".into(), tls: true, login: Some(login.to_owned()) };
        self.line(at, program, format!("connect from {}", visit.name()));
        (visit.clone(), self.encrypt(at, &visit))
    }

    fn open_webmail(&mut self, at: Millis, login: &str) -> (Visit, Millis) {
        let host = "mailcowdockerized-sogo-mailcow-1.mailcowdockerized_mailcow-network".to_owned();
        let peer = Peer { host, ip: "172.22.1.248".into() };
        let program = "postfix/sogo/smtpd";
        let visit = Visit { program, peer, helo: "sogo".into(), tls: false, login: Some(login.to_owned()) };
        self.line(at, program, format!("connect from {}", visit.name()));
        (visit, self.later(at, 5, 30))
    }

    fn encrypt(&mut self, at: Millis, visit: &Visit) -> Millis {
        let at = self.later(at, 30, 120);
        if visit.tls {
            let text = format!("Anonymous TLS connection established from {}: {TLS}", visit.name());
            self.line(at, visit.program, text);
        }
        self.later(at, 60, 300)
    }

    /// The connection's last line; `refused` of the `rcpt` recipients, or the data when `data` is false.
    pub fn close(&mut self, at: Millis, visit: &Visit, rcpt: usize, refused: usize, data: bool) {
        let (tls, auth) = (usize::from(visit.tls), usize::from(visit.login.is_some()));
        let sent = refused < rcpt;
        let mut text = format!("disconnect from {} ehlo={}", visit.name(), 1 + tls);
        if visit.tls {
            text.push_str(" starttls=1");
        }
        if visit.login.is_some() {
            text.push_str(" auth=1");
        }
        text.push_str(" mail=1");
        let done = rcpt - refused;
        text.push_str(&if refused == 0 { format!(" rcpt={rcpt}") } else { format!(" rcpt={done}/{rcpt}") });
        if sent {
            text.push_str(if data { " data=1" } else { " data=0/1" });
        }
        text.push_str(" quit=1");
        let good = 1 + 2 * tls + auth + 1 + done + usize::from(sent && data) + 1;
        let all = 1 + 2 * tls + auth + 1 + rcpt + usize::from(sent) + 1;
        text.push_str(&if good == all {
            format!(" commands={good}")
        } else {
            format!(" commands={good}/{all}")
        });
        self.line(at, visit.program, text);
    }

    /// The moment in the server's own zone, in this `strftime` form.
    pub fn local(&self, at: Millis, form: &str) -> String {
        at.in_zone(self.zone).strftime(form).to_string()
    }
}

/// The tail of a TLS line.
pub(super) const TLS: &str = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 \
     server-signature RSA-PSS (2048 bits) server-digest SHA256";

/// Seconds as Postfix prints them: two digits that matter, no finer than a hundredth.
pub(super) fn seconds(span: Duration) -> String {
    let hundredths = span.as_millis() / 10;
    match hundredths {
        0..100 => trimmed(format!("0.{hundredths:02}")),
        100..1000 => trimmed(format!("{}.{}", hundredths / 100, hundredths % 100 / 10)),
        _ => (hundredths / 100).to_string(),
    }
}

fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_printed_like_postfix() {
        let of = |millis| seconds(Duration::from_millis(millis));
        assert_eq!(
            [of(0), of(96), of(450), of(1_230), of(2_000), of(12_340), of(532_900)],
            ["0", "0.09", "0.45", "1.2", "2", "12", "532"]
        );
    }

    #[test]
    fn an_id_comes_back_only_after_a_day() {
        let (mut ids, mut rng) = (Ids::default(), Rng::new(1));
        let start = Millis(1_000_000);
        let id = ids.fresh(&mut rng, start);
        ids.finish(&id, start);
        assert_ne!(ids.again(&mut rng, start.plus(Duration::from_secs(3_600))), id);
        assert_eq!(ids.again(&mut rng, start.plus(Duration::from_secs(90_000))), id);
    }
}
