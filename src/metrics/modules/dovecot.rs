//! Dovecot.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, Warning},
    Unit,
    Window::Hour,
    metrics,
};

metrics! {
    Dovecot {
        /// Established connections to Dovecot's ports 110, 143, 993 and 995.
        CONNECTIONS = Metric::gauge("mailcow.dovecot.connections", Unit::Count).from(Origin::Docker);

        /// Ended IMAP sessions.
        IMAP_DISCONNECTED = Metric::gauge("mailcow.dovecot.imap.disconnected", Unit::Count)
            .from(Origin::DovecotLog).over(Hour)
            .corrects(
                "It reads a file that Mailcow does not write and is always 0; here the lines of the hour \
                 count.",
            );

        /// IMAP lines mentioning an error.
        IMAP_ERRORS = Metric::gauge("mailcow.dovecot.imap.errors", Unit::Count).from(Origin::DovecotLog)
            .over(Hour).above(&[(Warning, 10.0)])
            .corrects(
                "It reads a file that Mailcow does not write, and its trigger counts one line up to 12 times; \
                 here each line of the hour counts once.",
            );

        /// Failed IMAP logins.
        IMAP_LOGIN_FAILED = Metric::gauge("mailcow.dovecot.imap.login.failed", Unit::Count)
            .from(Origin::DovecotLog).over(Hour)
            .corrects(
                "It reads a file that Mailcow does not write, and misses Dovecot's wording; here `auth \
                 failed`, `Password mismatch` and `unknown user` of the hour count.",
            );

        /// Failed POP3 logins.
        POP3_LOGIN_FAILED = Metric::gauge("mailcow.dovecot.pop3.login.failed", Unit::Count)
            .from(Origin::DovecotLog).over(Hour)
            .corrects(
                "It reads a file that Mailcow does not write, and misses Dovecot's wording; here `auth \
                 failed`, `Password mismatch` and `unknown user` of the hour count.",
            );

        /// Quota warnings.
        QUOTA_WARNINGS = Metric::gauge("mailcow.dovecot.quota.warnings", Unit::Count).from(Origin::DovecotLog)
            .over(Hour)
            .corrects(
                "It reads a file that Mailcow does not write and is always 0; here the lines of the hour \
                 count.",
            );

        /// Dovecot is up: its container runs.
        RUNNING = Metric::flag("mailcow.dovecot.running").from(Origin::Containers).bad_at(&[(Disaster, 0.0)]);

        /// Replication/sync errors.
        SYNC_ERRORS = Metric::gauge("mailcow.dovecot.sync.errors", Unit::Count).from(Origin::DovecotLog)
            .over(Hour)
            .corrects(
                "It reads a file that Mailcow does not write, and imapsync matches, too; here only Dovecot's \
                 own replication counts.",
            );

        /// Dovecot version.
        VERSION = Metric::text("mailcow.dovecot.version").from(Origin::Containers);
    }
}
