//! The only room with SQL. Functions that return people's data take a `&Scope` and cannot be called without.
//!
//! Reads take [`db::Db`], writes take [`db::Tx`], so every write is in a transaction. One SQL text serves both
//! engines; what differs is in `db` and in the migration folders.
//!
//! To add a table: a migration of the same name and number in both folders, and one file here.

mod answers;
pub mod audit;
pub mod backup;
pub mod checkup;
pub mod collector_posts;
pub mod correlation;
pub mod db;
pub mod dictionaries;
pub mod footprint;
#[cfg(test)]
pub(crate) mod fresh;
pub mod gathered;
pub mod ingestion;
pub mod inventory;
pub mod job_runs;
mod keys;
pub mod lease;
pub mod lines;
pub mod links;
pub mod lists;
pub mod mailbox_cursor;
pub mod mails;
pub mod names;
pub mod opens;
mod pack;
pub mod php_app;
pub mod public;
pub mod replies;
pub mod reports;
pub mod samples;
pub mod scans;
pub mod search;
pub mod sessions;
mod story;
mod texts;
pub mod tls_reports;
pub mod traffic;
pub mod unreadable;
mod verdict;

pub use db::{Db, Error, Result, Tx};
pub use story::{Claimed, Story};
