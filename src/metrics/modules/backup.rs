//! Backups.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Warning},
    Unit, metrics,
};

metrics! {
    Backup {
        /// Hours since the newest backup; unknown while there is none.
        AGE = Metric::gauge("mailcow.backup.age", Unit::Hours).from(Origin::HostFiles)
            .above(&[(Warning, 24.0), (High, 48.0), (Disaster, 72.0)]);

        /// Number of backups.
        COUNT = Metric::gauge("mailcow.backup.count", Unit::Count).from(Origin::HostFiles);

        /// Backup directory exists.
        DIR_EXISTS = Metric::flag("mailcow.backup.dir.exists").from(Origin::HostFiles).bad_at(&[(High, 0.0)]);

        /// Free share of the backup disk.
        DISK_FREE = Metric::gauge("mailcow.backup.disk.free", Unit::Percent).from(Origin::HostFiles)
            .below(&[(Warning, 20.0), (High, 10.0)]);

        /// Time of the newest backup.
        LAST_TIMESTAMP = Metric::moment("mailcow.backup.last.timestamp").from(Origin::HostFiles);

        /// Size of the newest backup.
        SIZE = Metric::gauge("mailcow.backup.size", Unit::Mib).from(Origin::HostFiles);

        /// Empty files in the newest backup.
        ZERO_FILES = Metric::gauge("mailcow.backup.zero.files", Unit::Count).from(Origin::HostFiles)
            .above(&[(Warning, 0.0)]);

        /// Backup helper exists.
        SCRIPT_EXISTS = Metric::flag("mailcow.backup.script.exists").from(Origin::HostFiles);
    }
}
