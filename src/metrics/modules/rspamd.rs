//! Rspamd and its Bayes filter.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, Info},
    Unit,
    Window::Hour,
    metrics,
};

metrics! {
    Rspamd {
        /// Messages greylisted.
        GREYLIST = Metric::counter("mailcow.rspamd.greylist", Unit::Count).from(Origin::RspamdStats);

        /// Messages with no action.
        HAM = Metric::counter("mailcow.rspamd.ham", Unit::Count).from(Origin::RspamdStats);

        /// Messages learned (all classifiers).
        LEARNED = Metric::counter("mailcow.rspamd.learned", Unit::Count).from(Origin::RspamdStats);

        /// Messages with rewritten subject.
        REWRITE = Metric::counter("mailcow.rspamd.rewrite", Unit::Count).from(Origin::RspamdStats);

        /// Rspamd is up: its container runs.
        RUNNING = Metric::flag("mailcow.rspamd.running").from(Origin::Containers).bad_at(&[(Disaster, 0.0)]);

        /// Messages scanned.
        SCANNED = Metric::counter("mailcow.rspamd.scanned", Unit::Count).from(Origin::RspamdStats);

        /// Messages soft rejected.
        SOFT_REJECT = Metric::counter("mailcow.rspamd.soft_reject", Unit::Count).from(Origin::RspamdStats);

        /// Messages rejected as spam.
        SPAM = Metric::counter("mailcow.rspamd.spam", Unit::Count).from(Origin::RspamdStats);

        /// Share of the messages scanned in the last hour that were rejected or marked; unknown until an hour was seen.
        SPAM_RATE = Metric::gauge("mailcow.rspamd.spam.rate", Unit::Percent).from(Origin::RspamdStats)
            .over(Hour);

        /// Seconds since Rspamd start.
        UPTIME = Metric::gauge("mailcow.rspamd.uptime", Unit::Seconds).from(Origin::RspamdStats);

        /// Rspamd version.
        VERSION = Metric::text("mailcow.rspamd.version").from(Origin::RspamdStats);

        /// Messages marked as spam (junk folder).
        ADD_HEADER = Metric::counter("mailcow.rspamd.add.header", Unit::Count).from(Origin::RspamdStats);

        /// Messages rejected.
        REJECT_TOTAL = Metric::counter("mailcow.rspamd.reject.total", Unit::Count).from(Origin::RspamdStats);

        /// Compact list action:count.
        ACTION_DETAIL = Metric::text("mailcow.rspamd.action.detail").from(Origin::RspamdStats);
    }

    Bayes {
        /// Messages learned as ham.
        BAYES_HAM_LEARNED = Metric::gauge("mailcow.rspamd.bayes.ham.learned", Unit::Count)
            .from(Origin::RspamdStats)
            .corrects(
                "Its parser expects another format and always says 0; here the revision of the statfile \
                 BAYES_HAM counts.",
            );

        /// Messages learned as spam.
        BAYES_SPAM_LEARNED = Metric::gauge("mailcow.rspamd.bayes.spam.learned", Unit::Count)
            .from(Origin::RspamdStats)
            .corrects(
                "Its parser expects another format and always says 0; here the revision of the statfile \
                 BAYES_SPAM counts.",
            );

        /// Ham plus spam learned.
        BAYES_TOTAL_LEARNED = Metric::gauge("mailcow.rspamd.bayes.total.learned", Unit::Count)
            .from(Origin::RspamdStats).below(&[(Info, 200.0)])
            .corrects("Always 0 there; here the sum of both statfiles.");

        /// Ham share of all learned messages.
        BAYES_RATIO = Metric::gauge("mailcow.rspamd.bayes.ratio", Unit::Percent).from(Origin::RspamdStats)
            .corrects("Always 0 there; here the share, and unknown while nothing was learned.");

        /// Training state: untrained, low, unbalanced, good, excellent.
        BAYES_STATUS = Metric::text("mailcow.rspamd.bayes.status").from(Origin::RspamdStats)
            .corrects("Always `untrained` there; here derived from what was learned.");
    }
}
