//! What the address of the list says, in both directions: a query is its list of accepted, canonical pairs, so
//! that links, chips, the form and the search all come from the same values.

use jiff::{civil::Date, tz::TimeZone};
use url::form_urlencoded;

use crate::model::{
    filter::{Filter, Place},
    mail::{Direction, MailId, Status, Verdict},
    open::{Opened, TrackerKey},
    time::Millis,
};

/// Parameters in the order of links and chips.
const NAMES: [&str; 23] = [
    "q",
    "dir",
    "status",
    "from",
    "to",
    "sender",
    "rcpt",
    "subject",
    "ip",
    "queue_id",
    "message_id",
    "size_from",
    "size_to",
    "attachment",
    "verdict",
    "relay",
    "code",
    "tls",
    "domain",
    "opened",
    "ids",
    "before",
    "after",
];

/// How many days the list goes back when nothing else is asked for.
const DAYS: i64 = 7;

/// Longer values are not searched for: RFC 5321 allows 320 characters in an address, RFC 5322 998 in a line.
const LONGEST: usize = 998;

/// Bytes from which a mail is "about with an attachment", as in the portal's PHP forerunner.
const ATTACHMENT: u64 = 100_000;

/// A value that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The parameter.
    pub name: &'static str,
    /// What it said.
    pub value: String,
}

/// The query of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    pairs: Vec<(&'static str, String)>,
    faults: Vec<Fault>,
}

