//! The look at Mailcow's mailboxes and aliases, every few minutes: who holds which address, and since when.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{
        inventory::{AliasDomainLink, AliasPair, ClockOffset, first_seen, moment, targets},
        scope::{normalise_address, normalise_domain},
        time::Millis,
    },
    remote::{
        self,
        mailcow::Mailcow,
        objects::{Alias, AliasDomain, Domain},
    },
    store::{
        self,
        db::Db,
        inventory::{Look, Mailbox, Snapshot},
    },
};

/// How often to look.
pub const PERIOD: std::time::Duration = std::time::Duration::from_secs(300);

/// Why a look failed; what was known stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mailcow could not be asked.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::db::Error),
    /// Mailcow names no mailbox at all although there were some: rather a fault than the truth.
    #[error("Mailcow names no mailbox, although it had {0}")]
    Vanished(usize),
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Mailboxes.
    pub mailboxes: usize,
    /// Pairs of alias and mailbox.
    pub pairs: usize,
    /// Alias domains.
    pub alias_domains: usize,
}

/// What Mailcow answered.
#[derive(Debug, Clone, Default)]
struct Answers {
    mailboxes: Vec<remote::objects::Mailbox>,
    aliases: Vec<Alias>,
    alias_domains: Vec<AliasDomain>,
    /// `None` when they could not be asked for: what was known stays.
    domains: Option<Vec<String>>,
    offset: ClockOffset,
}

/// Looks at Mailcow and stores what it has.
pub async fn refresh(db: &Db, mailcow: &Mailcow, now: Millis) -> Result<Found, Error> {
    let answers = Answers {
        mailboxes: mailcow.mailboxes().await?,
        aliases: mailcow.aliases().await?,
        alias_domains: mailcow.alias_domains().await?,
        // Only which reports count hangs on them.
        domains: mailcow.domains().await.ok().map(|domains| names(&domains)),
        // The clock is a help only; without it times are read with more caution.
        offset: mailcow.clock_offset().await.unwrap_or(None),
    };
    let known = store::inventory::snapshot(db).await?;
    let had = known.as_ref().map_or(0, |known| known.mailboxes.len());
    if answers.mailboxes.is_empty() && had > 0 {
        return Err(Error::Vanished(had));
    }
    let snapshot = compare(&answers, known.as_ref(), now);
    let tracked = tracked(&answers.mailboxes);
    let mut tx = db.begin().await?;
    store::inventory::replace(&mut tx, &snapshot).await?;
    store::opens::replace_tracked(&mut tx, &tracked).await?;
    if let Some(domains) = &answers.domains {
        store::reports::host(&mut tx, domains.iter().map(String::as_str)).await?;
    }
    tx.commit().await?;
    Ok(Found {
        mailboxes: snapshot.mailboxes.len(),
        pairs: snapshot.pairs.len(),
        alias_domains: snapshot.alias_domains.len(),
    })
}

/// Mailboxes in use whose attribute `OPEN_TRACKING` says `YES`, as the PHP app had it.
fn tracked(mailboxes: &[remote::objects::Mailbox]) -> BTreeSet<String> {
    let wishes = |told: &&remote::objects::Mailbox| {
        let wish = told.custom_attributes.get("OPEN_TRACKING");
        told.active == 1 && wish.is_some_and(|wish| wish.trim().eq_ignore_ascii_case("yes"))
    };
    mailboxes.iter().filter(wishes).filter_map(|told| normalise_address(&told.username)).collect()
}

fn names(domains: &[Domain]) -> Vec<String> {
    domains.iter().filter_map(|domain| normalise_domain(&domain.domain_name)).collect()
}

/// One mailbox as Mailcow tells it now; `known` is what we knew of the address.
pub fn mailbox(
    told: &remote::objects::Mailbox,
    known: Option<&Mailbox>,
    offset: ClockOffset,
    now: Millis,
) -> Option<Mailbox> {
    let own = moment(&told.created, offset, now).unwrap_or(now).min(now);
    let since = match known {
        Some(known) if known.created == told.created => known.since.min(own),
        _ => own,
    };
    Some(Mailbox {
        address: normalise_address(&told.username)?,
        name: told.name.clone(),
        active: told.active == 1,
        created: told.created.clone(),
        since,
    })
}

fn compare(answers: &Answers, known: Option<&Snapshot>, now: Millis) -> Snapshot {
    let offset = answers.offset.or_else(|| known.and_then(|known| known.look.clock_offset));
    let boxes: BTreeMap<&str, &Mailbox> =
        known.iter().flat_map(|known| &known.mailboxes).map(|it| (it.address.as_str(), it)).collect();
    let mailboxes: Vec<Mailbox> = answers
        .mailboxes
        .iter()
        .filter_map(|told| {
            let address = normalise_address(&told.username)?;
            mailbox(told, boxes.get(address.as_str()).copied(), offset, now)
        })
        .collect();
    let last_look = known.map(|known| known.look.at);
    let time = |created: &str, modified: &str| {
        let own = [modified, created].into_iter().find_map(|text| moment(text, offset, now));
        first_seen(own, last_look, now)
    };
    Snapshot {
        look: Look { at: now, clock_offset: offset },
        pairs: pairs(answers, &mailboxes, known, time),
        alias_domains: links(answers, known, time),
        mailboxes,
    }
}

