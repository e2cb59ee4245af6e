//! Which ports of the mail host were open, and when.

use std::cmp::Ordering;

use askama::Template;

use super::{
    Which,
    grid::{self, Cell, Interruption, Reach},
    shell::{Choice, Shell, choices, sorted_heads},
    table::Head,
    words,
};
use crate::{
    metrics::{
        health::{Health, Standing},
        modules::tls,
    },
    model::{history::Point, sample::State, time::Millis},
    store::samples::{Latest, Range},
    web::pages::{frame::Frame, look::Look},
};

/// Width of a cell in the drawing, and of the bar in it.
const CELL: usize = 24;
const WIDE: usize = 20;
/// Interruptions that are listed.
const LISTED: usize = 20;

/// What is known of one port.
pub struct Port<'a> {
    /// Its number, as in the label.
    pub number: &'a str,
    /// Whether it is open at present.
    pub latest: &'a Latest,
    /// Since when it has been closed, where it is.
    pub closed_since: Option<Millis>,
    /// Its past: whether it was open.
    pub open: Range,
    /// Its past: time until a connection.
    pub seconds: Option<Range>,
}

/// What the page is made of.
pub struct Input<'a> {
    /// All modules.
    pub healths: &'a [Health<'a>],
    /// The ports.
    pub ports: Vec<Port<'a>>,
    /// How far back.
    pub reach: Reach,
    /// The bounds of the cells.
    pub bounds: &'a [Millis],
    /// What the table is sorted by, and whether the other way round.
    pub sort: (&'a str, bool),
    /// Why nothing is known, where the source says so.
    pub absent: Option<&'a State>,
}

/// The page.
#[derive(Template)]
#[template(path = "system_ports.html")]
pub struct PortsPage<'a> {
    frame: &'a Frame,
    title: String,
    shell: Shell,
    reaches: Vec<Choice>,
    rows: Vec<Row>,
    width: usize,
    marks: Vec<String>,
    heads: Vec<Head>,
    interruptions: Vec<Outage>,
    hours: Vec<Hour>,
    unknown: Option<String>,
}

struct Row {
    name: String,
    number: String,
    summary: String,
    bars: Bars,
    cells: Vec<String>,
    now: Look,
    since: Option<String>,
    share: String,
    closed: String,
    answer: String,
    order: (u32, f64, f64, f64),
}

