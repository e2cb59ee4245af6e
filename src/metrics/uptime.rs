//! Which services and ports are up, and how much of the last 90 days they were: from the history of their flags.

use jiff::tz::TimeZone;

use super::{
    modules::{clamav, docker, dovecot, postfix, rspamd, tls},
    registry::Metric,
};
use crate::{
    model::{
        announcement::{Announcement, Kind, Phase},
        mail::ServerId,
        scope::Scope,
        time::Millis,
        uptime::{self, Outage, Tally},
    },
    store::{
        self, Db,
        public::{self, Shown},
        samples::{self, Track},
    },
};

/// So many days are looked at.
pub const DAYS: usize = 90;
/// Announcements that are over are told for so long: as long as the days reach back.
const MEMORY: std::time::Duration = std::time::Duration::from_secs(DAYS as u64 * 86_400);

/// Something that is up or down: a flag.
#[derive(Debug)]
pub struct Watched {
    /// The word in addresses, forms and text keys.
    pub code: &'static str,
    /// Set while it is up. Of one with labels, each series is a thing of its own.
    pub metric: &'static Metric,
}

const fn watched(code: &'static str, metric: &'static Metric) -> Watched {
    Watched { code, metric }
}

/// What is watched, in the order of the page. The flags of the ports 443, 587 and 993 alone are left out: these ports
/// are among all ports.
pub static WATCHED: [Watched; 7] = [
    watched("postfix", &postfix::PROCESS_RUNNING),
    watched("dovecot", &dovecot::RUNNING),
    watched("rspamd", &rspamd::RUNNING),
    watched("clamav", &clamav::RUNNING),
    watched("web", &tls::UI_CHECK),
    watched("container", &docker::EACH_RUNNING),
    watched("port", &tls::EACH_PORT_OPEN),
];

/// One thing that is watched, and how it was.
#[derive(Debug, Clone)]
pub struct Line {
    /// Code of [`Watched`], with the label of the series: `port-25`.
    pub code: String,
    /// The code of [`Watched`] alone.
    pub kind: &'static str,
    /// The label of the series: the number of a port.
    pub label: Option<String>,
    /// Each day, oldest first; the last one is today as far as it has passed.
    pub days: Vec<Tally>,
    /// When it was down, oldest first.
    pub outages: Vec<Outage>,
    /// Whether it is up now; `None` when that is not known.
    pub up: Option<bool>,
}

impl Line {
    /// All days together, or the last few.
    pub fn last(&self, days: usize) -> Tally {
        self.days.iter().rev().take(days).copied().fold(Tally::default(), Tally::and)
    }

    /// Since when it has been down, if it is.
    pub fn down_since(&self) -> Option<Millis> {
        self.outages.last().filter(|_| self.up == Some(false)).map(|outage| outage.from)
    }
}

/// What is watched, in order, with days of this zone. What announcements excuse does not count as down.
pub async fn lines(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    zone: &TimeZone,
    now: Millis,
    announced: &[Announcement],
) -> store::Result<Vec<Line>> {
    let bounds = uptime::day_bounds(zone, now, DAYS);
    let from = bounds.first().copied().unwrap_or(now);
    let keys = WATCHED.each_ref().map(|watched| watched.metric.key);
    let tracks = samples::tracks(db, scope, server, &keys, (from, now)).await?;
    let mut lines: Vec<Line> =
        tracks.iter().filter_map(|track| line(track, &bounds, now, announced)).collect();
    let number = |line: &Line| line.label.as_ref().and_then(|label| label.parse::<u32>().ok());
    let place = |line: &Line| WATCHED.iter().position(|watched| watched.code == line.kind);
    lines.sort_by_key(|line| (place(line), number(line), line.label.clone()));
    Ok(lines)
}

