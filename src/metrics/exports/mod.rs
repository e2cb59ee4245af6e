//! What other systems read of us: Prometheus text, one JSON object, and the templates for Zabbix and Grafana that
//! follow from the registry.

use super::{modules, registry::Metric};
use crate::{
    model::{
        mail::ServerId,
        sample::{Labels, State},
        scope::Scope,
        time::Millis,
    },
    store::{
        self, Db,
        samples::{Latest, Which, latest},
    },
};

pub mod grafana;
pub mod json;
pub mod prometheus;
pub mod zabbix;

/// Said of a series whose source should have told it again long ago.
pub const SILENT: &str = "its source is silent";

/// Every series at present, for those who see everything.
pub async fn present(db: &Db, server: ServerId, now: Millis) -> store::Result<Vec<Latest>> {
    latest(db, &Scope::All, server, Which::All, now).await
}

/// What can be said of a series now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told<'a> {
    /// A value.
    Value(&'a State),
    /// None, though there should be one; why.
    Unknown(&'a str),
    /// None, because something was not granted or is not there; how to grant it.
    NotInUse(&'a str),
}

/// What can be said of a series now: what its source told long ago is not known any more.
pub fn told(series: &Latest) -> Told<'_> {
    match &series.state {
        State::Unknown(why) => Told::Unknown(why),
        State::NotInUse(how) => Told::NotInUse(how),
        _ if !series.fresh => Told::Unknown(SILENT),
        state => Told::Value(state),
    }
}

/// The key without the macro of a discovered one.
pub(super) fn base(metric: &Metric) -> &'static str {
    metric.key.split_once('[').map_or(metric.key, |(base, _)| base)
}

/// The macros of a discovered key, as `{#CONTAINER}` or `{#DOMAIN},{#CHECK}`.
pub(super) fn discovered(metric: &Metric) -> Option<&'static str> {
    metric.key.split_once('[')?.1.strip_suffix(']')
}

/// The macros of such a list one by one.
pub(super) fn macros(discovered: &str) -> impl Iterator<Item = &str> {
    discovered.split(',')
}

/// What stands in the places of the macros, in their order: they name the first labels. Further labels do not tell
/// series apart.
pub(super) fn things<'a>(metric: &Metric, labels: &'a Labels) -> Vec<&'a str> {
    let count = discovered(metric).map_or(0, |list| macros(list).count());
    labels.iter().take(count).map(|(_, thing)| thing).collect()
}

/// The key with the things in the places of the macros.
pub fn instance(metric: &Metric, labels: &Labels) -> String {
    match things(metric, labels).as_slice() {
        [] => metric.key.to_owned(),
        things => format!("{}[{}]", base(metric), things.join(",")),
    }
}

/// Lists of macros with the metrics that are discovered by each, in the order of the pages.
pub(super) fn discoveries() -> Vec<(&'static str, Vec<&'static Metric>)> {
    let mut found: Vec<(&'static str, Vec<&'static Metric>)> = Vec::new();
    for metric in modules::all() {
        let Some(name) = discovered(metric) else { continue };
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, metrics)) => metrics.push(metric),
            None => found.push((name, vec![metric])),
        }
    }
    found
}

/// The help of a metric on one line, without the full stop.
pub(super) fn title(metric: &Metric) -> String {
    let words = metric.help.split_whitespace().collect::<Vec<_>>().join(" ");
    words.trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(crate) mod samples {
    //! Series for the tests of the exports.

    use super::*;

    /// Whether a file of the repository is what the code says; writes it when the environment asks for it.
    pub(crate) fn same_as_file(path: &str, text: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("MAILCOW_STATUS_WRITE").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "stale: run the tests once with MAILCOW_STATUS_WRITE=1");
    }

    /// A fresh series.
    pub(crate) fn series(metric: &Metric, labels: Labels, state: impl Into<State>) -> Latest {
        Latest {
            metric: metric.key.to_owned(),
            labels,
            state: state.into(),
            since: Millis(1_795_200_000_000),
            source: "test".to_owned(),
            told: Millis(1_795_200_060_000),
            fresh: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::modules::{docker, security, sync_jobs},
        samples::series,
        *,
    };

    #[test]
    fn what_was_told_long_ago_is_not_known() {
        let mut running = series(&docker::RUNNING, Labels::NONE, 3_u32);
        assert_eq!(told(&running), Told::Value(&State::Number(3.0)));
        running.fresh = false;
        assert_eq!(told(&running), Told::Unknown(SILENT));
        running.state = State::NotInUse("set it".to_owned());
        assert_eq!(told(&running), Told::NotInUse("set it"));
    }

    #[test]
    fn one_macro_names_one_kind_of_thing() {
        for (name, metrics) in discoveries() {
            let count = macros(name).count();
            let labels = &metrics[0].labels[..count];
            assert!(metrics.iter().all(|metric| &metric.labels[..count] == labels), "{name}");
        }
    }

    #[test]
    fn a_key_names_all_that_tells_its_series_apart() {
        let check = Labels::one("domain", "a.test").with("check", "DKIM");
        assert_eq!(instance(&security::EACH_CHECK, &check), "portal.dns.check[a.test,DKIM]");
        let job = Labels::one("job", "7").with("mailbox", "ann@a.test");
        assert_eq!(instance(&sync_jobs::EACH_SYNCJOB_ACTIVE, &job), "mailcow.syncjob.active[7]");
        let container = Labels::one("container", "dovecot");
        assert_eq!(instance(&docker::EACH_CPU, &container), "mailcow.docker.cpu[dovecot]");
        assert_eq!(instance(&docker::RUNNING, &Labels::NONE), docker::RUNNING.key);
    }
}
