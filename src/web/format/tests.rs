use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("the bundled time zones")
}

fn at(local: civil::DateTime) -> Millis {
    Millis(local.to_zoned(berlin()).expect("a valid time").timestamp().as_millisecond())
}

/// Friday 20 November 2026, 18:44:52 in Berlin.
fn now() -> Millis {
    at(date(2026, 11, 20).at(18, 44, 52, 0))
}

fn both() -> [Formats; 2] {
    Lang::ALL.map(|lang| Formats { lang, zone: berlin(), now: now() })
}

fn check(value: impl Fn(&Formats) -> String, en: &str, de: &str) {
    let [english, german] = both();
    assert_eq!(value(&english), en);
    assert_eq!(value(&german), de);
}

#[test]
fn time_of_today() {
    check(|f| f.time(now()), "18:44", "18:44");
    check(|f| f.time_seconds(now()), "18:44:52", "18:44:52");
    check(|f| f.moment(now()), "18:44", "18:44");
    check(|f| f.sentence(now()), "18:44", "18:44 Uhr");
    check(|f| f.when(now()), "at 18:44", "um 18:44 Uhr");
    check(|f| f.time(at(date(2026, 11, 20).at(7, 5, 9, 0))), "07:05", "07:05");
}

#[test]
fn another_day() {
    let yesterday = at(date(2026, 11, 19).at(18, 44, 0, 0));
    check(|f| f.moment(yesterday), "yesterday 18:44", "gestern 18:44");
    check(|f| f.sentence(yesterday), "yesterday 18:44", "gestern 18:44 Uhr");
    check(|f| f.when(yesterday), "yesterday at 18:44", "gestern um 18:44 Uhr");
    let last_week = at(date(2026, 11, 13).at(18, 44, 0, 0));
    check(|f| f.moment(last_week), "13 Nov, 18:44", "13. Nov., 18:44");
    check(|f| f.when(last_week), "on 13 Nov at 18:44", "am 13. Nov. um 18:44 Uhr");
    let last_year = at(date(2025, 3, 1).at(0, 0, 0, 0));
    check(|f| f.moment(last_year), "1 Mar 2025, 00:00", "1. März 2025, 00:00");
    check(|f| f.short_date(last_year), "1 Mar 2025", "1. März 2025");
}

#[test]
fn the_future_is_shown_as_it_is() {
    let tomorrow = at(date(2026, 11, 21).at(0, 5, 0, 0));
    check(|f| f.moment(tomorrow), "21 Nov, 00:05", "21. Nov., 00:05");
    check(|f| f.ago(tomorrow), "21 Nov, 00:05", "21. Nov., 00:05");
    check(|f| f.ago(now().plus(Duration::from_secs(90))), "18:46", "18:46");
    let [english, _] = both();
    assert!(english.is_ahead(tomorrow) && !english.is_ahead(now()) && !english.is_ahead(Millis(0)));
}

#[test]
fn full_dates_and_day_heads() {
    check(|f| f.full_date(now()), "Friday 20 November 2026", "Freitag, 20. November 2026");
    check(|f| f.day_head(now()), "Today, Friday 20 November", "Heute, Freitag, 20. November");
    let day = |days: u64| now().minus(Duration::from_secs(days * 86_400));
    check(|f| f.day_head(day(1)), "Yesterday, Thursday 19 November", "Gestern, Donnerstag, 19. November");
    check(|f| f.day_head(day(7)), "Friday 13 November", "Freitag, 13. November");
    check(|f| f.day_head(day(365)), "Thursday 20 November 2025", "Donnerstag, 20. November 2025");
}

#[test]
fn dates_in_tables_across_years() {
    check(|f| f.table_date(now()), "20 Nov 2026", "20.11.2026");
    check(|f| f.table_date(at(date(2024, 2, 3).at(1, 0, 0, 0))), "3 Feb 2024", "03.02.2024");
}

#[test]
fn ago_up_to_an_hour() {
    let before = |seconds| now().minus(Duration::from_secs(seconds));
    check(|f| f.ago(now()), "just now", "gerade eben");
    check(|f| f.ago(before(1)), "1 second ago", "vor 1 Sekunde");
    check(|f| f.ago(before(20)), "20 seconds ago", "vor 20 Sekunden");
    check(|f| f.ago(before(60)), "1 minute ago", "vor 1 Minute");
    check(|f| f.ago(before(12 * 60 + 59)), "12 minutes ago", "vor 12 Minuten");
    check(|f| f.ago(before(3599)), "59 minutes ago", "vor 59 Minuten");
    check(|f| f.ago(before(3600)), "17:44", "17:44");
}

