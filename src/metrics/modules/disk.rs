//! File systems.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Warning},
    Unit, metrics,
};

metrics! {
    Disk {
        /// Available space of /var/lib/docker.
        DOCKER_FREE = Metric::gauge("mailcow.disk.docker.free", Unit::Kib).from(Origin::HostFiles);

        /// The five containers with the largest writable layer, largest first, as `name:size`.
        DOCKER_TOP_CONTAINERS = Metric::text("mailcow.disk.docker.top.containers").from(Origin::Docker);

        /// Size of the file system of /var/lib/docker.
        DOCKER_TOTAL = Metric::gauge("mailcow.disk.docker.total", Unit::Kib).from(Origin::HostFiles);

        /// Fill level of /var/lib/docker.
        DOCKER_USED = Metric::gauge("mailcow.disk.docker.used", Unit::Percent).from(Origin::HostFiles)
            .above(&[(Warning, 80.0), (High, 90.0), (Disaster, 95.0)]);

        /// Available space of /var/log.
        LOG_FREE = Metric::gauge("mailcow.disk.log.free", Unit::Kib).from(Origin::HostFiles);

        /// Size of the file system of /var/log.
        LOG_TOTAL = Metric::gauge("mailcow.disk.log.total", Unit::Kib).from(Origin::HostFiles);

        /// Fill level of /var/log.
        LOG_USED = Metric::gauge("mailcow.disk.log.used", Unit::Percent).from(Origin::HostFiles)
            .above(&[(Warning, 80.0), (High, 90.0)]);

        /// Available space of /.
        ROOT_FREE = Metric::gauge("mailcow.disk.root.free", Unit::Kib).from(Origin::HostFiles);

        /// Size of the file system of /.
        ROOT_TOTAL = Metric::gauge("mailcow.disk.root.total", Unit::Kib).from(Origin::HostFiles);

        /// Fill level of /.
        ROOT_USED = Metric::gauge("mailcow.disk.root.used", Unit::Percent).from(Origin::HostFiles)
            .above(&[(Warning, 80.0), (High, 90.0), (Disaster, 95.0)]);

        /// Mail store directory exists.
        VMAIL_EXISTS = Metric::flag("mailcow.disk.vmail.exists").from(Origin::Vmail);

        /// Available space of the mail store: total less used, ignoring reserved blocks.
        VMAIL_FREE = Metric::gauge("mailcow.disk.vmail.free", Unit::Kib).from(Origin::Vmail);

        /// Size on disk of all mail.
        VMAIL_MAILDIR_SIZE = Metric::gauge("mailcow.disk.vmail.maildir.size", Unit::Mib).from(Origin::HostFiles)
            .corrects(
                "It walks the whole store each minute and says 0 when that takes too long; here it is walked \
                 once an hour at most, and unknown where it did not end.",
            );

        /// Size of the mail store file system.
        VMAIL_TOTAL = Metric::gauge("mailcow.disk.vmail.total", Unit::Kib).from(Origin::Vmail);

        /// Fill level of the mail store.
        VMAIL_USED = Metric::gauge("mailcow.disk.vmail.used", Unit::Percent).from(Origin::Vmail)
            .above(&[(Warning, 80.0), (High, 90.0)]);
    }
}
