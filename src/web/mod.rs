//! Stub.

pub mod format;
pub mod text;
