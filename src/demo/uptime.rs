//! What was down in the last months of the simulated server, and what its admin told strangers about it.

use std::{collections::BTreeSet, time::Duration};

use super::objects::IMAGES;
use crate::{
    metrics::{
        modules::{clamav, docker, dovecot, postfix, rspamd, tls},
        registry::Origin,
        samples::Samples,
    },
    model::{
        announcement::{Announcement, Kind, Update},
        sample::Labels,
        time::Millis,
    },
    store::{
        self, Db,
        public::{self, Shown},
    },
};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// Ports that are watched.
const PORTS: [&str; 9] = ["25", "110", "143", "443", "465", "587", "993", "995", "4190"];

/// What was down, how many seconds ago it began, and for how many seconds.
static OUTAGES: [(&str, u64, u64); 9] = [
    ("587", 17 * DAY + 9 * HOUR, 22 * 60),
    ("465", 17 * DAY + 9 * HOUR, 22 * 60),
    ("web", 9 * DAY + 5 * HOUR, 47 * 60),
    ("443", 9 * DAY + 5 * HOUR, 47 * 60),
    ("sogo", 23 * DAY + 4 * HOUR, 12 * 60),
    // It has not come back.
    ("olefy", 5 * HOUR, 6 * HOUR),
    ("clamav", 51 * DAY + 2 * HOUR, 3 * HOUR),
    ("web", 77 * DAY + 11 * HOUR, 6 * 60),
    ("dovecot", WORK_AGO - 10 * 60, 35 * 60),
];
/// When nobody looked, and for how long.
const BLIND: (u64, u64) = (40 * DAY, 9 * HOUR);
/// How long ago planned work began; it took an hour.
const WORK_AGO: u64 = 30 * DAY;

fn went_on((ago, length): (u64, u64), today: Millis, at: Millis) -> bool {
    let begin = today.minus(Duration::from_secs(ago));
    begin <= at && at < begin.plus(Duration::from_secs(length))
}

/// Whether anybody looked at that moment.
pub fn is_watched(today: Millis, at: Millis) -> bool {
    !went_on(BLIND, today, at)
}

/// The first moment behind `at` at which something changed.
pub fn next_change(today: Millis, at: Millis) -> Option<Millis> {
    let spans = OUTAGES.iter().map(|(_, ago, length)| (*ago, *length)).chain([BLIND]);
    let ends = spans.flat_map(|(ago, length)| [ago, ago.saturating_sub(length)]);
    ends.map(|ago| today.minus(Duration::from_secs(ago))).filter(|end| *end > at).min()
}

/// Tells which services and ports were up.
pub fn tell(origins: &[Origin], today: Millis, at: Millis, out: &mut Samples) {
    let is_up = |name: &str| {
        !OUTAGES.iter().any(|(down, ago, length)| *down == name && went_on((*ago, *length), today, at))
    };
    if origins.contains(&Origin::Containers) {
        out.set(&postfix::PROCESS_RUNNING, is_up("postfix"));
        out.set(&dovecot::RUNNING, is_up("dovecot"));
        out.set(&rspamd::RUNNING, is_up("rspamd"));
        out.set(&clamav::RUNNING, is_up("clamav"));
        let others = IMAGES.iter().map(|(name, _)| *name);
        for name in others.filter(|name| !matches!(*name, "postfix" | "dovecot" | "rspamd" | "clamd")) {
            out.set_each(&docker::EACH_RUNNING, Labels::one("container", name), is_up(name));
        }
    }
    if origins.contains(&Origin::Ports) {
        for port in PORTS {
            out.set_each(&tls::EACH_PORT_OPEN, Labels::one("port", port), is_up(port));
        }
        out.set(&tls::HTTPS_CHECK, is_up("443"));
        out.set(&tls::IMAPS_CHECK, is_up("993"));
        out.set(&tls::SUBMISSION_CHECK, is_up("587"));
        out.set(&tls::UI_CHECK, is_up("web"));
    }
}

/// Chooses what strangers see, and announces a past disturbance, past work and planned work.
///
/// # Errors
/// When the database fails.
pub async fn announce(db: &Db, today: Millis) -> store::Result<()> {
    let shown = [
        ("port-25", "Receiving mail"),
        ("port-587", "Sending mail"),
        ("port-465", "Sending mail"),
        ("port-993", "Reading mail (IMAP)"),
        ("dovecot", "Reading mail (IMAP)"),
        ("web", "Webmail"),
    ];
    let shown = shown.map(|(code, name)| Shown { code: code.to_owned(), name: name.to_owned() });
    let ago = |seconds: u64| today.minus(Duration::from_secs(seconds));
    let ahead = |seconds: u64| today.plus(Duration::from_secs(seconds));
    let note = |kind, title: &str, from: Millis, until: Millis, about: &[&str], told: &[(Millis, &str)]| {
        let updates = told.iter().map(|(at, text)| Update { at: *at, text: (*text).to_owned() });
        let updates: Vec<Update> = updates.collect();
        let (first, last) = (updates.first().map(|it| it.at), updates.last().map(|it| it.at));
        Announcement {
            id: first.unwrap_or(from).0,
            kind,
            title: title.to_owned(),
            from,
            until: Some(until),
            excuses: kind == Kind::Maintenance,
            services: about.iter().map(|code| (*code).to_owned()).collect::<BTreeSet<_>>(),
            changed: last.unwrap_or(from),
            updates,
        }
    };
    let broke = 17 * DAY + 9 * HOUR;
    let notes = [
        note(
            Kind::Incident,
            "Sending was not possible",
            ago(broke),
            ago(broke - 22 * 60),
            &["port-587", "port-465"],
            &[
                (ago(broke - 240), "Mail programs cannot send at present. We are on it; nothing is lost."),
                (
                    ago(broke - 22 * 60),
                    "The port did not answer after an update. It does again; what waited went out.",
                ),
            ],
        ),
        note(
            Kind::Maintenance,
            "Update of the mail server",
            ago(WORK_AGO),
            ago(WORK_AGO - HOUR),
            &["dovecot", "port-993"],
            &[(ago(WORK_AGO + 4 * DAY), "Reading mail may not be possible for some minutes.")],
        ),
        note(
            Kind::Maintenance,
            "Update of the mail server",
            ahead(6 * DAY),
            ahead(6 * DAY + HOUR),
            &[],
            &[(ago(2 * DAY), "Mails may arrive some minutes late; none is lost.")],
        ),
    ];
    let mut tx = db.begin().await?;
    public::show(&mut tx, &shown).await?;
    for note in &notes {
        public::save(&mut tx, note).await?;
    }
    tx.commit().await
}
