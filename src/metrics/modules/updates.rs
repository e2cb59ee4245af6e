//! Versions and updates.

use super::super::registry::{
    Metric, Origin,
    Severity::{Info, Warning},
    Unit, metrics,
};

metrics! {
    Updates {
        /// Host name of the mail server, from the settings.
        CONFIG_HOSTNAME = Metric::text("mailcow.config.hostname").from(Origin::Portal);

        /// Time zone, from the settings.
        CONFIG_TIMEZONE = Metric::text("mailcow.config.timezone").from(Origin::Portal);

        /// Dovecot version.
        CONTAINER_VERSION_DOVECOT = Metric::text("mailcow.container.version.dovecot").from(Origin::Containers);

        /// Postfix version.
        CONTAINER_VERSION_POSTFIX = Metric::text("mailcow.container.version.postfix").from(Origin::Containers);

        /// Update.sh exists.
        UPDATE_SCRIPT_EXISTS = Metric::flag("mailcow.update.script.exists").from(Origin::HostFiles);

        /// An update exists.
        UPDATES_AVAILABLE = Metric::flag("mailcow.updates.available").from(Origin::Releases)
            .bad_at(&[(Info, 1.0)]);

        /// Commits behind upstream.
        UPDATES_COMMITS_BEHIND = Metric::gauge("mailcow.updates.commits.behind", Unit::Count)
            .from(Origin::Releases).above(&[(Warning, 20.0)]);

        /// Installed branch.
        VERSION_BRANCH = Metric::text("mailcow.version.branch").from(Origin::HostFiles);

        /// Installed commit.
        VERSION_COMMIT = Metric::text("mailcow.version.commit").from(Origin::HostFiles);

        /// Installed Mailcow version.
        VERSION_CURRENT = Metric::text("mailcow.version.current").from(Origin::Version);

        /// Date of the installed commit.
        VERSION_DATE = Metric::text("mailcow.version.date").from(Origin::Releases);

        /// Newest released version.
        VERSION_LATEST = Metric::text("mailcow.version.latest").from(Origin::Releases);
    }
}
