//! Ingestion: is the log complete? For admins.

use std::time::Duration;

use askama::Template;
use jiff::civil::Date;

use crate::{
    model::time::Millis,
    store::{
        ingestion::{Gap, LedgerDay, Source, UnknownLine, UnknownPhrase},
        mailbox_cursor::Account,
    },
    web::pages::{frame::Frame, look::Look},
};

/// Days in the bars.
pub const DAYS: i64 = 30;
/// Share of the ring from which on the next burst may overrun it.
const RING_LIMIT: f64 = 0.8;
/// A source that was silent for longer than this and three polls is a trouble.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// All sources.
    pub sources: &'a [Source],
    /// Gaps of the last [`DAYS`] days, newest first.
    pub gaps: &'a [Gap],
    /// Ledger of the last days.
    pub ledger: &'a [LedgerDay],
    /// Lines that no rule knows, most frequent first.
    pub unknown: &'a [UnknownLine],
    /// Answers that the dictionary does not know.
    pub phrases: &'a [UnknownPhrase],
    /// Folders that reports come to.
    pub mailboxes: &'a [Account],
}

/// Something wrong with reading the log.
pub struct Trouble {
    /// `bad` or `wait`.
    pub tone: &'static str,
    /// Name in the icon file.
    pub icon: &'static str,
    /// In one sentence.
    pub what: String,
    /// What it means and what to do.
    pub text: String,
    /// Since when.
    pub since: Option<Millis>,
}

/// The page.
#[derive(Template)]
#[template(path = "ingestion.html")]
pub struct IngestionPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    advice: Option<Advice>,
    rows: Vec<LedgerRow>,
    first_day: String,
    gaps: Vec<GapRow>,
    sources: Vec<SourceRow>,
    unknown_count: String,
    unknown_of: String,
    unknown: Vec<Shape>,
    phrases: Vec<Shape>,
    mailboxes: Vec<MailboxRow>,
}

struct Advice {
    text: String,
    command: Option<&'static str>,
}

/// The days of one source as bars.
struct LedgerRow {
    name: String,
    days: Vec<DayBar>,
    tone: &'static str,
    icon: &'static str,
    verdict: String,
}

struct DayBar {
    x: u64,
    shape: &'static str,
}

struct GapRow {
    from: String,
    to: String,
    source: String,
    lines: String,
    cause: &'static str,
    href: String,
}

struct SourceRow {
    name: String,
    last: String,
    every: String,
    lines: String,
    mails: String,
    behind: String,
    ring: u64,
    ring_word: String,
    ring_tone: &'static str,
    state: Look,
    error: Option<String>,
}

/// A folder that reports come to.
struct MailboxRow {
    name: String,
    folder: String,
    last: String,
    mails: String,
    reports: String,
    refused: String,
    others: String,
    state: Look,
    error: Option<String>,
}

struct Shape {
    text: String,
    example: String,
    program: String,
    count: String,
    last: String,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> IngestionPage<'a> {
    let (title, grounds, tone, icon) = answer(frame, input);
    let today: Vec<&LedgerDay> = input
        .ledger
        .iter()
        .filter(|day| frame.formats.now.since(day.day) < Duration::from_secs(86_400))
        .collect();
    let lines: i64 = today.iter().map(|day| day.line_count).sum();
    let unread: i64 = today.iter().map(|day| day.unknown_count + day.bad_count).sum();
    let first = frame.formats.now.minus(Duration::from_secs(86_400 * (DAYS.unsigned_abs() - 1)));
    IngestionPage {
        frame,
        title,
        grounds,
        tone,
        icon,
        advice: advice(frame, input),
        rows: input.sources.iter().map(|source| ledger_row(frame, source, input.gaps)).collect(),
        first_day: frame.formats.short_date(first),
        gaps: input.gaps.iter().map(|gap| gap_row(frame, gap)).collect(),
        sources: input.sources.iter().map(|source| source_row(frame, source, &today, input.gaps)).collect(),
        unknown_count: frame.formats.number(unread),
        unknown_of: frame.lang().tn("ingestion.unread_of", lines, &[]),
        unknown: input.unknown.iter().take(30).map(|line| shape(frame, line)).collect(),
        phrases: input.phrases.iter().take(30).map(|phrase| phrase_row(frame, phrase)).collect(),
        mailboxes: input.mailboxes.iter().map(|account| mailbox_row(frame, account)).collect(),
    }
}

