//! What we measure: the registry of metrics, the sources that read them, and the collector that runs the sources.
//!
//! A metric is declared once, in `modules/`; keys, help, units, limits, documentation and what a source must tell
//! follow from there. A source is one file in `sources/` and one line in [`sources::SOURCES`].

pub mod collector;
pub mod collector_file;
pub mod exports;
pub mod facts;
pub mod health;
pub mod host;
pub mod modules;
pub mod reference;
pub mod registry;
pub mod samples;
pub mod sources;
pub mod summary;
pub mod uptime;
