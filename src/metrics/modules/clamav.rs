//! ClamAV.

use super::super::registry::{
    Metric, Origin,
    Severity::{High, Warning},
    Unit, metrics,
};

metrics! {
    Clamav {
        /// ClamAV is up: its container runs. Not in use where Mailcow never had such a container, or `CONTAINERS_OFF` names it.
        RUNNING = Metric::flag("mailcow.clamav.running").from(Origin::Containers).bad_at(&[(High, 0.0)]);

        /// ClamAV engine version.
        VERSION = Metric::text("mailcow.clamav.version").from(Origin::Clamd);

        /// Signatures in daily and main.
        SIGNATURES = Metric::gauge("mailcow.clamav.signatures", Unit::Count).from(Origin::Docker);

        /// Number of the daily database.
        DAILY_VERSION = Metric::gauge("mailcow.clamav.daily.version", Unit::Count).from(Origin::Clamd);

        /// Age of the daily database in days; unknown where clamd does not tell.
        DAILY_AGE = Metric::gauge("mailcow.clamav.daily.age", Unit::Days).from(Origin::Clamd)
            .above(&[(Warning, 7.0), (High, 30.0)]);

        /// Build time of the daily database, as clamd writes it.
        DAILY_BUILD = Metric::text("mailcow.clamav.daily.build").from(Origin::Clamd);

        /// Number of the main database.
        MAIN_VERSION = Metric::gauge("mailcow.clamav.main.version", Unit::Count).from(Origin::Docker);

        /// Size of the database directory.
        DB_SIZE = Metric::gauge("mailcow.clamav.db.size", Unit::Mib).from(Origin::Docker);
    }
}
