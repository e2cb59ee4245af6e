//! Uptime: how much of the last 90 days each service and port was up, and when it was not.

use askama::Template;

use super::{Which, shell::Shell};
use crate::{
    metrics::{
        health::{Health, Standing},
        uptime::{DAYS, Line},
    },
    model::{time::Millis, uptime::Tally},
    web::pages::{
        bars::{self, Bars},
        frame::Frame,
        look::Look,
    },
};

/// Outages in the list.
const MOST: usize = 100;

/// What the page is made of.
pub struct Input<'a> {
    /// All modules, for the list at the left.
    pub healths: &'a [Health<'a>],
    /// What is watched.
    pub lines: &'a [Line],
    /// Bounds of the days.
    pub bounds: &'a [Millis],
    /// For each line and day, whether there was planned work.
    pub planned: &'a [Vec<bool>],
}

/// The page.
#[derive(Template)]
#[template(path = "system_uptime.html")]
pub struct UptimePage<'a> {
    frame: &'a Frame,
    title: String,
    shell: Shell,
    rows: Vec<Row>,
    first_day: String,
    outages: Vec<OutageRow>,
    more: Option<String>,
}

struct Row {
    name: String,
    bars: Bars,
    look: Look,
    since: Option<String>,
    whole: String,
    known: Option<String>,
    label: String,
    shares: [String; 3],
}

struct OutageRow {
    name: String,
    from: String,
    until: String,
    length: String,
    note: Option<String>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: &Input<'_>) -> UptimePage<'a> {
    let lang = frame.lang();
    let (title, standing) = answer(frame, input.lines);
    let zone = frame.formats.zone_name();
    let mut outages: Vec<(Millis, OutageRow)> =
        input.lines.iter().flat_map(|line| outage_rows(frame, line)).collect();
    outages.sort_by_key(|(from, _)| std::cmp::Reverse(*from));
    let left = outages.len().saturating_sub(MOST);
    UptimePage {
        frame,
        title,
        shell: Shell::new(
            frame,
            input.healths,
            Which::Uptime,
            standing,
            lang.tf("uptime.grounds", &[("zone", &zone)]),
        ),
        rows: input.lines.iter().enumerate().map(|(index, line)| row(frame, input, index, line)).collect(),
        first_day: input.bounds.first().map(|at| frame.formats.short_date(*at)).unwrap_or_default(),
        outages: outages.into_iter().take(MOST).map(|(_, row)| row).collect(),
        more: (left > 0).then(|| lang.tn("uptime.more", i64::try_from(left).unwrap_or(i64::MAX), &[])),
    }
}

/// The name of what is watched: a service, or a port with what is usually behind it.
pub fn name(frame: &Frame, line: &Line) -> String {
    let lang = frame.lang();
    let Some(port) = &line.label else { return lang.t_in("watched", line.kind).to_owned() };
    let usual = match port.as_str() {
        "25" => "SMTP",
        "110" => "POP3",
        "143" => "IMAP",
        "443" => "HTTPS",
        "465" => "SMTPS",
        "587" => "Submission",
        "993" => "IMAPS",
        "995" => "POP3S",
        "4190" => "Sieve",
        _ => return lang.tf_in("watched", line.kind, &[("label", port)]),
    };
    format!("{} ({usual})", lang.tf_in("watched", line.kind, &[("label", port)]))
}

fn answer(frame: &Frame, lines: &[Line]) -> (String, Standing) {
    let lang = frame.lang();
    let down: Vec<&Line> = lines.iter().filter(|line| line.up == Some(false)).collect();
    let unknown = lines.iter().filter(|line| line.up.is_none()).count();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    match (down.as_slice(), unknown) {
        _ if lines.is_empty() => (lang.t("uptime.none").to_owned(), Standing::Waiting),
        ([], 0) => (lang.tn("uptime.all_up", count(lines.len()), &[]), Standing::Fine),
        ([], unknown) => (lang.tn("uptime.unknown_now", count(unknown), &[]), Standing::Unknown),
        ([one], _) => {
            let since = one.down_since().map(|at| frame.formats.sentence(at)).unwrap_or_default();
            let values = [("name", &*name(frame, one)), ("time", &*since)];
            (lang.tf("uptime.one_down", &values), Standing::Critical)
        }
        (many, _) => (lang.tn("uptime.many_down", count(many.len()), &[]), Standing::Critical),
    }
}

fn row(frame: &Frame, input: &Input<'_>, index: usize, line: &Line) -> Row {
    let planned = input.planned.get(index).map(Vec::as_slice).unwrap_or_default();
    let whole = line.last(DAYS);
    let (name, share, known) = (name(frame, line), bars::share(frame, &whole), bars::known(frame, &whole));
    let label = [Some(share.clone()), known.clone()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    Row {
        label: format!("{name}: {label}"),
        name,
        bars: bars::draw(frame, &line.days, planned, input.bounds),
        look: look(frame, line.up),
        since: line.down_since().map(|at| frame.formats.moment(at)),
        shares: [1, 7, 30].map(|days| {
            let part: Tally = line.last(days);
            bars::share(frame, &part)
        }),
        whole: share,
        known,
    }
}

fn look(frame: &Frame, up: Option<bool>) -> Look {
    let (tone, icon, word) = match up {
        Some(true) => ("ok", "check-circle", "up"),
        Some(false) => ("bad", "x-octagon", "down"),
        None => ("idle", "question-circle", "unknown"),
    };
    Look { tone, icon, word: frame.lang().t_in("working", word) }
}

fn outage_rows(frame: &Frame, line: &Line) -> Vec<(Millis, OutageRow)> {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let about = |at: Millis, exact: bool| match exact {
        true => formats.moment(at),
        false => lang.tf("uptime.about", &[("time", &formats.moment(at))]),
    };
    let row = |outage: &crate::model::uptime::Outage| {
        let until = outage.until.map(|at| about(at, outage.exact));
        let row = OutageRow {
            name: name(frame, line),
            from: about(outage.from, outage.exact),
            until: until.unwrap_or_else(|| lang.t("uptime.lasts").to_owned()),
            length: formats.duration(bars::seconds(outage.down)),
            note: (outage.excused > 0.0).then(|| {
                let length = formats.duration(bars::seconds(outage.excused));
                lang.tf("uptime.excused", &[("duration", &length)])
            }),
        };
        (outage.from, row)
    };
    line.outages.iter().map(row).collect()
}
