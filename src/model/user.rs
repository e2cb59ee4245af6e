//! Who a visitor is: role rules, sessions, and what a fresh look at Mailcow means for them. Pure and closed:
//! whoever is not named exactly has no right, and while Mailcow cannot be asked nobody gains one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    scope::{Role, Scope, domain_of, normalise_address, normalise_domain},
    time::Millis,
};

/// Who has which role, as far as the settings say. Addresses and domains are normalised by [`RoleRules::new`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleRules {
    admins: BTreeSet<String>,
    domain_admins: Vec<(String, Reach)>,
    prefix: Option<String>,
}

/// The domains of a domain admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Exactly these.
    Domains(BTreeSet<String>),
    /// Those that the Mailcow domain admin of this name has at that time.
    MailcowAdmin(String),
}

/// The domains of each active Mailcow domain admin, by name.
pub type LiveDomains = BTreeMap<String, BTreeSet<String>>;

/// A role with the domains it reaches (domain admins only).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Administered domains, normalised; empty for other roles.
    pub domains: BTreeSet<String>,
}

impl Grant {
    /// A plain user.
    pub fn user() -> Self {
        Self { role: Role::User, domains: BTreeSet::new() }
    }
}

impl RoleRules {
    /// Takes the rules as the settings give them. What is no address or no domain grants nothing.
    pub fn new(
        admins: impl IntoIterator<Item = impl AsRef<str>>,
        domain_admins: impl IntoIterator<Item = (String, Reach)>,
        prefix: Option<&str>,
    ) -> Self {
        let plain = |address: &str| normalise_address(address).filter(|it| !it.contains(['*', '%', ',']));
        let reach = |reach| match reach {
            Reach::Domains(domains) => {
                Reach::Domains(domains.iter().filter_map(|it| normalise_domain(it)).collect())
            }
            named @ Reach::MailcowAdmin(_) => named,
        };
        let prefix = prefix.map(|it| it.trim().to_lowercase());
        Self {
            admins: admins.into_iter().filter_map(|address| plain(address.as_ref())).collect(),
            domain_admins: domain_admins
                .into_iter()
                .filter_map(|(address, domains)| Some((plain(&address)?, reach(domains))))
                .collect(),
            prefix: prefix.filter(|it| !it.is_empty() && !it.contains(['@', '*', '%'])),
        }
    }

    /// Those whom the settings name as admins.
    pub fn admins(&self) -> impl Iterator<Item = &str> {
        self.admins.iter().map(String::as_str)
    }

    /// Those whom the settings name as domain admins, with what each entry gives.
    pub fn domain_admins(&self) -> impl Iterator<Item = (&str, &Reach)> {
        self.domain_admins.iter().map(|(address, reach)| (address.as_str(), reach))
    }

    /// What stands before the `@` of those who are domain admins by name, where there are such.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// Whether the role of this address depends on what Mailcow says about its domain admins.
    pub fn needs_live_domains(&self, address: &str) -> bool {
        self.reaches(address).any(|reach| matches!(reach, Reach::MailcowAdmin(_)))
    }

    /// The domains that Mailcow's domain admins lend to this address.
    pub fn lent_domains(&self, address: &str, live: &LiveDomains) -> BTreeSet<String> {
        let names = self.reaches(address).filter_map(|reach| match reach {
            Reach::MailcowAdmin(name) => live.get(name),
            Reach::Domains(_) => None,
        });
        names.flatten().filter_map(|domain| normalise_domain(domain)).collect()
    }

    /// The role of an address that proved to be an active mailbox. `lent` are the domains of
    /// [`RoleRules::lent_domains`] as last seen.
    pub fn grant(&self, address: &str, lent: &BTreeSet<String>) -> Grant {
        let Some(address) = normalise_address(address) else { return Grant::user() };
        if self.admins.contains(&address) {
            return Grant { role: Role::Admin, domains: BTreeSet::new() };
        }
        let mut domains = BTreeSet::new();
        for reach in self.reaches(&address) {
            match reach {
                Reach::Domains(named) => domains.extend(named.iter().cloned()),
                Reach::MailcowAdmin(_) => domains.extend(lent.iter().cloned()),
            }
        }
        if let (Some(prefix), Some((local, domain))) = (&self.prefix, address.rsplit_once('@'))
            && local == prefix
        {
            domains.insert(domain.to_owned());
        }
        if domains.is_empty() { Grant::user() } else { Grant { role: Role::DomainAdmin, domains } }
    }

