//! Quarantine.

use super::super::registry::{
    Metric, Origin,
    Severity::{High, Warning},
    Unit, metrics,
};

metrics! {
    Quarantine {
        /// Messages in quarantine.
        TOTAL = Metric::gauge("mailcow.quarantine.total", Unit::Count).from(Origin::Quarantine)
            .above(&[(Warning, 100.0), (High, 500.0)]);

        /// Quarantined spam.
        SPAM = Metric::gauge("mailcow.quarantine.spam", Unit::Count).from(Origin::Quarantine);

        /// Quarantined viruses.
        VIRUS = Metric::gauge("mailcow.quarantine.virus", Unit::Count).from(Origin::Quarantine)
            .above(&[(Warning, 0.0)])
            .corrects(
                "It looks for an action that never occurs and is always 0; here entries with a virus symbol \
                 count.",
            );

        /// Age of the oldest entry in hours; not in use while the quarantine is empty.
        AGE_OLDEST_HOURS = Metric::gauge("mailcow.quarantine.age.oldest.hours", Unit::Hours)
            .from(Origin::Quarantine);

        /// Age of the newest entry in hours; not in use while the quarantine is empty.
        AGE_NEWEST_HOURS = Metric::gauge("mailcow.quarantine.age.newest.hours", Unit::Hours)
            .from(Origin::Quarantine);

        /// Recipient domains with most entries.
        TOP_DOMAINS = Metric::text("mailcow.quarantine.top.domains").from(Origin::Quarantine);
    }
}
