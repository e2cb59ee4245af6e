//! Lines that come before the mail and name only the peer: the TLS line of an encrypted session, and the rule by which smtpd
//! holds or throws away what comes. They are remembered until that peer hands over (or takes) a mail. What is still open goes
//! into the next poll.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::{
    event::{Attempt, Client, LogLine, Refusal, Session},
    time::Millis,
};

/// A session older than this belongs to no mail any more.
const LIFE: Duration = Duration::from_secs(300);

/// Open sessions by program and peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    open: BTreeMap<String, (Millis, String)>,
    /// Texts of lines by which smtpd(8) stops a mail before it has a queue id, by program and peer.
    #[serde(default)]
    rules: BTreeMap<String, (Millis, String)>,
}

impl Sessions {
    /// Reads what [`Sessions::to_json`] wrote; anything else is no session.
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Forgets the sessions that do not matter any more at `now`.
    pub fn forget(&mut self, now: Millis) {
        self.open.retain(|_, (at, _)| now.since(*at) < LIFE);
        self.rules.retain(|_, (at, _)| now.since(*at) < LIFE);
    }

    /// For [`Sessions::from_json`].
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A TLS line.
    pub fn begin(&mut self, line: &LogLine<'_>, session: &Session<'_>) {
        self.open.insert(name(line.program, session.peer), (line.at, session.protocol.to_owned()));
    }

    /// A `connect from` line: what was known of that peer belongs to an earlier connection.
    pub fn connect(&mut self, line: &LogLine<'_>, peer: &str) {
        if !(self.open.is_empty() && self.rules.is_empty()) {
            let name = name(line.program, peer);
            self.open.remove(&name);
            self.rules.remove(&name);
        }
    }

    /// A rule of smtpd(8) that holds or throws away the mail that its peer hands over next. It is logged before the mail has a
    /// queue id, and never again.
    pub fn stop(&mut self, line: &LogLine<'_>, refusal: &Refusal<'_>) {
        let peer = format!("{}[{}]", refusal.host, refusal.ip);
        self.rules.insert(name(line.program, &peer), (line.at, line.text.to_owned()));
    }

    /// The text of the line by which the mail that a client hands over is stopped. It counts for this mail only.
    pub fn rule_of(&mut self, line: &LogLine<'_>, client: &Client<'_>) -> Option<String> {
        if self.rules.is_empty() {
            return None;
        }
        let peer = format!("{}[{}]", client.host, client.ip);
        let (at, text) = self.rules.remove(&name(line.program, &peer))?;
        (line.at >= at && line.at.since(at) < LIFE).then_some(text)
    }

    /// Protocol of the session in which a client handed over a mail.
    pub fn of_client(&self, line: &LogLine<'_>, client: &Client<'_>) -> Option<&str> {
        if self.open.is_empty() {
            return None;
        }
        self.find(line, &format!("{}[{}]", client.host, client.ip))
    }

    /// Protocol of the session of a delivery attempt.
    pub fn of_attempt(&self, line: &LogLine<'_>, attempt: &Attempt<'_>) -> Option<&str> {
        if self.open.is_empty() {
            return None;
        }
        self.find(line, attempt.relay)
    }

    fn find(&self, line: &LogLine<'_>, peer: &str) -> Option<&str> {
        let (at, protocol) = self.open.get(&name(line.program, peer))?;
        (line.at.since(*at) < LIFE).then_some(protocol.as_str())
    }
}

fn name(program: &str, peer: &str) -> String {
    format!("{program} {peer}")
}
