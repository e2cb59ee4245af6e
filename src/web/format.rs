//! Dates, numbers, bytes, durations, shares and scores as people of each language write them.

mod numbers;

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Zoned, civil};

use super::text::Lang;
use crate::model::time::Millis;
pub(super) use numbers::grouped;

const DAYS: [[&str; 7]; 2] = [
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
];

const MONTHS: [[&str; 12]; 2] = [
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
];

const SHORT_MONTHS: [[&str; 12]; 2] = [
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."],
];

/// How one visitor reads values on one page: their language, their zone, and the page's moment.
#[derive(Debug, Clone)]
pub struct Formats {
    /// The visitor's language.
    pub lang: Lang,
    /// The visitor's time zone.
    pub zone: TimeZone,
    /// The moment at which the page is made, for "today" and "ago".
    pub now: Millis,
}

impl Formats {
    /// `18:44`, with the zone's abbreviation in the hour that autumn has twice.
    pub fn time(&self, at: Millis) -> String {
        let local = self.local(at);
        format!("{:02}:{:02}{}", local.hour(), local.minute(), self.abbreviation(&local))
    }

    /// `18:44:52`, for tables.
    pub fn time_seconds(&self, at: Millis) -> String {
        let local = self.local(at);
        let abbreviation = self.abbreviation(&local);
        format!("{:02}:{:02}:{:02}{abbreviation}", local.hour(), local.minute(), local.second())
    }

    /// `18:44` today, `yesterday 18:44`, `13 Nov, 18:44`, with the year when it is not this one.
    pub fn moment(&self, at: Millis) -> String {
        self.dated(at, &self.time(at))
    }

    /// The moment inside a sentence: as [`Self::moment`], in German followed by `Uhr`.
    pub fn sentence(&self, at: Millis) -> String {
        self.moment(at) + self.clock_word()
    }

    /// The moment with its preposition: `at 18:44`, `yesterday at 18:44`, `on 13 Nov at 18:44`.
    pub fn when(&self, at: Millis) -> String {
        let (time, clock) = (self.time(at), self.clock_word());
        let (at_word, on_word) = self.pick(("at", "on"), ("um", "am"));
        match self.days_ago(at) {
            0 => format!("{at_word} {time}{clock}"),
            1 => format!("{} {at_word} {time}{clock}", self.pick("yesterday", "gestern")),
            _ => format!("{on_word} {} {at_word} {time}{clock}", self.short_date(at)),
        }
    }

    /// `Today, Friday 20 November`; days before yesterday without a word, other years with the year.
    pub fn day_head(&self, at: Millis) -> String {
        let date = self.local(at).date();
        let year = date.year() != self.local(self.now).year();
        let day = self.long_date(date, year);
        match self.days_ago(at) {
            0 => format!("{}, {day}", self.pick("Today", "Heute")),
            1 => format!("{}, {day}", self.pick("Yesterday", "Gestern")),
            _ => day,
        }
    }

    /// `Friday 20 November 2026`.
    pub fn full_date(&self, at: Millis) -> String {
        self.long_date(self.local(at).date(), true)
    }

    /// `20 Nov 2026`, `20.11.2026`: for tables across years.
    pub fn table_date(&self, at: Millis) -> String {
        let date = self.local(at).date();
        match self.lang {
            Lang::En => {
                format!("{} {} {}", date.day(), name(&SHORT_MONTHS, self.lang, date.month()), date.year())
            }
            Lang::De => format!("{:02}.{:02}.{}", date.day(), date.month(), date.year()),
        }
    }

    /// `November 2026` of a year and a month.
    pub fn month(&self, (year, month): (i16, i8)) -> String {
        format!("{} {year}", name(&MONTHS, self.lang, month))
    }

    /// `13 Nov`, `13. Nov.`, with the year when it is not this one.
    pub fn short_date(&self, at: Millis) -> String {
        let date = self.local(at).date();
        let month = name(&SHORT_MONTHS, self.lang, date.month());
        let day = match self.lang {
            Lang::En => format!("{} {month}", date.day()),
            Lang::De => format!("{}. {month}", date.day()),
        };
        if date.year() == self.local(self.now).year() { day } else { format!("{day} {}", date.year()) }
    }

    /// `20 seconds ago` up to 60 minutes, then the moment. What lies ahead is shown as it is.
    pub fn ago(&self, at: Millis) -> String {
        let seconds = self.now.secs().saturating_sub(at.secs());
        let minutes = seconds / 60;
        match seconds {
            0 if at <= self.now => self.pick("just now", "gerade eben").to_owned(),
            1..60 => self.counted_ago(seconds, ("second", "seconds"), ("Sekunde", "Sekunden")),
            60..3600 => self.counted_ago(minutes, ("minute", "minutes"), ("Minute", "Minuten")),
            _ => self.moment(at),
        }
    }

    /// True where the moment lies more than two seconds ahead, which only a wrong clock explains.
    pub fn is_ahead(&self, at: Millis) -> bool {
        at.since(self.now) > Duration::from_secs(2)
    }

