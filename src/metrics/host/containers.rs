//! What Docker tells of Mailcow's containers, and the connections inside them.

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::{Look, docker, files::MIB};
use crate::{
    metrics::modules::{disk, docker as m, dovecot, postfix},
    parse::proc,
    remote::{
        Error,
        docker::{Docker, Inspected, Listed, Usage},
    },
};

/// Containers asked at once: Docker takes its time for each.
const AT_ONCE: usize = 8;
/// Containers in the list of the largest.
const TOP: usize = 5;

struct Container {
    name: String,
    inspected: Inspected,
    usage: Option<Usage>,
}

pub(super) async fn look(look: &mut Look<'_>) {
    let docker = match docker(look) {
        Ok(docker) => docker,
        Err(why) => return look.fail("docker", why),
    };
    let listed = match docker.containers(look.slow).await {
        Ok(listed) => listed,
        Err(error) => return look.fail("docker", error.to_string()),
    };
    let project = look.project();
    let listed: Vec<(String, Listed)> =
        listed.into_iter().filter_map(|it| Some((short(&it, &project)?, it))).collect();
    if look.slow {
        sizes(look, &listed);
    }
    let answers =
        stream::iter(&listed).map(|(name, listed)| ask(&docker, name, listed)).buffer_unordered(AT_ONCE);
    let answers: Vec<Result<Container, Error>> = answers.collect().await;
    let mut containers = Vec::new();
    for answer in answers {
        match answer {
            Ok(container) => containers.push(container),
            Err(error) => look.fail("docker", error.to_string()),
        }
    }
    connections(look, &containers);
    tell(look, &containers, listed.len());
}

async fn ask(docker: &Docker, name: &str, listed: &Listed) -> Result<Container, Error> {
    let inspected = docker.inspect(&listed.id).await?;
    let usage = match listed.state.as_str() {
        "running" => Some(docker.usage(&listed.id).await?),
        _ => None,
    };
    Ok(Container { name: name.to_owned(), inspected, usage })
}

/// `/mailcowdockerized-postfix-mailcow-1` is `postfix`; `None` for a container of somebody else.
fn short(listed: &Listed, project: &str) -> Option<String> {
    let name = listed.names.iter().find_map(|name| name.trim_start_matches('/').strip_prefix(project))?;
    let name = name.strip_prefix(['-', '_'])?;
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '_']);
    Some(name.strip_suffix("-mailcow").unwrap_or(name).to_owned())
}

fn sizes(look: &mut Look<'_>, listed: &[(String, Listed)]) {
    let mut sizes: Vec<(&String, f64)> =
        listed.iter().filter_map(|(name, it)| Some((name, it.size_rw?))).collect();
    sizes.sort_by(|one, other| other.1.total_cmp(&one.1));
    let sizes: Vec<String> =
        sizes.iter().take(TOP).map(|(name, size)| format!("{name}:{:.1}MB", size / MIB)).collect();
    look.out
        .set(&disk::DOCKER_TOP_CONTAINERS, if sizes.is_empty() { "-".to_owned() } else { sizes.join(",") });
}

fn tell(look: &mut Look<'_>, containers: &[Container], listed: usize) {
    let mut data = Map::new();
    for Container { name, inspected, usage } in containers {
        let usage = usage.as_ref();
        let memory = usage.and_then(Usage::memory);
        let limit = usage.and_then(|usage| usage.memory_stats.limit).filter(|limit| *limit > 0.0);
        let started = inspected.state.started_at.parse::<jiff::Timestamp>().ok();
        let hours = started
            .map(|at| look.now.since(crate::model::time::Millis(at.as_millisecond())).as_secs() / 3600);
        let tenth = |value: f64| (value * 10.0).round() / 10.0;
        let mut values =
            json!({ "health": inspected.state.health.as_ref().map_or("none", |health| &health.status) });
        for (field, value) in [
            ("cpu", usage.and_then(Usage::cpu).map(tenth)),
            ("mem_mb", memory.map(|bytes| (bytes / MIB).round())),
            ("mem_pct", memory.zip(limit).map(|(bytes, limit)| tenth(bytes / limit * 100.0))),
            ("pids", usage.and_then(|usage| usage.pids_stats.current)),
            ("restarts", inspected.restarts),
            ("uptime_h", hours.filter(|_| usage.is_some()).map(|hours| hours as f64)),
        ] {
            if let Some(value) = value {
                values[field] = json!(value);
            }
        }
        data.insert(name.clone(), values);
    }
    // Sums only where nothing is missing.
    if containers.len() == listed && listed > 0 {
        let sum = |field: &str| -> f64 { data.values().filter_map(|values| values[field].as_f64()).sum() };
        look.out.set(&m::RESTARTS_TOTAL, sum("restarts"));
        look.out.set(&m::MEM_TOTAL_MB, sum("mem_mb"));
        look.out.set(&m::CPU_TOTAL, (sum("cpu") * 10.0).round() / 10.0);
    }
    look.out.set(&m::CONTAINER_DATA, Value::Object(data).to_string());
}

/// Each container has a network of its own, whose connections stand below the process id of its first process.
fn connections(look: &mut Look<'_>, containers: &[Container]) {
    for (metric, name, here, there) in [
        (&postfix::CONNECTIONS, "postfix", &[25, 465, 587][..], &[25][..]),
        (&dovecot::CONNECTIONS, "dovecot", &[110, 143, 993, 995], &[]),
    ] {
        let pid = containers
            .iter()
            .find(|it| it.name == name)
            .map(|it| it.inspected.state.pid)
            .filter(|pid| *pid > 0);
        let Some(pid) = pid else {
            look.fail(metric.module.code(), format!("{name} does not run"));
            continue;
        };
        let count = look.places.text(format!("/proc/{pid}/net/tcp")).map(|text| {
            let v6 = look.places.text(format!("/proc/{pid}/net/tcp6")).unwrap_or_default();
            (proc::connections(&text, here, there) + proc::connections(&v6, here, there)) as f64
        });
        look.tell(metric, count);
    }
}
