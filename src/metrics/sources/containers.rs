//! Mailcow's containers: which run, since when, and which versions their images carry.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use serde_json::json;

use super::Reach;
use crate::{
    metrics::{
        collector::Outcome,
        modules::{clamav, docker, dovecot, postfix, rspamd, updates},
        registry::Metric,
        samples::Samples,
    },
    model::{sample::Labels, time::Millis},
    remote::status::Container,
};

const NO_CONTAINER: &str = "Mailcow has no such container";
const NO_VERSION: &str = "the tag of the image does not tell a version";

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let containers = reach.mailcow.containers().await?;
        tell(&containers, reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

/// Containers with a flag of their own.
const SERVICES: [(&Metric, &str); 4] = [
    (&postfix::PROCESS_RUNNING, "postfix-mailcow"),
    (&dovecot::RUNNING, "dovecot-mailcow"),
    (&rspamd::RUNNING, "rspamd-mailcow"),
    (&clamav::RUNNING, "clamd-mailcow"),
];

pub(super) fn tell(containers: &BTreeMap<String, Container>, now: Millis, out: &mut Samples) {
    let running = |name: &str| containers.get(name).map(|container| container.state == "running");
    for (metric, name) in SERVICES {
        match running(name) {
            // Mailcow can do without this one.
            None if name == "clamd-mailcow" => out.not_in_use(metric, NO_CONTAINER),
            running => out.set_or(metric, running, NO_CONTAINER),
        }
    }
    for (name, container) in containers {
        if SERVICES.iter().all(|(_, service)| service != name) {
            let labels = Labels::one("container", short(name));
            out.set_each(&docker::EACH_RUNNING, labels, container.state == "running");
        }
    }
    tell_version(out, &updates::CONTAINER_VERSION_POSTFIX, containers.get("postfix-mailcow"));
    tell_version(out, &updates::CONTAINER_VERSION_DOVECOT, containers.get("dovecot-mailcow"));
    tell_version(out, &dovecot::VERSION, containers.get("dovecot-mailcow"));
    out.set(&docker::TOTAL, containers.len());
    out.set(&docker::RUNNING, containers.values().filter(|container| container.state == "running").count());
    let list = containers.keys().map(|name| json!({"{#CONTAINER}": short(name), "{#CONTAINER_FULL}": name}));
    out.set(&docker::CONTAINERS, serde_json::Value::Array(list.collect()).to_string());
    for (name, container) in containers.iter().filter(|(_, container)| container.state == "running") {
        if let Ok(started) = container.started_at.parse::<jiff::Timestamp>() {
            let hours = now.since(Millis(started.as_millisecond())).as_secs() / 3600;
            out.set_each(&docker::EACH_UPTIME_H, Labels::one("container", short(name)), hours);
        }
    }
}

/// `postfix-mailcow` is `postfix`, exactly: `postfix-tlspol-mailcow` is another one.
fn short(name: &str) -> &str {
    name.strip_suffix("-mailcow").unwrap_or(name)
}

fn tell_version(out: &mut Samples, metric: &Metric, container: Option<&Container>) {
    match container {
        Some(container) => out.set_or(metric, version(&container.image), NO_VERSION),
        None => out.unknown(metric, NO_CONTAINER),
    }
}

/// The version in an image's tag (`…/postfix:3.10.12-1`): older tags carry Mailcow's own short number, `1.80`.
fn version(image: &str) -> Option<&str> {
    let (_, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    let upstream = tag.split('-').next().unwrap_or(tag);
    (upstream.split('.').count() >= 3 && upstream.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .then_some(upstream)
}
