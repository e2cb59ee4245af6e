//! The pages of Operation that are about the portal itself.

use std::{collections::BTreeMap, time::Duration};

use askama::Template;

use super::super::{about, frame::Frame, jobs, samples, settings};
use crate::{
    store::{
        footprint::{Footprint, Oldest, Table},
        job_runs::JobRun,
    },
    work::{JobHealth, Trouble},
};

/// All of them, for an admin.
pub fn pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    job_pages(frame, pages);
    for (name, wanted) in [("settings", ""), ("settings-found", "postfix"), ("settings-none", "\"><b>x")] {
        let page = settings::view(frame, &samples::settings(), wanted, samples::ago(90_000));
        pages.insert(name.to_owned(), page.render().unwrap());
    }
    about_pages(frame, pages);
}

fn job_pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    let run = |name: &str, error: Option<&str>| JobRun {
        name: name.to_owned(),
        started_at: samples::ago(40),
        took_ms: 1234,
        succeeded_at: Some(samples::ago(40)),
        error: error.map(str::to_owned),
        error_since: error.map(|_| samples::ago(4000)),
    };
    let rests = JobHealth {
        last_start: Some(samples::ago(40)),
        took: Some(Duration::from_millis(3)),
        next: Some(samples::NOW.plus(Duration::from_secs(20))),
        ..JobHealth::default()
    };
    let trouble = Trouble { error: "the disk is full <b>".to_owned(), since: samples::ago(300), in_a_row: 3 };
    let ill = JobHealth { trouble: Some(trouble), ..rests.clone() };
    let health = BTreeMap::from([("poll", rests.clone()), ("opens", ill), ("new-one", JobHealth::default())]);
    let by_hand = ["poll", "reports", "prune"];
    let failed = [run("poll", None), run("reports", Some("IMAP <x>: no answer in time"))];
    let fine = [run("poll", None), run("prune", None)];
    let calm = BTreeMap::from([("poll", rests)]);
    for (name, runs, health, running) in [
        ("jobs", &failed[..], &health, vec!["prune".to_owned()]),
        ("jobs-fine", &fine[..], &calm, vec![]),
        ("jobs-none", &[][..], &BTreeMap::new(), vec![]),
    ] {
        let input = jobs::Input { runs, health, running: &running, by_hand: &by_hand };
        pages.insert(name.to_owned(), jobs::view(frame, input).render().unwrap());
    }
    frame.message = jobs::message(frame, "poll", "busy");
    let input = jobs::Input { runs: &fine, health: &calm, running: &[], by_hand: &by_hand };
    pages.insert("jobs-busy".to_owned(), jobs::view(frame, input).render().unwrap());
    frame.message = None;
}

fn about_pages(frame: &Frame, pages: &mut BTreeMap<String, String>) {
    let table = |name: &str, rows, bytes, exact| Table { name: name.to_owned(), rows, bytes, exact };
    let footprint = Footprint {
        version: "3.51.1".to_owned(),
        bytes: 912 << 20,
        free: 3 << 20,
        tables: vec![
            table("mail_story", 1_234_567, 600 << 20, false),
            table("audit", 12, 8192, true),
            table("opened", 0, 4096, true),
        ],
    };
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let keep = about::Keep {
        mails: days(120),
        lines: days(1),
        reports: days(400),
        samples: [days(2), days(30), days(730)],
        audit: days(365),
    };
    let oldest = Oldest { mails: Some(samples::ago(5_000_000)), ..Oldest::default() };
    for (name, memory, pruned) in
        [("about", Some(48 << 20), Some(samples::ago(9000))), ("about-new", None, None)]
    {
        let input = about::Input {
            started: samples::ago(200_000),
            memory,
            engine: "SQLite",
            footprint: &footprint,
            oldest,
            keep,
            pruned,
        };
        pages.insert(name.to_owned(), about::view(frame, input).render().unwrap());
    }
}
