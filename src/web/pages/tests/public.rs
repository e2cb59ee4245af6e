//! Uptime and the public page with samples: fine, disturbed, down, unknown, planned work, empty.

use std::{collections::BTreeMap, time::Duration};

use askama::Template;

use crate::{
    metrics::uptime::{Board, DAYS, Line, Service, Working},
    model::{
        announcement::{Announcement, Kind, Update},
        time::Millis,
        uptime::{Outage, Tally, day_bounds},
    },
    store::public::Shown,
    web::pages::{
        frame::{Brand, Entry, Frame},
        public, samples,
        system::{
            announce::{self, Draft},
            uptime,
        },
    },
};

fn days(bad: &[(usize, f64)], known_from: usize) -> Vec<Tally> {
    let day = |index: usize| {
        let down = bad.iter().find(|(day, _)| *day == index).map_or(0.0, |(_, down)| *down);
        let up = if index < known_from { 0.0 } else { 86_400.0 - down };
        Tally { up, down: if index < known_from { 0.0 } else { down }, excused: 0.0, length: 86_400.0 }
    };
    (0..DAYS).map(day).collect()
}

fn lines() -> Vec<Line> {
    let line = |code: &str, kind, label: Option<&str>, up, bad: &[(usize, f64)]| Line {
        code: code.to_owned(),
        kind,
        label: label.map(str::to_owned),
        days: days(bad, 30),
        outages: bad
            .iter()
            .map(|(day, down)| Outage {
                from: samples::ago(86_400 * (DAYS - day) as u64),
                until: (up != Some(false)).then(|| {
                    samples::ago(86_400 * (DAYS - day) as u64).plus(Duration::from_secs(*down as u64))
                }),
                down: *down,
                excused: if *day == 44 { 600.0 } else { 0.0 },
                exact: *day > 60,
            })
            .collect(),
        up,
    };
    vec![
        line("postfix", "postfix", None, Some(true), &[]),
        line("web", "web", None, None, &[(44, 1320.0)]),
        line("port-587", "port", Some("587"), Some(false), &[(62, 9000.0), (89, 600.0)]),
        line("port-8025", "port", Some("8025"), Some(true), &[]),
    ]
}

fn notes(text: &str) -> Vec<Announcement> {
    let note = |id: u64, kind, from: i64, until: Option<i64>, about: &[&str]| Announcement {
        id: samples::ago(id).0,
        kind,
        title: text.to_owned(),
        from: Millis(samples::NOW.0 + from * 3_600_000),
        until: until.map(|hours| Millis(samples::NOW.0 + hours * 3_600_000)),
        excuses: kind == Kind::Maintenance,
        services: about.iter().map(|code| (*code).to_owned()).collect(),
        changed: samples::ago(id / 2),
        updates: vec![
            Update { at: samples::ago(id), text: "We look into it.\nMails are safe.".to_owned() },
            Update { at: samples::ago(id / 2), text: text.to_owned() },
        ],
    };
    vec![
        note(90, Kind::Maintenance, 200, Some(201), &[]),
        note(3_600, Kind::Incident, -1, None, &["port-587"]),
        note(1_000_000, Kind::Incident, -300, Some(-299), &["web", "port-587"]),
    ]
}

fn board(notes: Vec<Announcement>, states: &[(&str, &str, Working)]) -> Board {
    let zone = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En).formats.zone;
    let service = |(code, name, working): &(&str, &str, Working)| Service {
        name: (*name).to_owned(),
        working: *working,
        since: (*working < Working::Maintenance).then(|| samples::ago(2_500)),
        days: days(&[(44, 1320.0), (62, 9000.0)], 30),
        planned: (0..DAYS).map(|day| day == 70).collect(),
        codes: vec![(*code).to_owned()],
    };
    Board {
        at: samples::ago(40),
        bounds: day_bounds(&zone, samples::NOW, DAYS),
        services: states.iter().map(service).collect(),
        announced: notes,
    }
}

fn admin(frame: &Frame, on: bool, board: &Board, lines: &[Line], draft: Option<&Draft>) -> String {
    let shown: Vec<Shown> = board
        .services
        .iter()
        .map(|service| Shown { code: service.codes[0].clone(), name: service.name.clone() })
        .collect();
    let input = announce::Input { on, address: "/public", healths: &[], lines, shown: &shown, board, draft };
    announce::view(frame, &input).render().unwrap()
}

fn measured(frame: &Frame, lines: &[Line]) -> String {
    let bounds = day_bounds(&frame.formats.zone, samples::NOW, DAYS);
    let planned = vec![(0..DAYS).map(|day| day == 70).collect(); lines.len()];
    uptime::view(frame, &uptime::Input { healths: &[], lines, bounds: &bounds, planned: &planned })
        .render()
        .unwrap()
}

