//! The access log for admins: who looked at what, whose it was, from where, when.

use std::time::Duration;

use askama::Template;
use url::form_urlencoded;

use super::{csv, dmarc::period::Choice, mails::story_link, reports::report_link};
use crate::{
    model::{
        mail::MailId,
        scope::{Role, domain_of, normalise_address, normalise_domain},
        time::Millis,
    },
    store::audit::{Action, Entry, Filter, Place, Summary},
    web::{
        client::Client,
        format::Formats,
        limits::{Class, Limits},
        pages::frame::Frame,
    },
};

/// Entries on a page.
pub const PER_PAGE: usize = 50;
/// Seconds that the sentence on top looks back.
pub const WEEK: u64 = 7 * DAY;
const DAY: u64 = 86_400;
/// Days that can be chosen; 0 stands for all that is kept.
const DAYS: [u64; 4] = [1, 7, 30, 0];
/// So many stories of one other person are worth a word.
const CROWD: i64 = 20;
/// So many refused sign-ins are.
const REFUSED: i64 = 10;
/// Owners that are shown of one entry.
const OWNERS: usize = 3;

/// Byte order mark and head of the file.
pub const CSV_HEAD: &str = "\u{feff}time,person,role,action,owners,from,detail\r\n";

/// What the address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    person: Option<String>,
    owner: Option<String>,
    action: Option<Action>,
    days: u64,
    /// Where the page begins.
    pub after: Option<Place>,
}

impl Default for Query {
    fn default() -> Self {
        Self { person: None, owner: None, action: None, days: 7, after: None }
    }
}

impl Query {
    /// Reads the part of an address behind `?`; what cannot be understood is left out.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).take(50) {
            let value = value.trim();
            match &*name {
                "person" => query.person = normalise_address(value),
                "owner" if value.contains('@') => query.owner = normalise_address(value),
                "owner" => query.owner = normalise_domain(value),
                "kind" => query.action = Action::from_code(value),
                "days" => {
                    query.days = value.parse().ok().filter(|days| DAYS.contains(days)).unwrap_or(query.days)
                }
                "after" => query.after = place(value),
                _ => {}
            }
        }
        query
    }

    /// What is wanted of the log.
    pub fn filter(&self, now: Millis) -> Filter {
        let from = match self.days {
            0 => Millis(0),
            days => now.minus(Duration::from_secs(days * DAY)),
        };
        let (person, owner) = (self.person.clone(), self.owner.clone());
        Filter { person, owner, action: self.action, from, other_than: None }
    }

    /// The filter as a query, without where the page begins.
    pub fn words(&self) -> String {
        Self { after: None, ..self.clone() }.text()
    }

    fn text(&self) -> String {
        let after = self.after.map(|place| format!("{}.{}", place.at.0, place.id));
        let days = (self.days != Self::default().days).then(|| self.days.to_string());
        let pairs = [
            ("person", self.person.clone()),
            ("owner", self.owner.clone()),
            ("kind", self.action.map(|action| action.code().to_owned())),
            ("days", days),
            ("after", after),
        ];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    fn link(&self, frame: &Frame, path: &str) -> String {
        let query = self.text();
        frame.url(path) + if query.is_empty() { "" } else { "?" } + &query
    }
}

/// The place of an address: moment and number.
pub fn place(text: &str) -> Option<Place> {
    let (at, id) = text.split_once('.')?;
    Some(Place { at: Millis(at.parse().ok()?), id: id.parse().ok()? })
}

/// What the page is made of.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What was asked for.
    pub query: &'a Query,
    /// Entries, newest first; one more than [`PER_PAGE`] when there are more.
    pub entries: &'a [Entry],
    /// The last [`WEEK`] in figures.
    pub summary: &'a Summary,
    /// Entries that found no room since the start.
    pub lost: u64,
    /// What was refused since the start.
    pub limits: &'a Limits,
    /// How long entries are kept.
    pub kept: Duration,
}

