//! What Mailcow has: who holds which address, and since when. Pure; filled by `ingest::inventory`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::civil::DateTime;

use super::{
    scope::{Holding, Holdings, Role, Scope, domain_of, normalise_address},
    time::Millis,
    user::Grant,
};

/// An alias that leads to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasPair {
    /// The alias, normalised.
    pub alias: String,
    /// The mailbox, normalised.
    pub mailbox: String,
    /// Since when it leads to nobody else, if that is so.
    pub alone: Option<Millis>,
    /// Since when, as far as known.
    pub since: Millis,
}

/// A domain whose every address stands for the same one of another domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasDomainLink {
    /// The further name, normalised.
    pub alias_domain: String,
    /// The domain behind it, normalised.
    pub target: String,
    /// Since when, as far as known.
    pub since: Millis,
}

/// Where an alias leads to: exact addresses, in order, without doubles. Catch-alls lead nowhere.
pub fn targets(alias: &str, goto: &str) -> Vec<String> {
    if normalise_address(alias).is_none_or(|alias| alias.contains(['*', '%'])) {
        return Vec::new();
    }
    let found: BTreeSet<String> = goto.split(',').filter_map(normalise_address).collect();
    found.into_iter().collect()
}

/// The scope of a visitor: what the role gives, the own mailbox, its aliases, and the alias-domain forms of all.
pub fn scope_of(
    grant: &Grant,
    address: &str,
    since: Millis,
    pairs: &[AliasPair],
    alias_domains: &[AliasDomainLink],
) -> Scope {
    if grant.role == Role::Admin {
        return Scope::All;
    }
    let mut addresses = BTreeMap::new();
    if let Some(address) = normalise_address(address) {
        for pair in pairs.iter().filter(|pair| pair.mailbox == address) {
            // An alias cannot be older than the mailbox that it leads to: before, it led to somebody else.
            let holding = Holding { since: pair.since.max(since), sends: pair.alone };
            addresses.insert(pair.alias.clone(), holding);
        }
        addresses.insert(address, Holding { since, sends: Some(since) });
    }
    let mut forms = BTreeMap::new();
    for link in alias_domains {
        for (held, holding) in &addresses {
            if let Some((local, domain)) = held.rsplit_once('@')
                && domain == link.target
            {
                let since = holding.since.max(link.since);
                forms.insert(format!("{local}@{}", link.alias_domain), Holding { since, ..*holding });
            }
        }
    }
    // A form never replaces an address that is held by itself.
    for (form, holding) in forms {
        addresses.entry(form).or_insert(holding);
    }
    let mut domains = if grant.role == Role::DomainAdmin { grant.domains.clone() } else { BTreeSet::new() };
    let further = alias_domains.iter().filter(|link| domains.contains(&link.target));
    let further: Vec<String> = further.map(|link| link.alias_domain.clone()).collect();
    domains.extend(further);
    Scope::Only(Holdings { domains, addresses })
}

/// How far Mailcow's wall clock is ahead of UTC, in minutes, if we know.
pub type ClockOffset = Option<i32>;

/// A day: within it, the offset of now was the offset of then.
const RECENT: Duration = Duration::from_secs(24 * 3600);

/// The moment of a time that Mailcow tells in its own zone, never too early: an address must not show what came
/// to its former owner. Times from longer ago may have had the other half-year's offset, so they count one hour
/// later; without a known offset the time is read in the last zone on Earth (UTC−12).
pub fn moment(local: &str, offset: ClockOffset, now: Millis) -> Option<Millis> {
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", local.trim()).ok()?;
    let as_utc = Millis(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond());
    let Some(minutes) = offset else { return Some(as_utc.plus(Duration::from_secs(12 * 3600))) };
    let exact = Millis(as_utc.0.saturating_sub(i64::from(minutes) * 60_000));
    let certain = minutes == 0 || now.since(exact) < RECENT;
    Some(if certain { exact } else { exact.plus(Duration::from_secs(3600)) })
}

/// Since when a thing that was not there at the last look belongs to somebody: its own time, but neither before
/// the last look nor after this one. At the first look there is no last one.
pub fn first_seen(own: Option<Millis>, last_look: Option<Millis>, now: Millis) -> Millis {
    let own = own.unwrap_or(now);
    own.max(last_look.unwrap_or(own)).min(now)
}

