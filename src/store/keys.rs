//! The keys under which mails are found: 32-bit hashes in narrow tables (`gathered`). A hash narrows; what it finds is
//! compared exactly (by `Scope` and `Filter`) before it is shown or counted, so a collision costs time, never privacy. Only the
//! hours of a domain are counted by its key alone (`mails::hours`): nobody but an admin makes domains.

use std::collections::BTreeMap;

use crate::model::{
    mail::{Direction, Mail, Status},
    scope::{domain_of, is_written_by, normalise_address, untagged},
};

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A normalised address without tag.
    Address = 1,
    /// A normalised domain.
    Domain = 2,
    /// A queue id.
    Queue = 3,
    /// A message id without angle brackets.
    Message = 4,
}

/// The key of a name.
pub fn key(kind: Kind, name: &str) -> i32 {
    (twox_hash::XxHash3_64::oneshot_with_seed(kind as u64, name.as_bytes()) >> 32) as u32 as i32
}

/// The key of an address as it may be written: case and tag do not matter.
pub fn address_key(address: &str) -> Option<i32> {
    normalise_address(address).map(|address| key(Kind::Address, &untagged(&address)))
}

/// Status and direction in one byte, so that lists narrow by both inside the index.
pub fn state(status: Status, direction: Direction) -> u8 {
    status as u8 | (direction as u8) << 4
}

/// Added to the state under an address by which the mail can be found, but whose holder does not see it, or sees less of it
/// than the state tells: it only stands before aliases, or is that of a sender who did not write the mail.
pub const FOUND_ONLY: u8 = 64;

/// All keys of a mail with the state that the key's owner sees.
pub fn keys_of(mail: &Mail) -> BTreeMap<i32, u8> {
    let mut keys: BTreeMap<i32, Status> = BTreeMap::new();
    let mut add = |key: i32, status: Status| {
        keys.entry(key).and_modify(|known| *known = status.max(*known)).or_insert(status);
    };
    if let Some(id) = &mail.queue_id {
        add(key(Kind::Queue, id), Status::Sent);
    }
    if let Some(id) = &mail.message_id {
        add(key(Kind::Message, id), Status::Sent);
    }
    let mut add_domain = |address: &str, status: Status| {
        if let Some(address) = normalise_address(address)
            && let Some(domain) = domain_of(&address)
        {
            add(key(Kind::Domain, domain), status);
        }
    };
    for sender in mail.sender.iter().chain(&mail.login) {
        add_domain(sender, mail.status);
    }
    for row in &mail.recipients {
        for address in [Some(&row.address), row.orig_to.as_ref()].into_iter().flatten() {
            add_domain(address, row.status);
        }
    }
    let writer = mail.sender.iter().filter(|sender| is_written_by(mail, sender));
    let senders = writer.chain(&mail.login).map(|sender| (sender, mail.status));
    let finals = mail.recipients.iter().map(|row| (&row.address, row.status));
    for (address, status) in senders.chain(finals) {
        if let Some(key) = address_key(address) {
            add(key, status);
        }
    }
    let mut states: BTreeMap<i32, u8> =
        keys.into_iter().map(|(key, status)| (key, state(status, mail.direction))).collect();
    let aliases = mail.recipients.iter().filter_map(|row| Some((row.orig_to.as_ref()?, row.status)));
    let sender = mail.sender.iter().map(|sender| (sender, mail.status));
    for (address, status) in aliases.chain(sender) {
        if let Some(key) = address_key(address) {
            states.entry(key).or_insert(state(status, mail.direction) | FOUND_ONLY);
        }
    }
    states
}
