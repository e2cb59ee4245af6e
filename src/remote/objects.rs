//! What Mailcow tells about mailboxes, domains, aliases and domain admins: only the fields that we use, read
//! with patience (numbers as text, `null`, absent fields, `{}` for an empty list).

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::model::time::Millis;

/// A mailbox.
#[derive(Debug, Clone, Deserialize)]
pub struct Mailbox {
    /// The address.
    pub username: String,
    /// Display name, may be empty.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// 1 active, 0 off, 2 receives but nobody can log in.
    #[serde(default, deserialize_with = "number")]
    pub active: i64,
    /// When it was made, server time without zone. Another value at the same address is another mailbox.
    #[serde(default, deserialize_with = "text")]
    pub created: String,
    /// What its admins wrote beside it, by name; an empty map may come as a list.
    #[serde(default, deserialize_with = "attributes")]
    pub custom_attributes: BTreeMap<String, String>,
    /// Unix seconds of the last login by IMAP, 0 for never; `None` where Mailcow does not tell it.
    #[serde(default, deserialize_with = "told")]
    pub last_imap_login: Option<i64>,
    /// The same by SMTP.
    #[serde(default, deserialize_with = "told")]
    pub last_smtp_login: Option<i64>,
    /// The same by POP3.
    #[serde(default, deserialize_with = "told")]
    pub last_pop3_login: Option<i64>,
    /// The same by single sign-on.
    #[serde(default, deserialize_with = "told")]
    pub last_sso_login: Option<i64>,
}

/// A mail that Mailcow keeps in quarantine; one entry per final mailbox.
#[derive(Debug, Clone, Deserialize)]
pub struct Quarantined {
    /// Postfix queue id.
    #[serde(default, deserialize_with = "text")]
    pub qid: String,
    /// When it was put there, Unix seconds.
    #[serde(default, deserialize_with = "number")]
    pub created: i64,
}

/// A mail domain.
#[derive(Debug, Clone, Deserialize)]
pub struct Domain {
    /// The name.
    pub domain_name: String,
    /// 1 when in use.
    #[serde(default, deserialize_with = "number")]
    pub active: i64,
}

/// An alias.
#[derive(Debug, Clone, Deserialize)]
pub struct Alias {
    /// The address; `@domain` catches all.
    #[serde(default, deserialize_with = "text")]
    pub address: String,
    /// Where it leads to, separated by commas.
    #[serde(default, deserialize_with = "text")]
    pub goto: String,
    /// 1 when in use.
    #[serde(default, deserialize_with = "number")]
    pub active: i64,
    /// 1 when it catches all.
    #[serde(default, deserialize_with = "number")]
    pub is_catch_all: i64,
    /// When it was made, server time without zone.
    #[serde(default, deserialize_with = "text")]
    pub created: String,
    /// When it was last changed, or empty.
    #[serde(default, deserialize_with = "text")]
    pub modified: String,
}

/// A domain whose every address stands for the same one of another domain.
#[derive(Debug, Clone, Deserialize)]
pub struct AliasDomain {
    /// The further name.
    #[serde(default, deserialize_with = "text")]
    pub alias_domain: String,
    /// The domain behind it.
    #[serde(default, deserialize_with = "text")]
    pub target_domain: String,
    /// 1 when in use.
    #[serde(default, deserialize_with = "number")]
    pub active: i64,
    /// When it was made, server time without zone.
    #[serde(default, deserialize_with = "text")]
    pub created: String,
    /// When it was last changed, or empty.
    #[serde(default, deserialize_with = "text")]
    pub modified: String,
}