fn line(track: &Track, bounds: &[Millis], now: Millis, announced: &[Announcement]) -> Option<Line> {
    let watched = WATCHED.iter().find(|watched| watched.metric.key == track.metric)?;
    let label = track.labels.iter().next().map(|(_, value)| value.to_owned());
    let code = match &label {
        Some(label) => format!("{}-{label}", watched.code),
        None => watched.code.to_owned(),
    };
    let windows: Vec<_> = announced.iter().filter_map(|note| note.window(&code, now)).collect();
    let windows = uptime::merged(&windows);
    let last = track.pieces.last().filter(|_| track.until >= now).and_then(|piece| piece.last);
    Some(Line {
        days: uptime::tallies(&track.pieces, bounds, &windows),
        outages: uptime::outages(&track.pieces, now, &windows),
        up: last.map(|flag| flag > 0.0),
        kind: watched.code,
        label,
        code,
    })
}

/// What has been announced and matters within [`DAYS`].
pub async fn announced(db: &Db, now: Millis) -> store::Result<Vec<Announcement>> {
    public::announcements(db, now.minus(MEMORY)).await
}

/// How a service is for strangers, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Working {
    /// All of it is down.
    Down,
    /// Some of it is down.
    Disturbed,
    /// There is planned work on it.
    Maintenance,
    /// Nobody knows.
    Unknown,
    /// It works.
    Up,
}

impl Working {
    /// The word in exports and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Disturbed => "disturbed",
            Self::Maintenance => "maintenance",
            Self::Unknown => "unknown",
            Self::Up => "up",
        }
    }
}

/// A service as strangers see it.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name for strangers.
    pub name: String,
    /// How it is.
    pub working: Working,
    /// Since when it has been down or disturbed.
    pub since: Option<Millis>,
    /// Each day, oldest first.
    pub days: Vec<Tally>,
    /// For each day, whether there was planned work on it.
    pub planned: Vec<bool>,
    /// Codes of what it is made of. Not for strangers.
    pub codes: Vec<String>,
}

/// Everything that strangers see.
#[derive(Debug, Clone)]
pub struct Board {
    /// When it was put together.
    pub at: Millis,
    /// Bounds of the days: one more than there are days.
    pub bounds: Vec<Millis>,
    /// The services, in the order that the admin chose.
    pub services: Vec<Service>,
    /// What was announced, newest begin first.
    pub announced: Vec<Announcement>,
}

impl Board {
    /// The worst of all services; [`Working::Unknown`] without any.
    pub fn working(&self) -> Working {
        self.services.iter().map(|service| service.working).min().unwrap_or(Working::Unknown)
    }

    /// Names of the services that an announcement is about; none where it is about everything.
    pub fn named(&self, note: &Announcement) -> Vec<&str> {
        let about = |service: &&Service| service.codes.iter().any(|code| note.services.contains(code));
        self.services.iter().filter(about).map(|service| service.name.as_str()).collect()
    }
}

/// Puts together what strangers see: chosen services under their public names, and nothing else.
pub async fn board(db: &Db, server: ServerId, zone: &TimeZone, now: Millis) -> store::Result<Board> {
    let (shown, announced) = (public::shown(db).await?, announced(db, now).await?);
    let lines = match shown.is_empty() {
        true => Vec::new(),
        false => lines(db, &Scope::All, server, zone, now, &announced).await?,
    };
    let bounds = uptime::day_bounds(zone, now, DAYS);
    let services = services(&shown, &lines, &bounds, now, &announced);
    Ok(Board { at: now, bounds, services, announced })
}

