//! Syslog lines: RFC 3164 (`May  6 09:25:41 host prog[pid]: text`) and ISO time stamps
//! (`2024-08-29T01:08:59.764590+00:00 host prog[pid]: text`), with or without `<PRI>` in front; RFC 5424
//! (`<22>1 2024-08-29T01:08:59Z host prog pid - - text`); and any of them as Docker prints it.
//!
//! Longer than other files, because all of it but the forms turns on one state, that of [`YearGuess`].

use std::borrow::Cow;

use jiff::{civil, tz::TimeZone};

use super::docker;
use crate::model::{event::LogLine, time::Millis};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A time without lines that makes a guessed year doubtful: another year is nearer.
const LONG: i64 = 183 * DAY;

/// How far lines of one log run back at most: daemons log side by side.
const DISORDER: i64 = MINUTE;

/// How many years of a file with a given first year are told apart.
const YEARS: i16 = 8;

/// `May  6 09:25`: an RFC 3164 stamp up to the minute.
const OLD_MINUTE: usize = 12;
/// `2024-08-29T01:08`: an ISO stamp up to the minute.
const ISO_MINUTE: usize = 16;

/// The text of a line that may not be UTF-8: borrowed when it is, else with U+FFFD for what is not.
pub fn text(line: &[u8]) -> Cow<'_, str> {
    simdutf8::basic::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}

/// Reads one line without its line break. `None` for what is not a syslog line with a valid time stamp.
pub fn parse_line<'a>(line: &'a str, clock: &mut YearGuess) -> Option<LogLine<'a>> {
    plain(line, clock).or_else(|| rarer(line, clock))
}

/// `STAMP HOST PROGRAM[PID]: TEXT`, the form of nearly all lines.
fn plain<'a>(line: &'a str, clock: &mut YearGuess) -> Option<LogLine<'a>> {
    let line = without_priority(line);
    let (at, rest) = clock.read(line)?;
    let rest = rest.strip_prefix(' ')?;
    let (_host, rest) = word(rest)?;
    let end = memchr::memchr3(b'[', b':', b' ', rest.as_bytes())?;
    let (program, rest) = rest.split_at_checked(end)?;
    let rest = match rest.strip_prefix('[') {
        Some(pid) => pid.split_at_checked(memchr::memchr(b']', pid.as_bytes())?)?.1.strip_prefix(']')?,
        None => rest,
    };
    let text = rest.strip_prefix(':')?;
    Some(LogLine { at, program, text: text.strip_prefix(' ').unwrap_or(text) })
}

/// The forms that are tried only when the plain one does not fit.
#[cold]
fn rarer<'a>(line: &'a str, clock: &mut YearGuess) -> Option<LogLine<'a>> {
    let inner = docker::without_service(line);
    let line = inner.unwrap_or(line);
    inner
        .and_then(|inner| plain(inner, clock))
        .or_else(|| numbered(line, clock))
        .or_else(|| plain(clock.received(line)?, clock))
}

/// RFC 5424: `<PRI>1 STAMP HOST PROGRAM PID MSGID [DATA] TEXT`.
fn numbered<'a>(line: &'a str, clock: &mut YearGuess) -> Option<LogLine<'a>> {
    let line = without_priority(line).strip_prefix("1 ")?;
    let (at, rest) = clock.read_iso(line)?;
    let (_host, rest) = word(rest.strip_prefix(' ')?)?;
    let (program, rest) = word(rest)?;
    let (_pid, rest) = word(rest)?;
    let (_id, mut rest) = word(rest)?;
    // Brackets in values stand behind a backslash (6.3.3).
    while let Some(data) = rest.strip_prefix('[') {
        let bytes = data.as_bytes();
        let ends = |at: &usize| at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\\');
        rest = data.get(memchr::memchr_iter(b']', bytes).find(ends)? + 1..)?;
    }
    let text = rest.strip_prefix('-').unwrap_or(rest).strip_prefix(' ')?;
    Some(LogLine { at, program, text: text.strip_prefix('\u{feff}').unwrap_or(text) })
}

/// What stands before and behind the first blank.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_at_checked(memchr::memchr(b' ', text.as_bytes())?)?;
    Some((word, rest.strip_prefix(' ')?))
}