impl Query {
    /// Reads the part of an address behind `?`. Unknown parameters are ignored, bad values become faults, and
    /// the rest is applied. Never fails.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).take(200) {
            query.add(&name, value.trim());
        }
        query
    }

    /// Adds one parameter as [`Query::parse`] does. Statuses and verdicts may come several times, others once.
    pub fn add(&mut self, name: &str, value: &str) {
        let name = if name == "direction" { "dir" } else { name };
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else { return };
        if value.is_empty() || value == "all" {
            return;
        }
        let many = matches!(name, "status" | "verdict");
        let Some(value) = canonical(name, value) else {
            self.faults.push(Fault { name, value: value.chars().take(60).collect() });
            return;
        };
        if self.pairs.iter().any(|(known, own)| *known == name && (!many || *own == value)) {
            return;
        }
        self.pairs.push((name, value));
        self.pairs.sort_by_key(|(name, _)| NAMES.iter().position(|known| known == name));
    }

    /// Values that could not be used.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether the first day lies behind the last one, so that no mail can fit.
    pub fn is_backwards(&self) -> bool {
        let day = |name| self.value(name).parse::<Date>().ok();
        day("from").zip(day("to")).is_some_and(|(from, to)| from > to)
    }

    /// The first value of a parameter; empty when there is none.
    pub fn value(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// All values of a parameter.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    /// All accepted pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.pairs.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The same query without a parameter, or without one of its values, and from the newest page.
    pub fn without(&self, name: &str, value: Option<&str>) -> Self {
        let gone = |own: &str, held: &str| own == name && value.is_none_or(|value| value == held);
        let keep = |(own, held): &&(&'static str, String)| !is_place(own) && !gone(own, held);
        Self { pairs: self.pairs.iter().filter(keep).cloned().collect(), faults: Vec::new() }
    }

    /// The same query with one value of a parameter instead of all its own, and from the newest page.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut query = self.without(name, None);
        query.add(name, value);
        query
    }

    /// The same query at another place.
    pub fn at(&self, place: Place) -> Self {
        match place {
            Place::Newest => self.without("", None),
            Place::Before(id) => self.with("before", &id.0.to_string()),
            Place::After(id) => self.with("after", &id.0.to_string()),
        }
    }

    /// `?a=b&c=d` for a link, or nothing.
    pub fn link(&self) -> String {
        if self.pairs.is_empty() {
            return String::new();
        }
        let mut link = form_urlencoded::Serializer::new(String::new());
        format!("?{}", link.extend_pairs(self.pairs()).finish())
    }

    /// Where the page begins.
    pub fn place(&self) -> Place {
        let id = |name| self.value(name).parse().ok().map(MailId);
        id("before").map(Place::Before).or(id("after").map(Place::After)).unwrap_or_default()
    }

    /// Whether rows show ids, if the visitor has chosen.
    pub fn ids(&self) -> Option<bool> {
        match self.value("ids") {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        }
    }

    /// First and last day, in the visitor's zone; the last seven days when the query names neither.
    pub fn days(&self, zone: &TimeZone, now: Millis) -> (Option<Date>, Option<Date>) {
        let day = |name| self.value(name).parse::<Date>().ok();
        if self.value("from").is_empty() && self.value("to").is_empty() {
            let today = now.in_zone(zone).date();
            return (Some(today.saturating_sub(jiff::Span::new().days(DAYS - 1))), None);
        }
        (day("from"), day("to"))
    }

    /// What to search for; `tracker` is the key by which opens are known.
    pub fn filter(&self, zone: &TimeZone, now: Millis, tracker: Option<&TrackerKey>) -> Filter {
        let text = |name| Some(self.value(name).to_owned()).filter(|value| !value.is_empty());
        let (from, to) = self.days(zone, now);
        let size_from = size(self.value("size_from"));
        let with_attachment = (self.value("attachment") == "1").then_some(ATTACHMENT);
        let without_attachment = (self.value("attachment") == "0").then_some(ATTACHMENT - 1);
        Filter {
            q: text("q"),
            direction: Direction::from_code(self.value("dir")),
            statuses: self.values("status").filter_map(Status::from_code).collect(),
            from: from.and_then(|day| begin(day, zone)),
            to: to.and_then(|day| begin(day.saturating_add(jiff::Span::new().days(1)), zone)),
            sender: text("sender"),
            rcpt: text("rcpt"),
            subject: text("subject"),
            ip: text("ip"),
            queue_id: text("queue_id"),
            message_id: text("message_id"),
            size_from: size_from.max(with_attachment),
            size_to: [size(self.value("size_to")), without_attachment].into_iter().flatten().min(),
            verdicts: self.values("verdict").filter_map(Verdict::from_code).collect(),
            relay: text("relay"),
            code: text("code"),
            tls: match self.value("tls") {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
            domain: text("domain"),
            opened: (self.value("opened") == "1").then(|| Opened(tracker.cloned())),
        }
    }
}

fn is_place(name: &str) -> bool {
    matches!(name, "before" | "after")
}

/// The form in which a value stands in links; `None` when it cannot be understood.
fn canonical(name: &str, value: &str) -> Option<String> {
    if value.len() > LONGEST || value.chars().any(char::is_control) {
        return None;
    }
    match name {
        "dir" => Direction::from_code(value).map(|direction| direction.code().to_owned()),
        "status" => {
            let word = value.to_lowercase().replace([' ', '_'], "-");
            Status::from_code(&word).map(|status| status.code().to_owned())
        }
        "verdict" => Verdict::from_code(value).map(|verdict| verdict.code().to_owned()),
        "from" if value == "any" => Some(value.to_owned()),
        "from" | "to" => {
            let day: Date = value.parse().ok()?;
            (1990..=9000).contains(&day.year()).then(|| day.to_string())
        }
        "size_from" | "size_to" => size(value).map(short_size),
        "opened" => (value == "1").then(|| value.to_owned()),
        "attachment" | "ids" => matches!(value, "0" | "1").then(|| value.to_owned()),
        "tls" => matches!(value, "yes" | "no").then(|| value.to_owned()),
        "before" | "after" => value.parse::<i64>().ok().map(|id| id.to_string()),
        "ip" => value.parse::<std::net::IpAddr>().ok().map(|ip| ip.to_string()),
        "code" => {
            let digits = value.chars().all(|c| c.is_ascii_digit() || c == '.');
            (digits && (3..=11).contains(&value.len())).then(|| value.to_owned())
        }
        _ => Some(value.to_owned()),
    }
}

/// Bytes of `300`, `300K`, `5 MiB`; base 1024.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn short_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// The first moment of a day in a zone; days that begin with a gap begin behind it.
fn begin(day: Date, zone: &TimeZone) -> Option<Millis> {
    let start = day.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    Some(Millis(start.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests;