/// Things of one name are one service, which stands where the first of them does.
fn services(
    shown: &[Shown],
    lines: &[Line],
    bounds: &[Millis],
    now: Millis,
    announced: &[Announcement],
) -> Vec<Service> {
    let mut names: Vec<&str> = Vec::new();
    for one in shown {
        if !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    let service = |name: &str| {
        let codes: Vec<String> =
            shown.iter().filter(|one| one.name == name).map(|one| one.code.clone()).collect();
        let parts: Vec<&Line> = lines.iter().filter(|line| codes.contains(&line.code)).collect();
        let works: Vec<&Announcement> = announced
            .iter()
            .filter(|note| note.kind == Kind::Maintenance && codes.iter().any(|code| note.is_about(code)))
            .collect();
        let on_work = works.iter().any(|note| note.phase(now) == Phase::Present);
        Service {
            working: working(&parts, on_work),
            since: parts.iter().filter_map(|line| line.down_since()).min(),
            days: days(&parts, bounds),
            planned: bounds
                .iter()
                .zip(bounds.iter().skip(1))
                .map(|(begin, end)| works.iter().any(|note| touches(note, *begin, *end)))
                .collect(),
            name: name.to_owned(),
            codes,
        }
    };
    names.into_iter().map(service).collect()
}

/// Whether an announcement lies in part between two moments.
pub fn touches(note: &Announcement, begin: Millis, end: Millis) -> bool {
    note.from < end && note.until.is_none_or(|until| until > begin)
}

fn working(parts: &[&Line], on_work: bool) -> Working {
    let known: Vec<bool> = parts.iter().filter_map(|line| line.up).collect();
    match (known.iter().filter(|up| **up).count(), known.len()) {
        _ if on_work => Working::Maintenance,
        (_, 0) => Working::Unknown,
        (0, _) => Working::Down,
        (up, all) if up < all => Working::Disturbed,
        (_, all) if all < parts.len() => Working::Unknown,
        _ => Working::Up,
    }
}

fn days(parts: &[&Line], bounds: &[Millis]) -> Vec<Tally> {
    let lengths = bounds.iter().zip(bounds.iter().skip(1)).map(|(begin, end)| end.since(*begin));
    lengths
        .enumerate()
        .map(|(index, length)| {
            let own = parts.iter().filter_map(|line| line.days.get(index).copied());
            let nothing = Tally { length: length.as_secs_f64(), ..Tally::default() };
            own.reduce(Tally::and).unwrap_or(nothing)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::announcement::samples::maintenance;

    fn line(code: &str, up: Option<bool>, down: f64) -> Line {
        let tally = Tally { up: 86_400.0 - down, down, length: 86_400.0, ..Tally::default() };
        Line {
            code: code.to_owned(),
            kind: "port",
            label: None,
            days: vec![tally; 2],
            outages: Vec::new(),
            up,
        }
    }

    fn shown(code: &str, name: &str) -> Shown {
        Shown { code: code.to_owned(), name: name.to_owned() }
    }

    const BOUNDS: [Millis; 3] = [Millis(0), Millis(86_400_000), Millis(2 * 86_400_000)];

    #[test]
    fn strangers_see_what_was_chosen_under_its_public_name() {
        let lines =
            [line("port-465", Some(true), 0.0), line("port-587", Some(false), 864.0), line("web", None, 0.0)];
        let chosen = [shown("web", "Webmail"), shown("port-587", "Sending"), shown("port-465", "Sending")];
        let list = services(&chosen, &lines, &BOUNDS, BOUNDS[2], &[]);
        let words: Vec<_> = list.iter().map(|it| (it.name.as_str(), it.working)).collect();
        assert_eq!(words, [("Webmail", Working::Unknown), ("Sending", Working::Disturbed)]);
        assert_eq!(list[1].days[0].share(), Some(1.0 - 0.005));
        let gone = services(&[shown("port-25", "Receiving")], &lines, &BOUNDS, BOUNDS[2], &[]);
        assert_eq!((gone[0].working, gone[0].days[0].known()), (Working::Unknown, 0.0));
    }

    #[test]
    fn planned_work_is_marked_on_its_days_and_services() {
        let lines = [line("port-587", Some(false), 0.0), line("web", Some(true), 0.0)];
        let chosen = [shown("port-587", "Sending"), shown("web", "Webmail")];
        let work = [maintenance(Millis(86_400_000), Millis(2 * 86_400_000), &["port-587"])];
        let list = services(&chosen, &lines, &BOUNDS, Millis(2 * 86_400_000 - 1), &work);
        assert_eq!((list[0].working, &list[0].planned[..]), (Working::Maintenance, &[false, true][..]));
        assert_eq!((list[1].working, &list[1].planned[..]), (Working::Up, &[false, false][..]));
        let after = services(&chosen, &lines, &BOUNDS, BOUNDS[2], &work);
        assert_eq!(after[0].working, Working::Down);
    }
}