/// A row of cells as a drawing: paths by the class of their colour, and what a pointer reads.
#[derive(Default)]
struct Bars {
    paths: Vec<(&'static str, String)>,
    tips: Vec<(usize, String)>,
}

struct Outage {
    name: String,
    when: String,
    length: String,
    lasts: bool,
}

struct Hour {
    time: String,
    words: Vec<String>,
}

/// The state is in the shape: full, low, broken in the middle, a thin line. Colour only supports it.
fn draw(frame: &Frame, cells: &[Cell], times: &[String]) -> Bars {
    let mut bars = Bars {
        paths: ["f-calm", "f-wait", "f-bad", "f-idle"].map(|class| (class, String::new())).into(),
        tips: Vec::new(),
    };
    for (at, cell) in cells.iter().enumerate() {
        let x = at * CELL + 2;
        let (class, boxes): (usize, &[(u8, u8)]) = match cell {
            Cell::Open => (0, &[(0, 24)]),
            Cell::Slow => (1, &[(10, 14)]),
            Cell::Closed(_) => (2, &[(0, 9), (15, 9)]),
            Cell::Unknown => (3, &[(11, 2)]),
        };
        if let Some((_, path)) = bars.paths.get_mut(class) {
            for (y, high) in boxes {
                path.push_str(&format!("M{x} {y}h{WIDE}v{high}h-{WIDE}z"));
            }
        }
        let time = times.get(at).map(String::as_str).unwrap_or_default();
        bars.tips.push((at * CELL, format!("{time}: {}", cell_words(frame, *cell))));
    }
    bars.paths.retain(|(_, path)| !path.is_empty());
    bars
}

/// The name of what is offered at a port.
pub fn service(frame: &Frame, number: &str) -> String {
    let name = frame.lang().t_in("port", number);
    if name == frame.t("port.unknown") { format!("{name} {number}") } else { name.to_owned() }
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> PortsPage<'a> {
    let span = |pair: &[Millis]| match pair {
        [from, to] => frame.formats.range(*from, *to),
        _ => String::new(),
    };
    let times: Vec<String> = input.bounds.windows(2).map(span).collect();
    let mut rows: Vec<Row> = input.ports.iter().map(|port| row(frame, port, &input, &times)).collect();
    rows.sort_by(|a, b| order(input.sort.0, a, b));
    if input.sort.1 {
        rows.reverse();
    }
    let (title, grounds, standing) = answer(frame, &input);
    let hour = |(at, time): (usize, &String)| Hour {
        time: time.clone(),
        words: rows.iter().map(|row| row.cells.get(at).cloned().unwrap_or_default()).collect(),
    };
    let hours = if rows.is_empty() { Vec::new() } else { times.iter().enumerate().map(hour).collect() };
    PortsPage {
        frame,
        title,
        shell: Shell::new(frame, input.healths, Which::Ports, standing, grounds),
        reaches: choices(frame, Which::Ports, &Reach::ALL.map(Reach::code), input.reach.code()),
        width: CELL * input.bounds.len().saturating_sub(1).max(1),
        marks: marks(frame, input.reach, input.bounds),
        heads: heads(frame, &input),
        interruptions: outages(frame, &input.ports),
        unknown: unknown_time(frame, &input.ports),
        hours,
        rows,
    }
}

fn order(sort: &str, a: &Row, b: &Row) -> Ordering {
    match sort {
        "share" => a.order.1.total_cmp(&b.order.1),
        "closed" => b.order.2.total_cmp(&a.order.2),
        "now" => a.now.word.cmp(b.now.word).then(a.order.0.cmp(&b.order.0)),
        "answer" => b.order.3.total_cmp(&a.order.3),
        _ => a.order.0.cmp(&b.order.0),
    }
}

fn heads(frame: &Frame, input: &Input<'_>) -> Vec<Head> {
    let columns = [
        ("", frame.t("ports.port")),
        ("now", frame.t("system.now")),
        ("share", frame.t("ports.share")),
        ("closed", frame.t("ports.closed")),
        ("answer", frame.t("ports.answer")),
    ];
    sorted_heads(&columns, input.sort, &format!("range={}", input.reach.code()))
}

fn row(frame: &Frame, port: &Port<'_>, input: &Input<'_>, times: &[String]) -> Row {
    let lang = frame.lang();
    let none: &[Point] = &[];
    let seconds = port.seconds.as_ref().map_or(none, |range| range.points.as_slice());
    let cells = grid::cells(input.bounds, &port.open.points, seconds);
    let (open, known) = grid::shares(&port.open.points);
    let share = (known > 0.0).then(|| open / known * 100.0);
    let closed = (known - open).max(0.0);
    let answer = super::chart::figures_of(seconds).map(|(_, mean, high)| (mean, high));
    let name = service(frame, port.number);
    let standing = Standing::of(&tls::EACH_PORT_OPEN, port.latest);
    let word = match standing {
        Standing::Critical | Standing::Warning => lang.t("ports.is_closed"),
        Standing::Fine => lang.t("ports.is_open"),
        _ => words::look(lang, standing).word,
    };
    let share_word =
        share.map_or_else(|| frame.t("standing.unknown").to_owned(), |share| frame.formats.hundredths(share));
    Row {
        summary: lang.tf("ports.row", &[("name", &name), ("share", &share_word)]),
        bars: draw(frame, &cells, times),
        cells: cells.iter().map(|cell| cell_words(frame, *cell)).collect(),
        now: Look { word, ..words::look(lang, standing) },
        since: match standing {
            Standing::Fine => None,
            _ => Some(since(frame, port)),
        },
        share: share_word,
        closed: if closed < 0.5 {
            "–".to_owned()
        } else {
            words::number(frame, &tls::EACH_PORT_SECONDS, closed)
        },
        answer: answer.map_or_else(
            || "–".to_owned(),
            |(mean, high)| {
                if high < 0.05 {
                    return lang.t("ports.answer_quick").to_owned();
                }
                let [mean, high] =
                    [mean, high].map(|value| frame.formats.decimal((value * 10.0).round() / 10.0));
                lang.tf("ports.answer_is", &[("mean", &mean), ("high", &high)])
            },
        ),
        order: (
            port.number.parse().unwrap_or(u32::MAX),
            share.unwrap_or(-1.0),
            closed,
            answer.map_or(-1.0, |(mean, _)| mean),
        ),
        number: port.number.to_owned(),
        name,
    }
}

fn cell_words(frame: &Frame, cell: Cell) -> String {
    match cell {
        Cell::Closed(length) => {
            frame.lang().tf("ports.cell_closed", &[("length", &frame.formats.duration(length))])
        }
        cell => frame.lang().t_in("ports_cell", cell.code()).to_owned(),
    }
}

/// Five moments below the bars.
fn marks(frame: &Frame, reach: Reach, bounds: &[Millis]) -> Vec<String> {
    let last = bounds.len().saturating_sub(1);
    let mark = |part: usize| {
        let at = *bounds.get(last * part / 4)?;
        Some(if reach == Reach::Day { frame.formats.time(at) } else { frame.formats.short_date(at) })
    };
    (0..=4).filter_map(mark).collect()
}

fn outages(frame: &Frame, ports: &[Port<'_>]) -> Vec<Outage> {
    let of = |port: &Port<'_>| -> Vec<(String, Interruption)> {
        let name = service(frame, port.number);
        interruptions(port, frame.formats.now).into_iter().map(|one| (name.clone(), one)).collect()
    };
    let mut all: Vec<(String, Interruption)> = ports.iter().flat_map(of).collect();
    all.sort_by_key(|(_, one)| std::cmp::Reverse((one.until.is_none(), one.from)));
    let outage = |(name, one): (String, Interruption)| Outage {
        name,
        when: match one.until {
            Some(until) => frame.formats.range(one.from, until),
            None => frame.lang().tf("ports.since", &[("time", &frame.formats.sentence(one.from))]),
        },
        length: frame.formats.duration(one.closed),
        lasts: one.until.is_none(),
    };
    all.into_iter().take(LISTED).map(outage).collect()
}

/// The interruptions of a port, newest first. One that lasts begins when all pages say that it began, however coarse the points
/// shown are, and what came before it ended then.
fn interruptions(port: &Port<'_>, now: Millis) -> Vec<Interruption> {
    let past = grid::interruptions(&port.open.points, port.open.width).into_iter();
    let Some(begin) = port.closed_since else { return past.collect() };
    let lasts = Interruption { from: begin, until: None, closed: now.since(begin) };
    // What begins in the same point is the one that lasts.
    let before = past.filter(|one| one.from.0 + port.open.width <= begin.0).map(|one| {
        let until = one.until.map_or(begin, |until| until.min(begin));
        Interruption { until: Some(until), closed: one.closed.min(until.since(one.from)), ..one }
    });
    [lasts].into_iter().chain(before).collect()
}

/// Since when a port has been as it is.
fn since(frame: &Frame, port: &Port<'_>) -> String {
    frame.formats.sentence(port.closed_since.unwrap_or(port.latest.since))
}

/// "Nothing is known of 2 h 10 min of this time."
fn unknown_time(frame: &Frame, ports: &[Port<'_>]) -> Option<String> {
    let unknown = |port: &Port<'_>| {
        let points = &port.open.points;
        let all: f64 = points.len() as f64 * port.open.width as f64 / 1000.0;
        all - grid::shares(points).1
    };
    let most = ports.iter().map(unknown).fold(0.0, f64::max);
    let length = frame.formats.duration(std::time::Duration::from_secs_f64(most.max(0.0)));
    (most > 600.0).then(|| frame.lang().tf("ports.unknown_time", &[("length", &length)]))
}

fn answer(frame: &Frame, input: &Input<'_>) -> (String, String, Standing) {
    let lang = frame.lang();
    let about = lang.t("system_about.ports").to_owned();
    let standing = |port: &Port<'_>| Standing::of(&tls::EACH_PORT_OPEN, port.latest);
    let closed: Vec<&Port<'_>> = input.ports.iter().filter(|port| standing(port).is_trouble()).collect();
    let unknown = input.ports.iter().find(|port| standing(port) == Standing::Unknown);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    match (closed.as_slice(), unknown, input.ports.first()) {
        (_, _, None) => super::shell::absent(frame, input.absent, "ports", about),
        ([], Some(port), _) => {
            let why = match &port.latest.state {
                State::Unknown(why) => words::in_language(lang, why),
                _ => lang.t("system.stale").to_owned(),
            };
            (lang.t("ports.title_unknown").to_owned(), why, Standing::Unknown)
        }
        ([], None, Some(port)) => {
            let checked = lang.tf("system.checked", &[("ago", &frame.formats.ago(port.latest.told))]);
            (
                lang.tn("ports.title_open", count(input.ports.len()), &[]),
                format!("{checked} {about}"),
                Standing::Fine,
            )
        }
        ([one], ..) => {
            let (name, since) = (service(frame, one.number), since(frame, one));
            let title = lang.tf("ports.title_closed", &[("name", &name), ("time", &since)]);
            (title, lang.t("ports.closed_next").to_owned(), Standing::Critical)
        }
        (many, ..) => {
            let names: Vec<String> = many.iter().map(|port| service(frame, port.number)).collect();
            let title = lang.tn("ports.title_many", count(many.len()), &[("names", &names.join(", "))]);
            (title, lang.t("ports.closed_next").to_owned(), Standing::Critical)
        }
    }
}
