//! Who has which role, as far as the settings say.

use std::collections::BTreeSet;

use super::kind::Kind;
use crate::model::user::Reach;

/// A mailbox, lower case, and which domains it sees all mails of.
pub type DomainAdmin = (String, Reach);

/// Addresses separated by commas.
pub const ADDRESSES: Kind<Vec<String>> =
    Kind { form: "addresses separated by commas", secret: false, parse: addresses };
/// Entries of mailbox and domains.
pub const DOMAIN_ADMINS: Kind<Vec<DomainAdmin>> = Kind {
    form: "entries as USER@DOMAIN:DOMAIN,DOMAIN or USER@DOMAIN=ADMIN",
    secret: false,
    parse: domain_admins,
};
/// What stands before the `@`.
pub const LOCAL_PART: Kind<String> =
    Kind { form: "the part of an address before the @", secret: false, parse: local_part };

fn addresses(text: &str) -> Result<Vec<String>, String> {
    text.split([',', ';', ' ', '\t', '\n'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(address)
        .collect()
}

fn domain_admins(text: &str) -> Result<Vec<DomainAdmin>, String> {
    let mut found: Vec<DomainAdmin> = Vec::new();
    for group in text.split(';') {
        let mut current: Option<DomainAdmin> = None;
        for item in group.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty()) {
            if item.contains('@') {
                found.extend(current.replace(start(item)?));
                continue;
            }
            match current.as_mut().map(|(_, reach)| reach) {
                Some(Reach::Domains(domains)) => {
                    domains.insert(domain(item)?);
                }
                Some(Reach::MailcowAdmin(name)) if name.is_empty() => *name = mailcow_admin(item)?,
                _ => {
                    return Err(format!(
                        "has {item:?} where an entry USER@DOMAIN: or USER@DOMAIN= must start"
                    ));
                }
            }
        }
        found.extend(current);
    }
    let empty = found.iter().find(|(_, reach)| match reach {
        Reach::Domains(domains) => domains.is_empty(),
        Reach::MailcowAdmin(name) => name.is_empty(),
    });
    match empty {
        Some((address, _)) => Err(format!("gives nothing to {address}")),
        None => Ok(found),
    }
}

/// The entry that starts with this item: `user@a.test:`, with the first domain or admin where one follows at once.
fn start(item: &str) -> Result<DomainAdmin, String> {
    let behind = item.find('@').unwrap_or_default();
    let sign = item.get(behind..).unwrap_or_default().find([':', '=']);
    let at = behind + sign.ok_or_else(|| format!("has {item:?} without : or ="))?;
    let (user, rest) = item.split_at(at);
    let (sign, rest) = rest.split_at(1);
    let reach = match (sign, rest) {
        (":", "") => Reach::Domains(BTreeSet::new()),
        (":", first) => Reach::Domains(BTreeSet::from([domain(first)?])),
        (_, "") => Reach::MailcowAdmin(String::new()),
        (_, name) => Reach::MailcowAdmin(mailcow_admin(name)?),
    };
    Ok((address(user)?, reach))
}

fn address(text: &str) -> Result<String, String> {
    let wrong = || format!("has {text:?}, which is no address");
    let (user, host) = text.split_once('@').ok_or_else(wrong)?;
    let user = local_part(user).map_err(|_| wrong())?;
    let host = domain(host).map_err(|_| wrong())?;
    Ok(format!("{user}@{host}"))
}

/// Narrower than RFC 5321 on purpose: no quoting, and none of the characters that are wildcards elsewhere.
fn local_part(text: &str) -> Result<String, String> {
    let sound =
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "!#$&'+-/=?^_`{|}~.".contains(c));
    sound.then(|| text.to_lowercase()).ok_or_else(|| "is no plain part before an @".to_owned())
}

/// A domain, lower case.
pub fn domain(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let sound = text.len() <= 253 && text.split('.').all(label);
    sound.then(|| text.to_lowercase()).ok_or_else(|| format!("has {text:?}, which is no domain"))
}

/// Mailcow allows letters, digits and `_ . -` in the names of its admins.
fn mailcow_admin(text: &str) -> Result<String, String> {
    let sound = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    sound.then(|| text.to_owned()).ok_or_else(|| format!("has {text:?}, which is no name of a Mailcow admin"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scope::normalise_address;

    fn named(address: &str, domains: &[&str]) -> DomainAdmin {
        let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
        (address.to_owned(), Reach::Domains(domains))
    }

    fn like(address: &str, admin: &str) -> DomainAdmin {
        (address.to_owned(), Reach::MailcowAdmin(admin.to_owned()))
    }

    #[test]
    fn admins_are_whole_addresses() {
        let found = addresses(" Ann@A.test , bob@b.test,").unwrap();
        assert_eq!(found, ["ann@a.test", "bob@b.test"]);
        // Roles are found by comparing with what the model makes of an address.
        assert!(found.iter().all(|a| normalise_address(a).as_ref() == Some(a)));
        for text in [
            "ann",
            "@a.test",
            "ann@",
            "*@a.test",
            "ann@*",
            "%@a.test",
            "a@b@c.test",
            "ann@a..test",
            "\"x\"@a.test",
        ] {
            assert!(addresses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn domain_admins_come_in_every_separation() {
        let expected = [named("ann@a.test", &["a.test", "b.test"]), like("bob@b.test", "alphaadmin")];
        for text in [
            "ann@a.test:a.test,b.test;bob@b.test=alphaadmin",
            "Ann@A.test: a.test, B.test ;\n bob@b.test= alphaadmin ;",
            "ann@a.test:a.test,b.test bob@b.test=alphaadmin",
            "ann@a.test:a.test,b.test,bob@b.test=alphaadmin",
            "ann@a.test:a.test,b.test\nbob@b.test=alphaadmin\n",
        ] {
            assert_eq!(domain_admins(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn an_unclear_domain_admin_is_a_fault() {
        for text in [
            "ann@a.test",
            "ann@a.test:",
            "ann@a.test=",
            "a.test",
            "ann@a.test:a.test;b.test",
            "bob@b.test=one,two",
            "ann@a.test:*",
            "ann@a.test:*.test",
            "ann:a.test",
            "ann@a.test=x y",
        ] {
            assert!(domain_admins(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_one_local_part() {
        assert_eq!(local_part("Postmaster").unwrap(), "postmaster");
        for text in ["", "post*", "a@b", "%", "a b"] {
            assert!(local_part(text).is_err(), "{text}");
        }
    }
}
