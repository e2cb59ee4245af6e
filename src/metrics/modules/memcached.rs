//! SOGo's Memcached.

use super::super::registry::{Metric, Origin, Severity::Warning, Unit, metrics};

metrics! {
    Memcached {
        /// Cached items.
        ITEMS = Metric::gauge("mailcow.sogo.memcached.items", Unit::Count).from(Origin::Memcached);

        /// Bytes used.
        BYTES = Metric::gauge("mailcow.sogo.memcached.bytes", Unit::Bytes).from(Origin::Memcached);

        /// Memory limit.
        LIMIT_MB = Metric::gauge("mailcow.sogo.memcached.limit.mb", Unit::Mib).from(Origin::Memcached);

        /// Cache hits.
        HITS = Metric::counter("mailcow.sogo.memcached.hits", Unit::Count).from(Origin::Memcached);

        /// Cache misses.
        MISSES = Metric::counter("mailcow.sogo.memcached.misses", Unit::Count).from(Origin::Memcached);

        /// Hit ratio since Memcached's start.
        HIT_RATE = Metric::gauge("mailcow.sogo.memcached.hit.rate", Unit::Percent).from(Origin::Memcached);

        /// Items evicted.
        EVICTIONS = Metric::counter("mailcow.sogo.memcached.evictions", Unit::Count).from(Origin::Memcached)
            .grows(&[(Warning, 0.0)]);

        /// Uptime.
        UPTIME = Metric::gauge("mailcow.sogo.memcached.uptime", Unit::Seconds).from(Origin::Memcached);
    }
}
