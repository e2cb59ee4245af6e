//! SOGo's Memcached.

use std::{collections::HashMap, time::Duration};

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        modules::memcached as m,
        samples::Samples,
    },
    remote::memcached::stats,
};

const PATIENCE: Duration = Duration::from_secs(5);
const LACKING: &str = "Memcached did not tell it";

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let Some((host, port)) = &reach.probes.memcached else {
            let how = "Join the portal's container to Mailcow's Docker network, and set MEMCACHED to memcached:11211.";
            return Err(Trouble::NotGranted(how.to_owned()));
        };
        tell(&stats(host, *port, PATIENCE).await?, out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(stats: &HashMap<String, f64>, out: &mut Samples) {
    let stat = |name: &str| stats.get(name).copied();
    out.set_or(&m::ITEMS, stat("curr_items"), LACKING);
    out.set_or(&m::BYTES, stat("bytes"), LACKING);
    out.set_or(&m::LIMIT_MB, stat("limit_maxbytes").map(|bytes| (bytes / 1_048_576.0).floor()), LACKING);
    let (hits, misses) = (stat("get_hits"), stat("get_misses"));
    out.set_or(&m::HITS, hits, LACKING);
    out.set_or(&m::MISSES, misses, LACKING);
    match hits.zip(misses) {
        Some((hits, misses)) if hits + misses > 0.0 => {
            out.set(&m::HIT_RATE, (1000.0 * hits / (hits + misses)).round() / 10.0);
        }
        Some(_) => out.unknown(&m::HIT_RATE, "nobody has asked Memcached yet"),
        None => out.unknown(&m::HIT_RATE, LACKING),
    }
    out.set_or(&m::EVICTIONS, stat("evictions"), LACKING);
    out.set_or(&m::UPTIME, stat("uptime"), LACKING);
}