/// The domain of an address, for the inventory's rows.
pub fn domain(address: &str) -> &str {
    domain_of(address).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(alias: &str, mailbox: &str, alone: bool, since: i64) -> AliasPair {
        let alone = alone.then_some(Millis(since));
        AliasPair { alias: alias.into(), mailbox: mailbox.into(), alone, since: Millis(since) }
    }

    fn link(alias_domain: &str, target: &str) -> AliasDomainLink {
        AliasDomainLink { alias_domain: alias_domain.into(), target: target.into(), since: Millis(7) }
    }

    fn holdings(grant: &Grant, pairs: &[AliasPair], links: &[AliasDomainLink]) -> Holdings {
        match scope_of(grant, "ann@alpha.test", Millis(5), pairs, links) {
            Scope::Only(holdings) => holdings,
            Scope::All => panic!("a user sees all"),
        }
    }

    #[test]
    fn a_user_holds_the_mailbox_its_aliases_and_their_forms() {
        let pairs = [
            pair("info@alpha.test", "ann@alpha.test", true, 9),
            pair("team@alpha.test", "ann@alpha.test", false, 1),
            pair("bob-only@alpha.test", "bob@alpha.test", true, 1),
            pair("look@alpha.test", "xann@alpha.test", true, 1),
        ];
        let held = holdings(
            &Grant::user(),
            &pairs,
            &[link("alias.test", "alpha.test"), link("b.test", "beta.test")],
        );
        assert!(held.domains.is_empty());
        let expected = [
            ("ann@alias.test", 7, true),
            ("ann@alpha.test", 5, true),
            ("info@alias.test", 9, true),
            ("info@alpha.test", 9, true),
            ("team@alias.test", 7, false),
            ("team@alpha.test", 5, false),
        ];
        let found: Vec<_> = held
            .addresses
            .iter()
            .map(|(address, it)| (address.as_str(), it.since.0, it.sends.is_some()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn alias_domains_of_an_administered_domain_belong_to_it() {
        let grant = Grant { role: Role::DomainAdmin, domains: ["alpha.test".to_owned()].into() };
        let held = holdings(&grant, &[], &[link("alias.test", "alpha.test"), link("b.test", "beta.test")]);
        let domains: Vec<_> = held.domains.iter().map(String::as_str).collect();
        assert_eq!(domains, ["alias.test", "alpha.test"]);
        let user = Grant { role: Role::User, ..grant };
        assert!(holdings(&user, &[], &[]).domains.is_empty(), "domains without the role give nothing");
    }

    #[test]
    fn an_admin_sees_all() {
        let grant = Grant { role: Role::Admin, domains: BTreeSet::new() };
        assert_eq!(scope_of(&grant, "ann@alpha.test", Millis(5), &[], &[]), Scope::All);
    }

    #[test]
    fn aliases_lead_to_exact_addresses() {
        assert_eq!(targets("i@a.test", "Ann@a.test, bob@a.test,,ann@a.test"), ["ann@a.test", "bob@a.test"]);
        assert!(targets("@a.test", "ann@a.test").is_empty(), "catch-all");
        assert!(targets("i@a.test", "").is_empty());
    }

    #[test]
    fn local_times_are_never_read_too_early() {
        let utc = |text: &str| moment(text, Some(0), Millis(0)).unwrap();
        let now = utc("2026-07-02 00:00:00");
        assert_eq!(moment("2026-07-01 12:00:00", Some(120), now), Some(utc("2026-07-01 10:00:00")));
        assert_eq!(moment("2026-01-01 12:00:00", Some(120), now), Some(utc("2026-01-01 11:00:00")));
        assert_eq!(moment("2026-01-01 12:00:00", None, now), Some(utc("2026-01-02 00:00:00")));
        assert_eq!(moment("", Some(0), now), None);
        assert_eq!(moment("0000-00-00 00:00:00", Some(0), now), None);
    }

    #[test]
    fn what_is_new_belongs_to_somebody_since_the_last_look_at_the_earliest() {
        let now = Millis(100);
        assert_eq!(first_seen(Some(Millis(10)), None, now), Millis(10), "first look: its own time");
        assert_eq!(first_seen(None, None, now), now);
        assert_eq!(first_seen(Some(Millis(10)), Some(Millis(60)), now), Millis(60));
        assert_eq!(first_seen(Some(Millis(80)), Some(Millis(60)), now), Millis(80));
        assert_eq!(first_seen(Some(Millis(500)), Some(Millis(60)), now), now);
        assert_eq!(first_seen(None, Some(Millis(60)), now), now);
    }
}
