//! Who can see what: the roles as the rules have them, and who has which.

use askama::Template;

use crate::{
    model::{
        inventory::scope_of,
        mail::{Direction, Entrance, Mail, MailId, Recipient, ServerId, Status, Verdict},
        scope::{Role, Scope, Sight, domain_of},
        time::Millis,
        user::Grant,
    },
    web::{
        pages::frame::Frame,
        router::{Access, PAGES},
    },
};

const ROLES: [Role; 3] = [Role::User, Role::DomainAdmin, Role::Admin];
/// Pages that not everybody may open, with the key of what they show.
const SHOWN: [(&str, &str); 5] = [
    ("reports", "/dmarc"),
    ("domains", "/domains"),
    ("system", "/system"),
    ("ingestion", "/ingestion"),
    ("access", "/access"),
];

/// Where a role comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The settings name the person, with these domains.
    Setting(Vec<String>),
    /// The domains are those of this Mailcow domain admin.
    Mailcow(String),
    /// The part before the `@`.
    Prefix,
    /// A login link from the command line, with these domains.
    Link(Vec<String>),
}

/// Somebody with a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub address: String,
    /// Which role.
    pub role: Role,
    /// From where.
    pub origin: Origin,
    /// The last visit, as far as it is kept.
    pub last: Option<Millis>,
    /// Whether there is an active mailbox of this address.
    pub can_sign_in: bool,
}

impl Holder {
    /// A holder of whom nothing more is known yet.
    pub fn new(address: String, role: Role, origin: Origin) -> Self {
        Self { address, role, origin, last: None, can_sign_in: false }
    }
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Those with a role.
    pub holders: &'a [Holder],
    /// Active mailboxes.
    pub mailboxes: i64,
}