    fn reaches(&self, address: &str) -> impl Iterator<Item = &Reach> {
        let address = normalise_address(address);
        self.domain_admins
            .iter()
            .filter(move |(named, _)| Some(named) == address.as_ref())
            .map(|(_, reach)| reach)
    }
}

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// At Mailcow: the role follows the settings and Mailcow.
    Mailcow,
    /// By a login link from the command line: the role is the link's, for a few hours, and no longer than the mailbox;
    /// only an admin by link needs none.
    Link,
}

impl Via {
    /// The word in the database.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Mailcow => "mailcow",
            Self::Link => "link",
        }
    }

    /// Whether a session of this way and role lasts no longer than its mailbox. The owner of the host may have none, and
    /// must get in while Mailcow is away.
    pub fn needs_mailbox(self, role: Role) -> bool {
        self == Self::Mailcow || role != Role::Admin
    }

    /// The way of a [`Via::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Mailcow, Self::Link].into_iter().find(|via| via.code() == code)
    }
}

/// A session as it is stored. The browser holds the id; we keep its hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the id, 64 hex digits.
    pub key: String,
    /// The mailbox, normalised.
    pub address: String,
    /// Display name, may be empty.
    pub name: String,
    /// How it began.
    pub via: Via,
    /// The link's role; plain user for sessions that began at Mailcow.
    pub role: Role,
    /// The link's domains, or those that Mailcow's domain admins lent at the last look.
    pub domains: BTreeSet<String>,
    /// Mailcow's `created` of the mailbox at sign-in, as text; another value means another person.
    pub mailbox_created: String,
    /// From when on the address was theirs.
    pub mailbox_since: Millis,
    /// When it began.
    pub created: Millis,
    /// Last visit, to the minute.
    pub seen: Millis,
    /// When Mailcow last confirmed the mailbox.
    pub checked: Millis,
}

/// What a visit leaves in the row of its session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Visit {
    /// When.
    pub seen: Millis,
    /// When Mailcow last confirmed the mailbox
    pub checked: Millis,
    /// with these domains.
    pub domains: BTreeSet<String>,
}

impl Visit {
    /// Takes over from a session what is later.
    pub fn join(&mut self, session: &Session) {
        self.seen = self.seen.max(session.seen);
        if session.checked >= self.checked {
            (self.checked, self.domains) = (session.checked, session.domains.clone());
        }
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without a visit.
    pub idle: Duration,
    /// In any case.
    pub absolute: Duration,
}

impl SessionLimits {
    /// Sessions by link end after this time at the latest.
    pub const LINK: Duration = Duration::from_secs(12 * 3600);
    /// A visit is noted, and Mailcow asked again, after this time.
    pub const FRESH: Duration = Duration::from_secs(60);
    /// For this long a session lives on what Mailcow said last when it cannot be asked.
    pub const UNASKED: Duration = Duration::from_secs(3600);

    /// Whether the session has ended by time.
    pub fn ended(&self, session: &Session, now: Millis) -> bool {
        let absolute = match session.via {
            Via::Mailcow => self.absolute,
            Via::Link => self.absolute.min(Self::LINK),
        };
        now.since(session.seen) >= self.idle || now.since(session.created) >= absolute
    }
}

/// What Mailcow says about a mailbox at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is active.
    Active {
        /// Mailcow's `created`, as text.
        created: String,
        /// Domains lent by Mailcow's domain admins.
        lent: BTreeSet<String>,
    },
    /// It is switched off, or nobody may log in to it, or it is gone.
    Gone,
    /// Mailcow could not be asked.
    Unasked,
}

/// What follows for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on; what Mailcow said is to be stored.
    Confirmed,
    /// It goes on with what Mailcow said last.
    Kept,
    /// It waits: Mailcow has not been reachable for too long.
    Suspended,
    /// It ends at once.
    Ended,
}

