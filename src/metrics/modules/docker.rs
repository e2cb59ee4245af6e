//! Containers.

use super::super::registry::{
    Metric, Origin,
    Severity::{High, Info, Warning},
    Unit, metrics,
};

metrics! {
    Docker {
        /// Discovery list of containers, stopped ones, too.
        CONTAINERS = Metric::json("mailcow.docker.containers").from(Origin::Containers);

        /// Values per container: cpu, mem_mb, mem_pct, pids, restarts, uptime_h, health.
        CONTAINER_DATA = Metric::json("mailcow.docker.container.data").from(Origin::Docker);

        /// Mailcow containers, with those that were there and are missing.
        TOTAL = Metric::gauge("mailcow.docker.total", Unit::Count).from(Origin::Containers)
            .corrects("Always equal to the running ones there; here stopped and missing containers count, too.");

        /// Running Mailcow containers.
        RUNNING = Metric::gauge("mailcow.docker.running", Unit::Count).from(Origin::Containers)
            .corrects("Always equal to all of them there; here only those in the state `running`.");

        /// Sum of restart counters.
        RESTARTS_TOTAL = Metric::counter("mailcow.docker.restarts.total", Unit::Count).from(Origin::Docker)
            .grows(&[(Warning, 5.0)]);

        /// Memory of all Mailcow containers.
        MEM_TOTAL_MB = Metric::gauge("mailcow.docker.mem.total.mb", Unit::Mib).from(Origin::Docker);

        /// CPU of all Mailcow containers.
        CPU_TOTAL = Metric::gauge("mailcow.docker.cpu.total", Unit::Percent).from(Origin::Docker);

        /// CPU use.
        EACH_CPU = Metric::gauge("mailcow.docker.cpu[{#CONTAINER}]", Unit::Percent).from(Origin::Docker)
            .per(&["container"]);

        /// Memory use.
        EACH_MEM_MB = Metric::gauge("mailcow.docker.mem_mb[{#CONTAINER}]", Unit::Mib).from(Origin::Docker)
            .per(&["container"]);

        /// Memory share of its limit or the host.
        EACH_MEM_PCT = Metric::gauge("mailcow.docker.mem_pct[{#CONTAINER}]", Unit::Percent).from(Origin::Docker)
            .per(&["container"]).above(&[(Warning, 25.0)]);

        /// Restart counter.
        EACH_RESTARTS = Metric::counter("mailcow.docker.restarts[{#CONTAINER}]", Unit::Count)
            .from(Origin::Docker).per(&["container"]).grows(&[(Info, 0.0)]);

        /// Hours since start.
        EACH_UPTIME_H = Metric::gauge("mailcow.docker.uptime_h[{#CONTAINER}]", Unit::Hours)
            .from(Origin::Containers).per(&["container"]);

        /// Container runs. Told of those without a flag of their own: not of Postfix, Dovecot, Rspamd and ClamAV; one that
        /// was there and is missing does not run.
        EACH_RUNNING = Metric::flag("portal.container.running[{#CONTAINER}]").from(Origin::Containers)
            .per(&["container"]).bad_at(&[(High, 0.0)]);

        /// Number of processes.
        EACH_PIDS = Metric::gauge("mailcow.docker.pids[{#CONTAINER}]", Unit::Count).from(Origin::Docker)
            .per(&["container"]);

        /// Docker health state (none if undefined).
        EACH_HEALTH = Metric::text("mailcow.docker.health[{#CONTAINER}]").from(Origin::Docker)
            .per(&["container"]).bad_as(Warning, "unhealthy");
    }
}