/// What is wrong with reading, worst first: key refused, source silent, gap of the last day.
pub fn troubles(frame: &Frame, sources: &[Source], gaps: &[Gap]) -> Vec<Trouble> {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let refused = sources.iter().filter(|source| source.refused).map(|source| Trouble {
        tone: "bad",
        icon: "key",
        what: lang.t("ingestion.key").to_owned(),
        text: lang.t("ingestion.key.next").to_owned(),
        since: source.error_since,
    });
    let silent = sources.iter().filter(|source| !source.refused).filter_map(|source| {
        let length = silence(source, formats.now)?;
        let duration = formats.duration(length);
        Some(Trouble {
            tone: "bad",
            icon: "plug",
            what: lang.tf("ingestion.silent.source", &[("source", name(source)), ("duration", &duration)]),
            text: source.error.clone().unwrap_or_else(|| lang.t("ingestion.silent.next").to_owned()),
            since: source.succeeded_at,
        })
    });
    let day = Duration::from_secs(86_400);
    let alone = gaps.len() == 1;
    let holes = gaps.iter().filter(|gap| formats.now.since(gap.to_at) < day).map(|gap| Trouble {
        tone: "bad",
        icon: "exclamation-triangle",
        what: gap_sentence(frame, gap),
        text: match alone {
            true => format!("{} {}", gap_lines(frame, gap), lang.t("ingestion.around")),
            false => gap_lines(frame, gap),
        },
        since: Some(gap.from_at),
    });
    let tight = sources.iter().filter(|source| is_tight(source)).map(|source| Trouble {
        tone: "wait",
        icon: "exclamation-triangle",
        what: {
            let share = formats.share((source.ring_peak.min(1.0) * 100.0).round() as u64, 100);
            lang.tf("ingestion.tight", &[("source", name(source)), ("share", &share)])
        },
        text: ring_advice(frame, source),
        since: None,
    });
    // One refused key stops all sources: it is said once.
    refused.take(1).chain(silent).chain(holes).chain(tight).collect()
}

/// Whether the next burst may write more than the ring holds.
fn is_tight(source: &Source) -> bool {
    source.ring_peak >= RING_LIMIT
}

fn silence(source: &Source, now: Millis) -> Option<Duration> {
    let since = source.succeeded_at.or(source.error_since)?;
    let patience = Duration::from_millis(source.interval_ms.unsigned_abs() * 3).max(PATIENCE);
    Some(now.since(since)).filter(|length| *length > patience)
}

fn answer(frame: &Frame, input: Input<'_>) -> (String, String, &'static str, &'static str) {
    let (lang, formats) = (frame.lang(), &frame.formats);
    if let Some(trouble) = troubles(frame, input.sources, input.gaps).into_iter().next() {
        return (trouble.what, trouble.text, trouble.tone, trouble.icon);
    }
    let Some(started) = input.sources.iter().filter_map(|source| source.started_at).max() else {
        return (lang.t("start.first").to_owned(), String::new(), "info", "arrow-clockwise");
    };
    let read = input.sources.iter().filter_map(|source| source.succeeded_at).min();
    let read = read.map(|at| lang.tf("ingestion.checked", &[("ago", &formats.ago(at))])).unwrap_or_default();
    let since = input.gaps.iter().map(|gap| gap.to_at).max().filter(|end| *end > started);
    let fine = match since {
        None => lang.tf("ingestion.fine", &[("date", &formats.short_date(started))]),
        Some(end) => {
            let since = formats.sentence(end);
            lang.tn("ingestion.fine.gaps", input.gaps.len() as i64, &[("since", &since)])
        }
    };
    (fine, read, "ok", "check-lg")
}

