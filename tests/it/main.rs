//! The integration tests: one binary, one module for each feature. `tests/run` gives them MariaDB and Chromium.

mod access;
mod auth;
mod browser;
mod counts;
mod dns;
mod house;
mod ingest;
mod kill;
mod odd_text;
mod opens;
mod probes;
mod remote;
mod report_scope;
mod reports;
mod rspamd;
mod scope;
mod search;
mod support;
