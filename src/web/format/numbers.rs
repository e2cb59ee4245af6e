//! Numbers, shares, bytes and scores.

use std::time::Duration;

use super::Formats;
use crate::web::text::Lang;

/// U+202F, before a per cent sign in both languages.
const NARROW: char = '\u{202f}';

/// Below this a share reads "3 of 4".
const FEW: u64 = 20;

impl Formats {
    /// `3,120`: exact, with a real minus sign.
    pub fn number(&self, value: i64) -> String {
        grouped(self.lang, value)
    }

    /// `1.2 million` from a million on, exact below.
    pub fn number_in_sentence(&self, value: i64) -> String {
        let (unit, one, many) = match value.unsigned_abs() {
            0..1_000_000 => return self.number(value),
            1_000_000..1_000_000_000 => (1_000_000, "Million", "Millionen"),
            _ => (1_000_000_000, "Milliarde", "Milliarden"),
        };
        let amount = self.short_decimal(value as f64 / f64::from(unit));
        let word = match self.lang {
            Lang::En if unit == 1_000_000 => "million",
            Lang::En => "billion",
            Lang::De if amount == "1" => one,
            Lang::De => many,
        };
        format!("{amount} {word}")
    }

    /// `98.7 %`; `3 of 4` below 20 samples; 100 % and 0 % only when it is all and none.
    pub fn share(&self, part: u64, whole: u64) -> String {
        if whole < FEW {
            return format!("{part} {} {whole}", self.pick("of", "von"));
        }
        self.percent(part, whole, 1)
    }

    /// `99.95 %`, for the uptime; a dash where nothing is known.
    pub fn uptime(&self, up: Duration, known: Duration) -> String {
        let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        if known.is_zero() { "–".to_owned() } else { self.percent(millis(up), millis(known), 2) }
    }

    /// `0.4`, `41.6`, `3,120`: one decimal below 100, left out where it is zero.
    pub fn decimal(&self, value: f64) -> String {
        if value.abs() < 99.95 { self.short_decimal(value) } else { self.number(value.round() as i64) }
    }

    /// `41.6 %` of hundredths.
    pub fn hundredths(&self, value: f64) -> String {
        format!("{}{NARROW}%", self.decimal(value))
    }

    /// `312 KiB`, `8.4 MiB`: base 1024, one decimal below 10.
    pub fn bytes(&self, value: u64) -> String {
        let (amount, unit) = scaled(value);
        format!("{} {unit}", self.amount(amount))
    }

    /// `3.1 of 5 GiB`: both in the unit of the whole.
    pub fn bytes_of(&self, part: u64, whole: u64) -> String {
        let (amount, unit) = scaled(whole);
        let part = if whole == 0 { part as f64 } else { part as f64 * (amount / whole as f64) };
        format!("{} {} {} {unit}", self.amount(part), self.pick("of", "von"), self.amount(amount))
    }

    /// `8,808,038 bytes`, for print.
    pub fn bytes_exact(&self, value: u64) -> String {
        let word = if value == 1 { self.pick("byte", "Byte") } else { self.pick("bytes", "Byte") };
        format!("{} {word}", self.number(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    /// `9.8`, `−1.4` from hundredths: one decimal, a real minus sign.
    pub fn score(&self, hundredths: i32) -> String {
        let tenths = (i64::from(hundredths).abs() + 5) / 10;
        let sign = if hundredths < 0 && tenths > 0 { "−" } else { "" };
        format!("{sign}{}{}{}", tenths / 10, self.pick('.', ','), tenths % 10)
    }

    /// A limit of scores: as [`Self::score`], whole ones without decimal (`8`).
    pub fn limit(&self, hundredths: i32) -> String {
        let score = self.score(hundredths);
        let whole = score.strip_suffix("0").and_then(|head| head.strip_suffix(['.', ',']));
        whole.map(str::to_owned).unwrap_or(score)
    }

    fn percent(&self, part: u64, whole: u64, decimals: usize) -> String {
        let unit = if decimals == 1 { 10_u128 } else { 100 };
        if part == 0 || part >= whole {
            return format!("{}{NARROW}%", if part == 0 { 0 } else { 100 });
        }
        let (part, whole) = (u128::from(part), u128::from(whole));
        // Nearly none is not none, and nearly all is not all.
        let steps = ((part * 100 * unit * 2 + whole) / (whole * 2)).clamp(1, 100 * unit - 1);
        let point = self.pick('.', ',');
        format!("{}{point}{:0decimals$}{NARROW}%", steps / unit, steps % unit)
    }

    fn amount(&self, value: f64) -> String {
        if value < 9.95 { self.short_decimal(value) } else { self.number(value.round() as i64) }
    }

    /// One decimal, left out where it is zero.
    fn short_decimal(&self, value: f64) -> String {
        let text = format!("{value:.1}");
        let text = text.strip_suffix(".0").unwrap_or(&text).replace('-', "−");
        self.pick(text.clone(), text.replace('.', ","))
    }
}

/// A whole number with its thousands parted, as the language does it.
pub fn grouped(lang: Lang, value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mark = if lang == Lang::En { ',' } else { '.' };
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 3);
    if value < 0 {
        out.push('−');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(digit);
    }
    out
}

/// The amount in the largest unit that leaves at least 1; what rounds to 1024 goes one unit up.
fn scaled(value: u64) -> (f64, &'static str) {
    let mut amount = value as f64;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = "B";
    while amount.round() >= 1024.0
        && let Some(next) = units.next()
    {
        amount /= 1024.0;
        unit = next;
    }
    (amount, unit)
}
