//! The host itself, beyond what the Zabbix package asks.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Info, Warning},
    Unit,
    Window::{Day, Hour},
    metrics,
};

metrics! {
    Host {
        /// Processor time in use, of all cores together.
        CPU = Metric::gauge("host.cpu.used", Unit::Percent).from(Origin::Machine)
            .above(&[(Warning, 80.0), (High, 90.0)]);

        /// Processor cores.
        CORES = Metric::gauge("host.cpu.cores", Unit::Count).from(Origin::Machine);

        /// Memory in use.
        MEMORY = Metric::gauge("host.memory.used", Unit::Percent).from(Origin::Machine)
            .above(&[(Warning, 80.0), (High, 90.0)]);

        /// Memory that there is.
        MEMORY_TOTAL = Metric::gauge("host.memory.total", Unit::Bytes).from(Origin::Machine);

        /// Swap space in use.
        SWAP = Metric::gauge("host.swap.used", Unit::Percent).from(Origin::Machine).above(&[(Warning, 80.0)]);

        /// Seconds since the host was started.
        UPTIME = Metric::gauge("host.uptime", Unit::Seconds).from(Origin::Machine);

        /// Memory that is free for programs.
        MEMORY_AVAILABLE = Metric::gauge("host.memory.available", Unit::Bytes).from(Origin::Host);

        /// Load average of one minute.
        LOAD_1 = Metric::gauge("host.load.1", Unit::Count).from(Origin::Host);

        /// Load average of five minutes.
        LOAD_5 = Metric::gauge("host.load.5", Unit::Count).from(Origin::Host);

        /// Load average of 15 minutes.
        LOAD_15 = Metric::gauge("host.load.15", Unit::Count).from(Origin::Host);

        /// Load average of five minutes as a share of the cores.
        LOAD_PER_CORE = Metric::gauge("host.load.per_core", Unit::Percent).from(Origin::Host)
            .above(&[(Info, 100.0), (High, 170.0)]);

        /// Processes that have ended and that nobody has asked after.
        ZOMBIES = Metric::gauge("host.processes.zombies", Unit::Count).from(Origin::Host).above(&[(Warning, 10.0)]);

        /// Processes.
        PROCESSES = Metric::gauge("host.processes", Unit::Count).from(Origin::Host);

        /// The five programs with the most processor time of late: name and share of one core, all processes of that
        /// name together. Arguments are never read.
        TOP_CPU = Metric::text("host.processes.top.cpu").from(Origin::Host);

        /// The five programs with the most memory: name and share of all memory, all processes of that name together,
        /// so that what they share counts several times. Arguments are never read.
        TOP_MEMORY = Metric::text("host.processes.top.memory").from(Origin::Host);

        /// Failed SSH logins.
        SSH_FAILED = Metric::gauge("host.ssh.failed", Unit::Count).from(Origin::Host).over(Day);

        /// Bans by fail2ban on the host.
        BANS = Metric::gauge("host.fail2ban.bans", Unit::Count).from(Origin::Host).over(Day);

        /// Networks that fail2ban on the host bans at present.
        BANNED = Metric::gauge("host.fail2ban.banned", Unit::Count).from(Origin::Host);

        /// The mail store's folder belongs to user and group 5000 and is closed to others.
        VMAIL_PERMISSIONS = Metric::flag("host.vmail.permissions").from(Origin::Host).bad_at(&[(High, 0.0)]);

        /// Version of the program that wrote the collector's file; empty where it was the Zabbix package.
        COLLECTOR_VERSION = Metric::text("host.collector.version").from(Origin::Host);

        /// Age of the newest run of the host collector.
        COLLECTOR_AGE = Metric::gauge("host.collector.age", Unit::Seconds).from(Origin::Host)
            .above(&[(Warning, 300.0), (High, 600.0)]);

        /// What the host collector could not read, with the reason; `-` where it could read everything.
        COLLECTOR_ERRORS = Metric::text("host.collector.errors").from(Origin::Host);

        /// Processor time of one core in use.
        EACH_CORE = Metric::gauge("host.core.used[{#CORE}]", Unit::Percent).from(Origin::Host).per(&["core"]);

        /// Fill level of a file system on a disk.
        EACH_DISK_USED = Metric::gauge("host.disk.used[{#DISK}]", Unit::Percent).from(Origin::Host).per(&["disk"])
            .above(&[(Warning, 80.0), (High, 90.0), (Disaster, 95.0)]);

        /// Used inodes of a file system.
        EACH_DISK_INODES = Metric::gauge("host.disk.inodes[{#DISK}]", Unit::Percent).from(Origin::Host).per(&["disk"])
            .above(&[(Warning, 80.0), (High, 95.0)]);

        /// Size of a file system.
        EACH_DISK_TOTAL = Metric::gauge("host.disk.total[{#DISK}]", Unit::Bytes).from(Origin::Host).per(&["disk"]);

        /// Bytes that a network interface received.
        EACH_NET_IN = Metric::gauge("host.net.in[{#INTERFACE}]", Unit::BytesPerSecond).from(Origin::Host)
            .per(&["interface"]);

        /// Bytes that a network interface sent.
        EACH_NET_OUT = Metric::gauge("host.net.out[{#INTERFACE}]", Unit::BytesPerSecond).from(Origin::Host)
            .per(&["interface"]);

        /// Temperature of a sensor.
        EACH_TEMPERATURE = Metric::gauge("host.temperature[{#SENSOR}]", Unit::Celsius).from(Origin::Host)
            .per(&["sensor"]).above(&[(Warning, 80.0), (High, 90.0)]);
    }

    Collector {
        /// Whether the newest run of a source went well.
        EACH_SOURCE_UP = Metric::flag("portal.source.up[{#SOURCE}]").per(&["source"]).bad_at(&[(Warning, 0.0)]);

        /// Seconds that the newest run of a source took.
        EACH_SOURCE_SECONDS = Metric::gauge("portal.source.seconds[{#SOURCE}]", Unit::Seconds).per(&["source"]);
    }

    Mailflow {
        /// Seconds from arrival to delivery, average of the deliveries in the hour.
        DELIVERY_TIME = Metric::gauge("portal.mail.delay.average", Unit::Seconds).from(Origin::PostfixLog).over(Hour)
            .above(&[(Warning, 120.0)]);
    }
}