/// Drops `<PRI>` (RFC 3164, 4.1.1).
fn without_priority(line: &str) -> &str {
    let Some((priority, rest)) = line.strip_prefix('<').and_then(|line| line.split_once('>')) else {
        return line;
    };
    if matches!(priority.len(), 1..=3) && priority.bytes().all(|b| b.is_ascii_digit()) { rest } else { line }
}

/// Turns the time stamps of one file into moments. RFC 3164 stamps have neither year nor zone: the zone is given, and
/// the year is the latest that does not put the first line into the future; from then on time does not run
/// backwards, so that a file may cross New Year, and the hour in which the clocks are put back. ISO stamps without
/// offset are of the given zone too.
///
/// It remembers the last minute, so that lines of one minute cost no calendar arithmetic.
#[derive(Debug)]
pub struct YearGuess {
    zone: TimeZone,
    /// No RFC 3164 line is later: the reference moment and a day, since clocks differ.
    limit: i64,
    /// The year of the first line, where it is known.
    first_year: Option<i16>,
    /// Docker told when it got a line, and so the year.
    received: bool,
    /// The last minute of a stamp without offset.
    last: Option<i64>,
    /// The last minute whose year was guessed.
    guessed: Option<i64>,
    /// The first minute that is long before the line in front of it.
    turned: Option<i64>,
    old: [u8; OLD_MINUTE],
    iso: [u8; ISO_MINUTE],
    /// Start of the minute in `iso`, as if it were UTC.
    iso_minute: i64,
}

impl YearGuess {
    /// `zone` is that of the machine that wrote the lines; `reference` a moment after the last line: now, or better the
    /// time of the file's last change.
    pub fn new(zone: TimeZone, reference: Millis) -> Self {
        Self {
            zone,
            limit: reference.0.saturating_add(DAY),
            first_year: None,
            received: false,
            last: None,
            guessed: None,
            turned: None,
            old: [0; OLD_MINUTE],
            iso: [0; ISO_MINUTE],
            iso_minute: 0,
        }
    }

    /// For a file whose first line is of a known year.
    pub fn beginning(zone: TimeZone, year: i16) -> Self {
        let end = civil::date(year.saturating_add(YEARS - 1), 12, 30).to_zoned(zone.clone());
        let reference = end.map_or(i64::MAX, |end| end.timestamp().as_millisecond());
        Self { first_year: Some(year), ..Self::new(zone, Millis(reference)) }
    }

    /// From here on lines may be as late as this moment, which is the time of a later file's last change.
    pub fn raise(&mut self, reference: Millis) {
        if self.first_year.is_none() {
            self.limit = self.limit.max(reference.0.saturating_add(DAY));
        }
    }

    /// A moment that may be of another year: a line that was put long before the one in front of it, since it would be
    /// later than the reference moment; or the last line, where it is long before that moment.
    pub fn doubtful(&self) -> Option<Millis> {
        let surely = self.received || self.first_year.is_some();
        let early = self.guessed.filter(|at| *at < self.limit - LONG);
        self.turned.or(early).filter(|_| !surely).map(Millis)
    }

