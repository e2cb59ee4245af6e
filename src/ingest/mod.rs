//! Logs and reports coming in.

pub mod inventory;
