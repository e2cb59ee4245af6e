//! IMAP sync jobs.

use super::super::registry::{
    Metric, Origin,
    Severity::{High, Info, Warning},
    Unit,
    Window::Day,
    metrics,
};
use crate::model::sample::MAILBOX;

metrics! {
    SyncJobs {
        /// Enabled sync jobs.
        ACTIVE = Metric::gauge("mailcow.sync.jobs.active", Unit::Count).from(Origin::SyncJobs);

        /// Sync jobs that failed in the last 24 h.
        FAILED = Metric::gauge("mailcow.sync.jobs.failed", Unit::Count).from(Origin::SyncJobs).over(Day)
            .above(&[(Warning, 0.0)])
            .corrects(
                "A good run's summary `0 errors` counts as a failure there; here Mailcow's own outcome \
                 counts.",
            );

        /// Enabled jobs that never ran.
        NEVER_RUN = Metric::gauge("mailcow.sync.jobs.never_run", Unit::Count).from(Origin::SyncJobs)
            .above(&[(Info, 0.0)]);

        /// Hours since the least recent run among the active jobs; not in use while no active job has run.
        OLDEST_RUN = Metric::gauge("mailcow.sync.jobs.oldest_run", Unit::Hours).from(Origin::SyncJobs)
            .above(&[(Warning, 48.0)])
            .corrects(
                "It takes the newest run, so one busy job hides all others; here the least recent run of the \
                 active jobs.",
            );

        /// Sync jobs running now.
        RUNNING = Metric::gauge("mailcow.sync.jobs.running", Unit::Count).from(Origin::SyncJobs);

        /// Sync jobs that have been seen running for over 24 hours without a pause.
        STUCK = Metric::gauge("mailcow.sync.jobs.stuck", Unit::Count).from(Origin::SyncJobs)
            .above(&[(High, 0.0)])
            .corrects(
                "A run's begin is not told; the other package takes the end of the last run for it. Here the \
                 portal's history says when it first saw the job running. Where nobody looked, the job went on, unless \
                 a run has ended since.",
            );

        /// Job enabled.
        EACH_SYNCJOB_ACTIVE = Metric::flag("mailcow.syncjob.active[{#SYNCJOB_ID}]").from(Origin::SyncJobs)
            .per(&["job", MAILBOX]);

        /// Job running.
        EACH_SYNCJOB_RUNNING = Metric::flag("mailcow.syncjob.running[{#SYNCJOB_ID}]").from(Origin::SyncJobs)
            .per(&["job", MAILBOX]);

        /// The last run succeeded; unknown while it runs or never ran.
        EACH_SYNCJOB_SUCCESS = Metric::flag("mailcow.syncjob.success[{#SYNCJOB_ID}]").from(Origin::SyncJobs)
            .per(&["job", MAILBOX]).bad_at(&[(High, 0.0)]);

        /// Hours since the last run; unknown for a job that never ran.
        EACH_SYNCJOB_AGE_HOURS = Metric::gauge("mailcow.syncjob.age_hours[{#SYNCJOB_ID}]", Unit::Hours)
            .from(Origin::SyncJobs).per(&["job", MAILBOX]).above(&[(Warning, 48.0)]);

        /// Exit text of the last run.
        EACH_SYNCJOB_EXIT_STATUS = Metric::text("mailcow.syncjob.exit_status[{#SYNCJOB_ID}]")
            .from(Origin::SyncJobs).per(&["job", MAILBOX]);
    }
}
