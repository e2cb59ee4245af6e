//! The pages of Operation that are about the portal itself: jobs, settings, the portal. For admins.

use axum::{
    extract::Path,
    response::Redirect,
    routing::{MethodRouter, get, post},
};

use super::{
    errors::WebError,
    pages::{about, frame::Entry, jobs, settings},
    reports::value,
    state::{AppState, JobEnd},
    visit::{Desk, render},
};
use crate::{
    parse::proc,
    store::{
        audit::{self, Action},
        footprint, job_runs, lease,
    },
};

/// `/jobs`: how each job is.
pub fn jobs_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Ingestion);
        desk.frame.message = jobs::message(&desk.frame, &value(&desk, "ran"), &value(&desk, "end"));
        let runs = job_runs::all(desk.db()).await?;
        let running = lease::taken(desk.db(), desk.now()).await?;
        let health = desk.state.jobs.health();
        let by_hand = desk.state.jobs.by_hand();
        let input = jobs::Input { runs: &runs, health: &health, running: &running, by_hand };
        render(&jobs::view(&desk.frame, input))
    })
}

/// `/jobs/{name}/run`: runs a job now, and says on `/jobs` how it went.
pub fn run_job() -> MethodRouter<AppState> {
    post(async |desk: Desk, Path(name): Path<String>| {
        let known = desk.state.jobs.by_hand().iter().find(|known| **known == name);
        let name = *known.ok_or(WebError::NotFound)?;
        let end = run_by_hand(&desk, name).await?;
        let end = jobs::end_code(end.as_ref());
        Ok::<_, WebError>(Redirect::to(&desk.frame.url(&format!("/jobs?ran={name}&end={end}"))))
    })
}

/// Runs a job because somebody asked for it, and writes down who. `None` when it takes long; it goes on then.
pub(super) async fn run_by_hand(desk: &Desk, name: &'static str) -> Result<Option<JobEnd>, WebError> {
    let mut tx = desk.db().begin().await?;
    audit::record(&mut tx, &desk.entry(Action::RunNow, name)).await?;
    tx.commit().await?;
    // Somebody is there to mend a key that Mailcow refused: it may be asked again.
    desk.state.mailcow.retry();
    Ok(desk.state.run_job(name).await)
}

/// `/settings`: what is set, and what each setting means.
pub fn settings_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Ingestion);
        let wanted = value(&desk, "q");
        render(&settings::view(&desk.frame, &desk.state.settings.declared, &wanted, desk.state.started))
    })
}

/// `/about`: the portal.
pub fn about_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Ingestion);
        let footprint = footprint::measure(desk.db()).await?;
        let pruned = job_runs::find(desk.db(), "prune").await?.and_then(|run| run.succeeded_at);
        // Without /proc, as on other systems than Linux, it cannot be told.
        let status = tokio::fs::read_to_string("/proc/self/status").await.unwrap_or_default();
        let input = about::Input {
            started: desk.state.started,
            memory: proc::memory(&status, "VmRSS").map(|bytes| bytes as u64),
            engine: desk.db().engine(),
            footprint: &footprint,
            oldest: footprint::oldest(desk.db()).await?,
            keep: about::Keep::of(&desk.state.settings),
            pruned,
        };
        render(&about::view(&desk.frame, input))
    })
}
