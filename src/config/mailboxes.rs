//! The mailboxes that reports come to: `IMAP_…` for the first, `IMAP_2_…` to `IMAP_9_…` for more.

use std::{net::IpAddr, time::Duration};

use url::Url;

use super::{
    kind::{self, Kind},
    reader::Reader,
    settings as s,
};
use crate::{
    ingest::fetch::{After, Mailbox},
    model::scope::normalise_domain,
    remote::imap::{Account, Security},
};

/// How a connection is encrypted.
pub const SECURITY: Kind<Security> = Kind {
    form: "tls, starttls or plain",
    secret: false,
    parse: |text| {
        let words = [("tls", Security::Tls), ("starttls", Security::StartTls), ("plain", Security::Plain)];
        kind::one_of(text, &words)
    },
};
/// Folders of a mailbox.
pub const FOLDERS: Kind<Vec<String>> =
    Kind { form: "folder names separated by commas", secret: false, parse: folders };
/// What becomes of a mail.
pub const AFTER: Kind<After> =
    Kind { form: "keep, delete, or move: and the name of a folder", secret: false, parse: after };
/// Names of hosts.
pub const HOSTS: Kind<Vec<String>> =
    Kind { form: "host names separated by commas", secret: false, parse: hosts };
/// One host.
pub const HOST: Kind<String> = Kind { form: "a host name or an IP address", secret: false, parse: host };

/// Where reports come from.
#[derive(Debug, Clone)]
pub struct ReportSettings {
    /// The mailboxes; none means that no reports are fetched.
    pub mailboxes: Vec<Mailbox>,
    /// Pause between two looks into them.
    pub interval: Duration,
}

impl ReportSettings {
    pub(super) fn take(reader: &mut Reader, mailcow: Option<&Url>) -> Option<Self> {
        let mailcow = mailcow.and_then(Url::host_str);
        let mut mailboxes: Vec<Mailbox> =
            (1..=9).filter_map(|number| mailbox(reader, number, mailcow)).collect();
        let interval = reader.take(&s::REPORT_INTERVAL);
        let authserv = reader.take(&s::REPORT_AUTHSERV);
        for mailbox in &mut mailboxes {
            mailbox.authserv = match &authserv {
                Some(names) => names.clone(),
                None => authserv_of(&mailbox.account.host, mailcow).into_iter().collect(),
            };
        }
        Some(Self { mailboxes, interval: interval? })
    }
}

/// The name under which the server of a mailbox writes Authentication-Results, as far as settings tell: that of the host.
/// What is no name of the Internet's, as `dovecot` or an address, is another way to the Mailcow; and names that anybody
/// could write, as `localhost`, say nothing.
fn authserv_of(host: &str, mailcow: Option<&str>) -> Option<String> {
    let is_name = |host: &&str| host.contains('.') && host.parse::<IpAddr>().is_err();
    Some(host).filter(is_name).or(mailcow).filter(is_name).and_then(normalise_domain)
}

/// The mailbox of this number, when it is set. Every setting is taken in any case, so that all faults are told.
fn mailbox(reader: &mut Reader, number: u8, mailcow: Option<&str>) -> Option<Mailbox> {
    let (host, user) = (reader.take_nth(&s::IMAP_HOST, number), reader.take_nth(&s::IMAP_USER, number));
    let port = reader.take_nth(&s::IMAP_PORT, number);
    let password = reader.take_nth(&s::IMAP_PASS, number);
    let security = reader.take_nth(&s::IMAP_TLS, number);
    let folders = reader.take_nth(&s::IMAP_FOLDER, number);
    let after = reader.take_nth(&s::IMAP_AFTER, number);
    let roots_pem = reader.take_nth(&s::IMAP_CA, number);
    if !reader.has_nth(&s::IMAP_HOST, number) && !reader.has_nth(&s::IMAP_USER, number) {
        return None;
    }
    for (entry, given) in [
        (&s::IMAP_USER.entry, reader.has_nth(&s::IMAP_USER, number)),
        (&s::IMAP_PASS.entry, reader.has_nth(&s::IMAP_PASS, number)),
    ] {
        if !given {
            let (name, host) = (entry.nth_name(number), s::IMAP_HOST.entry.nth_name(number));
            let remedy = format!("A mailbox needs both IMAP_USER and IMAP_PASS; or leave {host} out, too.");
            reader.fault(&name, "is not set, but the mailbox of reports is", remedy);
        }
    }
    let (security, folders, after) = (security?, folders?, after?);
    if let After::Move(target) = &after
        && folders.iter().any(|folder| same_folder(folder, target))
    {
        let wrong = format!("moves to {target:?}, which is read itself");
        reader.fault(&s::IMAP_AFTER.entry.nth_name(number), wrong, "Name another folder.");
    }
    let account = Account {
        host: host.or_else(|| mailcow.map(str::to_owned))?,
        port: port.unwrap_or(security.port()),
        security,
        user: user?,
        password: password?,
        roots_pem,
    };
    Some(Mailbox { account, folders, after, authserv: Vec::new() })
}

fn folders(text: &str) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = Vec::new();
    for folder in text.split(',').map(str::trim).filter(|folder| !folder.is_empty()) {
        let folder = kind::one_line(folder)?;
        if !found.iter().any(|known| same_folder(known, &folder)) {
            found.push(folder);
        }
    }
    if found.is_empty() { Err("names no folder".to_owned()) } else { Ok(found) }
}

/// Whether two names mean one folder: INBOX, and only that, is the same in any case (RFC 9051, 5.1).
fn same_folder(one: &str, other: &str) -> bool {
    let is_inbox = |name: &str| name.eq_ignore_ascii_case("INBOX");
    one == other || is_inbox(one) && is_inbox(other)
}

fn after(text: &str) -> Result<After, String> {
    match text.split_once(':').map(|(word, folder)| (word.trim(), folder.trim())) {
        None if text.eq_ignore_ascii_case("keep") => Ok(After::Keep),
        None if text.eq_ignore_ascii_case("delete") => Ok(After::Delete),
        Some((word, folder)) if word.eq_ignore_ascii_case("move") && !folder.is_empty() => {
            kind::one_line(folder).map(After::Move)
        }
        _ => Err("is not among the known words".to_owned()),
    }
}

fn hosts(text: &str) -> Result<Vec<String>, String> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    words.map(|word| host(word).map_err(|_| format!("has {word:?}, which is no host name"))).collect()
}

fn host(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain = !text.is_empty() && text.chars().all(sound);
    // A name in one word, as of a container, is none of the Internet's and stays as it is.
    let name = normalise_domain(text).or_else(|| Some(text.to_ascii_lowercase()));
    name.filter(|_| plain).ok_or_else(|| "is no host name".to_owned())
}
