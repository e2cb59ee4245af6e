//! Load, memory, cores, processes, network, temperatures.

use std::{fs, path::Path};

use super::{Look, processes::Processes};
use crate::{
    metrics::modules::host as m,
    model::{sample::Labels, time::Millis},
    parse::proc,
};

/// A first reading of what only grows.
pub(super) struct Counters {
    at: Millis,
    cores: Vec<(String, [u64; 2])>,
    interfaces: Vec<(String, [u64; 2])>,
    processes: Processes,
}

impl Counters {
    pub(super) fn read(look: &Look<'_>) -> Self {
        let text = |path: &str| look.places.text(path).unwrap_or_default();
        Self {
            at: Millis::now(),
            cores: proc::cores(&text("/proc/stat")),
            // The interfaces of the first process are the host's, also where we run in a container.
            interfaces: proc::interfaces(&text("/proc/1/net/dev")),
            processes: Processes::read(look),
        }
    }
}

pub(super) fn look(look: &mut Look<'_>, before: &Counters) {
    let now = Counters::read(look);
    let seconds = now.at.since(before.at).as_secs_f64();
    let pairs = |before: &[(String, [u64; 2])], now: &[(String, [u64; 2])]| -> Vec<(String, [u64; 2])> {
        let step = |name: &String, [one, two]: &[u64; 2]| {
            let (_, [first, second]) = before.iter().find(|(own, _)| own == name)?;
            Some((name.clone(), [one.checked_sub(*first)?, two.checked_sub(*second)?]))
        };
        now.iter().filter_map(|(name, counts)| step(name, counts)).collect()
    };
    for (core, [busy, all]) in pairs(&before.cores, &now.cores) {
        if all > 0 {
            let percent = (busy as f64 / all as f64 * 1000.0).round() / 10.0;
            look.out.set_each(&m::EACH_CORE, Labels::one("core", &core), percent);
        }
    }
    for (name, [received, sent]) in pairs(&before.interfaces, &now.interfaces) {
        // Each container has one end of a pair of its own.
        if seconds > 0.0 && !name.starts_with("veth") {
            let labels = || Labels::one("interface", &name);
            look.out.set_each(&m::EACH_NET_IN, labels(), (received as f64 / seconds).round());
            look.out.set_each(&m::EACH_NET_OUT, labels(), (sent as f64 / seconds).round());
        }
    }
    match look.places.text("/proc/loadavg").map(|text| proc::load(&text)) {
        Ok(Some([one, five, fifteen])) => {
            look.out.set(&m::LOAD_1, one);
            look.out.set(&m::LOAD_5, five);
            look.out.set(&m::LOAD_15, fifteen);
            if !now.cores.is_empty() {
                look.out.set(&m::LOAD_PER_CORE, (five / now.cores.len() as f64 * 100.0).round());
            }
        }
        Ok(None) => look.fail("load", "/proc/loadavg: unreadable".to_owned()),
        Err(why) => look.fail("load", why),
    }
    let available = look.places.text("/proc/meminfo");
    let available =
        available.and_then(|text| proc::memory(&text, "MemAvailable").ok_or("no MemAvailable".to_owned()));
    look.tell(&m::MEMORY_AVAILABLE, available);
    // Processor time that a core had meanwhile.
    let cores = pairs(&before.cores, &now.cores);
    let ticks = cores.iter().map(|(_, [_, all])| all).sum::<u64>() as f64 / cores.len().max(1) as f64;
    now.processes.tell(look, &before.processes, ticks);
    temperatures(look);
}

/// Sensors below `/sys/class/hwmon` and `/sys/class/thermal`; a virtual machine has none.
fn temperatures(look: &mut Look<'_>) {
    let line = |path: &Path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let folders =
        |path: &str| fs::read_dir(look.places.at(path)).into_iter().flatten().flatten().map(|it| it.path());
    let mut found = Vec::new();
    for chip in folders("/sys/class/hwmon") {
        let name = line(&chip.join("name")).unwrap_or_else(|| "sensor".to_owned());
        for index in 1..=16 {
            if let Some(value) = line(&chip.join(format!("temp{index}_input"))) {
                let label =
                    line(&chip.join(format!("temp{index}_label"))).unwrap_or_else(|| index.to_string());
                found.push((format!("{name} {label}"), value));
            }
        }
    }
    for zone in folders("/sys/class/thermal") {
        if let (Some(kind), Some(value)) = (line(&zone.join("type")), line(&zone.join("temp"))) {
            found.push((kind, value));
        }
    }
    for (name, value) in found {
        if let Ok(thousandths) = value.parse::<f64>() {
            look.out.set_each(
                &m::EACH_TEMPERATURE,
                Labels::one("sensor", &name),
                (thousandths / 100.0).round() / 10.0,
            );
        }
    }
}
