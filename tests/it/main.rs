//! The integration tests: one binary, one module for each feature. `tests/run` gives them MariaDB and Chromium.

mod access;
mod auth;
mod house;
mod remote;
mod search;
mod support;
