//! How many processes there are, and which use most: by name only, because arguments may hold secrets.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
};

use super::Look;
use crate::{
    metrics::{modules::host as m, registry::Metric},
    parse::proc,
};

/// Names in each list.
const TOP: usize = 5;

/// A reading of all processes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    folder: PathBuf,
    all: Option<HashMap<u32, Own>>,
}

#[derive(Debug)]
struct Own {
    name: String,
    state: char,
    ticks: u64,
    pages: u64,
}

impl Processes {
    pub(super) fn read(look: &Look<'_>) -> Self {
        let folder = look.places.at("/proc");
        let all = fs::read_dir(&folder).ok().map(|entries| {
            let own = |entry: fs::DirEntry| {
                let id = entry.file_name().to_str()?.parse().ok()?;
                // A process may end while we look.
                let stat = fs::read(entry.path().join("stat")).ok()?;
                let stat = String::from_utf8_lossy(&stat);
                let it = proc::process(&stat)?;
                Some((id, Own { name: plain(it.name), state: it.state, ticks: it.ticks, pages: it.pages }))
            };
            entries.flatten().filter_map(own).collect()
        });
        Self { folder, all }
    }

    /// Tells what the processes are, and what they did since the reading before; a core had `core` ticks meanwhile.
    pub(super) fn tell(&self, look: &mut Look<'_>, before: &Self, core: f64) {
        let Some(all) = &self.all else {
            return look.fail("processes", format!("{}: cannot be read", self.folder.display()));
        };
        look.out.set(&m::PROCESSES, all.len());
        look.out.set(&m::ZOMBIES, all.values().filter(|own| own.state == 'Z').count());
        // One that is new has done all of it since.
        let before = |id| before.all.as_ref().and_then(|all| all.get(id)).map_or(0, |own| own.ticks);
        let used = all.iter().map(|(id, own)| (own, own.ticks.saturating_sub(before(id)) as f64));
        top(look, &m::TOP_CPU, used, Some(core));
        let memory = look.places.text("/proc/meminfo").ok();
        let memory = memory.and_then(|text| proc::memory(&text, "MemTotal"));
        // Our own /proc: the kernel is the host's, also in a container.
        let page = fs::read("/proc/self/auxv").ok().and_then(|auxv| proc::page_size(&auxv));
        let page = page.map(|page| page as f64);
        let held = all.values().map(|own| (own, own.pages as f64 * page.unwrap_or_default()));
        top(look, &m::TOP_MEMORY, held, memory.filter(|_| page.is_some()));
    }
}

/// The greatest sums by name, as shares of `whole`.
fn top<'a>(
    look: &mut Look<'_>,
    metric: &Metric,
    parts: impl Iterator<Item = (&'a Own, f64)>,
    whole: Option<f64>,
) {
    // Two readings may fall into one tick.
    let Some(whole) = whole.filter(|whole| *whole > 0.0) else { return };
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (own, part) in parts {
        *sums.entry(&own.name).or_default() += part / whole * 100.0;
    }
    let mut sums: Vec<(&str, f64)> = sums.into_iter().filter(|(_, share)| *share >= 0.05).collect();
    sums.sort_by(|one, other| other.1.total_cmp(&one.1));
    let list: Vec<String> =
        sums.iter().take(TOP).map(|(name, share)| format!("{name}:{share:.1}%")).collect();
    look.out.set(metric, if list.is_empty() { "-".to_owned() } else { list.join(",") });
}

/// A process may give itself any name; the list has signs of its own.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || matches!(c, ',' | ':') { '_' } else { c }).collect()
}
