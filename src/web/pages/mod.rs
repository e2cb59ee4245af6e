//! One file per page.

pub mod entrance;
