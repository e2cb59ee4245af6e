//! The words of the domain: plain data and pure steps. No I/O, no async, no SQL.

pub mod advice;
pub mod announcement;
pub mod brand;
pub mod event;
pub mod explain;
pub mod figures;
pub mod filter;
pub mod finding;
pub mod flow;
pub mod fold;
pub mod history;
pub mod inventory;
pub mod mail;
pub mod open;
pub mod report;
pub mod sample;
pub mod scan;
pub mod scope;
pub mod setting;
pub mod time;
pub mod token;
pub mod traffic;
pub mod uptime;
pub mod user;