fn pairs(
    answers: &Answers,
    mailboxes: &[Mailbox],
    known: Option<&Snapshot>,
    time: impl Fn(&str, &str) -> Millis,
) -> Vec<AliasPair> {
    let known: BTreeMap<(&str, &str), &AliasPair> = known
        .iter()
        .flat_map(|known| &known.pairs)
        .map(|pair| ((pair.mailbox.as_str(), pair.alias.as_str()), pair))
        .collect();
    let mailboxes: BTreeSet<&str> = mailboxes.iter().map(|mailbox| mailbox.address.as_str()).collect();
    let mut found = BTreeMap::new();
    for told in answers.aliases.iter().filter(|told| told.active == 1 && told.is_catch_all == 0) {
        let Some(alias) = normalise_address(&told.address) else { continue };
        // What is a mailbox of its own belongs to that mailbox.
        if mailboxes.contains(alias.as_str()) {
            continue;
        }
        let targets = targets(&alias, &told.goto);
        let shared = targets.len() != 1;
        for mailbox in targets.into_iter().filter(|target| mailboxes.contains(target.as_str())) {
            let known = known.get(&(mailbox.as_str(), alias.as_str()));
            let changed = || time(&told.created, &told.modified);
            let since = known.map_or_else(changed, |known| known.since);
            // What others sent in its name while it was theirs, too, stays theirs.
            let alone = known.map_or(Some(since), |known| known.alone).unwrap_or_else(changed);
            let alone = (!shared).then_some(alone);
            let pair = AliasPair { alias: alias.clone(), mailbox: mailbox.clone(), alone, since };
            found.insert((mailbox, alias.clone()), pair);
        }
    }
    found.into_values().collect()
}

