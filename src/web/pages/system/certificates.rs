//! The certificates that the mail host shows: how long they last, what is wrong with them, and what to do.

use std::cmp::Ordering;

use askama::Template;

use super::{
    Which, fill,
    shell::{self, Shell, sorted_heads},
    table::Head,
    words,
};
use crate::{
    metrics::{
        facts::{self, Shown},
        health::{Health, Standing},
        modules::tls,
    },
    model::{sample::State, time::Millis},
    web::pages::{frame::Frame, look::Look},
};

const DAY: i64 = 86_400;
/// The bar ends here: certificates of Mailcow last so many days.
const WHOLE: i64 = 90;

/// What is known of one port.
pub struct Port<'a> {
    /// Its number, as in the label.
    pub number: &'a str,
    /// Its certificate, or why it could not be seen.
    pub shown: Result<Shown, String>,
}

/// What the page is made of.
pub struct Input<'a> {
    /// All modules.
    pub healths: &'a [Health<'a>],
    /// The ports.
    pub ports: Vec<Port<'a>>,
    /// When they were looked at.
    pub told: Option<Millis>,
    /// What the table is sorted by, and whether the other way round.
    pub sort: (&'a str, bool),
    /// Why nothing is known, where the source says so.
    pub absent: Option<&'a State>,
}

/// The page.
#[derive(Template)]
#[template(path = "system_certificates.html")]
pub struct CertificatesPage<'a> {
    frame: &'a Frame,
    title: String,
    shell: Shell,
    heads: Vec<Head>,
    rows: Vec<Row>,
    unseen: Vec<(String, String)>,
}

struct Row {
    days: i64,
    left: String,
    share: i64,
    look: Look,
    tone: &'static str,
    name: String,
    more_names: String,
    issuer: String,
    ports: String,
    until: String,
    from: String,
    due: String,
    chain: String,
    version: String,
    serial: String,
    faults: Vec<String>,
    next: Option<String>,
    standing: Standing,
}

/// One certificate with the ports that show it.
struct Found<'a> {
    shown: &'a Shown,
    ports: Vec<&'a str>,
}

impl Found<'_> {
    fn days(&self, now: Millis) -> i64 {
        (self.shown.until - now.secs()).div_euclid(DAY)
    }

    fn standing(&self, now: Millis) -> Standing {
        match self.shown.faults.is_empty() {
            true => Standing::by(tls::EACH_CERT_DAYS.severity(&State::Number(self.days(now) as f64))),
            false => Standing::Critical,
        }
    }

    /// When Mailcow renews it.
    fn due(&self) -> i64 {
        facts::renewal(self.shown.from, self.shown.until)
    }

    /// Since how many days that has been due.
    fn overdue(&self, now: Millis) -> i64 {
        facts::overdue(self.due(), now.secs())
    }

    /// Whether another one for the same name lasts longer: this one is an old copy.
    fn has_successor(&self, all: &[Found<'_>]) -> bool {
        all.iter()
            .any(|other| other.shown.subject == self.shown.subject && other.shown.until > self.shown.until)
    }
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> CertificatesPage<'a> {
    let found = group(&input.ports);
    let mut rows: Vec<Row> = found.iter().map(|one| row(frame, one, &found)).collect();
    rows.sort_by(|a, b| order(input.sort.0, a, b));
    if input.sort.1 {
        rows.reverse();
    }
    let (title, grounds, standing) = answer(frame, &input, &rows);
    let unseen = input.ports.iter().filter_map(|port| {
        let why = port.shown.as_ref().err()?;
        Some((super::ports::service(frame, port.number), words::in_language(frame.lang(), why)))
    });
    CertificatesPage {
        frame,
        title,
        shell: Shell::new(frame, input.healths, Which::Certificates, standing, grounds),
        heads: sorted_heads(
            &[
                ("", frame.t("certs.left")),
                ("name", frame.t("certs.name")),
                ("end", frame.t("certs.longest")),
                ("ports", frame.t("certs.ports")),
            ],
            input.sort,
            "",
        ),
        rows,
        unseen: unseen.collect(),
    }
}

fn order(sort: &str, a: &Row, b: &Row) -> Ordering {
    match sort {
        "name" => a.name.cmp(&b.name),
        "ports" => a.ports.cmp(&b.ports),
        "end" => b.days.cmp(&a.days),
        _ => b.standing.cmp(&a.standing).then(a.days.cmp(&b.days)),
    }
}

