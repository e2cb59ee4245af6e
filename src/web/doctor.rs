//! `/doctor`: the last check-up, and another one when somebody asks for it.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    response::Redirect,
    routing::{MethodRouter, get},
};

use super::{
    pages::{doctor, frame::Entry},
    state::AppState,
    visit::{Desk, render},
};
use crate::{
    doctor::{Hook, Patient},
    model::{finding::Finding, time::Millis},
    store::audit::Action,
};

/// A look takes this long at most before the page comes back; it goes on in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is looked at, and what was found last. Kept while the process lives.
#[derive(Default)]
pub struct Checkup {
    patient: OnceLock<Patient>,
    last: Mutex<Option<(Millis, Vec<Finding>)>>,
    busy: AtomicBool,
}

impl Checkup {
    /// Names what is to be looked at; the first one stays.
    pub fn equip(&self, patient: Patient) {
        let _ = self.patient.set(patient);
    }

    fn last(&self) -> Option<(Millis, Vec<Finding>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks, unless somebody does already.
async fn look(state: AppState) {
    let checkup = &state.checkup;
    let Some(patient) = checkup.patient.get() else { return };
    if checkup.busy.swap(true, Ordering::AcqRel) {
        return;
    }
    let now = state.clock.now();
    let hook = match state.opens.key() {
        Some(_) => Hook::Here(state.opens.numbers().map_read, state.started),
        None => Hook::Off,
    };
    let findings = patient.examine(now, hook).await;
    *checkup.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, findings));
    checkup.busy.store(false, Ordering::Release);
}

/// `GET`: what was found last. `POST`: look again.
pub fn page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Ingestion);
        let last = desk.state.checkup.last();
        render(&doctor::view(&desk.frame, last.as_ref()))
    })
    .post(async |desk: Desk| {
        desk.did(Action::RunNow, "check-up");
        let looking = tokio::spawn(look(desk.state.clone()));
        let _ = tokio::time::timeout(PATIENCE, looking).await;
        Redirect::to(&desk.frame.url("/doctor"))
    })
}
