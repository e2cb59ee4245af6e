//! The pages: view structs with everything that is printed, the templates that print them, and the pure steps
//! from the model to the view.

pub mod about;
pub mod access;
pub mod bars;
pub mod cause;
pub mod csv;
pub mod dmarc;
pub mod doctor;
pub mod entrance;
pub mod find;
pub mod frame;
pub mod ingestion;
pub mod jobs;
pub mod known;
pub mod look;
pub mod mail;
pub mod mails;
mod operation;
pub mod own_access;
pub mod paste;
pub mod plain;
pub mod proof;
pub mod public;
pub mod query;
pub mod report;
pub mod reports;
pub mod roles;
pub mod settings;
pub mod source;
pub mod sources;
pub mod start;
mod story;
pub mod system;
pub mod tls;
pub mod tls_now;
pub mod tls_report;
pub mod tracking;
pub mod traffic;
pub mod unreadable;
pub mod upload;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
