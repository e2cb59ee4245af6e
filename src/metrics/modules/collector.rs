//! Our own collector, and what the Zabbix package says of its agent.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Warning},
    Unit,
    Window::{Day, Hour},
    metrics,
};

metrics! {
    Collector {
        /// The collector has run within three minutes.
        RUNNING = Metric::flag("mailcow.collector.running").from(Origin::Portal).bad_at(&[(High, 0.0)]);

        /// Seconds since the newest run of any source.
        AGE = Metric::gauge("mailcow.collector.age", Unit::Seconds).from(Origin::Portal)
            .above(&[(Warning, 300.0), (High, 600.0)]);

        /// Time of the newest run of any source.
        LAST_RUN = Metric::moment("mailcow.collector.last_run").from(Origin::Portal);

        /// Seconds that the newest runs of all sources took together.
        DURATION = Metric::gauge("mailcow.collector.duration", Unit::Seconds).from(Origin::Portal);

        /// Values told by the newest runs.
        KEYS = Metric::gauge("mailcow.collector.keys", Unit::Count).from(Origin::Portal);

        /// Sources that failed in their newest run.
        ERRORS = Metric::gauge("mailcow.collector.errors", Unit::Count).from(Origin::Portal)
            .above(&[(Warning, 0.0)]);

        /// Failed sources with their errors, or `-`.
        ERROR_DETAIL = Metric::text("mailcow.collector.error.detail").from(Origin::Portal);

        /// Seconds of each source's newest run, as a JSON object.
        MODULE_TIMES = Metric::json("mailcow.collector.module.times").from(Origin::Portal);
    }

    Agent {
        /// Sources that have run at least once.
        AGENT_CONFIGS = Metric::gauge("zabbix.agent.configs", Unit::Count).from(Origin::Portal);

        /// Errors that this program logged in the last hour, as far as it was running.
        AGENT_LOG_ERRORS = Metric::gauge("zabbix.agent.log.errors", Unit::Count).from(Origin::Portal).over(Hour)
            .above(&[(Warning, 5.0)]);

        /// Warnings that this program logged in the last hour, as far as it was running; whatever `LOG_LEVEL` shows.
        AGENT_LOG_WARNINGS = Metric::gauge("zabbix.agent.log.warnings", Unit::Count).from(Origin::Portal)
            .over(Hour);

        /// Starts of this program in the last 24 hours after the first.
        AGENT_RESTARTS = Metric::gauge("zabbix.agent.restarts", Unit::Count).from(Origin::Portal).over(Day);

        /// This program runs; who reads it from the outside sees more.
        AGENT_RUNNING = Metric::flag("zabbix.agent.running").from(Origin::Portal).bad_at(&[(Disaster, 0.0)]);

        /// Time-out of one source in seconds.
        AGENT_TIMEOUT = Metric::gauge("zabbix.agent.timeout", Unit::Seconds).from(Origin::Portal);

        /// Whether commands can be passed from outside: always 0, there is no such way.
        AGENT_UNSAFE = Metric::flag("zabbix.agent.unsafe").from(Origin::Portal);

        /// When this program was started.
        STARTED = Metric::moment("portal.started").from(Origin::Portal);

        /// Seconds since this program was started.
        AGENT_UPTIME = Metric::gauge("zabbix.agent.uptime", Unit::Seconds).from(Origin::Portal);
    }
}
