//! mailcow-status: what became of each mail, for every user, domain admin and admin of a Mailcow server.
//!
//! One package, one binary, a few rooms. Imports point down only (a test in `tests/` holds this):
//!
//! | level | rooms | may import |
//! |---|---|---|
//! | 5 | `main`, [`commands`], [`app`], [`config`], [`demo`] | everything |
//! | 4 | [`web`] | 0 to 3 |
//! | 2 | [`ingest`], [`metrics`] | 0 and 1 |
//! | 1 | [`parse`], [`store`], [`remote`], [`work`] | `model` |
//! | 0 | [`model`] | nothing of ours |
//!
//! Log lines come in through `remote`, become events in `parse`, mails in `ingest`, rows in `store`, and
//! pages in `web`. Every function of `store` that returns people's data takes a [`model::scope::Scope`].

#![deny(missing_docs)]

pub mod app;
pub mod commands;
pub mod config;
pub mod demo;
pub mod ingest;
pub mod metrics;
pub mod model;
pub mod parse;
pub mod remote;
pub mod store;
pub mod web;
pub mod work;