    /// Takes off the time at which Docker got a line (`docker logs -t`). The line's own stamp comes from the same moment.
    fn received<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let (at, rest) = self.read_iso(line)?;
        let rest = rest.strip_prefix(' ')?;
        self.limit = at.0.saturating_add(DAY);
        self.received = true;
        Some(rest)
    }

    /// Takes the time stamp off a line.
    fn read<'a>(&mut self, line: &'a str) -> Option<(Millis, &'a str)> {
        match line.as_bytes().first()? {
            b'0'..=b'9' => self.read_iso(line),
            _ => self.read_old(line),
        }
    }

    /// `May  6 09:25:41`, the day padded by a blank or a zero.
    fn read_old<'a>(&mut self, line: &'a str) -> Option<(Millis, &'a str)> {
        let (stamp, rest) = line.split_at_checked(OLD_MINUTE)?;
        let (second, rest) = rest.split_at_checked(3)?;
        let second = seconds(second)?;
        // journalctl -o short-precise
        let (fraction, rest) = fraction(rest);
        let minute = match self.last {
            Some(minute) if stamp.as_bytes() == self.old => minute,
            _ => {
                let minute = self.guess(stamp)?;
                let turns = self.last.is_some_and(|last| minute < last - LONG);
                self.turned = self.turned.or(turns.then_some(minute));
                (self.last, self.guessed) = (Some(minute), Some(minute));
                self.old = stamp.as_bytes().try_into().ok()?;
                minute
            }
        };
        Some((Millis(minute + second + fraction), rest))
    }

    /// The minute of a stamp in the year that fits best.
    fn guess(&self, stamp: &str) -> Option<i64> {
        let (month, rest) = stamp.split_at_checked(3)?;
        let (day, clock) = rest.split_at_checked(3)?;
        let month = month_number(month)?;
        let day = day.trim_start().parse().ok()?;
        let (hour, minute) = clock.strip_prefix(' ')?.split_once(':')?;
        let (hour, minute) = (two(hour)?, two(minute)?);
        let in_year = |year: i16| {
            let local = civil::DateTime::new(year, month, day, hour, minute, 0, 0).ok()?;
            self.moment(local)
        };
        if let (None, Some(year)) = (self.last, self.first_year) {
            return in_year(year);
        }
        let newest = Millis(self.limit).in_zone(&self.zone).year();
        // Eight years back there is always a 29 February.
        let possible = (0..=YEARS).filter_map(|back| in_year(newest - back)).filter(|&at| at <= self.limit);
        match self.last {
            None => possible.into_iter().next(),
            Some(last) => {
                // A day of disorder is no new year. Where nothing later is possible, the line is out of order.
                let years: Vec<i64> = possible.collect();
                let later = years.iter().copied().filter(|&at| at >= last - DAY).min();
                later.or_else(|| years.into_iter().max())
            }
        }
    }

    /// `2024-08-29T01:08:59`, then perhaps a fraction, then `Z`, an offset or nothing.
    fn read_iso<'a>(&mut self, line: &'a str) -> Option<(Millis, &'a str)> {
        let (stamp, rest) = line.split_at_checked(ISO_MINUTE)?;
        let (second, rest) = rest.split_at_checked(3)?;
        if stamp.as_bytes() != self.iso {
            self.iso_minute = iso_minute(stamp)?;
            self.iso = stamp.as_bytes().try_into().ok()?;
        }
        let (fraction, rest) = fraction(rest);
        let local = self.iso_minute + seconds(second)? + fraction;
        if let Some((offset, rest)) = offset(rest) {
            return Some((Millis(local - offset), rest));
        }
        let at = self.moment(Millis(local).in_zone(&TimeZone::UTC).datetime())?;
        self.last = Some(at);
        self.old = [0; OLD_MINUTE];
        Some((Millis(at), rest))
    }

    /// The moment of a local time. An hour that the clocks go through twice is the first one, unless that would take the
    /// log back: lines go forward.
    fn moment(&self, local: civil::DateTime) -> Option<i64> {
        let either = self.zone.to_ambiguous_timestamp(local);
        let first = either.compatible().ok()?.as_millisecond();
        match self.last {
            Some(last) if first < last - DISORDER && either.is_ambiguous() => {
                // A time that the clocks skip is one moment, told either way.
                Some(either.later().ok()?.as_millisecond())
            }
            _ => Some(first),
        }
    }
}

/// Milliseconds of `:SS`; a leap second counts as the next minute.
fn seconds(text: &str) -> Option<i64> {
    let second = two(text.strip_prefix(':')?)?;
    (0..=60).contains(&second).then(|| i64::from(second) * 1000)
}

/// A number of exactly two digits.
fn two(text: &str) -> Option<i8> {
    match text.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok(),
        _ => None,
    }
}

/// English names, as syslog writes them in every locale.
fn month_number(name: &str) -> Option<i8> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let index = MONTHS.iter().position(|month| *month == name)?;
    i8::try_from(index + 1).ok()
}

