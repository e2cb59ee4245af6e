//! What several tests need.

pub mod browser;
pub mod db;
pub mod imap;
pub mod portal;
pub mod rig;
