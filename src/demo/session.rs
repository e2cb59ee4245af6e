//! Browser and API sessions behind the cookie `MCSESSID`.

use std::{collections::HashMap, time::Duration};

use super::rng::Rng;
use crate::model::time::Millis;

/// How long a session lives after its last use.
const LIFETIME: Duration = Duration::from_secs(3 * 3_600);

/// A session.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    /// Last use.
    pub seen: Millis,
    /// True when an API key opened it: it then needs no key any more.
    pub api: bool,
    /// Mailbox address of who is logged in.
    pub user: Option<String>,
    /// Where OAuth2 began, to go back there after the login.
    pub wants: Option<String>,
    /// Token that forms must repeat.
    pub csrf: String,
    /// Failed logins.
    pub failures: u32,
}

/// All sessions by id.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, Session>);

impl Sessions {
    /// The session of this id, unless it is too old.
    pub fn find(&mut self, id: Option<&str>, now: Millis) -> Option<&mut Session> {
        let session = self.0.get_mut(id?)?;
        if now.since(session.seen) > LIFETIME {
            return None;
        }
        session.seen = now;
        Some(session)
    }

    /// Stores `session` under a new id.
    pub fn open(&mut self, rng: &mut Rng, now: Millis, session: Session) -> String {
        if self.0.len() >= 2_000 {
            self.0.retain(|_, old| now.since(old.seen) <= LIFETIME);
        }
        let id = rng.hex(32);
        let csrf = rng.hex(64);
        self.0.insert(id.clone(), Session { seen: now, csrf, ..session });
        id
    }

    /// Ends a session and gives back what it held.
    pub fn close(&mut self, id: &str) -> Option<Session> {
        self.0.remove(id)
    }
}