impl Session {
    /// Whether Mailcow is to be asked again before this session is believed.
    pub fn is_stale(&self, now: Millis) -> bool {
        self.via.needs_mailbox(self.role) && now.since(self.checked) >= SessionLimits::FRESH
    }

    /// Takes in what a visit leaves in the row and is not there yet. A confirmation of other domains than those of the row
    /// is out of date.
    pub fn recall(&mut self, visit: &Visit) {
        self.seen = self.seen.max(visit.seen);
        if self.domains == visit.domains {
            self.checked = self.checked.max(visit.checked);
        }
    }

    /// Whether the visit is to be noted.
    pub fn is_unnoted(&self, now: Millis) -> bool {
        now.since(self.seen) >= SessionLimits::FRESH
    }

    /// What a fresh look at Mailcow means for this session.
    pub fn judge(&self, standing: &Standing, now: Millis) -> Ruling {
        match standing {
            Standing::Gone => Ruling::Ended,
            Standing::Active { created, .. } if *created != self.mailbox_created => Ruling::Ended,
            Standing::Active { .. } => Ruling::Confirmed,
            Standing::Unasked if now.since(self.checked) < SessionLimits::UNASKED => Ruling::Kept,
            Standing::Unasked => Ruling::Suspended,
        }
    }

    /// The role and domains of this session under the present rules.
    pub fn grant(&self, rules: &RoleRules) -> Grant {
        match self.via {
            Via::Mailcow => rules.grant(&self.address, &self.domains),
            Via::Link => Grant { role: self.role, domains: self.domains.clone() },
        }
    }
}

/// Somebody with a session, as every page meets them.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The mailbox, normalised.
    pub address: String,
    /// Display name, may be empty.
    pub name: String,
    /// The role.
    pub role: Role,
    /// What they may see.
    pub scope: Arc<Scope>,
    /// The session, by hash.
    pub session: String,
    /// How they signed in.
    pub via: Via,
}

impl Visitor {
    /// The domain of the mailbox.
    pub fn domain(&self) -> &str {
        domain_of(&self.address).unwrap_or_default()
    }
}

