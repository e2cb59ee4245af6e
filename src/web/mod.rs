//! Everything a browser sees; the only room that knows HTTP status codes and askama.

pub mod assets;
pub mod format;
pub mod pages;
pub mod text;
