//! Everything that a browser sees: the only room that knows HTTP status codes and templates.
//!
//! To add a page: a file in `pages/`, a template, and one line in [`router::PAGES`].

mod access;
pub mod assets;
mod brand;
mod bring;
pub mod client;
pub mod collector;
pub mod cron;
mod desk;
pub mod doctor;
pub mod errors;
pub mod exports;
pub mod format;
pub mod health;
pub mod limits;
pub mod login;
pub mod looks;
mod network;
mod operation;
pub mod pages;
pub mod preferences;
pub mod public;
mod replies;
mod reports;
pub mod router;
pub mod security;
pub mod session;
pub mod state;
mod system;
pub mod text;
mod tls;
mod tracking;
mod traffic;
mod uptime;
mod visit;
pub mod visitor;
pub mod visits;