/// The page.
#[derive(Template)]
#[template(path = "access.html")]
pub struct AccessPage<'a> {
    frame: &'a Frame,
    tone: &'static str,
    title: String,
    grounds: String,
    form: Form,
    clear: Option<String>,
    rows: Vec<Row>,
    newest: Option<String>,
    older: Option<String>,
    per_page: String,
    export: String,
    kept: String,
    limits: Vec<(&'static str, String, String)>,
}

struct Form {
    action: String,
    person: String,
    owner: String,
    kinds: Vec<Choice>,
    days: Vec<Choice>,
}

struct Row {
    when: String,
    iso: String,
    who: Option<(String, String)>,
    role: &'static str,
    what: What,
    owners: Vec<(String, String)>,
    more: Option<String>,
    client: String,
}

/// What somebody did, in words.
pub struct What {
    /// The sentence's end: "opened the story of a mail".
    pub words: &'static str,
    /// Where it can be seen.
    pub href: Option<String>,
    /// What more is known.
    pub detail: String,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> AccessPage<'a> {
    let lang = frame.lang();
    let entries = input.entries.get(..PER_PAGE).unwrap_or(input.entries);
    let last = entries.last().filter(|_| input.entries.len() > PER_PAGE);
    let at = |after| Query { after, ..input.query.clone() }.link(frame, "/access");
    let mut odd = odd(frame, input.summary, input.lost);
    let tone = if odd.is_empty() { "ok" } else { "wait" };
    let looked = looked(frame, input.summary);
    let (title, grounds) = if odd.is_empty() {
        (lang.tf("access.calm", &[("looked", &looked)]), lang.t("access.hint").to_owned())
    } else {
        let title = odd.remove(0);
        odd.push(format!("{looked}."));
        (title, odd.join(" "))
    };
    AccessPage {
        frame,
        tone,
        title,
        grounds,
        form: form(frame, input.query),
        clear: (input.query.words() != Query::default().words()).then(|| frame.url("/access")),
        rows: entries.iter().map(|entry| row(frame, input.query, entry)).collect(),
        newest: input.query.after.map(|_| at(None)),
        older: last.map(|entry| at(Some(Place { at: entry.at, id: entry.id }))),
        per_page: lang.tn("mails.per_page", PER_PAGE as i64, &[]),
        export: Query { after: None, ..input.query.clone() }.link(frame, "/access.csv"),
        kept: lang.tn("access.kept", days(input.kept), &[]),
        limits: Class::ALL.into_iter().map(|class| limit(frame, class, input.limits)).collect(),
    }
}

fn days(span: Duration) -> i64 {
    i64::try_from(span.as_secs() / DAY).unwrap_or(i64::MAX)
}

/// "14 people looked at 132 stories in 7 days", without the stop.
fn looked(frame: &Frame, summary: &Summary) -> String {
    let lang = frame.lang();
    if summary.stories == 0 {
        return lang.t("access.nobody").to_owned();
    }
    let stories = lang.tn("access.stories", summary.stories, &[]);
    lang.tn("access.looked", summary.people, &[("stories", &stories)])
}

/// What is unusual, worst first.
fn odd(frame: &Frame, summary: &Summary, lost: u64) -> Vec<String> {
    let lang = frame.lang();
    let mut odd = Vec::new();
    if let Some(crowd) = summary.crowd.as_ref().filter(|crowd| crowd.stories >= CROWD) {
        odd.push(lang.tn(
            "access.odd.crowd",
            crowd.stories,
            &[("actor", &crowd.actor), ("owner", &crowd.owner)],
        ));
    }
    let (keys, client) = &summary.keys;
    if *keys > 0 {
        odd.push(lang.tn("access.odd.keys", *keys, &[("client", client_word(frame, client))]));
    }
    let (refused, client) = &summary.refused;
    if *refused >= REFUSED {
        odd.push(lang.tn("access.odd.refused", *refused, &[("client", client_word(frame, client))]));
    }
    let (limited, client) = &summary.limited;
    if *limited > 0 {
        odd.push(lang.tn("access.odd.limited", *limited, &[("client", client_word(frame, client))]));
    }
    if summary.roles > 0 {
        odd.push(lang.tn("access.odd.roles", summary.roles, &[]));
    }
    if lost > 0 {
        odd.push(lang.tn("access.odd.lost", i64::try_from(lost).unwrap_or(i64::MAX), &[]));
    }
    odd
}