/// A Mailcow domain admin. The name is no address and unrelated to mailboxes.
#[derive(Debug, Clone, Deserialize)]
pub struct DomainAdmin {
    /// The name.
    pub username: String,
    /// 1 when in use.
    #[serde(default, deserialize_with = "number")]
    pub active: i64,
    /// The administered domains.
    #[serde(default, deserialize_with = "texts")]
    pub selected_domains: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Version {
    #[serde(deserialize_with = "text")]
    pub(super) version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct HostTime {
    #[serde(default, deserialize_with = "text")]
    system_time: String,
}

impl HostTime {
    /// Minutes that the wall clock is ahead of UTC; `None` when it cannot be read or is beyond any zone.
    pub(super) fn offset_minutes(&self, now: Millis) -> Option<i32> {
        let local = DateTime::strptime("%d.%m.%Y %H:%M:%S", self.system_time.trim()).ok()?;
        let local = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
        let quarters = (local - now.secs() + 450).div_euclid(900);
        let minutes = i32::try_from(quarters).ok()?.checked_mul(15)?;
        (-12 * 60..=14 * 60).contains(&minutes).then_some(minutes)
    }
}

/// A list. `{}` and `null` are empty ones; rows that are `null` or have no usable key are left out.
pub(super) fn rows<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, String> {
    if matches!(body.trim_ascii(), b"{}" | b"null") {
        return Ok(Vec::new());
    }
    let rows: Vec<serde_json::Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(rows.into_iter().filter_map(|row| serde_json::from_value(row).ok()).collect())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(i64),
    Float(f64),
    Text(String),
    Flag(bool),
    Other(serde::de::IgnoredAny),
}

fn number<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    Ok(match Loose::deserialize(source)? {
        Loose::Number(number) => number,
        Loose::Text(text) => text.trim().parse().unwrap_or(0),
        Loose::Flag(flag) => i64::from(flag),
        Loose::Float(_) | Loose::Other(_) => 0,
    })
}

/// A number that may not be told at all.
fn told<'de, D: Deserializer<'de>>(source: D) -> Result<Option<i64>, D::Error> {
    Ok(match Loose::deserialize(source)? {
        Loose::Number(number) => Some(number),
        Loose::Text(text) => text.trim().parse().ok(),
        Loose::Flag(_) | Loose::Float(_) | Loose::Other(_) => None,
    })
}

fn text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    Ok(match Loose::deserialize(source)? {
        Loose::Text(text) => text,
        Loose::Number(number) => number.to_string(),
        Loose::Float(number) => number.to_string(),
        Loose::Flag(_) | Loose::Other(_) => String::new(),
    })
}

fn attributes<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Map {
        Values(BTreeMap<String, serde_json::Value>),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Map::deserialize(source)? {
        Map::Values(values) => {
            values.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
        }
        Map::Other(_) => BTreeMap::new(),
    })
}

fn texts<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        Texts(Vec<Option<String>>),
        Other(serde::de::IgnoredAny),
    }
    Ok(match List::deserialize(source)? {
        List::Texts(texts) => texts.into_iter().flatten().collect(),
        List::Other(_) => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_forms_are_read_with_patience() {
        let body = br#"[null, {"username":"a@x.test","active":"1","created":null},
            {"username":"b@x.test","active":2,"name":7}, {"active":1}, [], 5]"#;
        let mailboxes: Vec<Mailbox> = rows(body).unwrap();
        assert_eq!(mailboxes.len(), 2);
        assert_eq!((mailboxes[0].active, mailboxes[0].created.as_str()), (1, ""));
        assert_eq!((mailboxes[1].active, mailboxes[1].name.as_str()), (2, "7"));
        for empty in ["{}", "[]", "null", " {} "] {
            assert!(rows::<Mailbox>(empty.as_bytes()).unwrap().is_empty(), "{empty}");
        }
        for broken in ["[{", "{\"a\":1}", "5", "[{\"username\":\"a@x.test\"}"] {
            assert!(rows::<Mailbox>(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn attributes_are_a_map_or_nothing() {
        let body = br#"[{"username":"a@x.test","custom_attributes":{"OPEN_TRACKING":"YES","n":1}},
            {"username":"b@x.test","custom_attributes":[]}, {"username":"c@x.test","custom_attributes":null},
            {"username":"d@x.test","custom_attributes":"{}"}]"#;
        let mailboxes: Vec<Mailbox> = rows(body).unwrap();
        assert_eq!(mailboxes.len(), 4);
        assert_eq!(mailboxes[0].custom_attributes["OPEN_TRACKING"], "YES");
        assert!(mailboxes.iter().skip(1).all(|mailbox| mailbox.custom_attributes.is_empty()));
    }

    #[test]
    fn an_unreadable_activity_is_inactive() {
        let body = br#"[{"username":"a@x.test","active":null},{"username":"b@x.test"},{"username":"c@x.test","active":"yes"}]"#;
        assert!(rows::<Mailbox>(body).unwrap().iter().all(|mailbox| mailbox.active == 0));
    }

    #[test]
    fn the_offset_comes_from_the_wall_clock() {
        let now = Millis::from_secs(1_795_198_224);
        let at = |text: &str| HostTime { system_time: text.to_owned() }.offset_minutes(now);
        let utc = now.in_zone(&jiff::tz::TimeZone::UTC);
        let ahead = |minutes: i64| {
            let moved = utc.checked_add(jiff::Span::new().minutes(minutes)).unwrap();
            at(&moved.strftime("%d.%m.%Y %H:%M:%S").to_string())
        };
        assert_eq!(ahead(0), Some(0));
        assert_eq!(ahead(63), Some(60));
        assert_eq!(ahead(-182), Some(-180));
        assert_eq!(ahead(345), Some(345));
        assert_eq!(ahead(2000), None);
        assert_eq!(at("soon"), None);
    }
}
