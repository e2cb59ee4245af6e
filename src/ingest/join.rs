//! Whether a row of Rspamd's history belongs to a mail. Never mixes owners: sender, login and recipients must
//! agree wherever both sides know them.

use std::{collections::BTreeSet, time::Duration};

use crate::model::{
    mail::{Entrance, Mail},
    scan::Scan,
    scope::{normalise_address, untagged},
    time::Millis,
};

/// A scan begins when the mail's last byte has come in, which may be before or after the message-id line.
const BEFORE: Duration = Duration::from_secs(30);
const AFTER: Duration = Duration::from_secs(600);
/// Mails and scans further apart have nothing to do with each other, though they may have the same message id.
pub const NEAR: Duration = Duration::from_secs(3600);
/// How far back mails are looked for that may have to do with a scan or a mail: those near those near it, and so on.
pub const REACH: Duration = Duration::from_secs(24 * 3600);

/// How well a pair fits; less is better: recipients not shared, distance in time, difference in size.
pub type Fit = (usize, u64, u64);

/// `None` when the scan cannot belong to the mail. `alone` says that there is just one scan and one mail with the message id
/// [`NEAR`] the mail; then a mail without known recipients may have it, too.
pub fn fit(mail: &Mail, scan: &Scan, alone: bool) -> Option<Fit> {
    if matches!(mail.entrance, Some(Entrance::System | Entrance::Release | Entrance::BccCopy)) {
        return None;
    }
    let near = scan.at.plus(BEFORE) >= mail.first_seen && scan.at <= mail.first_seen.plus(AFTER);
    let same_login = plain(mail.login.as_deref()) == plain(scan.user.as_deref());
    let same_sender =
        mail.sender.as_deref().is_none_or(|sender| plain(Some(sender)) == plain(Some(&scan.sender)));
    let same_ip = match (&mail.client_ip, &scan.ip) {
        (Some(ours), Some(theirs)) => mail.login.is_some() || ours == theirs,
        _ => true,
    };
    if !(near && same_login && same_sender && same_ip) {
        return None;
    }
    let theirs: BTreeSet<String> = scan.rcpts.iter().filter_map(|rcpt| plain(Some(rcpt))).collect();
    let mut shared = BTreeSet::new();
    let mut named = false;
    for row in &mail.recipients {
        named = true;
        let first = row.orig_to.as_deref().unwrap_or(&row.address);
        for address in [first, &row.address] {
            shared.extend(plain(Some(address)).filter(|address| theirs.contains(address)));
        }
    }
    if shared.is_empty() && (named || !alone) {
        return None;
    }
    let size = mail.size.unwrap_or(scan.size).abs_diff(scan.size);
    Some((theirs.len() - shared.len(), distance(scan.at, mail.first_seen), size))
}

fn plain(address: Option<&str>) -> Option<String> {
    normalise_address(address?).map(|address| untagged(&address).into_owned())
}

fn distance(a: Millis, b: Millis) -> u64 {
    a.0.abs_diff(b.0)
}
