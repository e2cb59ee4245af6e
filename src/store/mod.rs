//! The only room with SQL. Functions that return people's data take a `&Scope` and cannot be called without.
//!
//! Reads take [`db::Db`], writes take [`db::Tx`], so every write is in a transaction. One SQL text serves both
//! engines; what differs is in `db` and in the migration folders.

pub mod audit;
pub mod db;
pub mod inventory;
pub mod links;
pub mod mails;
pub mod sessions;

pub use db::{Db, Error, Result, Tx};
