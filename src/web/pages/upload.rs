//! Reports by hand: files in, one line of answer for each. For admins.

use askama::Template;

use super::dmarc::{
    Tab, tabs,
    words::Badge,
};
use crate::{
    model::time::Millis,
    web::pages::{
        frame::{Frame, NavLink},
        reports,
    },
};

/// Most bytes of one upload, all files together.
pub const MOST_BYTES: usize = 32 << 20;

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Taken, and new.
    New,
    /// We had it.
    Known,
    /// Another body came under the same key; kept and marked.
    Variant,
    /// Refused, and why.
    Refused(String),
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// File, and document within it.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// Receiver, domain and span, where it could be read.
    pub about: Option<About>,
}

/// What a document is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Receiver.
    pub org: String,
    /// Domain.
    pub domain: String,
    /// Begin and end.
    pub span: (Millis, Millis),
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
pub fn view<'a>(frame: &'a Frame, taken: Option<&[Taken]>) -> UploadPage<'a> {
    let lang = frame.lang();
    let rows: Vec<Row> = taken.unwrap_or_default().iter().map(|taken| row(frame, taken)).collect();
    let new = taken.unwrap_or_default().iter().filter(|taken| taken.fate == Fate::New).count();
    let title = match (taken, new) {
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

fn row(frame: &Frame, taken: &Taken) -> Row {
    let (icon, tone, word) = match &taken.fate {
        Fate::New => ("check-circle", "ok", "new"),
        Fate::Known => ("dash-circle", "idle", "known"),
        Fate::Variant => ("exclamation-triangle", "wait", "variant"),
        Fate::Refused(_) => ("x-circle", "bad", "refused"),
    };
    let about = taken.about.as_ref().map(|about| {
        let days = reports::span(frame, about.span.0, about.span.1);
        frame.lang().tf("upload.about", &[("org", &about.org), ("domain", &about.domain), ("days", &days)])
    });
    Row {
        name: taken.name.clone(),
        fate: Badge { icon, tone, word: frame.lang().t_in("upload_fate", word).to_owned() },
        detail: match (&taken.fate, about) {
            (Fate::Refused(reason), _) => reason.clone(),
            (_, about) => about.unwrap_or_default(),
        },
    }
}
