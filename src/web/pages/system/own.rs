//! What others than admins see of the system: domain admins their domains, everybody their own mailbox.

use askama::Template;

use super::{chart::Chart, table::Table};
use crate::web::pages::frame::Frame;

/// The page.
#[derive(Template)]
#[template(path = "system_own.html")]
pub struct OwnPage<'a> {
    frame: &'a Frame,
    title: String,
    tone: &'static str,
    icon: &'static str,
    grounds: &'static str,
    charts: Vec<Chart>,
    tables: Vec<Table>,
}

/// The domains of a domain admin: how full they and their mailboxes are.
pub fn domains(frame: &Frame, tables: Vec<Table>) -> OwnPage<'_> {
    let title = tables.first().map(|table| table.sentence.clone()).unwrap_or_default();
    page(frame, title, "domains", Vec::new(), tables)
}

/// The visitor's own mailbox. `used`: what it takes, and of how much, in words.
pub fn mailbox(
    frame: &Frame,
    used: Option<(String, Option<String>)>,
    charts: Vec<Chart>,
    tables: Vec<Table>,
) -> OwnPage<'_> {
    let lang = frame.lang();
    let title = match used {
        Some((used, Some(quota))) => lang.tf("own.used_of", &[("used", &used), ("quota", &quota)]),
        Some((used, None)) => lang.tf("own.used", &[("used", &used)]),
        None => lang.t("own.unknown").to_owned(),
    };
    page(frame, title, "mailbox", charts, tables)
}

fn page<'a>(
    frame: &'a Frame,
    title: String,
    grounds: &'static str,
    charts: Vec<Chart>,
    tables: Vec<Table>,
) -> OwnPage<'a> {
    let bad = tables.iter().any(Table::has_trouble);
    OwnPage {
        frame,
        title,
        tone: if bad { "wait" } else { "ok" },
        icon: if bad { "exclamation-triangle" } else { "check-circle" },
        grounds: frame.lang().t_in("own_about", grounds),
        charts,
        tables,
    }
}