/// Ports that show the same certificate stand together.
fn group<'a>(ports: &'a [Port<'_>]) -> Vec<Found<'a>> {
    let mut found: Vec<Found<'a>> = Vec::new();
    for port in ports {
        let Ok(shown) = &port.shown else { continue };
        let same =
            |one: &&mut Found<'_>| one.shown.serial == shown.serial && one.shown.issuer == shown.issuer;
        match found.iter_mut().find(same) {
            Some(one) => one.ports.push(port.number),
            None => found.push(Found { shown, ports: vec![port.number] }),
        }
    }
    found
}

fn row(frame: &Frame, found: &Found<'_>, all: &[Found<'_>]) -> Row {
    let (lang, formats, shown) = (frame.lang(), &frame.formats, found.shown);
    let (days, standing) = (found.days(formats.now), found.standing(formats.now));
    let names = shown.names.iter().filter(|name| **name != shown.subject);
    let names: Vec<&str> = names.map(String::as_str).collect();
    Row {
        days,
        left: left(frame, days),
        share: days.clamp(0, WHOLE),
        look: Look {
            word: if shown.faults.is_empty() {
                words::look(lang, standing).word
            } else {
                lang.t("certs.not_trusted")
            },
            ..words::look(lang, standing)
        },
        tone: match standing {
            Standing::Critical => "bad",
            Standing::Warning => "wait",
            _ => "ok",
        },
        name: shown.subject.clone(),
        more_names: names.join(", "),
        issuer: shown.issuer.clone(),
        ports: found.ports.join(", "),
        until: formats.table_date(Millis::from_secs(shown.until)),
        from: formats.table_date(Millis::from_secs(shown.from)),
        due: due(frame, found, all),
        chain: shown.chain.join(" ← "),
        version: shown.version.clone(),
        serial: shown.serial.clone(),
        faults: shown.faults.iter().map(|fault| words::in_language(lang, fault)).collect(),
        next: next_step(frame, found, all),
        standing,
    }
}

/// "in 9 days", "3 days ago".
fn left(frame: &Frame, days: i64) -> String {
    let lang = frame.lang();
    match days {
        0 => lang.t("certs.today").to_owned(),
        1.. => lang.tn("certs.in_days", days, &[]),
        _ => lang.tn("certs.days_ago", -days, &[]),
    }
}

/// When the next renewal is due, or by how much it is late. An old copy was renewed: it is only still shown.
fn due(frame: &Frame, found: &Found<'_>, all: &[Found<'_>]) -> String {
    let lang = frame.lang();
    match found.overdue(frame.formats.now) {
        0 => fill(lang.t("certs.due"), "{day}", &frame.formats.short_date(Millis::from_secs(found.due()))),
        _ if found.has_successor(all) => lang.t("certs.replaced").to_owned(),
        late => lang.tn("certs.overdue", late, &[]),
    }
}

/// What to do, worst first; nothing where all is well.
fn next_step(frame: &Frame, found: &Found<'_>, all: &[Found<'_>]) -> Option<String> {
    let lang = frame.lang();
    let now = frame.formats.now;
    let has = |fault: &str| found.shown.faults.iter().any(|own| own.starts_with(fault));
    let key = match found.standing(now) {
        Standing::Fine if found.overdue(now) == 0 => return None,
        _ if found.has_successor(all) => "old_copy",
        _ if has("for another name") => "name",
        _ if has("self-signed") => "self_signed",
        _ if has("from an unknown authority") => "chain",
        _ if has("not yet valid") => "clock",
        _ if found.overdue(now) > 0 => "renew",
        _ => return None,
    };
    let (ports, services) = (found.ports.join(", "), containers(&found.ports));
    let values = [("ports", ports.as_str()), ("service", services), ("name", found.shown.subject.as_str())];
    Some(lang.tf_in("certs_next", key, &values))
}

/// The containers of Mailcow that show certificates at these ports.
fn containers(ports: &[&str]) -> &'static str {
    let any = |wanted: &[&str]| ports.iter().any(|port| wanted.contains(port));
    match (any(&["143", "993", "110", "995", "4190"]), any(&["25", "465", "587"]), any(&["443"])) {
        (true, false, false) => "dovecot-mailcow",
        (false, true, false) => "postfix-mailcow",
        (false, false, true) => "nginx-mailcow",
        _ => "dovecot-mailcow postfix-mailcow nginx-mailcow",
    }
}

fn answer(frame: &Frame, input: &Input<'_>, rows: &[Row]) -> (String, String, Standing) {
    let lang = frame.lang();
    let about = lang.t("system_about.certificates").to_owned();
    let worst = rows.iter().min_by(|a, b| b.standing.cmp(&a.standing).then(a.days.cmp(&b.days)));
    let Some(worst) = worst else {
        return match input.ports.iter().find_map(|port| port.shown.as_ref().err()) {
            Some(why) => {
                (lang.t("certs.title_unknown").to_owned(), words::in_language(lang, why), Standing::Unknown)
            }
            None => shell::absent(frame, input.absent, "certificates", about),
        };
    };
    let values = [("name", worst.name.as_str()), ("ports", worst.ports.as_str())];
    let title = match (worst.standing.is_trouble(), worst.faults.as_slice()) {
        (true, [fault, ..]) if worst.days >= 0 => {
            lang.tf("certs.title_fault", &[values[0], values[1], ("fault", fault)])
        }
        (true, _) if worst.days < 0 => lang.tn("certs.title_expired", -worst.days, &values),
        (true, _) => lang.tn("certs.title_soon", worst.days, &values),
        (false, _) => lang.tn("certs.title_fine", worst.days, &values),
    };
    let mut grounds = Vec::new();
    if rows.iter().filter(|row| row.name == worst.name).count() > 1 {
        grounds.push(lang.tf("certs.differ", &values));
    }
    grounds.extend(input.told.map(|at| lang.tf("system.checked", &[("ago", &frame.formats.ago(at))])));
    if grounds.len() < 2 {
        grounds.push(about);
    }
    (title, grounds.join(" "), worst.standing)
}