#[test]
fn durations_have_two_units_at_most() {
    let millis = Duration::from_millis;
    let seconds = Duration::from_secs;
    check(|f| f.duration(millis(400)), "0.4 s", "0,4 s");
    check(|f| f.duration(millis(0)), "0.0 s", "0,0 s");
    check(|f| f.duration(millis(9_949)), "9.9 s", "9,9 s");
    check(|f| f.duration(millis(9_950)), "10 s", "10 s");
    check(|f| f.duration(seconds(12)), "12 s", "12 s");
    check(|f| f.duration(millis(59_600)), "1 min", "1 min");
    check(|f| f.duration(seconds(52 * 60 + 28)), "52 min 28 s", "52 min 28 s");
    check(|f| f.duration(millis(3_599_700)), "1 h", "1 h");
    check(|f| f.duration(seconds(2 * 3600 + 10 * 60)), "2 h 10 min", "2 h 10 min");
    check(|f| f.duration(seconds(86_399)), "1 day", "1 Tag");
    check(|f| f.duration(seconds(3 * 86_400)), "3 days", "3 Tage");
    check(|f| f.duration(seconds(86_400 + 4 * 3600)), "1 day 4 h", "1 Tag 4 h");
    check(|f| f.duration_in_sentence(millis(400)), "under 1 s", "unter 1 s");
    check(|f| f.duration_in_sentence(millis(1_400)), "1.4 s", "1,4 s");
}

#[test]
fn ranges_name_the_same_day_once() {
    let on = |day, hour, minute| at(date(2026, 11, day).at(hour, minute, 0, 0));
    check(|f| f.range(on(20, 11, 2), on(20, 11, 4)), "11:02 to 11:04", "11:02 bis 11:04 Uhr");
    check(
        |f| f.range(on(19, 11, 2), on(19, 11, 4)),
        "yesterday 11:02 to 11:04",
        "gestern 11:02 bis 11:04 Uhr",
    );
    check(
        |f| f.range(on(13, 23, 50), on(14, 0, 10)),
        "13 Nov, 23:50 to 14 Nov, 00:10",
        "13. Nov., 23:50 bis 14. Nov., 00:10 Uhr",
    );
}

#[test]
fn numbers() {
    check(|f| f.number(3120), "3,120", "3.120");
    check(|f| f.number(0), "0", "0");
    check(|f| f.number(-1_234_567), "−1,234,567", "−1.234.567");
    check(|f| f.number(i64::MIN), "−9,223,372,036,854,775,808", "−9.223.372.036.854.775.808");
    check(|f| f.number_in_sentence(1_200_000), "1.2 million", "1,2 Millionen");
    check(|f| f.number_in_sentence(1_000_000), "1 million", "1 Million");
    check(|f| f.number_in_sentence(2_500_000_000), "2.5 billion", "2,5 Milliarden");
    check(|f| f.number_in_sentence(999_999), "999,999", "999.999");
}

#[test]
fn shares() {
    check(|f| f.share(987, 1000), "98.7\u{202f}%", "98,7\u{202f}%");
    check(|f| f.share(3, 4), "3 of 4", "3 von 4");
    check(|f| f.share(19, 19), "19 of 19", "19 von 19");
    check(|f| f.share(20, 20), "100\u{202f}%", "100\u{202f}%");
    check(|f| f.share(99_999, 100_000), "99.9\u{202f}%", "99,9\u{202f}%");
    check(|f| f.share(1, 100_000), "0.1\u{202f}%", "0,1\u{202f}%");
    check(|f| f.share(0, 100), "0\u{202f}%", "0\u{202f}%");
    check(|f| f.share(u64::MAX - 1, u64::MAX), "99.9\u{202f}%", "99,9\u{202f}%");
    let up = |seconds| Duration::from_secs(seconds);
    check(|f| f.uptime(up(9995), up(10_000)), "99.95\u{202f}%", "99,95\u{202f}%");
    check(|f| f.uptime(up(9900), up(10_000)), "99.00\u{202f}%", "99,00\u{202f}%");
    check(|f| f.uptime(up(0), up(0)), "–", "–");
}