    /// `0.4 s`, `12 s`, `52 min 28 s`, `2 h 10 min`, `3 days`: two units at most.
    pub fn duration(&self, length: Duration) -> String {
        let tenths = (length.as_millis().saturating_add(50)) / 100;
        if tenths < 100 {
            let point = self.pick('.', ',');
            return format!("{}{point}{} s", tenths / 10, tenths % 10);
        }
        let seconds = rounded(length, 1);
        let minutes = rounded(length, 60);
        let hours = rounded(length, 3600);
        if seconds < 60 {
            format!("{seconds} s")
        } else if seconds < 3600 {
            two(format!("{} min", seconds / 60), seconds % 60, "s")
        } else if minutes < 24 * 60 {
            two(format!("{} h", minutes / 60), minutes % 60, "min")
        } else {
            let days = i64::try_from(hours / 24).unwrap_or(i64::MAX);
            let word = if days == 1 { self.pick("day", "Tag") } else { self.pick("days", "Tage") };
            two(format!("{} {word}", self.number(days)), hours % 24, "h")
        }
    }

    /// The duration inside a sentence: `under 1 s` for less than a second.
    pub fn duration_in_sentence(&self, length: Duration) -> String {
        if length < Duration::from_secs(1) {
            self.pick("under 1 s", "unter 1 s").to_owned()
        } else {
            self.duration(length)
        }
    }

    /// `11:02 to 11:04`, the same day once.
    pub fn range(&self, from: Millis, to: Millis) -> String {
        let same_day = self.local(from).date() == self.local(to).date();
        let end = if same_day { self.time(to) } else { self.moment(to) };
        format!("{} {} {end}{}", self.moment(from), self.pick("to", "bis"), self.clock_word())
    }

    /// RFC 3339 with the offset of the zone, for `<time datetime>` and CSV.
    pub fn iso(&self, at: Millis) -> String {
        self.local(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The zone's name with its abbreviation of now: `Europe/Berlin (CET)`.
    pub fn zone_name(&self) -> String {
        let local = self.local(self.now);
        let abbreviation = local.time_zone().to_offset_info(local.timestamp()).abbreviation().to_owned();
        match self.zone.iana_name() {
            Some(name) if name != abbreviation => format!("{name} ({abbreviation})"),
            _ => abbreviation,
        }
    }

    fn local(&self, at: Millis) -> Zoned {
        at.in_zone(&self.zone)
    }

    fn pick<T>(&self, en: T, de: T) -> T {
        match self.lang {
            Lang::En => en,
            Lang::De => de,
        }
    }

    fn clock_word(&self) -> &'static str {
        self.pick("", " Uhr")
    }

    fn abbreviation(&self, local: &Zoned) -> String {
        if !self.zone.to_ambiguous_zoned(local.datetime()).is_ambiguous() {
            return String::new();
        }
        format!(" {}", self.zone.to_offset_info(local.timestamp()).abbreviation())
    }

    /// Whole calendar days between the moment's day and today; negative for days ahead.
    fn days_ago(&self, at: Millis) -> i32 {
        let (today, day) = (self.local(self.now).date(), self.local(at).date());
        day.until(today).map(|span| span.get_days()).unwrap_or(i32::MIN)
    }

    fn dated(&self, at: Millis, time: &str) -> String {
        match self.days_ago(at) {
            0 => time.to_owned(),
            1 => format!("{} {time}", self.pick("yesterday", "gestern")),
            _ => format!("{}, {time}", self.short_date(at)),
        }
    }

    fn long_date(&self, date: civil::Date, with_year: bool) -> String {
        let weekday = name(&DAYS, self.lang, date.weekday().to_monday_one_offset());
        let month = name(&MONTHS, self.lang, date.month());
        let day = match self.lang {
            Lang::En => format!("{weekday} {} {month}", date.day()),
            Lang::De => format!("{weekday}, {}. {month}", date.day()),
        };
        if with_year { format!("{day} {}", date.year()) } else { day }
    }

    fn counted_ago(&self, count: i64, en: (&str, &str), de: (&str, &str)) -> String {
        match self.lang {
            Lang::En => format!("{count} {} ago", if count == 1 { en.0 } else { en.1 }),
            Lang::De => format!("vor {count} {}", if count == 1 { de.0 } else { de.1 }),
        }
    }
}

fn name<const N: usize>(names: &[[&'static str; N]; 2], lang: Lang, number: i8) -> &'static str {
    let [en, de] = names;
    let place = usize::try_from(number - 1).unwrap_or_default();
    let names = if lang == Lang::En { en } else { de };
    names.get(place).copied().unwrap_or_default()
}

fn rounded(length: Duration, unit_seconds: u128) -> u128 {
    let unit = unit_seconds * 1000;
    (length.as_millis() + unit / 2) / unit
}

fn two(first: String, rest: u128, unit: &str) -> String {
    if rest == 0 { first } else { format!("{first} {rest} {unit}") }
}

#[cfg(test)]
mod tests;
