//! The dictionary of other servers' answers as admins shape it: a page to correct or add explanations, in force
//! at once and without a new build.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use serde::Deserialize;

use super::{
    errors::WebError,
    pages::frame::{Entry as NavEntry, Frame},
    state::AppState,
    visitor::Guest,
};
use crate::{
    model::{
        explain::{Dictionary, Override, Permanent, WhoActs},
        time::Millis,
        user::Visitor,
    },
    store::{self, Db, audit, ingestion::UnknownPhrase, replies},
};

/// Another process may have changed the corrections: they are read again after this long.
const LIFE: Duration = Duration::from_secs(10);
/// Longest text of a correction.
const LENGTH: usize = 1000;

/// The dictionary in force.
#[derive(Default)]
pub struct Replies(Mutex<Option<(Millis, Arc<Dictionary>)>>);

impl Replies {
    /// The dictionary with the admins' corrections.
    pub async fn current(&self, db: &Db, now: Millis) -> store::Result<Arc<Dictionary>> {
        if let Some((at, dictionary)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && now.since(*at) < LIFE
        {
            return Ok(Arc::clone(dictionary));
        }
        let dictionary = Arc::new(Dictionary::with_overrides(replies::all(db).await?));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&dictionary)));
        Ok(dictionary)
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[derive(Template)]
#[template(path = "replies.html")]
struct RepliesPage<'a> {
    frame: &'a Frame,
    title: &'static str,
    overrides: &'a [Override],
    phrases: &'a [UnknownPhrase],
    turns: [(&'static str, &'static str); 5],
}

/// The words of the form for whose turn it is, with the key of their text.
const TURNS: [(&str, WhoActs); 5] = [
    ("sender", WhoActs::Sender),
    ("sender_admin", WhoActs::SenderAdmin),
    ("recipient", WhoActs::Recipient),
    ("recipient_admin", WhoActs::RecipientAdmin),
    ("nobody_wait", WhoActs::NobodyWait),
];

#[derive(Debug, Deserialize)]
struct Change {
    id: String,
    #[serde(default)]
    remove: Option<String>,
    #[serde(default)]
    phrase: String,
    #[serde(default)]
    who_acts: String,
    #[serde(default)]
    text_en: String,
    #[serde(default)]
    text_de: String,
    #[serde(default)]
    next_en: String,
    #[serde(default)]
    next_de: String,
}

/// `/replies`.
pub fn page() -> MethodRouter<AppState> {
    get(show).post(change)
}

async fn show(State(state): State<AppState>, guest: Guest, visitor: Visitor) -> Result<Response, WebError> {
    let mut frame = Frame::around(&state, &guest, Some(&visitor), "/replies");
    frame.entry = Some(NavEntry::Ingestion);
    let overrides = replies::all(&state.db).await?;
    let phrases = store::ingestion::phrases(&state.db).await?;
    let turns = TURNS.map(|(word, turn)| (word, frame.lang().turn(turn)));
    let title = frame.t("replies.title");
    let page = RepliesPage { frame: &frame, title, overrides: &overrides, phrases: &phrases, turns };
    Ok(Html(page.render().map_err(WebError::broken)?).into_response())
}

async fn change(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
    Form(change): Form<Change>,
) -> Result<Redirect, WebError> {
    let entry = audit::Entry::new(
        guest.now,
        &visitor.address,
        audit::Action::ReplyExplained,
        &guest.client.to_string(),
    );
    let told: String = change.id.chars().take(64).collect();
    let mut tx = state.db.begin().await?;
    if change.remove.is_some() {
        replies::remove(&mut tx, &change.id).await?;
    } else {
        let entry = change.entry().ok_or(WebError::Form)?;
        replies::save(&mut tx, &entry, &visitor.address, state.clock.now()).await?;
    }
    audit::record(&mut tx, &entry.role(visitor.role).detail(told)).await?;
    tx.commit().await?;
    state.replies.forget();
    Ok(Redirect::to(&state.settings.at("/replies")))
}

impl Change {
    /// The entry, if the form is complete: a name, and words in both languages.
    fn entry(self) -> Option<Override> {
        let id = self.id.trim().to_owned();
        let sound = !id.is_empty()
            && id.len() <= 64
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let texts = [&self.text_en, &self.text_de, &self.next_en, &self.next_de];
        let complete = texts.iter().all(|text| !text.trim().is_empty() && text.len() <= LENGTH);
        let who_acts = TURNS.iter().find(|(word, _)| *word == self.who_acts)?.1;
        (sound && complete && self.phrase.len() <= LENGTH).then(|| Override {
            id,
            phrase: self.phrase.trim().to_lowercase(),
            class: "policy".to_owned(),
            permanent: Permanent::Depends,
            who_acts,
            text_en: self.text_en.trim().to_owned(),
            text_de: self.text_de.trim().to_owned(),
            next_en: self.next_en.trim().to_owned(),
            next_de: self.next_de.trim().to_owned(),
        })
    }
}
