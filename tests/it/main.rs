//! The integration tests: one binary, one module for each feature. `tests/run` gives them MariaDB and Chromium.

mod access;
mod auth;
mod browser;
mod counts;
mod house;
mod ingest;
mod kill;
mod opens;
mod remote;
mod rspamd;
mod scope;
mod search;
mod support;