fn form(frame: &Frame, query: &Query) -> Form {
    let kind = |action: &Action| Choice {
        value: action.code().to_owned(),
        word: frame.lang().t_in("access_action", action.code()).to_owned(),
        chosen: query.action == Some(*action),
    };
    let any = Choice { value: String::new(), word: frame.t("mails.filter.any").to_owned(), chosen: false };
    let days = |days: u64| Choice {
        value: days.to_string(),
        word: match days {
            0 => frame.t("access.days.all").to_owned(),
            days => frame.lang().tn("access.days", i64::try_from(days).unwrap_or(i64::MAX), &[]),
        },
        chosen: query.days == days,
    };
    Form {
        action: frame.url("/access"),
        person: query.person.clone().unwrap_or_default(),
        owner: query.owner.clone().unwrap_or_default(),
        kinds: [any].into_iter().chain(Action::ALL.iter().map(kind)).collect(),
        days: DAYS.map(days).into(),
    }
}

fn row(frame: &Frame, query: &Query, entry: &Entry) -> Row {
    let mut owners: Vec<&String> = entry.owners.iter().filter(|owner| owner.contains('@')).collect();
    if owners.is_empty() {
        owners = entry.owners.iter().collect();
    }
    let more = owners.len().saturating_sub(OWNERS);
    let about = |owner: &&String| {
        let only = Query { owner: Some((**owner).clone()), after: None, ..query.clone() };
        ((**owner).clone(), only.link(frame, "/access"))
    };
    let person = Query { person: Some(entry.actor.clone()), after: None, ..query.clone() };
    let known = domain_of(&entry.actor).is_some();
    Row {
        when: frame.formats.moment(entry.at),
        iso: frame.formats.iso(entry.at),
        who: known.then(|| (entry.actor.clone(), person.link(frame, "/access"))),
        role: role_word(frame, &entry.role),
        what: what(frame, entry),
        owners: owners.iter().take(OWNERS).map(about).collect(),
        more: (more > 0).then(|| frame.lang().tn("access.more", more as i64, &[])),
        client: client_word(frame, &entry.client).to_owned(),
    }
}

/// The word for where an entry came from: an address stands for itself.
pub fn client_word<'a>(frame: &Frame, client: &'a str) -> &'a str {
    match client {
        "command line" => frame.t("access.command_line"),
        Client::UNKNOWN => frame.t("access.unknown"),
        address => address,
    }
}

/// The word for the role of an entry; empty where none was noted.
pub fn role_word(frame: &Frame, role: &str) -> &'static str {
    Role::from_code(role).map_or("", |role| frame.role_word(&role))
}

/// What an entry says, with what only admins see.
fn what(frame: &Frame, entry: &Entry) -> What {
    let action = Action::from_code(&entry.action);
    let number: Option<i64> = entry.detail.parse().ok();
    let href = match (action, number) {
        (Some(Action::Story | Action::Proof), Some(id)) => Some(story_link(frame, MailId(id))),
        (Some(Action::Report | Action::ReportXml), Some(serial)) => Some(report_link(frame, serial)),
        (Some(Action::TlsReport | Action::TlsReportJson), Some(id)) => {
            Some(frame.url(&format!("/tls-reports/{id}")))
        }
        _ => None,
    };
    let detail = match action {
        _ if href.is_some() => String::new(),
        Some(Action::Mails | Action::Search | Action::Export | Action::AccessLog | Action::AccessExport) => {
            let pairs = form_urlencoded::parse(entry.detail.as_bytes());
            let pair = |(name, value): (_, std::borrow::Cow<'_, str>)| match &*value {
                "" => name,
                value => std::borrow::Cow::Owned(format!("{name}: {value}")),
            };
            pairs.map(pair).collect::<Vec<_>>().join(", ")
        }
        Some(Action::RoleChanged) => {
            let before = match Role::from_code(&entry.detail) {
                Some(role) => frame.role_word(&role),
                None if entry.detail.is_empty() => frame.t("access.no_domains"),
                None => &entry.detail,
            };
            frame.lang().tf("access.before", &[("before", before)])
        }
        Some(Action::Limited) => frame.lang().t_in("limit", &entry.detail).to_owned(),
        _ => entry.detail.clone(),
    };
    What { words: words(frame, entry), href, detail }
}

