//! Who lives on the simulated server: domains, mailboxes, aliases, admins, and where an address leads.

use std::time::Duration;

use crate::model::time::Millis;

/// The password of every sample account.
pub const PASSWORD: &str = "demo";

/// Everything an administrator of the simulated Mailcow has set up.
#[derive(Debug, Clone)]
pub struct World {
    /// Host name of the server.
    pub host: String,
    /// Mail domains.
    pub domains: Vec<Domain>,
    /// Domains whose addresses mean those of another domain.
    pub alias_domains: Vec<AliasDomain>,
    /// Mailboxes.
    pub mailboxes: Vec<Mailbox>,
    /// Aliases.
    pub aliases: Vec<Alias>,
    /// Domain administrators of Mailcow.
    pub domain_admins: Vec<DomainAdmin>,
}

/// A mail domain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Name in ASCII.
    pub name: String,
    /// Free text.
    pub description: String,
    /// When it was set up.
    pub created: Millis,
}

/// An alias domain.
#[derive(Debug, Clone)]
pub struct AliasDomain {
    /// Its name.
    pub name: String,
    /// The domain that it stands for.
    pub target: String,
    /// When it was set up.
    pub created: Millis,
}

/// A mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Address, lower case.
    pub address: String,
    /// Display name; may be empty.
    pub name: String,
    /// 1 active, 0 off, 2 receives but no login.
    pub active: u8,
    /// Password in clear; this is a simulation.
    pub password: String,
    /// Bytes allowed; 0 = unlimited.
    pub quota: u64,
    /// Bytes used.
    pub used: u64,
    /// Mails kept.
    pub messages: u64,
    /// When it was made.
    pub created: Millis,
    /// When it was last changed.
    pub modified: Option<Millis>,
}

/// An alias.
#[derive(Debug, Clone)]
pub struct Alias {
    /// Number in Mailcow's table.
    pub id: u64,
    /// The address.
    pub address: String,
    /// Where it leads; `null@localhost` discards.
    pub goto: Vec<String>,
    /// Whether it works.
    pub active: bool,
    /// Comment that users see.
    pub comment: Option<String>,
    /// When it was made.
    pub created: Millis,
}

/// A domain administrator of Mailcow; the name is unrelated to mailboxes.
#[derive(Debug, Clone)]
pub struct DomainAdmin {
    /// Login name.
    pub username: String,
    /// Domains administered.
    pub domains: Vec<String>,
    /// Whether the account works.
    pub active: bool,
    /// When it was made.
    pub created: Millis,
}

/// One final recipient of an envelope address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Final address.
    pub to: String,
    /// Address on the envelope, when an alias or alias domain changed it.
    pub orig_to: Option<String>,
    /// Which way it goes.
    pub way: Way,
}

/// Which way a mail leaves the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Into a mailbox here (LMTP).
    Mailbox,
    /// To another server (SMTP).
    Elsewhere,
    /// Into `/dev/null`.
    Nowhere,
}

impl World {
    /// The sample world; everything in it was set up long before `now`.
    pub fn sample(now: Millis) -> Self {
        let days = |count: u64| now.minus(Duration::from_secs(count * 86_400));
        let domain = |name: &str, description: &str| Domain {
            name: name.to_owned(),
            description: description.to_owned(),
            created: days(420),
        };
        let alias = |id, address: &str, goto: &[&str], comment: Option<&str>| Alias {
            id,
            address: address.to_owned(),
            goto: goto.iter().map(|&to| to.to_owned()).collect(),
            active: true,
            comment: comment.map(str::to_owned),
            created: days(400),
        };
        Self {
            host: "mail.alpha.test".to_owned(),
            domains: vec![domain("alpha.test", "Alpha GmbH"), domain("beta.test", "Beta e.V.")],
            alias_domains: vec![AliasDomain {
                name: "alpha-alias.test".to_owned(),
                target: "alpha.test".to_owned(),
                created: days(400),
            }],
            mailboxes: mailboxes(days(410)),
            aliases: vec![
                alias(1, "sales@alpha.test", &["ann@alpha.test"], Some("Sales team")),
                alias(2, "info@alpha.test", &["ann@alpha.test", "bob@alpha.test"], None),
                alias(3, "blackhole@alpha.test", &["null@localhost"], None),
                alias(4, "office@beta.test", &["carla@beta.test", "partner@kunde-gmbh.example"], None),
            ],
            domain_admins: vec![DomainAdmin {
                username: "alphaadmin".to_owned(),
                domains: vec!["alpha.test".to_owned()],
                active: true,
                created: days(405),
            }],
        }
    }

