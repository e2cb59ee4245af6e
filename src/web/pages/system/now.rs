//! What the host does at present: each core, each disk, and the programs that need most.

use super::{overview::Meter, words};
use crate::{
    metrics::{
        health::{Health, Value},
        modules::{self, host},
        registry::{Metric, Module},
    },
    model::sample::State,
    web::pages::frame::Frame,
};

/// Meters that belong together.
pub struct Group {
    /// What they are of.
    pub title: &'static str,
    /// The meters.
    pub meters: Vec<Meter>,
}

/// The texts of the host collector that list programs with their shares: `clamd:14.8%,rspamd:5.2%`.
const PROGRAMS: [(&str, &str); 2] =
    [("host.processes.top.cpu", "top-cpu"), ("host.processes.top.memory", "top-memory")];

/// The groups, on the host's page; those of which nothing is known at present are left out.
pub fn groups(frame: &Frame, health: Option<&Health<'_>>) -> Vec<Group> {
    let Some(health) = health.filter(|health| health.module == Module::Host) else { return Vec::new() };
    let title = |code: &str| frame.lang().t_in("now_group", code);
    let shares = [(&host::EACH_CORE, "cores"), (&host::EACH_DISK_USED, "disks")];
    let shares = shares.into_iter().map(|(metric, code)| Group {
        title: title(code),
        meters: series(health, metric).filter_map(|value| share(frame, value)).collect(),
    });
    let programs = PROGRAMS.into_iter().filter_map(|(key, code)| {
        let metric = modules::by_key(key)?;
        let value = series(health, metric).next()?;
        let latest = value.latest.filter(|latest| latest.fresh)?;
        let State::Text(text) = &latest.state else { return None };
        Some(Group { title: title(code), meters: listed(text) })
    });
    shares.chain(programs).filter(|group| !group.meters.is_empty()).collect()
}

fn series<'a, 'b>(health: &'b Health<'a>, metric: &'b Metric) -> impl Iterator<Item = &'b Value<'a>> {
    health.values.iter().filter(|value| value.metric.key == metric.key)
}

fn share(frame: &Frame, value: &Value<'_>) -> Option<Meter> {
    let latest = value.latest.filter(|latest| latest.fresh)?;
    let number = latest.state.number()?;
    let label = latest.labels.iter().map(|(_, label)| label).collect::<Vec<_>>().join(", ");
    Some(Meter::new(label, words::value(frame, value), number, value.standing))
}

/// The programs of a text; what is no list of them is passed over.
fn listed(text: &str) -> Vec<Meter> {
    let one = |part: &str| {
        let (name, share) = part.trim().rsplit_once(':')?;
        let number: f64 = share.trim_end_matches('%').trim().parse().ok()?;
        let standing = crate::metrics::health::Standing::Fine;
        Some(Meter::new(name.to_owned(), share.to_owned(), number, standing))
    };
    text.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn programs_are_listed_with_their_shares() {
        let found = listed("clamd:14.8%, php-fpm:9.1%,odd,x:y,a:b:3%");
        let found: Vec<(&str, &str, u64)> =
            found.iter().map(|it| (it.name.as_str(), it.value.as_str(), it.share)).collect();
        assert_eq!(found, [("clamd", "14.8%", 14), ("php-fpm", "9.1%", 9), ("a:b", "3%", 3)]);
        assert!(listed("").is_empty());
    }
}