fn links(
    answers: &Answers,
    known: Option<&Snapshot>,
    time: impl Fn(&str, &str) -> Millis,
) -> Vec<AliasDomainLink> {
    let known: BTreeMap<(&str, &str), Millis> = known
        .iter()
        .flat_map(|known| &known.alias_domains)
        .map(|link| ((link.alias_domain.as_str(), link.target.as_str()), link.since))
        .collect();
    let active = answers.alias_domains.iter().filter(|told| told.active == 1);
    let links = active.filter_map(|told| {
        let (alias_domain, target) =
            (normalise_domain(&told.alias_domain)?, normalise_domain(&told.target_domain)?);
        let since = known.get(&(alias_domain.as_str(), target.as_str())).copied();
        let since = since.unwrap_or_else(|| time(&told.created, &told.modified));
        Some((alias_domain.clone(), AliasDomainLink { alias_domain, target, since }))
    });
    links.collect::<BTreeMap<_, _>>().into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JANUARY: &str = "2026-01-01 00:00:00";
    const MARCH: &str = "2026-03-01 00:00:00";

    fn at(text: &str) -> Millis {
        moment(text, Some(0), Millis(0)).unwrap()
    }

    fn rows<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> Vec<T> {
        serde_json::from_value(json).unwrap()
    }

    fn answers(mailbox_created: &str, aliases: serde_json::Value) -> Answers {
        Answers {
            mailboxes: rows(serde_json::json!([
                {"username": "ann@a.test", "active": 1, "created": mailbox_created},
                {"username": "bob@a.test", "active": 0, "created": JANUARY},
            ])),
            aliases: rows(aliases),
            alias_domains: rows(serde_json::json!([
                {"alias_domain": "also.test", "target_domain": "a.test", "active": 1, "created": JANUARY},
                {"alias_domain": "off.test", "target_domain": "a.test", "active": 0, "created": JANUARY},
            ])),
            domains: None,
            offset: Some(0),
        }
    }

    fn alias(address: &str, goto: &str) -> serde_json::Value {
        serde_json::json!({"address": address, "goto": goto, "active": 1, "is_catch_all": 0, "created": JANUARY})
    }

    #[test]
    fn the_first_look_believes_mailcows_own_times() {
        let aliases = serde_json::json!([
            alias("info@a.test", "ann@a.test"),
            alias("team@a.test", "ann@a.test, bob@a.test"),
            alias("out@a.test", "ann@a.test,friend@elsewhere.test"),
            alias("bob@a.test", "ann@a.test"),
            {"address": "@a.test", "goto": "ann@a.test", "active": 1, "is_catch_all": 1, "created": JANUARY},
            {"address": "off@a.test", "goto": "ann@a.test", "active": 0, "created": JANUARY},
            {"address": "late@a.test", "goto": "ann@a.test", "active": 1, "created": JANUARY, "modified": MARCH},
        ]);
        let found = compare(&answers(JANUARY, aliases), None, at("2026-06-01 00:00:00"));
        let pairs: Vec<_> = found
            .pairs
            .iter()
            .map(|it| (it.alias.as_str(), it.mailbox.as_str(), it.alone.is_some()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("info@a.test", "ann@a.test", true),
                ("late@a.test", "ann@a.test", true),
                ("out@a.test", "ann@a.test", false),
                ("team@a.test", "ann@a.test", false),
                ("team@a.test", "bob@a.test", false),
            ]
        );
        assert_eq!(found.pairs[0].since, at(JANUARY));
        assert_eq!(found.pairs[1].since, at(MARCH));
        assert_eq!(found.alias_domains.len(), 1);
    }

    #[test]
    fn a_new_pair_counts_from_now_and_an_old_one_keeps_its_time() {
        let (first, second) = (at("2026-06-01 00:00:00"), at("2026-06-02 00:00:00"));
        let before =
            compare(&answers(JANUARY, serde_json::json!([alias("info@a.test", "ann@a.test")])), None, first);
        let now = serde_json::json!([alias("info@a.test", "ann@a.test"), alias("new@a.test", "ann@a.test")]);
        let after = compare(&answers(JANUARY, now), Some(&before), second);
        let since: Vec<_> = after.pairs.iter().map(|pair| pair.since).collect();
        assert_eq!(since, [at(JANUARY), first]);
        // Taken away and given back: what came in between went elsewhere.
        let gone = compare(&answers(JANUARY, serde_json::json!([])), Some(&after), second);
        assert!(gone.pairs.is_empty());
        let back = serde_json::json!([alias("info@a.test", "ann@a.test")]);
        let back = compare(&answers(JANUARY, back), Some(&gone), at("2026-06-03 00:00:00"));
        assert_eq!(back.pairs[0].since, second);
    }

    #[test]
    fn what_others_sent_in_the_name_of_an_alias_does_not_become_mine_when_they_leave_it() {
        let pair = |aliases: serde_json::Value, known: Option<&Snapshot>, now: &str| {
            compare(&answers(JANUARY, aliases), known, at(now))
        };
        let both = serde_json::json!([alias("team@a.test", "ann@a.test, bob@a.test")]);
        let shared = pair(both.clone(), None, "2026-06-01 00:00:00");
        let mut left = alias("team@a.test", "ann@a.test");
        left["modified"] = "2026-06-02 12:00:00".into();
        let left = pair(serde_json::json!([left]), Some(&shared), "2026-06-02 12:03:00");
        let held = |snapshot: &Snapshot| (snapshot.pairs[0].since, snapshot.pairs[0].alone);
        assert_eq!(held(&shared), (at(JANUARY), None));
        assert_eq!(held(&left), (at(JANUARY), Some(at("2026-06-02 12:00:00"))));
        // It stays so from look to look, and ends when somebody comes.
        let same = serde_json::json!([alias("team@a.test", "ann@a.test")]);
        let later = pair(same, Some(&left), "2026-06-03 00:00:00");
        assert_eq!(held(&later), held(&left));
        assert_eq!(held(&pair(both, Some(&later), "2026-06-04 00:00:00")), (at(JANUARY), None));
    }

    #[test]
    fn only_who_wishes_is_tracked() {
        let told = rows(serde_json::json!([
            {"username": "Ann@a.test", "active": 1, "custom_attributes": {"OPEN_TRACKING": "YES"}},
            {"username": "bob@a.test", "active": 1, "custom_attributes": {"OPEN_TRACKING": "NO"}},
            {"username": "cat@a.test", "active": 0, "custom_attributes": {"OPEN_TRACKING": "YES"}},
            {"username": "dan@a.test", "active": 1, "custom_attributes": []},
        ]));
        assert_eq!(tracked(&told), ["ann@a.test".to_owned()].into());
    }

    #[test]
    fn a_recreated_mailbox_begins_anew() {
        let now = at("2026-06-01 00:00:00");
        let before = compare(&answers(JANUARY, serde_json::json!([])), None, now);
        assert_eq!(before.mailboxes[0].since, at(JANUARY));
        let after = compare(&answers(MARCH, serde_json::json!([])), Some(&before), now);
        assert_eq!(after.mailboxes[0].since, at(MARCH));
        assert!(!after.mailboxes[1].active);
    }

    #[test]
    fn an_unknown_clock_is_replaced_by_the_last_known_one() {
        let now = at("2026-06-01 00:00:00");
        let blind = Answers { offset: None, ..answers(JANUARY, serde_json::json!([])) };
        let cautious = compare(&blind, None, now);
        assert_eq!(cautious.mailboxes[0].since, at("2026-01-01 12:00:00"));
        let exact = compare(&answers(JANUARY, serde_json::json!([])), Some(&cautious), now);
        assert_eq!(exact.mailboxes[0].since, at(JANUARY));
        assert_eq!(compare(&blind, Some(&exact), now).mailboxes[0].since, at(JANUARY));
    }
}