    /// The mailbox with exactly this address, letter case aside.
    pub fn mailbox(&self, address: &str) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.address.eq_ignore_ascii_case(address))
    }

    /// The same, to change it.
    pub fn mailbox_mut(&mut self, address: &str) -> Option<&mut Mailbox> {
        self.mailboxes.iter_mut().find(|mailbox| mailbox.address.eq_ignore_ascii_case(address))
    }

    /// True for mail domains and alias domains of this server.
    pub fn is_ours(&self, domain: &str) -> bool {
        self.domains.iter().any(|ours| ours.name == domain)
            || self.alias_domains.iter().any(|alias| alias.name == domain)
    }

    /// Final recipients of an envelope address: alias domain first, then aliases; tags are kept.
    pub fn destinations(&self, envelope: &str) -> Vec<Destination> {
        let (local, domain) = envelope.rsplit_once('@').unwrap_or((envelope, ""));
        let target = self.alias_domains.iter().find(|alias| alias.name == domain);
        let address = target.map_or_else(|| envelope.to_owned(), |alias| format!("{local}@{}", alias.target));
        let plain = untagged(&address);
        let finals = match self.aliases.iter().find(|alias| alias.active && alias.address == plain) {
            Some(alias) => alias.goto.clone(),
            None => vec![address],
        };
        finals
            .into_iter()
            .map(|to| Destination {
                orig_to: (to != envelope).then(|| envelope.to_owned()),
                way: self.way(&to),
                to,
            })
            .collect()
    }

    fn way(&self, address: &str) -> Way {
        match domain_of(address) {
            "localhost" => Way::Nowhere,
            domain if self.is_ours(domain) => Way::Mailbox,
            _ => Way::Elsewhere,
        }
    }
}

/// The part behind the last `@`; empty without one.
pub fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// The address without its `+tag`, as Rspamd shows it.
pub fn untagged(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            let plain = local.split_once('+').map_or(local, |(plain, _)| plain);
            format!("{plain}@{domain}")
        }
        None => address.to_owned(),
    }
}

fn mailboxes(created: Millis) -> Vec<Mailbox> {
    [
        ("admin@alpha.test", "Ada Admin", 1),
        ("postmaster@alpha.test", "Alpha Postmaster", 1),
        ("ann@alpha.test", "Ann Example", 1),
        ("bob@alpha.test", "Bob Example", 1),
        ("dora@alpha.test", "Dora Gone", 0),
        ("carla@beta.test", "Carla Beta", 1),
        ("emil@beta.test", "Emil Größe", 1),
        ("frida@beta.test", "", 1),
        ("archive@beta.test", "Archive", 2),
        ("postmaster@beta.test", "Beta Postmaster", 1),
    ]
    .into_iter()
    .zip(1..)
    .map(|((address, name, active), number)| Mailbox {
        address: address.to_owned(),
        name: name.to_owned(),
        active,
        password: PASSWORD.to_owned(),
        quota: if number % 4 == 0 { 0 } else { 1 << 30 },
        used: number * 37_654_321,
        messages: number * 411,
        created: created.plus(Duration::from_secs(number * 61)),
        modified: (number % 3 != 0).then(|| created.plus(Duration::from_secs(number * 7_200))),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finals(envelope: &str) -> Vec<(String, Option<String>)> {
        let world = World::sample(Millis::from_secs(1_800_000_000));
        world.destinations(envelope).into_iter().map(|found| (found.to, found.orig_to)).collect()
    }

    #[test]
    fn aliases_alias_domains_and_tags_lead_where_postfix_leads_them() {
        assert_eq!(finals("ann+shop@alpha.test"), [("ann+shop@alpha.test".into(), None)]);
        assert_eq!(
            finals("bob@alpha-alias.test"),
            [("bob@alpha.test".into(), Some("bob@alpha-alias.test".into()))]
        );
        assert_eq!(
            finals("info@alpha-alias.test").iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>(),
            ["ann@alpha.test", "bob@alpha.test"]
        );
        let world = World::sample(Millis::from_secs(1_800_000_000));
        assert_eq!(world.destinations("blackhole@alpha.test")[0].way, Way::Nowhere);
        assert_eq!(world.destinations("x@kunde-gmbh.example")[0].way, Way::Elsewhere);
    }
}
