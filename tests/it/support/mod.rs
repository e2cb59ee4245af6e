//! What several tests need.

pub mod browser;
pub mod crawl;
pub mod db;
pub mod imap;
pub mod portal;
pub mod reports;
pub mod rig;
