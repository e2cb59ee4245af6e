//! What admins tell strangers on the public page: disturbances and planned work.

use std::collections::BTreeSet;

use super::{time::Millis, uptime::Window};

/// Longest title, in characters.
pub const TITLE: usize = 120;
/// Longest text, in characters.
pub const TEXT: usize = 2000;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something does not work, or did not.
    Incident,
    /// Planned work, with a begin and an end.
    Maintenance,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Incident, Self::Maintenance];

    /// The word in the database, in forms, in exports and in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Maintenance => "maintenance",
        }
    }

    /// The kind of a [`Kind::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What was added to an announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// When.
    pub at: Millis,
    /// In the admin's words.
    pub text: String,
}

/// A disturbance or planned work, in the admin's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The moment at which it was first written, in milliseconds.
    pub id: i64,
    /// What it is.
    pub kind: Kind,
    /// In one sentence.
    pub title: String,
    /// Its begin.
    pub from: Millis,
    /// Its end; `None` while nobody knows.
    pub until: Option<Millis>,
    /// Outages meanwhile do not count as such.
    pub excuses: bool,
    /// Codes of what it is about; none: everything.
    pub services: BTreeSet<String>,
    /// When anything of it was last changed.
    pub changed: Millis,
    /// What was told, oldest first.
    pub updates: Vec<Update>,
}

/// Where in time an announcement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It goes on.
    Present,
    /// It is still to come.
    Planned,
    /// It is over.
    Over,
}

impl Announcement {
    /// Where in time it is.
    pub fn phase(&self, now: Millis) -> Phase {
        match self.until {
            Some(until) if until <= now => Phase::Over,
            _ if self.from > now => Phase::Planned,
            _ => Phase::Present,
        }
    }

    /// The same, over since now or, if it never began, since its begin; with a last word, if there is one.
    pub fn ended(mut self, text: String, now: Millis) -> Self {
        if !text.is_empty() {
            self.updates.push(Update { at: now, text });
        }
        Self { until: Some(now.max(self.from)), changed: now, ..self }
    }

    /// Whether it is about a service.
    pub fn is_about(&self, code: &str) -> bool {
        self.services.is_empty() || self.services.contains(code)
    }

    /// The time in which outages of a service do not count, if it excuses them.
    pub fn window(&self, code: &str, now: Millis) -> Option<Window> {
        (self.excuses && self.is_about(code)).then(|| (self.from, self.until.unwrap_or(now)))
    }
}

#[cfg(test)]
/// Announcements for tests.
pub mod samples {
    use super::*;

    /// Planned work of an hour.
    pub fn maintenance(from: Millis, until: Millis, services: &[&str]) -> Announcement {
        Announcement {
            id: from.0,
            kind: Kind::Maintenance,
            title: "Update of the mail server".to_owned(),
            from,
            until: Some(until),
            excuses: true,
            services: services.iter().map(|code| (*code).to_owned()).collect(),
            changed: from,
            updates: vec![Update { at: from, text: "Mails may arrive late; none is lost.".to_owned() }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_planned_then_present_then_over() {
        let work = samples::maintenance(Millis(10), Millis(20), &["web"]);
        let phases: Vec<_> = [9, 10, 19, 20].map(|at| work.phase(Millis(at))).into();
        assert_eq!(phases, [Phase::Planned, Phase::Present, Phase::Present, Phase::Over]);
        let open = Announcement { until: None, ..work.clone() };
        assert_eq!(open.phase(Millis(9_999)), Phase::Present);
        assert_eq!(work.window("web", Millis(15)), Some((Millis(10), Millis(20))));
        assert_eq!(work.window("postfix", Millis(15)), None, "it is not about that");
        let all = Announcement { services: BTreeSet::new(), ..open };
        assert_eq!(all.window("postfix", Millis(15)), Some((Millis(10), Millis(15))));
        assert_eq!(Announcement { excuses: false, ..all }.window("postfix", Millis(15)), None);
    }
}