/// "2 min of today are missing from the Postfix log."
fn gap_sentence(frame: &Frame, gap: &Gap) -> String {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let duration = formats.duration_in_sentence(gap.to_at.since(gap.from_at));
    let source = source_name(&gap.source);
    let date = |at: Millis| at.in_zone(&formats.zone).date();
    if date(gap.from_at) == date(formats.now) {
        return lang.tf("ingestion.gap", &[("duration", &duration), ("source", source)]);
    }
    let day = formats.short_date(gap.from_at);
    lang.tf("ingestion.gap.day", &[("duration", &duration), ("source", source), ("day", &day)])
}

fn gap_lines(frame: &Frame, gap: &Gap) -> String {
    match gap.at_least {
        ..1 => frame.t("ingestion.lost.unknown").to_owned(),
        lines => frame.lang().tn("ingestion.lost", lines, &[]),
    }
}

fn advice(frame: &Frame, input: Input<'_>) -> Option<Advice> {
    let fullest = input.sources.iter().max_by(|a, b| a.ring_peak.total_cmp(&b.ring_peak))?;
    let overrun = input.gaps.iter().any(|gap| gap.cause == "overrun");
    if !overrun && fullest.ring_peak < RING_LIMIT {
        return None;
    }
    Some(Advice { text: ring_advice(frame, fullest), command: Some("LOG_LINES=30000") })
}

fn ring_advice(frame: &Frame, source: &Source) -> String {
    let formats = &frame.formats;
    let pause = formats.duration_in_sentence(Duration::from_millis(source.interval_ms.unsigned_abs()));
    let ring = formats.number(source.ring_size);
    frame.lang().tf("ingestion.advice", &[("ring", &ring), ("pause", &pause)])
}

fn source_name(source: &str) -> &str {
    match source {
        "postfix" => "Postfix",
        "rspamd" => "Rspamd",
        other => other,
    }
}

fn name(source: &Source) -> &str {
    source_name(&source.source)
}

fn ledger_row(frame: &Frame, source: &Source, gaps: &[Gap]) -> LedgerRow {
    let lang = frame.lang();
    let own: Vec<&Gap> = gaps.iter().filter(|gap| gap.source == source.source).collect();
    let date = |at: Millis| at.in_zone(&frame.formats.zone).date();
    let (today, started) = (date(frame.formats.now), source.started_at.map(date));
    let shape = |day: Date| match started {
        _ if own.iter().any(|gap| date(gap.from_at) <= day && day <= date(gap.to_at)) => "gap",
        Some(started) if started <= day => "full",
        _ => "none",
    };
    let days = (0..DAYS).rev().map(|back| today.saturating_sub(jiff::Span::new().days(back)));
    let recent = started.is_some_and(|day| (today - day).get_days() < DAYS as i32);
    let (tone, icon, verdict) = match (own.len(), source.started_at) {
        (1.., _) => ("bad", "exclamation-triangle", lang.tn("ingestion.gap_count", own.len() as i64, &[])),
        (0, Some(at)) if recent => {
            let date = frame.formats.short_date(at);
            ("ok", "check-circle", lang.tf("ingestion.complete_since", &[("date", &date)]))
        }
        (0, Some(_)) => ("ok", "check-circle", lang.t("ingestion.complete").to_owned()),
        (0, None) => ("idle", "dash-circle", lang.t("ingestion.not_yet").to_owned()),
    };
    let days = (0..).zip(days).map(|(place, day)| DayBar { x: place * 20, shape: shape(day) });
    LedgerRow { name: name(source).to_owned(), days: days.collect(), tone, icon, verdict }
}

fn gap_row(frame: &Frame, gap: &Gap) -> GapRow {
    let formats = &frame.formats;
    let at = |at: Millis| format!("{}, {}", formats.table_date(at), formats.time_seconds(at));
    let day = |at: Millis| at.in_zone(&formats.zone).date().to_string();
    let mut query = super::query::Query::default();
    query.add("from", &day(gap.from_at));
    query.add("to", &day(gap.to_at));
    GapRow {
        from: at(gap.from_at),
        to: at(gap.to_at),
        source: source_name(&gap.source).to_owned(),
        lines: match gap.at_least {
            ..1 => frame.t("ingestion.lines.unknown").to_owned(),
            lines => frame.lang().tf("ingestion.at_least", &[("count", &formats.number(lines))]),
        },
        cause: frame.lang().t_in("gap", &gap.cause),
        href: super::mails::link(frame, &query),
    }
}

