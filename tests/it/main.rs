//! The integration tests: one binary, one module for each feature. `tests/run` gives them MariaDB and Chromium.

mod access;
mod auth;
mod backup;
mod browser;
mod counts;
mod dns;
mod doctor;
mod exports;
mod flow;
mod house;
mod ingest;
mod kill;
mod nginx;
mod odd_text;
mod opens;
mod php_app;
mod remote;
mod report_scope;
mod reports;
mod rspamd;
mod scope;
mod search;
mod setup;
mod support;
mod upgrade;
mod system;
