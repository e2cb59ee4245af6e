//! Reports by hand: files in, one line of answer for each. For admins.

use askama::Template;

use super::dmarc::{Tab, tabs, words::Badge};
use crate::{
    ingest::reports::{Fate, Taken},
    web::pages::{
        frame::{Frame, NavLink},
        reports,
    },
};

/// Most bytes of one upload, all files together.
pub const MOST_BYTES: usize = 32 << 20;

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Name of the file.
    pub file: String,
    /// What became of a document in it.
    pub taken: Taken,
}

/// The page.
#[derive(Template)]
#[template(path = "upload.html")]
pub struct UploadPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    title: String,
    hint: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    fate: Badge,
    detail: String,
}

/// The view; `taken` is the answer to an upload, `None` before one.
pub fn view<'a>(frame: &'a Frame, sent: Option<&[Sent]>) -> UploadPage<'a> {
    let lang = frame.lang();
    let rows: Vec<Row> = sent.unwrap_or_default().iter().map(|sent| row(frame, sent)).collect();
    let is_new = |sent: &&Sent| matches!(sent.taken.fate, Fate::New(_));
    let new = sent.unwrap_or_default().iter().filter(is_new).count();
    let title = match (sent, new) {
        (None, _) => lang.t("upload.title").to_owned(),
        (Some([]), _) => lang.t("upload.nothing").to_owned(),
        (Some(_), 0) => lang.t("upload.none_new").to_owned(),
        (Some(_), new) => lang.tn("upload.taken", new as i64, &[]),
    };
    let size = frame.formats.bytes(MOST_BYTES as u64);
    UploadPage {
        frame,
        tabs: tabs(frame, Tab::Upload),
        title,
        hint: lang.tf("upload.hint", &[("size", &size)]),
        rows,
    }
}

fn row(frame: &Frame, Sent { file, taken }: &Sent) -> Row {
    let (icon, tone, word) = match &taken.fate {
        Fate::New(_) => ("check-circle", "ok", "new"),
        Fate::Known(_) => ("dash-circle", "idle", "known"),
        Fate::Variant(_) => ("exclamation-triangle", "wait", "variant"),
        Fate::Refused(_) => ("x-circle", "bad", "refused"),
    };
    let about = taken.summary.as_ref().map(|about| {
        let days = reports::span(frame, about.begin, about.end);
        frame.lang().tf("upload.about", &[("org", &about.org), ("domain", &about.domain), ("days", &days)])
    });
    Row {
        // A document in an archive or in a mail has a name of its own.
        name: match (file.as_str(), taken.name.as_str()) {
            (file, "") => file.to_owned(),
            (file, inner) if file == inner || file.is_empty() => inner.to_owned(),
            (file, inner) => format!("{file} · {inner}"),
        },
        fate: Badge { icon, tone, word: frame.lang().t_in("upload_fate", word).to_owned() },
        detail: match (&taken.fate, about) {
            (Fate::Refused(reason), _) => reason.clone(),
            (_, about) => about.unwrap_or_default(),
        },
    }
}
