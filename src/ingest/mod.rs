//! Logs coming in: polled or imported, correlated into mails, and written in one transaction.

pub mod anchor;
pub mod correlate;
pub mod import;
pub mod inventory;
mod join;
pub mod opens;
pub mod poll;
pub mod quarantine;
pub mod sessions;
mod shapes;
