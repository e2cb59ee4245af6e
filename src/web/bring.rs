//! Reports by hand: upload, and what could not be read. For admins.

use axum::{
    extract::{DefaultBodyLimit, Multipart, Path, multipart::MultipartError},
    http::StatusCode,
    routing::{MethodRouter, get, post},
};

use super::{
    errors::WebError,
    pages::{
        frame::Entry,
        unreadable,
        upload::{self, Sent},
    },
    reports::value,
    state::AppState,
    visit::{Desk, render},
};
use crate::{
    ingest::{
        reports::{self, Fate},
        trust::by_hand,
    },
    store::{audit::Action, unreadable as shelf},
};

/// Files in one upload.
const MOST_FILES: usize = 1000;
/// Longest file name that is kept.
const NAME: usize = 200;

/// `/dmarc/upload`: files in, a line of answer for each.
pub fn upload_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Reports);
        render(&upload::view(&desk.frame, None))
    })
    .post(async |mut desk: Desk, form: Multipart| {
        desk.frame.entry = Some(Entry::Reports);
        let (sent, left_out) = receive(&desk, form).await?;
        if left_out > 0 {
            desk.frame.message = Some(desk.frame.lang().tn("upload.left_out", left_out, &[]));
        }
        render(&upload::view(&desk.frame, Some(&sent)))
    })
    .layer(DefaultBodyLimit::max(upload::MOST_BYTES))
}

/// Takes one file after the other, so that only one is in memory; and how many were more than [`MOST_FILES`].
async fn receive(desk: &Desk, mut form: Multipart) -> Result<(Vec<Sent>, i64), WebError> {
    let (mut sent, mut files, mut left_out) = (Vec::new(), 0, 0);
    while let Some(field) = form.next_field().await.map_err(refused)? {
        if files == MOST_FILES {
            left_out += 1;
            continue;
        }
        let name: String = field.file_name().unwrap_or_default().chars().take(NAME).collect();
        let bytes = field.bytes().await.map_err(refused)?;
        if name.is_empty() && bytes.is_empty() {
            continue;
        }
        files += 1;
        // Who brings a report by hand vouches for it.
        let arrival = by_hand("upload", &name, desk.now());
        let taken = reports::take(desk.db(), &arrival, bytes.to_vec()).await?;
        sent.extend(taken.into_iter().map(|taken| Sent { file: name.clone(), taken }));
    }
    tracing::info!(documents = sent.len(), left_out, "reports were uploaded");
    desk.did(Action::ReportsUploaded, &sent.len().to_string());
    Ok((sent, left_out))
}

/// What is wrong with a form: too much, or no form.
fn refused(error: MultipartError) -> WebError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE { WebError::TooLarge } else { WebError::Form }
}

/// `/dmarc/unreadable`: what could not be read, with its reason.
pub fn unreadable_page() -> MethodRouter<AppState> {
    get(async |desk: Desk| show_unreadable(desk).await)
}

async fn show_unreadable(mut desk: Desk) -> Result<axum::response::Response, WebError> {
    desk.frame.entry = Some(Entry::Reports);
    let after: Option<i64> = value(&desk, "after").parse().ok();
    let inputs = shelf::list(desk.db(), after, unreadable::PER_PAGE + 1).await?;
    render(&unreadable::view(&desk.frame, &inputs, after.is_some()))
}

/// `/dmarc/unreadable/{id}/retry`: reads it again, by the parser of today.
pub fn retry() -> MethodRouter<AppState> {
    post(async |mut desk: Desk, Path(id): Path<String>| {
        let id: i64 = id.parse().map_err(|_| WebError::NotFound)?;
        let (arrival, bytes) = shelf::bytes(desk.db(), id).await?.ok_or(WebError::NotFound)?;
        let taken = reports::retry(desk.db(), id, &arrival, bytes).await?;
        desk.did(Action::ReportRetried, &arrival.name);
        let refusal = taken.iter().find_map(|taken| match &taken.fate {
            Fate::Refused(reason) => Some(reason.clone()),
            _ => None,
        });
        desk.frame.message = Some(match refusal {
            None => desk.frame.t("unreadable.read").to_owned(),
            Some(reason) => desk.frame.lang().tf("unreadable.still", &[("reason", &reason)]),
        });
        show_unreadable(desk).await
    })
}