/// The page.
#[derive(Template)]
#[template(path = "roles.html")]
pub struct RolesPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    heads: [&'static str; ROLES.len()],
    sights: Vec<(&'static str, [Cell; ROLES.len()])>,
    rows: Vec<Row>,
}

/// What one role sees of one thing.
struct Cell {
    role: &'static str,
    words: &'static str,
    tone: &'static str,
    icon: &'static str,
}

struct Row {
    address: String,
    role: &'static str,
    domains: String,
    origin: String,
    last: String,
    lacking: bool,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> RolesPage<'a> {
    let lang = frame.lang();
    let count = |role| input.holders.iter().filter(|holder| holder.role == role).count() as i64;
    let (admins, owners) = (count(Role::Admin), count(Role::DomainAdmin));
    let title = match admins {
        0 => lang.t("roles.nobody").to_owned(),
        admins => lang.tn("roles.title", admins, &[]),
    };
    let owners = lang.tn("roles.owners", owners, &[]);
    let users = lang.tn("roles.users", input.mailboxes, &[]);
    RolesPage {
        frame,
        title,
        grounds: format!("{owners} {users}"),
        heads: ROLES.map(|role| frame.role_word(&role)),
        sights: sights(frame),
        rows: input.holders.iter().map(|holder| row(frame, holder)).collect(),
    }
}

/// What each role sees, found out by asking the rules themselves.
fn sights(frame: &Frame) -> Vec<(&'static str, [Cell; ROLES.len()])> {
    let lang = frame.lang();
    let mut all: Vec<_> = examples()
        .into_iter()
        .map(|(key, mail)| {
            let cell = |role| {
                let words = match scope(role).sight(&mail) {
                    Some(Sight::Full) => "full",
                    Some(Sight::Sender) => "sender",
                    Some(Sight::Recipients) => "recipients",
                    None => "none",
                };
                cell(frame, role, words)
            };
            (lang.t_in("roles_mail", key), ROLES.map(cell))
        })
        .collect();
    for (key, path) in SHOWN {
        let access = PAGES.iter().find(|page| page.path == path).map(|page| page.access);
        let reach = |role| match access {
            Some(access) if access != Access::Public && access.admits(role) => match scope(role) {
                Scope::Only(_) => "domains",
                _ => "all",
            },
            _ => "none",
        };
        all.push((lang.t_in("roles_page", key), ROLES.map(|role| cell(frame, role, reach(role)))));
    }
    all
}

fn cell(frame: &Frame, role: Role, words: &'static str) -> Cell {
    let (tone, icon) = if words == "none" { ("idle", "dash-circle") } else { ("ok", "check-circle") };
    Cell { role: frame.role_word(&role), words: frame.lang().t_in("roles_sight", words), tone, icon }
}

/// The scope of an example of each role: `me@here.test`, who as domain admin administers `here.test`.
fn scope(role: Role) -> Scope {
    let domains =
        if role == Role::DomainAdmin { ["here.test".to_owned()].into() } else { Default::default() };
    scope_of(&Grant { role, domains }, "me@here.test", Millis(0), &[], &[])
}

/// A mail of each kind, seen from `me@here.test`.
fn examples() -> [(&'static str, Mail); 4] {
    [
        ("sent", example("me@here.test", &["you@here.test", "a@away.test"])),
        ("received", example("a@away.test", &["me@here.test", "you@here.test"])),
        ("domain", example("you@here.test", &["a@away.test"])),
        ("others", example("she@there.test", &["a@away.test"])),
    ]
}

fn example(sender: &str, recipients: &[&str]) -> Mail {
    let recipient = |address: &&str| Recipient { address: (*address).to_owned(), ..Recipient::default() };
    Mail {
        id: MailId(1),
        server: ServerId::FIRST,
        first_seen: Millis(1),
        last_seen: Millis(1),
        queue_id: None,
        message_id: None,
        sender: Some(sender.to_owned()),
        login: None,
        client_host: None,
        client_ip: None,
        helo: None,
        client_tls: None,
        entrance: Some(Entrance::Submission),
        size: None,
        direction: Direction::Out,
        status: Status::Sent,
        verdict: Verdict::None,
        check: None,
        recipients: recipients.iter().map(recipient).collect(),
        refusal: None,
        notices: Vec::new(),
        parent: None,
        removed: None,
        steps: Vec::new(),
    }
}

fn row(frame: &Frame, holder: &Holder) -> Row {
    let lang = frame.lang();
    let (origin, domains) = match (&holder.origin, holder.role) {
        (Origin::Setting(_), Role::Admin) => (lang.t("roles.from.admin").to_owned(), Vec::new()),
        (Origin::Setting(domains), _) => (lang.t("roles.from.setting").to_owned(), domains.clone()),
        (Origin::Mailcow(name), _) => (lang.tf("roles.from.mailcow", &[("name", name)]), Vec::new()),
        (Origin::Prefix, _) => {
            let domain = domain_of(&holder.address).map(str::to_owned);
            (lang.t("roles.from.prefix").to_owned(), domain.into_iter().collect())
        }
        (Origin::Link(domains), _) => (lang.t("roles.from.link").to_owned(), domains.clone()),
    };
    Row {
        address: holder.address.clone(),
        role: frame.role_word(&holder.role),
        domains: domains.join(", "),
        origin,
        last: holder.last.map_or(lang.t("roles.never").to_owned(), |at| frame.formats.moment(at)),
        lacking: !holder.can_sign_in && !matches!(holder.origin, Origin::Link(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::{pages::samples, text::Lang};

    #[test]
    fn the_table_says_what_the_rules_do() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let found: Vec<Vec<&str>> =
            sights(&frame).into_iter().map(|(_, cells)| cells.map(|cell| cell.words).to_vec()).collect();
        let [full, sender, own, none, domains, all] =
            ["full", "sender", "recipients", "none", "domains", "all"]
                .map(|key| Lang::En.t_in("roles_sight", key));
        let expected = [
            vec![sender, full, full],
            vec![own, own, full],
            vec![none, full, full],
            vec![none, none, full],
            vec![none, domains, all],
            vec![none, domains, all],
            vec![none, none, all],
            vec![none, none, all],
            vec![none, none, all],
        ];
        assert_eq!(found, expected);
    }
}