/// A light, a dark, or the system's look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The word in the cookie.
    pub const fn code(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme of a [`Theme::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::System, Self::Light, Self::Dark].into_iter().find(|theme| theme.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(domains: &[&str]) -> BTreeSet<String> {
        domains.iter().map(|&domain| domain.to_owned()).collect()
    }

    fn rules() -> RoleRules {
        RoleRules::new(
            [" Admin@Alpha.Test ", "", "*@alpha.test", "nobody"],
            [
                ("dora@alpha.test".to_owned(), Reach::Domains(set(&["Beta.Test", "gamma.test"]))),
                ("dora@alpha.test".to_owned(), Reach::MailcowAdmin("deltaadmin".to_owned())),
                ("live@alpha.test".to_owned(), Reach::MailcowAdmin("alphaadmin".to_owned())),
            ],
            Some("postmaster"),
        )
    }

    fn session() -> Session {
        Session {
            key: "k".into(),
            address: "ann@alpha.test".into(),
            name: String::new(),
            via: Via::Mailcow,
            role: Role::User,
            domains: BTreeSet::new(),
            mailbox_created: "2026-01-01 10:00:00".into(),
            mailbox_since: Millis(0),
            created: Millis(0),
            seen: Millis(0),
            checked: Millis(0),
        }
    }

    #[test]
    fn roles_go_to_exactly_the_named() {
        let grant = |address: &str| rules().grant(address, &BTreeSet::new());
        assert_eq!(grant("admin@alpha.test").role, Role::Admin);
        assert_eq!(grant(" ADMIN@alpha.test").role, Role::Admin);
        for look_alike in [
            "xadmin@alpha.test",
            "admin@alpha.test.evil.test",
            "admin@xalpha.test",
            "admin+x@alpha.test",
            "admin@alpha-test",
            "*@alpha.test",
            "",
            "nobody",
            "аdmin@alpha.test",
            "dora@beta.test",
            "xpostmaster@alpha.test",
            "postmaster+x@alpha.test",
            "hostmaster@alpha.test",
        ] {
            assert_eq!(grant(look_alike), Grant::user(), "{look_alike}");
        }
        assert_eq!(grant("dora@alpha.test").domains, set(&["beta.test", "gamma.test"]));
        assert_eq!(grant("postmaster@alpha.test").domains, set(&["alpha.test"]));
    }

    #[test]
    fn an_empty_setting_makes_nobody_admin() {
        let rules = RoleRules::new(["", " ", "@"], [], Some(""));
        for address in ["", "@", " ", "ann@alpha.test", "postmaster@alpha.test"] {
            assert_eq!(rules.grant(address, &BTreeSet::new()), Grant::user(), "{address:?}");
        }
    }

    #[test]
    fn lent_domains_are_those_of_the_named_admin_now() {
        let live: LiveDomains =
            [("alphaadmin".to_owned(), set(&["alpha.test"])), ("other".to_owned(), set(&["beta.test"]))]
                .into();
        let rules = rules();
        assert!(rules.needs_live_domains("live@alpha.test") && !rules.needs_live_domains("admin@alpha.test"));
        let lent = rules.lent_domains("live@alpha.test", &live);
        assert_eq!(lent, set(&["alpha.test"]));
        assert_eq!(rules.grant("live@alpha.test", &lent).role, Role::DomainAdmin);
        assert_eq!(rules.grant("live@alpha.test", &BTreeSet::new()), Grant::user());
        // Lent domains stored for somebody whose rule is gone give nothing.
        assert_eq!(rules.grant("ann@alpha.test", &lent), Grant::user());
    }

    #[test]
    fn an_unreachable_mailcow_keeps_rights_for_a_while_and_adds_none() {
        let session = session();
        let within = Millis(0).plus(SessionLimits::UNASKED).minus(Duration::from_millis(1));
        assert_eq!(session.judge(&Standing::Unasked, within), Ruling::Kept);
        assert_eq!(
            session.judge(&Standing::Unasked, Millis(0).plus(SessionLimits::UNASKED)),
            Ruling::Suspended
        );
    }

    #[test]
    fn a_session_ends_with_its_mailbox() {
        let active = |created: &str| Standing::Active { created: created.into(), lent: BTreeSet::new() };
        assert_eq!(session().judge(&Standing::Gone, Millis(1)), Ruling::Ended);
        assert_eq!(session().judge(&active("2026-05-05 10:00:00"), Millis(1)), Ruling::Ended, "re-created");
        assert_eq!(session().judge(&active("2026-01-01 10:00:00"), Millis(1)), Ruling::Confirmed);
    }

    #[test]
    fn all_but_admins_by_link_last_no_longer_than_their_mailbox() {
        let stale = |via, role, after| Session { via, role, ..session() }.is_stale(Millis(0).plus(after));
        let almost = SessionLimits::FRESH.saturating_sub(Duration::from_millis(1));
        // Whoever signed in at Mailcow is a user until the rules say more.
        for (via, role) in
            [(Via::Mailcow, Role::User), (Via::Link, Role::User), (Via::Link, Role::DomainAdmin)]
        {
            assert!(stale(via, role, SessionLimits::FRESH) && !stale(via, role, almost), "{via:?} {role:?}");
        }
        assert!(!stale(Via::Link, Role::Admin, SessionLimits::LINK));
    }

    #[test]
    fn limits_hold_to_the_millisecond() {
        let limits = SessionLimits { idle: Duration::from_secs(10), absolute: Duration::from_secs(100) };
        let at = |seen, now| limits.ended(&Session { seen: Millis(seen), ..session() }, Millis(now));
        assert!(!at(0, 9_999) && at(0, 10_000) && !at(95_000, 99_999) && at(95_000, 100_000));
        let link =
            Session { via: Via::Link, seen: Millis(SessionLimits::LINK.as_millis() as i64), ..session() };
        let long = SessionLimits { idle: Duration::from_secs(10), absolute: Duration::from_secs(1_000_000) };
        assert!(long.ended(&link, Millis(0).plus(SessionLimits::LINK)));
    }
}
