//! The jobs: when each ran last, how that went, when it runs again.

use std::{collections::BTreeMap, time::Duration};

use askama::Template;

use super::look::Look;
use crate::{
    model::time::Millis,
    store::job_runs::JobRun,
    web::{pages::frame::Frame, state::JobEnd},
    work::JobHealth,
};

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The newest run of each job under a lease, by whichever process.
    pub runs: &'a [JobRun],
    /// The jobs of this process's schedule.
    pub health: &'a BTreeMap<&'static str, JobHealth>,
    /// Jobs that somebody runs at present.
    pub running: &'a [String],
    /// Those that can be run by hand, the most important one first.
    pub by_hand: &'a [&'static str],
}

/// The page.
#[derive(Template)]
#[template(path = "jobs.html")]
pub struct JobsPage<'a> {
    frame: &'a Frame,
    tone: &'static str,
    icon: &'static str,
    title: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    word: &'static str,
    last: String,
    took: String,
    state: Look,
    error: Option<String>,
    next: String,
    action: Option<String>,
}

/// A job as far as it is known.
struct Job<'a> {
    name: &'a str,
    started: Option<Millis>,
    took: Option<Duration>,
    error: Option<(&'a str, Option<Millis>)>,
    running: bool,
    next: Option<Millis>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> JobsPage<'a> {
    let jobs = jobs(input);
    let failed: Vec<&Job<'_>> = jobs.iter().filter(|job| job.error.is_some()).collect();
    let lang = frame.lang();
    let known = jobs.iter().any(|job| job.started.is_some());
    let (tone, icon, title) = match failed.as_slice() {
        [] if !known => ("idle", "clock", lang.t("jobs.none").to_owned()),
        [] => ("ok", "check-lg", lang.tn("jobs.fine", jobs.len() as i64, &[])),
        [one] => ("bad", "exclamation-triangle", lang.tf("jobs.failed", &[("job", word(frame, one.name))])),
        more => ("bad", "exclamation-triangle", lang.tn("jobs.failed_many", more.len() as i64, &[])),
    };
    let rows = jobs.iter().map(|job| row(frame, job, input.by_hand.contains(&job.name))).collect();
    JobsPage { frame, tone, icon, title, rows }
}

/// What an action says when it is done.
pub fn message(frame: &Frame, name: &str, end: &str) -> Option<String> {
    let job = word(frame, name);
    let text = match end {
        "done" => frame.lang().tf("jobs.said.done", &[("job", job)]),
        "busy" => frame.lang().tf("jobs.said.busy", &[("job", job)]),
        "failed" => frame.lang().tf("jobs.said.failed", &[("job", job)]),
        "running" => frame.lang().tf("jobs.said.running", &[("job", job)]),
        _ => return None,
    };
    Some(text)
}

/// The word of an end in the address; `None` while the job runs on.
pub fn end_code(end: Option<&JobEnd>) -> &'static str {
    match end {
        None => "running",
        Some(JobEnd::Done) => "done",
        Some(JobEnd::Busy) => "busy",
        Some(JobEnd::Failed(_)) => "failed",
    }
}

fn word(frame: &Frame, name: &str) -> &'static str {
    frame.lang().t_in("job", name)
}

/// All jobs that are known from anywhere: those that can be run by hand in their order, then the others by name.
fn jobs<'a>(input: Input<'a>) -> Vec<Job<'a>> {
    let mut names: Vec<&'a str> = input.by_hand.to_vec();
    let others = input.health.keys().copied().chain(input.runs.iter().map(|run| run.name.as_str()));
    for other in others {
        if !names.contains(&other) {
            names.push(other);
        }
    }
    names.into_iter().map(|name| job(input, name)).collect()
}

/// What the database knows of a run counts, since all processes and calls by hand write there.
fn job<'a>(input: Input<'a>, name: &'a str) -> Job<'a> {
    let health = input.health.get(name);
    let run = input.runs.iter().find(|run| run.name == name);
    let here = health.and_then(|health| health.trouble.as_ref());
    let next = health.and_then(|health| health.next);
    let running = input.running.iter().any(|running| running == name);
    match run {
        Some(run) => Job {
            name,
            started: Some(run.started_at),
            took: Some(Duration::from_millis(u64::try_from(run.took_ms).unwrap_or_default())),
            error: run.error.as_deref().map(|error| (error, run.error_since)),
            running,
            next,
        },
        None => Job {
            name,
            started: health.and_then(|health| health.last_start),
            took: health.and_then(|health| health.took),
            error: here.map(|trouble| (trouble.error.as_str(), Some(trouble.since))),
            running: running || health.is_some_and(|health| health.took.is_none()),
            next,
        },
    }
}

fn row(frame: &Frame, job: &Job<'_>, by_hand: bool) -> Row {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let state = match (&job.error, job.running, job.started) {
        (_, true, _) => Look { icon: "arrow-repeat", tone: "info", word: lang.t("jobs.state.running") },
        (Some(_), ..) => Look { icon: "x-octagon", tone: "bad", word: lang.t("jobs.state.failed") },
        (None, _, Some(_)) => Look { icon: "check-circle", tone: "ok", word: lang.t("jobs.state.fine") },
        (None, _, None) => Look { icon: "clock", tone: "idle", word: lang.t("jobs.state.never") },
    };
    let error = job.error.map(|(error, since)| match since {
        Some(since) => lang.tf("jobs.error", &[("error", error), ("since", &formats.moment(since))]),
        None => error.to_owned(),
    });
    Row {
        name: job.name.to_owned(),
        word: word(frame, job.name),
        last: job.started.map_or_else(|| lang.t("jobs.not_yet").to_owned(), |at| formats.ago(at)),
        took: job.took.map(|took| formats.duration(took)).unwrap_or_default(),
        state,
        error,
        // One that is due has begun when the page is read.
        next: match job.next {
            Some(next) if next <= formats.now => lang.t("jobs.due").to_owned(),
            Some(next) if formats.day_head(next) == formats.day_head(formats.now) => {
                formats.time_seconds(next)
            }
            Some(next) => formats.moment(next),
            None => String::new(),
        },
        action: by_hand.then(|| frame.url(&format!("/jobs/{}/run", job.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scope::Role,
        web::{pages::samples, text::Lang},
    };

    #[test]
    fn the_database_knows_better_than_this_process() {
        let run = JobRun {
            name: "poll".to_owned(),
            started_at: samples::ago(30),
            took_ms: 1200,
            succeeded_at: None,
            error: Some("Mailcow is away".to_owned()),
            error_since: Some(samples::ago(90)),
        };
        let fine =
            JobHealth { last_start: Some(samples::ago(5)), took: Some(Duration::ZERO), ..Default::default() };
        let health = BTreeMap::from([("poll", fine.clone()), ("opens", fine)]);
        let input = Input { runs: &[run], health: &health, running: &[], by_hand: &["prune", "poll"] };
        let jobs = jobs(input);
        let names: Vec<&str> = jobs.iter().map(|job| job.name).collect();
        assert_eq!(names, ["prune", "poll", "opens"]);
        assert!(jobs[0].started.is_none() && jobs[1].error.is_some() && jobs[2].error.is_none());
        let frame = samples::frame(Role::Admin, Lang::En);
        let page = view(&frame, input);
        assert_eq!((page.tone, page.rows[2].action.as_deref()), ("bad", None));
    }

    #[test]
    fn a_message_is_one_of_ours() {
        let frame = samples::frame(Role::Admin, Lang::En);
        assert!(message(&frame, "poll", "busy").is_some());
        assert_eq!(message(&frame, "poll", "<b>"), None);
    }
}