/// What was done, as the end of a sentence.
pub fn words(frame: &Frame, entry: &Entry) -> &'static str {
    frame.lang().t_in("access_action", &entry.action)
}

/// The mail whose story an entry is about.
pub fn mail_of(entry: &Entry) -> Option<MailId> {
    let about_mail = matches!(Action::from_code(&entry.action), Some(Action::Story | Action::Proof));
    about_mail.then(|| entry.detail.parse().ok().map(MailId))?
}

fn limit(frame: &Frame, class: Class, limits: &Limits) -> (&'static str, String, String) {
    let quota = class.quota();
    let pause = match quota.pause.subsec_millis() {
        0 => format!("{} s", quota.pause.as_secs()),
        _ => frame.formats.duration(quota.pause),
    };
    let burst = frame.formats.number(i64::from(quota.burst));
    let allowed = frame.lang().tf("access.limit", &[("burst", &burst), ("pause", &pause)]);
    let refused = frame.formats.number(i64::try_from(limits.refused(class)).unwrap_or(i64::MAX));
    (frame.lang().t_in("limit", class.code()), allowed, refused)
}

/// Appends the line of an entry.
pub fn write_csv(out: &mut String, entry: &Entry, formats: &Formats) {
    let owners = entry.owners.join(" ");
    let time = formats.iso(entry.at);
    let cells = [&time, &entry.actor, &entry.role, &entry.action, &owners, &entry.client, &entry.detail];
    for (place, value) in cells.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        csv::cell(out, value, false);
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::audit::Crowd,
        web::{pages::samples, text::Lang},
    };

    #[test]
    fn an_address_says_the_same_both_ways() {
        let text = "person=ann%40alpha.test&owner=beta.test&kind=story&days=30&after=5.3";
        let query = Query::parse(text);
        assert_eq!(query.text(), text);
        assert_eq!(Query::parse(&query.text()), query);
        assert_eq!(Query::parse("").text(), "");
        for nonsense in ["person=x", "owner=*", "kind=x", "days=5", "days=-1", "after=1", "after=x.y"] {
            assert_eq!(Query::parse(nonsense), Query::default(), "{nonsense}");
        }
    }

    #[test]
    fn the_sentence_names_what_is_unusual_and_nothing_else() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let calm =
            Summary { people: 14, stories: 132, refused: (9, "192.0.2.1".to_owned()), ..Summary::default() };
        assert!(odd(&frame, &calm, 0).is_empty());
        assert_eq!(looked(&frame, &calm), "14 people looked at 132 stories in 7 days");
        let crowd = |stories| Crowd { actor: "b@a.test".into(), owner: "ann@a.test".into(), stories };
        assert!(odd(&frame, &Summary { crowd: Some(crowd(19)), ..calm.clone() }, 0).is_empty());
        let all = Summary {
            crowd: Some(crowd(20)),
            refused: (10, "192.0.2.1".to_owned()),
            keys: (1, "192.0.2.2".to_owned()),
            limited: (1, "192.0.2.3".to_owned()),
            roles: 1,
            ..calm
        };
        let said = odd(&frame, &all, 2);
        assert_eq!(said.len(), 6);
        assert_eq!(said[0], "b@a.test opened 20 stories of ann@a.test in 7 days.");
        assert!(said.iter().any(|said| said.contains("192.0.2.2")), "{said:?}");
    }

    #[test]
    fn a_line_of_the_file_is_no_formula() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let entry = Entry::new(samples::NOW, "=a@b.test", Action::Search, "192.0.2.1").detail("q=\"x\",y");
        let mut out = String::new();
        write_csv(&mut out, &entry, &frame.formats);
        assert!(out.contains(",'=a@b.test,") && out.ends_with(",192.0.2.1,\"q=\"\"x\"\",y\"\r\n"), "{out}");
    }
}
