//! Everything that a browser sees: the only room that knows HTTP status codes and templates.
//!
//! To add a page: a file in `pages/`, a template, and one line in [`router::PAGES`].

pub mod assets;
mod brand;
mod bring;
pub mod cron;
mod desk;
pub mod doctor;
pub mod errors;
pub mod exports;
pub mod format;
pub mod health;
pub mod login;
mod operation;
pub mod pages;
pub mod preferences;
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
mod visit;
pub mod visitor;