/// `2024-08-29T01:08` as if it were UTC.
fn iso_minute(stamp: &str) -> Option<i64> {
    let (date, clock) = stamp.split_once(['T', ' '])?;
    let (year, date) = date.split_once('-')?;
    let (month, day) = date.split_once('-')?;
    let (hour, minute) = clock.split_once(':')?;
    (year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    let year = year.parse().ok()?;
    let wall = civil::DateTime::new(year, two(month)?, two(day)?, two(hour)?, two(minute)?, 0, 0).ok()?;
    Some(wall.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Milliseconds of `.764590`, and what follows.
fn fraction(text: &str) -> (i64, &str) {
    let Some(digits) = text.strip_prefix(['.', ',']) else { return (0, text) };
    let length = digits.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(length).unwrap_or((digits, ""));
    let place = |at: usize| digits.as_bytes().get(at).map_or(0, |digit| i64::from(digit - b'0'));
    (place(0) * 100 + place(1) * 10 + place(2), rest)
}

/// Milliseconds of `Z`, `+02:00`, `+0200` or `+02`, and what follows.
fn offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = text.get(1..)?.split_at_checked(2)?;
    let minutes = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = match minutes.split_at_checked(2) {
        Some((digits, behind)) if two(digits).is_some() => (two(digits)?, behind),
        _ => (0, rest),
    };
    Some((sign * (i64::from(two(hours)?) * 60 + i64::from(minutes)) * MINUTE, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_257_000_000); // 2026-11-21T10:30:00Z

    fn guess() -> YearGuess {
        YearGuess::new(TimeZone::UTC, NOW)
    }

    fn at(line: &str) -> Option<String> {
        let line = format!("{line} mail postfix/qmgr[7]: A: b");
        Some(Millis::in_zone(parse_line(&line, &mut guess())?.at, &TimeZone::UTC).timestamp().to_string())
    }

    #[test]
    fn reads_every_form_of_time_stamp() {
        for (stamp, expected) in [
            ("May  6 09:25:41", "2026-05-06T09:25:41Z"),
            ("May 06 09:25:41", "2026-05-06T09:25:41Z"),
            ("<22>May 16 09:25:41", "2026-05-16T09:25:41Z"),
            ("Nov 22 09:00:00", "2026-11-22T09:00:00Z"),
            ("Nov 23 09:00:00", "2025-11-23T09:00:00Z"),
            ("Feb 29 09:00:00", "2024-02-29T09:00:00Z"),
            ("2024-08-29T01:08:59.764590+00:00", "2024-08-29T01:08:59.764Z"),
            ("2024-08-29T01:08:59.7+02:00", "2024-08-28T23:08:59.7Z"),
            ("2024-08-29T01:08:59-0330", "2024-08-29T04:38:59Z"),
            ("2024-08-29T01:08:59Z", "2024-08-29T01:08:59Z"),
            ("2024-08-29T01:08:59", "2024-08-29T01:08:59Z"),
            ("2024-08-29T01:08:59+02", "2024-08-28T23:08:59Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(at(stamp).as_deref(), Some(expected), "{stamp}");
        }
    }

    #[test]
    fn refuses_what_is_no_time_stamp() {
        for stamp in [
            "",
            "May",
            "Mai  6 09:25:41",
            "May 32 09:25:41",
            "Feb 30 09:25:41",
            "May  6 24:25:41",
            "May  6 09:25:61",
            "May  6 09:25:4",
            "2024-13-29T01:08:59Z",
            "2024-02-30T01:08:59Z",
            "2024-08-29T01:08",
            "+024-08-29T01:08:59Z",
            "Mäy  6 09:25:41",
            "<999999>May  6 09:25:41",
        ] {
            assert_eq!(at(stamp), None, "{stamp}");
        }
    }

    #[test]
    fn splits_host_program_and_text() {
        let line = "May  6 09:25:41 mail postfix/submission/smtpd[123]: connect from a[1.2.3.4]: x";
        let parsed = parse_line(line, &mut guess()).map(|line| (line.program, line.text));
        assert_eq!(parsed, Some(("postfix/submission/smtpd", "connect from a[1.2.3.4]: x")));
        let line = "May  6 09:25:41 mail kernel: [0.1] boot";
        assert_eq!(parse_line(line, &mut guess()).map(|line| line.program), Some("kernel"));
        assert_eq!(parse_line("May  6 09:25:41 mail no program", &mut guess()), None);
        assert_eq!(parse_line("May  6 09:25:41 mail prog[7 x", &mut guess()), None);
    }

    #[test]
    fn crosses_new_year_without_turning_back() {
        let mut clock = YearGuess::new(TimeZone::UTC, Millis(1_768_000_000_000)); // 2026-01-09
        let mut year = |stamp: &str| {
            let line = format!("{stamp} mail postfix/qmgr[7]: x");
            Some(parse_line(&line, &mut clock)?.at.in_zone(&TimeZone::UTC).year())
        };
        assert_eq!(year("Dec 30 10:00:00"), Some(2025));
        assert_eq!(year("Dec 31 23:59:59"), Some(2025));
        assert_eq!(year("Jan  1 00:00:01"), Some(2026));
        assert_eq!(year("Dec 31 23:59:59"), Some(2025), "a line that came late");
        assert_eq!(year("Jan  1 00:00:02"), Some(2026));
        assert_eq!(year("Jan  8 00:00:02"), Some(2026));
        assert_eq!(year("Mar  8 00:00:02"), Some(2025), "never the future");
    }

    #[test]
    fn goes_through_several_years_towards_the_reference() {
        let mut clock = YearGuess::new(TimeZone::UTC, NOW);
        let mut year = |stamp: &str| {
            let line = format!("{stamp} mail postfix/qmgr[7]: x");
            Some(parse_line(&line, &mut clock)?.at.in_zone(&TimeZone::UTC).year())
        };
        assert_eq!(year("Dec  1 10:00:00"), Some(2025));
        assert_eq!(year("Nov 20 10:00:00"), Some(2026), "eleven months of silence");
    }

    #[test]
    fn goes_on_with_a_later_reference_and_tells_what_is_doubtful() {
        let mut clock = YearGuess::new(TimeZone::UTC, Millis(1_793_577_600_000)); // 2026-11-02
        let year = |stamp: &str, clock: &mut YearGuess| {
            let line = format!("{stamp} mail postfix/qmgr[7]: x");
            Some(parse_line(&line, clock)?.at.in_zone(&TimeZone::UTC).year())
        };
        assert_eq!(year("Nov  1 10:00:00", &mut clock), Some(2026));
        assert_eq!(clock.doubtful(), None);
        clock.raise(Millis(1_794_787_200_000)); // 2026-11-16
        assert_eq!(year("Nov 15 10:00:00", &mut clock), Some(2026));
        clock.raise(Millis(0));
        assert_eq!(year("Nov 16 10:00:00", &mut clock), Some(2026));
        assert_eq!(clock.doubtful(), None);
        assert_eq!(year("Nov 20 10:00:00", &mut clock), Some(2025));
        let doubtful = clock.doubtful();
        assert_eq!(doubtful.map(|at| at.in_zone(&TimeZone::UTC).year()), Some(2025));
        assert_eq!(year("Nov 16 10:00:00", &mut clock), Some(2026));
        assert_eq!(clock.doubtful(), doubtful, "the first one counts");

        for (stamp, doubtful) in
            [("Nov 23 09:00:00", true), ("Mar  1 09:00:00", true), ("Jul  1 09:00:00", false)]
        {
            let mut clock = guess();
            assert!(year(stamp, &mut clock).is_some());
            assert_eq!(clock.doubtful().is_some(), doubtful, "{stamp}");
        }
        let mut given = YearGuess::beginning(TimeZone::UTC, 2015);
        assert_eq!(year("Nov 10 10:00:00", &mut given), Some(2015));
        assert_eq!(given.doubtful(), None);
        let mut docker = guess();
        assert_eq!(year("2023-11-20T10:00:00Z Nov 20 10:00:00", &mut docker), Some(2023));
        assert_eq!(year("2021-11-21T10:00:00Z Nov 21 10:00:00", &mut docker), Some(2021));
        assert_eq!(docker.doubtful(), None);
    }

    #[test]
    fn takes_the_zone_for_stamps_without_one() {
        let zone = TimeZone::get("Europe/Berlin").expect("bundled");
        for (line, expected) in [
            ("Jul  1 12:00:00 m p: x", "2026-07-01T10:00:00Z"),
            ("Jan  1 12:00:00 m p: x", "2026-01-01T11:00:00Z"),
            ("2024-07-01T12:00:00 m p: x", "2024-07-01T10:00:00Z"),
        ] {
            let mut clock = YearGuess::new(zone.clone(), NOW);
            let at = parse_line(line, &mut clock)
                .map(|line| line.at.in_zone(&TimeZone::UTC).timestamp().to_string());
            assert_eq!(at.as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn goes_twice_through_the_hour_in_which_the_clocks_go_back() {
        let berlin = TimeZone::get("Europe/Berlin").expect("bundled");
        for form in ["Oct 25 ", "2026-10-25T"] {
            let mut clock = YearGuess::new(berlin.clone(), NOW);
            let mut at = |time: &str| {
                let line = format!("{form}{time} m p: x");
                Some(parse_line(&line, &mut clock)?.at.in_zone(&TimeZone::UTC).strftime("%T").to_string())
            };
            for (time, expected) in [
                ("02:58:50", "00:58:50"),
                ("02:59:52", "00:59:52"),
                ("02:58:59", "00:58:59"), // logged by another daemon
                ("02:59:59", "00:59:59"),
                ("02:05:01", "01:05:01"),
                ("02:04:59", "01:04:59"),
                ("02:59:00", "01:59:00"),
                ("03:00:00", "02:00:00"),
            ] {
                assert_eq!(at(time).as_deref(), Some(expected), "{form}{time}");
            }
        }
    }

    #[test]
    fn begins_in_a_given_year() {
        let mut clock = YearGuess::beginning(TimeZone::UTC, 2015);
        let mut year = |stamp: &str| {
            let line = format!("{stamp} mail postfix/qmgr[7]: x");
            Some(parse_line(&line, &mut clock)?.at.in_zone(&TimeZone::UTC).year())
        };
        assert_eq!(year("Feb 29 10:00:00"), None, "2015 had none");
        assert_eq!(year("Nov 10 10:00:00"), Some(2015));
        assert_eq!(year("Jan  1 00:00:01"), Some(2016));
        assert_eq!(year("Feb 29 10:00:00"), Some(2016));
        assert_eq!(year("Feb  1 10:00:00"), Some(2017));
    }

    #[test]
    fn reads_what_docker_and_the_journal_print() {
        let inner = "postfix/smtpd[7]: 4EEEEE0001: client=a[192.0.2.5]";
        let read = |line: &str| {
            let line = docker::unpacked(line.into());
            let line = parse_line(&line, &mut YearGuess::new(TimeZone::UTC, NOW))?;
            assert_eq!((line.program, line.text), ("postfix/smtpd", "4EEEEE0001: client=a[192.0.2.5]"));
            Some(line.at.in_zone(&TimeZone::UTC).timestamp().to_string())
        };
        for (line, expected) in [
            (format!("postfix-mailcow-1  | Nov 20 10:00:00 mail {inner}"), "2026-11-20T10:00:00Z"),
            (format!("postfix-mailcow-1  | 2026-11-20T10:00:00+01:00 mail {inner}"), "2026-11-20T09:00:00Z"),
            (
                format!("postfix-mailcow-1  | 2023-11-20T10:00:00.123456789Z Nov 20 10:00:00 mail {inner}"),
                "2023-11-20T10:00:00Z",
            ),
            (format!("2023-01-01T00:00:00.1Z Dec 31 23:59:59 mail {inner}"), "2022-12-31T23:59:59Z"),
            (format!("2023-01-02T00:00:00.1Z Jan  1 23:59:59 mail {inner}"), "2023-01-01T23:59:59Z"),
            (
                format!("\u{1b}[36mpostfix-mailcow-1  | \u{1b}[0mNov 20 10:00:00 mail {inner}"),
                "2026-11-20T10:00:00Z",
            ),
            (
                format!(r#"{{"log":"Nov 20 10:00:00 mail {inner}\n","stream":"stdout","time":"2023-11-20T10:00:00.1Z"}}"#),
                "2023-11-20T10:00:00Z",
            ),
            (format!("Nov 20 10:00:00.123456 mail {inner}"), "2026-11-20T10:00:00.123Z"),
            (
                "<22>1 2026-11-20T10:00:00.1+01:00 mail postfix/smtpd 7 - - 4EEEEE0001: client=a[192.0.2.5]".into(),
                "2026-11-20T09:00:00.1Z",
            ),
            (
                r#"1 2026-11-20T10:00:00Z mail postfix/smtpd 7 - [a@1 b="\] c"][d e="f"] 4EEEEE0001: client=a[192.0.2.5]"#
                    .into(),
                "2026-11-20T10:00:00Z",
            ),
        ] {
            assert_eq!(read(&line).as_deref(), Some(expected), "{line}");
        }
        for line in
            ["postfix-mailcow-1  | ", "postfix-mailcow-1  | no line", "2026-11-20T10:00:00Z", "1 ", "<22>1 x"]
        {
            assert_eq!(parse_line(line, &mut guess()), None, "{line}");
        }
    }

    #[test]
    fn borrows_valid_text_and_replaces_the_rest() {
        assert!(matches!(text(b"plain"), Cow::Borrowed("plain")));
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
    }
}
