//! Stub.

pub mod explain;