#[test]
fn bytes() {
    check(|f| f.bytes(312 * 1024), "312 KiB", "312 KiB");
    check(|f| f.bytes(8_808_038), "8.4 MiB", "8,4 MiB");
    check(|f| f.bytes(0), "0 B", "0 B");
    check(|f| f.bytes(1023), "1,023 B", "1.023 B");
    check(|f| f.bytes(1024 * 1024 - 1), "1 MiB", "1 MiB");
    check(|f| f.bytes(5 << 30), "5 GiB", "5 GiB");
    check(|f| f.bytes(u64::MAX), "16 EiB", "16 EiB");
    check(|f| f.bytes_of(3_328_599_654, 5 << 30), "3.1 of 5 GiB", "3,1 von 5 GiB");
    check(|f| f.bytes_of(0, 0), "0 of 0 B", "0 von 0 B");
    check(|f| f.bytes_exact(8_808_038), "8,808,038 bytes", "8.808.038 Byte");
}

#[test]
fn scores() {
    check(|f| f.score(980), "9.8", "9,8");
    check(|f| f.score(-140), "−1.4", "−1,4");
    check(|f| f.score(-4), "0.0", "0,0");
    check(|f| f.score(-5), "−0.1", "−0,1");
    check(|f| f.score(i32::MIN), "−21474836.5", "−21474836,5");
    check(|f| f.limit(800), "8", "8");
    check(|f| f.limit(1050), "10.5", "10,5");
    check(|f| f.limit(1000), "10", "10");
}

#[test]
fn the_double_hour_of_autumn_names_its_zone() {
    // 25 October 2026, 00:30 and 01:30 UTC are both 02:30 in Berlin.
    let (summer, winter) = (Millis(1_792_888_200_000), Millis(1_792_891_800_000));
    check(|f| f.time(summer), "02:30 CEST", "02:30 CEST");
    check(|f| f.time(winter), "02:30 CET", "02:30 CET");
    check(|f| f.time_seconds(winter), "02:30:00 CET", "02:30:00 CET");
    check(|f| f.moment(summer), "25 Oct, 02:30 CEST", "25. Okt., 02:30 CEST");
    check(
        |f| f.range(summer, winter),
        "25 Oct, 02:30 CEST to 02:30 CET",
        "25. Okt., 02:30 CEST bis 02:30 CET Uhr",
    );
    check(|f| f.time(Millis(winter.0 + 1_800_000)), "03:00", "03:00");
    check(|f| f.time(Millis(summer.0 - 1_800_001)), "01:59", "01:59");
    check(|f| f.iso(summer), "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+02:00");
    check(|f| f.iso(winter), "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00");
}

#[test]
fn the_missing_hour_of_spring_is_skipped() {
    // 29 March 2026, 01:00 UTC: 01:59:59 CET is followed by 03:00 CEST.
    let spring = Millis(1_774_746_000_000);
    check(|f| f.time(Millis(spring.0 - 1)), "01:59", "01:59");
    check(|f| f.time(spring), "03:00", "03:00");
    check(|f| f.iso(spring), "2026-03-29T03:00:00+02:00", "2026-03-29T03:00:00+02:00");
}

#[test]
fn yesterday_is_a_day_of_the_calendar_not_of_24_hours() {
    let zone = berlin();
    // The day of the change has 25 hours.
    let now = at(date(2026, 10, 26).at(0, 30, 0, 0));
    let formats = Formats { lang: Lang::En, zone, now };
    assert_eq!(formats.moment(at(date(2026, 10, 25).at(0, 5, 0, 0))), "yesterday 00:05");
    assert_eq!(formats.moment(at(date(2026, 10, 24).at(23, 55, 0, 0))), "24 Oct, 23:55");
}

#[test]
fn the_zone_has_a_name() {
    check(Formats::zone_name, "Europe/Berlin (CET)", "Europe/Berlin (CET)");
    let utc = Formats { lang: Lang::En, zone: TimeZone::UTC, now: now() };
    assert_eq!(utc.zone_name(), "UTC");
    assert_eq!(utc.iso(now()), "2026-11-20T17:44:52+00:00");
}

proptest! {
    #[test]
    fn no_value_breaks_a_page(value in any::<i64>(), other in any::<i64>(), number in any::<u64>(), score in any::<i32>()) {
        for formats in both() {
            let (at, to) = (Millis(value), Millis(other));
            let length = Duration::from_millis(number);
            let texts = [
                formats.moment(at), formats.when(at), formats.day_head(at), formats.ago(at), formats.iso(at),
                formats.range(at, to), formats.table_date(at), formats.duration(length), formats.number(value),
                formats.number_in_sentence(value), formats.bytes(number), formats.bytes_of(number, value.unsigned_abs()),
                formats.bytes_exact(number), formats.share(number, value.unsigned_abs()), formats.score(score),
            ];
            prop_assert!(texts.iter().all(|text| !text.is_empty()));
        }
    }
}