/// The pages for admins.
pub fn pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = Some(Entry::System);
    let (lines, none) = (lines(), board(Vec::new(), &[]));
    pages.insert("system-uptime".to_owned(), measured(frame, &lines));
    pages.insert("system-uptime-fine".to_owned(), measured(frame, &lines[..1]));
    pages.insert("system-uptime-empty".to_owned(), measured(frame, &[]));
    let some = board(notes("Sending is disturbed"), &[("port-587", "Sending", Working::Down)]);
    let draft = Draft { faults: vec!["title"], ..Draft::default() };
    pages.insert("system-public".to_owned(), admin(frame, true, &some, &lines, None));
    pages.insert("system-public-fault".to_owned(), admin(frame, true, &some, &lines, Some(&draft)));
    pages.insert("system-public-off".to_owned(), admin(frame, false, &none, &[], None));
}

/// The pages for strangers.
pub fn open_pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    let kept = frame.clone();
    frame.entry = Some(Entry::Public);
    (frame.visitor, frame.freshness, frame.mailcow_url) = (None, None, None);
    frame.brand = Brand { host: String::new(), ..frame.brand.clone() };
    let two = |one, other| [("port-587", "Sending mail", one), ("web", "Webmail", other)];
    for (name, board) in [
        ("public", board(notes("Sending is disturbed"), &two(Working::Disturbed, Working::Up))),
        ("public-fine", board(notes("x").split_off(2), &two(Working::Up, Working::Up))),
        ("public-down", board(Vec::new(), &two(Working::Up, Working::Down))),
        ("public-unknown", board(Vec::new(), &two(Working::Unknown, Working::Up))),
        ("public-maintenance", board(Vec::new(), &two(Working::Maintenance, Working::Up))),
        ("public-empty", board(Vec::new(), &[])),
    ] {
        pages.insert(name.to_owned(), public::view(frame, &board).render().unwrap());
    }
    *frame = kept;
}

/// Pages with a hostile text wherever an admin may write.
pub fn hostile(frame: &Frame, payload: &str) -> Vec<String> {
    let board = board(notes(payload), &[("web", payload, Working::Down)]);
    vec![public::view(frame, &board).render().unwrap(), admin(frame, true, &board, &lines(), None)]
}

#[test]
fn strangers_read_no_host_no_port_and_no_code() {
    for lang in crate::web::text::Lang::ALL {
        let mut frame = samples::frame(crate::model::scope::Role::Admin, lang);
        let mut all = BTreeMap::new();
        open_pages(&mut frame, &mut all);
        assert_eq!(all.len(), 6);
        for (name, page) in all {
            for secret in ["587", "mail.alpha.test", "postfix", "Postfix", "port-", env!("CARGO_PKG_VERSION")]
            {
                let body = page.split("<body").nth(1).unwrap();
                assert!(!body.contains(secret), "{name}: {secret}");
            }
        }
    }
}

#[test]
fn what_is_unknown_is_never_said_to_work() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let unknown = board(Vec::new(), &[("web", "Webmail", Working::Unknown), ("x", "Mail", Working::Up)]);
    let page = public::view(&frame, &unknown).render().unwrap();
    assert!(page.contains("We do not know at present") && !page.contains("Everything works."));
    assert!(page.contains("known for 66"), "30 of 90 days are unknown");
    let fine = board(Vec::new(), &[("web", "Webmail", Working::Up)]);
    assert!(public::view(&frame, &fine).render().unwrap().contains("Everything works."));
    let measured = measured(&frame, &lines());
    assert!(measured.contains("Port 587 (Submission) has been down since"), "{measured:.4000}");
}

#[test]
fn the_feed_and_the_json_are_sound_whatever_an_admin_writes() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::De);
    for payload in samples::PAYLOADS {
        let board = board(notes(payload), &[("web", payload, Working::Up)]);
        let feed = public::feed(&frame, "https://status.test/public", &board).render().unwrap();
        let elements = feed.split_once("?>").unwrap().1;
        assert_eq!(super::unbalanced(elements), None, "{payload}");
        assert!(!payload.contains('<') || !feed.contains(payload), "{payload} is not escaped");
        assert_eq!(feed.matches("<entry>").count(), 3);
        assert_eq!(feed.matches("<id>https://status.test/public#note-").count(), 3);
        let json = public::json(&frame, &board);
        assert_eq!(json["services"][0]["name"], *payload);
        assert_eq!(json["services"][0]["days"][0]["uptime"], serde_json::Value::Null);
        assert_eq!(json["services"][0]["days"][62]["state"], "down");
        assert_eq!(json["announcements"].as_array().unwrap().len(), 3);
    }
}
