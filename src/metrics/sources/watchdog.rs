//! Mailcow's watchdog: the newest level of each service.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::watchdog as m, registry::Metric, samples::Samples},
    model::time::Millis,
    remote::{mailcow::Log, status::LogRow},
};

/// Rows asked for: some 25 services report at least every few minutes.
const ROWS: u32 = 1000;
const TEN_MINUTES: Duration = Duration::from_secs(600);
const SILENT: &str = "the watchdog said nothing of it in ten minutes";

/// The watchdog's names of services with a key.
static SERVICES: &[(&str, &Metric)] = &[
    ("Postfix", &m::POSTFIX),
    ("Dovecot", &m::DOVECOT),
    ("Rspamd", &m::RSPAMD),
    ("MySQL/MariaDB", &m::MYSQL),
    ("Nginx", &m::NGINX),
    ("SOGo", &m::SOGO),
    ("Redis", &m::REDIS),
    ("Unbound", &m::UNBOUND),
    ("PHP-FPM", &m::PHPFPM),
    ("Fail2ban", &m::FAIL2BAN),
    ("ACME", &m::ACME),
    ("Mail queue", &m::QUEUE),
    ("Olefy", &m::OLEFY),
    ("Dovecot replication", &m::REPLICATION),
    ("Ratelimit", &m::RATELIMIT),
];
/// What these say is that something happened, not how well a service is.
const EVENTS: [&str; 3] = ["Fail2ban", "Ratelimit", "ACME"];
/// These are silent where they are not used.
const OPTIONAL: [&str; 3] = ["SOGo", "Olefy", "Dovecot replication"];

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell(&reach.mailcow.log_rows(Log::Watchdog, ROWS).await?, reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

/// `rows` are newest first.
pub(super) fn tell(rows: &[LogRow], now: Millis, out: &mut Samples) {
    let mut levels: BTreeMap<&str, f64> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.service.is_empty()) {
        let recent = row.time.is_some_and(|at| now.since(Millis::from_secs(at as i64)) <= TEN_MINUTES);
        if let (true, Some(level)) = (recent, row.lvl) {
            levels.entry(&row.service).or_insert(level);
        }
    }
    for (service, metric) in SERVICES {
        match levels.get(service) {
            Some(level) => out.set(metric, *level),
            None if OPTIONAL.contains(service) && !levels.is_empty() => out.not_in_use(metric, SILENT),
            None => out.unknown(metric, SILENT),
        }
    }
    if levels.is_empty() {
        for metric in [&m::OVERALL, &m::UNHEALTHY, &m::DETAIL] {
            out.unknown(metric, SILENT);
        }
        return;
    }
    let health = || levels.iter().filter(|(service, _)| !EVENTS.contains(service));
    let ill: Vec<String> = health()
        .filter(|(_, level)| **level < 100.0)
        .map(|(service, level)| format!("{service}:{level}%"))
        .collect();
    out.set_or(&m::OVERALL, health().map(|(_, level)| *level).reduce(f64::min), SILENT);
    out.set(&m::UNHEALTHY, ill.len());
    out.set(&m::DETAIL, if ill.is_empty() { "-".to_owned() } else { ill.join(",") });
}
