//! The pages: view structs with everything that is printed, the templates that print them, and the pure steps
//! from the model to the view.

pub mod cause;
pub mod csv;
pub mod entrance;
pub mod find;
pub mod frame;
pub mod ingestion;
pub mod look;
pub mod mail;
pub mod mails;
pub mod paste;
pub mod plain;
pub mod proof;
pub mod query;
pub mod start;
mod story;
pub mod tracking;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
