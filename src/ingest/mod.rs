//! Logs coming in: polled or imported, correlated into mails, and written in one transaction. Reports coming in: from
//! mailboxes or by hand.

pub mod anchor;
pub mod correlate;
pub mod fetch;
pub mod import;
pub mod inventory;
mod join;
pub mod names;
pub mod opens;
pub mod poll;
pub mod quarantine;
pub mod reports;
pub mod sessions;
mod shapes;
pub mod trust;
