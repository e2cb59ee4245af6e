//! What others than admins see of the system: domain admins their domains, everybody their own mailbox.

use askama::Template;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    chart::Chart,
    dns,
    table::{Listed, Table},
    words,
};
use crate::{
    metrics::{health::Standing, modules::security},
    model::{
        sample::DOMAIN,
        time::Millis,
        traffic::{Side, Traffic},
    },
    remote::objects::Mailbox,
    store::samples::Latest,
    web::pages::{frame::Frame, look::Look},
};

/// The page.
#[derive(Template)]
#[template(path = "system_own.html")]
pub struct OwnPage<'a> {
    frame: &'a Frame,
    title: String,
    tone: &'static str,
    icon: &'static str,
    grounds: &'static str,
    cards: Vec<Card>,
    logins: Vec<(&'static str, String)>,
    charts: Vec<Chart>,
    tables: Vec<Table>,
}

/// A domain with its records and its mail flow.
pub struct Card {
    name: String,
    standing: Standing,
    look: Look,
    score: String,
    lacks: Vec<&'static str>,
    flows: [Flow; 2],
}

/// One side of a domain's mail flow.
struct Flow {
    word: &'static str,
    text: String,
    href: String,
}

/// Whether a domain passes each check, by name; `None` where that is not known.
pub type Checks<'a> = BTreeMap<&'a str, Option<bool>>;

/// The checks of each domain that is told.
pub fn checked(latest: &[Latest]) -> BTreeMap<&str, Checks<'_>> {
    let mut domains: BTreeMap<&str, Checks<'_>> = BTreeMap::new();
    for one in latest {
        let Some(domain) = one.labels.value(DOMAIN) else { continue };
        // A domain without any check has its card all the same.
        let checks = domains.entry(domain).or_default();
        if one.metric == security::EACH_CHECK.key
            && let Some(check) = one.labels.value("check")
        {
            checks.insert(check, one.state.number().filter(|_| one.fresh).map(|flag| flag > 0.0));
        }
    }
    domains
}

/// The card of a domain: points of 7, what is missing in words, and what became of the mails to it and from it in 24 hours;
/// `None` where that is not known.
pub fn card(frame: &Frame, domain: &str, checks: &Checks<'_>, flow: Option<&[Traffic; 2]>) -> Card {
    let lang = frame.lang();
    let count = |wanted: Option<bool>| {
        SCORED.iter().filter(|name| checks.get(**name).copied().flatten() == wanted).count()
    };
    let (good, unknown) = (count(Some(true)), count(None));
    let missed = || SCORED.into_iter().filter(|name| checks.get(*name) == Some(&Some(false)));
    let standing = dns::judge((good, unknown), missed());
    let score = match unknown {
        0 => lang.tf("own.score", &[("count", &good.to_string())]),
        7.. => lang.t("own.score.unknown").to_owned(),
        _ => lang.tf("own.score.partly", &[("count", &good.to_string()), ("unknown", &unknown.to_string())]),
    };
    let lacks = missed().map(|name| lang.t_in("dns_lack", &name.to_ascii_lowercase()));
    Card {
        name: domain.to_owned(),
        standing,
        look: words::look(lang, standing),
        score,
        lacks: lacks.collect(),
        flows: flows(frame, domain, flow),
    }
}

/// The card of a domain that is another name of `target`: it has no records and no mailboxes of its own to look at.
pub fn alias(frame: &Frame, domain: &str, target: &str, flow: Option<&[Traffic; 2]>) -> Card {
    let lang = frame.lang();
    Card {
        name: domain.to_owned(),
        standing: Standing::Fine,
        look: Look { icon: "arrow-left-right", tone: "idle", word: lang.t("own.alias") },
        score: lang.tf("own.alias.of", &[("domain", target)]),
        lacks: Vec::new(),
        flows: flows(frame, domain, flow),
    }
}

fn flows(frame: &Frame, domain: &str, flow: Option<&[Traffic; 2]>) -> [Flow; 2] {
    let lang = frame.lang();
    let told = |side: Side, traffic: Option<&Traffic>| Flow {
        word: lang.t_in("flow_side", side.code()),
        text: traffic
            .map_or_else(|| lang.t("own.flow.unknown").to_owned(), |traffic| flow_text(frame, traffic)),
        href: frame.url(&format!("/flow?domain={}&side={}", encoded(domain), side.code())),
    };
    [told(Side::In, flow.map(|[to, _]| to)), told(Side::Out, flow.map(|[_, from]| from))]
}

