//! The portal itself: version, uptime, memory, what the database holds, and how long each kind of data is kept.

use std::time::Duration;

use askama::Template;

use crate::{
    model::time::Millis,
    store::footprint::{Footprint, Oldest, Table},
    web::{pages::frame::Frame, state::WebSettings},
};

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// When the process began to serve.
    pub started: Millis,
    /// Memory of the process in bytes; `None` where it cannot be told.
    pub memory: Option<u64>,
    /// Name of the database engine.
    pub engine: &'static str,
    /// What the database holds.
    pub footprint: &'a Footprint,
    /// How far back each kind of data goes.
    pub oldest: Oldest,
    /// For how long each kind is kept.
    pub keep: Keep,
    /// When what was past its time was last removed; `None` when that never went well.
    pub pruned: Option<Millis>,
}

/// For how long each kind of data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Mails, their stories and opens.
    pub mails: Duration,
    /// Raw log lines.
    pub lines: Duration,
    /// DMARC and TLS reports.
    pub reports: Duration,
    /// Changes of metrics, roll-ups of five minutes, of an hour.
    pub samples: [Duration; 3],
    /// What people did.
    pub audit: Duration,
}

impl Keep {
    /// As the settings say.
    pub fn of(settings: &WebSettings) -> Self {
        let samples = &settings.keep_samples;
        Self {
            mails: settings.keep_mails,
            lines: settings.keep_lines,
            reports: settings.keep_reports,
            samples: [samples.raw, samples.minutes, samples.hours],
            audit: settings.keep_access,
        }
    }
}

/// The page.
#[derive(Template)]
#[template(path = "about.html")]
pub struct AboutPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    facts: Vec<(&'static str, String)>,
    kinds: Vec<Kind>,
    pruned: String,
    tables: Vec<Row>,
}

struct Kind {
    word: &'static str,
    setting: &'static str,
    keep: String,
    oldest: String,
}

struct Row {
    name: String,
    rows: String,
    size: String,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> AboutPage<'a> {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let version = env!("CARGO_PKG_VERSION");
    let up = formats.duration_in_sentence(formats.now.since(input.started));
    let size = formats.bytes(input.footprint.bytes);
    let memory = input.memory.map_or_else(|| lang.t("about.unknown").to_owned(), |it| formats.bytes(it));
    let free = formats.bytes(input.footprint.free);
    let facts = vec![
        (lang.t("about.version"), version.to_owned()),
        (lang.t("about.started"), formats.moment(input.started)),
        (lang.t("about.uptime"), up.clone()),
        (lang.t("about.memory"), memory),
        (lang.t("about.database"), format!("{} {}", input.engine, input.footprint.version)),
        (lang.t("about.size"), lang.tf("about.size.text", &[("size", &size), ("free", &free)])),
    ];
    AboutPage {
        frame,
        title: lang.tf("about.title", &[("version", version), ("uptime", &up)]),
        grounds: lang.tf("about.grounds", &[("engine", input.engine), ("size", &size)]),
        facts,
        kinds: kinds(frame, input),
        pruned: match input.pruned {
            Some(at) => lang.tf("about.pruned", &[("when", &formats.moment(at))]),
            None => lang.t("about.never_pruned").to_owned(),
        },
        tables: input.footprint.tables.iter().map(|table| row(frame, table)).collect(),
    }
}

fn kinds(frame: &Frame, input: Input<'_>) -> Vec<Kind> {
    let (lang, keep, oldest) = (frame.lang(), input.keep, input.oldest);
    let kind = |word: &'static str, setting: &'static str, keep: Duration, oldest: Option<Millis>| Kind {
        word: lang.t_in("about_kind", word),
        setting,
        keep: lang.tn("about.days", i64::try_from(keep.as_secs() / 86_400).unwrap_or(i64::MAX), &[]),
        oldest: oldest.map_or_else(|| lang.t("about.nothing").to_owned(), |at| frame.formats.table_date(at)),
    };
    let [raw, minutes, hours] = keep.samples;
    let [raw_from, minutes_from, hours_from] = oldest.samples;
    vec![
        kind("mails", "RETENTION", keep.mails, oldest.mails),
        kind("lines", "RETENTION_LINES", keep.lines, oldest.lines),
        kind("opens", "RETENTION", keep.mails, oldest.opens),
        kind("reports", "RETENTION_REPORTS", keep.reports, oldest.reports),
        kind("tls_reports", "RETENTION_REPORTS", keep.reports, oldest.tls_reports),
        kind("samples", "RETENTION_SAMPLES", raw, raw_from),
        kind("samples_5m", "RETENTION_SAMPLES_5M", minutes, minutes_from),
        kind("samples_hourly", "RETENTION_SAMPLES_HOURLY", hours, hours_from),
        kind("audit", "RETENTION_ACCESS", keep.audit, oldest.audit),
    ]
}

fn row(frame: &Frame, table: &Table) -> Row {
    let about = |text: String| match table.exact {
        true => text,
        false => frame.lang().tf("about.about", &[("number", &text)]),
    };
    let rows = i64::try_from(table.rows).unwrap_or(i64::MAX);
    Row {
        name: table.name.clone(),
        rows: about(match table.exact {
            true => frame.formats.number(rows),
            false => frame.formats.number(rounded(rows)),
        }),
        size: about(frame.formats.bytes(table.bytes)),
    }
}

/// Two digits that count: an estimate knows no more.
fn rounded(number: i64) -> i64 {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    (number.saturating_add(unit / 2) / unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    #[test]
    fn estimates_have_two_digits() {
        for (number, expected) in [(0, 0), (7, 7), (99, 99), (123, 120), (128, 130), (995_000, 1_000_000)] {
            assert_eq!(super::rounded(number), expected);
        }
        assert!(super::rounded(i64::MAX / 2) > 0);
    }
}
