//! How reports are stored.