fn source_row(frame: &Frame, source: &Source, today: &[&LedgerDay], gaps: &[Gap]) -> SourceRow {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let own = || today.iter().filter(|day| day.source == source.source);
    let at = |at: Option<Millis>| at.map(|at| formats.time_seconds(at)).unwrap_or_else(|| "–".to_owned());
    let peak = source.ring_peak.clamp(0.0, 1.0);
    let percent = (peak * 100.0).round() as u64;
    let error_since = source.error_since.map(|at| formats.when(at)).unwrap_or_default();
    let gap_today = gaps
        .iter()
        .any(|gap| gap.source == source.source && formats.now.since(gap.to_at) < Duration::from_secs(86_400));
    let state = |icon, tone, word| Look { icon, tone, word };
    SourceRow {
        name: name(source).to_owned(),
        last: at(source.polled_at),
        every: formats.duration_in_sentence(Duration::from_millis(source.interval_ms.unsigned_abs())),
        lines: formats.number(own().map(|day| day.line_count).sum()),
        mails: formats.number(own().map(|day| day.mail_count).sum()),
        behind: match (source.succeeded_at, source.newest_at) {
            (Some(read), Some(newest)) => formats.duration(read.since(newest)),
            _ => "–".to_owned(),
        },
        ring: percent,
        ring_word: if peak >= 1.0 {
            lang.t("ingestion.ring.over").to_owned()
        } else {
            formats.share(percent, 100)
        },
        ring_tone: if peak >= 1.0 {
            "bad"
        } else if peak >= RING_LIMIT {
            "wait"
        } else {
            "info"
        },
        state: match source {
            _ if source.refused => state("key", "bad", lang.t("ingestion.state.refused")),
            _ if source.error.is_some() => state("plug", "bad", lang.t("ingestion.state.silent")),
            _ if source.succeeded_at.is_none() => {
                state("arrow-clockwise", "info", lang.t("ingestion.state.new"))
            }
            _ if gap_today => state("exclamation-triangle", "bad", lang.t("ingestion.state.gap")),
            _ if is_tight(source) => state("exclamation-triangle", "wait", lang.t("ingestion.state.tight")),
            _ => state("check-circle", "ok", lang.t("ingestion.state.fine")),
        },
        error: source
            .error
            .as_ref()
            .map(|error| lang.tf("ingestion.error", &[("error", error), ("when", &error_since)])),
    }
}

fn mailbox_row(frame: &Frame, account: &Account) -> MailboxRow {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let number = |of: i64| formats.number(of);
    let look = |icon, tone, key| Look { icon, tone, word: lang.t(key) };
    let since = account.error_since.map(|at| formats.when(at)).unwrap_or_default();
    MailboxRow {
        name: account.account.clone(),
        folder: account.folder.clone(),
        last: account.succeeded_at.map_or_else(|| "–".to_owned(), |at| formats.when(at)),
        mails: number(account.mails),
        reports: number(account.reports),
        refused: number(account.refused),
        others: number(account.others),
        state: match (&account.error, account.succeeded_at) {
            (Some(_), _) => look("plug", "bad", "ingestion.state.silent"),
            (None, None) => look("arrow-clockwise", "info", "ingestion.state.new"),
            (None, Some(_)) => look("check-circle", "ok", "ingestion.state.fine"),
        },
        error: account.error.as_ref().map(|error| {
            let error = lang.tf("ingestion.error", &[("error", error), ("when", &since)]);
            format!("{error}. {}", lang.t("ingestion.mailbox.next"))
        }),
    }
}

fn shape(frame: &Frame, line: &UnknownLine) -> Shape {
    Shape {
        text: line.shape.clone(),
        example: line.example.clone(),
        program: line.program.clone(),
        count: frame.formats.number(line.line_count),
        last: frame.formats.moment(line.last_at),
    }
}

fn phrase_row(frame: &Frame, phrase: &UnknownPhrase) -> Shape {
    Shape {
        text: phrase.phrase.clone(),
        example: phrase.example.clone(),
        program: String::new(),
        count: frame.formats.number(phrase.phrase_count),
        last: frame.formats.moment(phrase.last_at),
    }
}