/// The checks that make points.
const SCORED: [&str; 7] = ["SPF", "DKIM", "DMARC", "DANE", "MTA-STS", "TLS-RPT", "BIMI"];

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn flow_text(frame: &Frame, traffic: &Traffic) -> String {
    let number = |count: u64| frame.formats.number(i64::try_from(count).unwrap_or(i64::MAX));
    let values = [
        ("delivered", number(traffic.delivered())),
        ("waiting", number(traffic.waiting())),
        ("failed", number(traffic.bounced())),
        ("refused", number(traffic.rejected())),
    ];
    frame.lang().tf("own.flow", &values.each_ref().map(|(name, value)| (*name, value.as_str())))
}

/// The last logins to a mailbox: never is never, and what Mailcow does not tell is not known.
pub fn logins(frame: &Frame, mailbox: Option<&Mailbox>) -> Vec<(&'static str, String)> {
    let lang = frame.lang();
    let text = |told: fn(&Mailbox) -> Option<i64>| match mailbox.and_then(told) {
        None => lang.t("own.login.unknown").to_owned(),
        Some(..1) => lang.t("own.login.never").to_owned(),
        Some(at) => frame.formats.moment(Millis::from_secs(at)),
    };
    vec![
        ("IMAP", text(|mailbox| mailbox.last_imap_login)),
        ("SMTP", text(|mailbox| mailbox.last_smtp_login)),
        ("POP3", text(|mailbox| mailbox.last_pop3_login)),
        (lang.t("own.login.sso"), text(|mailbox| mailbox.last_sso_login)),
    ]
}

/// The domains of a domain admin, `all` of them: their records and mail flow, how full they and their mailboxes are.
pub fn domains(frame: &Frame, cards: Vec<Card>, all: usize, tables: Vec<Table>) -> OwnPage<'_> {
    let (own, others): (Vec<&Table>, Vec<&Table>) =
        tables.iter().partition(|table| table.id == Listed::Domains.code());
    let told = own.iter().flat_map(|table| &table.wrong).map(String::as_str);
    let wrong = cards.iter().filter(|card| card.standing > Standing::Waiting).map(|card| card.name.as_str());
    let wrong: BTreeSet<&str> = wrong.chain(told).collect();
    let others = others.into_iter().filter(|table| table.has_trouble()).map(|table| table.sentence.clone());
    let title: Vec<String> = [domains_title(frame, all, wrong.len())].into_iter().chain(others).collect();
    let is_bad = !wrong.is_empty();
    let page = OwnPage { cards, ..page(frame, title.join(" "), "domains", Vec::new(), tables) };
    if is_bad { page.with_warning() } else { page }
}

/// "One of your 3 domains needs a look."
fn domains_title(frame: &Frame, all: usize, wrong: usize) -> String {
    let lang = frame.lang();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    match (all, wrong) {
        (0, _) => lang.t_in("listed_none", Listed::Domains.code()).to_owned(),
        (_, 0) => lang.tn("own.domains.fine", count(all), &[]),
        (1, _) => lang.t("own.domains.only").to_owned(),
        _ => lang.tn("own.domains.bad", count(wrong), &[("all", &frame.formats.number(count(all)))]),
    }
}

/// The visitor's own mailbox. `used`: what it takes, and of how much, in words.
pub fn mailbox<'a>(
    frame: &'a Frame,
    used: Option<(String, Option<String>)>,
    logins: Vec<(&'static str, String)>,
    charts: Vec<Chart>,
    tables: Vec<Table>,
) -> OwnPage<'a> {
    let lang = frame.lang();
    let title = match used {
        Some((used, Some(quota))) => lang.tf("own.used_of", &[("used", &used), ("quota", &quota)]),
        Some((used, None)) => lang.tf("own.used", &[("used", &used)]),
        None => lang.t("own.unknown").to_owned(),
    };
    OwnPage { logins, ..page(frame, title, "mailbox", charts, tables) }
}

fn page<'a>(
    frame: &'a Frame,
    title: String,
    grounds: &'static str,
    charts: Vec<Chart>,
    tables: Vec<Table>,
) -> OwnPage<'a> {
    let is_bad = tables.iter().any(Table::has_trouble);
    let page = OwnPage {
        frame,
        title,
        tone: "ok",
        icon: "check-circle",
        grounds: frame.lang().t_in("own_about", grounds),
        cards: Vec::new(),
        logins: Vec::new(),
        charts,
        tables,
    };
    if is_bad { page.with_warning() } else { page }
}

impl OwnPage<'_> {
    fn with_warning(self) -> Self {
        Self { tone: "wait", icon: "exclamation-triangle", ..self }
    }
}
