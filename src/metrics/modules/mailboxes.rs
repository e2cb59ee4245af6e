//! Mailboxes, domains, aliases, and the lists for discovery by other systems.

use super::super::registry::{
    Metric, Origin,
    Severity::{High, Warning},
    Unit, metrics,
};
use crate::model::sample::{DOMAIN, MAILBOX};

metrics! {
    Mailboxes {
        /// Mailboxes without resources.
        MAILBOX_TOTAL = Metric::gauge("mailcow.mailbox.total", Unit::Count).from(Origin::Mailboxes);

        /// Active mailboxes.
        MAILBOX_ACTIVE = Metric::gauge("mailcow.mailbox.active", Unit::Count).from(Origin::Mailboxes);

        /// Sum of used quota.
        MAILBOX_QUOTA_USED_TOTAL = Metric::gauge("mailcow.mailbox.quota.used.total", Unit::Mib)
            .from(Origin::Mailboxes);

        /// Active mailboxes that are filled to 80 percent or more.
        MAILBOX_OVER_QUOTA = Metric::gauge("mailcow.mailbox.over.quota", Unit::Count).from(Origin::Mailboxes)
            .above(&[(Warning, 0.0)]);

        /// Active mailboxes without limit.
        MAILBOX_UNLIMITED = Metric::gauge("mailcow.mailbox.unlimited", Unit::Count).from(Origin::Mailboxes);

        /// Five largest mailboxes.
        MAILBOX_TOP5 = Metric::text("mailcow.mailbox.top5").from(Origin::Mailboxes);

        /// Mailboxes at 80 percent or more.
        MAILBOX_OVER_DETAIL = Metric::text("mailcow.mailbox.over.detail").from(Origin::Mailboxes);

        /// Mail domains, without alias domains.
        DOMAIN_TOTAL = Metric::gauge("mailcow.domain.total", Unit::Count).from(Origin::Domains);

        /// Active mail domains.
        DOMAIN_ACTIVE = Metric::gauge("mailcow.domain.active", Unit::Count).from(Origin::Domains);

        /// Active domain names.
        DOMAIN_LIST = Metric::text("mailcow.domain.list").from(Origin::Domains);

        /// Domain is active.
        EACH_DOMAIN_ACTIVE = Metric::flag("mailcow.domain.active[{#DOMAIN}]").from(Origin::Domains)
            .per(&[DOMAIN]);

        /// Mailboxes of the domain.
        EACH_DOMAIN_MAILBOX_COUNT = Metric::gauge("mailcow.domain.mailbox_count[{#DOMAIN}]", Unit::Count)
            .from(Origin::Domains).per(&[DOMAIN]);

        /// Space used in the domain.
        EACH_DOMAIN_USED_MB = Metric::gauge("mailcow.domain.used_mb[{#DOMAIN}]", Unit::Mib)
            .from(Origin::Domains).per(&[DOMAIN]);

        /// Domain quota.
        EACH_DOMAIN_QUOTA_MB = Metric::gauge("mailcow.domain.quota_mb[{#DOMAIN}]", Unit::Mib)
            .from(Origin::Domains).per(&[DOMAIN]);

        /// Domain fill level.
        EACH_DOMAIN_USAGE_PCT = Metric::gauge("mailcow.domain.usage_pct[{#DOMAIN}]", Unit::Percent)
            .from(Origin::Domains).per(&[DOMAIN]).above(&[(Warning, 80.0), (High, 95.0)]);

        /// Mailbox is active.
        EACH_MAILBOX_ACTIVE = Metric::flag("mailcow.mailbox.lld.active[{#MAILBOX}]").from(Origin::Mailboxes)
            .per(&[MAILBOX]);

        /// Space used.
        EACH_MAILBOX_USED_MB = Metric::gauge("mailcow.mailbox.lld.used_mb[{#MAILBOX}]", Unit::Mib)
            .from(Origin::Mailboxes).per(&[MAILBOX]);

        /// Quota.
        EACH_MAILBOX_QUOTA_MB = Metric::gauge("mailcow.mailbox.lld.quota_mb[{#MAILBOX}]", Unit::Mib)
            .from(Origin::Mailboxes).per(&[MAILBOX]);

        /// Fill level.
        EACH_MAILBOX_USAGE_PCT = Metric::gauge("mailcow.mailbox.lld.usage_pct[{#MAILBOX}]", Unit::Percent)
            .from(Origin::Mailboxes).per(&[MAILBOX]).above(&[(Warning, 80.0), (High, 95.0)]);
    }

    Aliases {
        /// All aliases; the entry that Mailcow keeps for each mailbox's own address is not one.
        ALIAS_TOTAL = Metric::gauge("mailcow.alias.total", Unit::Count).from(Origin::Aliases);

        /// Active aliases.
        ALIAS_ACTIVE = Metric::gauge("mailcow.alias.active", Unit::Count).from(Origin::Aliases);

        /// Inactive aliases.
        ALIAS_INACTIVE = Metric::gauge("mailcow.alias.inactive", Unit::Count).from(Origin::Aliases);

        /// Active aliases that lead to another address than their own, not to `@localhost`.
        ALIAS_FORWARDING = Metric::gauge("mailcow.alias.forwarding", Unit::Count).from(Origin::Aliases);

        /// Aliases reachable only from inside.
        ALIAS_INTERNAL = Metric::gauge("mailcow.alias.internal", Unit::Count).from(Origin::Aliases);
    }

    Discovery {
        /// Discovery list of domains.
        LLD_DOMAINS = Metric::json("mailcow.lld.domains").from(Origin::Domains);

        /// Values per domain.
        LLD_DOMAIN_DATA = Metric::json("mailcow.lld.domain.data").from(Origin::Domains);

        /// Discovery list of mailboxes.
        LLD_MAILBOXES = Metric::json("mailcow.lld.mailboxes").from(Origin::Mailboxes);

        /// Values per mailbox.
        LLD_MAILBOX_DATA = Metric::json("mailcow.lld.mailbox.data").from(Origin::Mailboxes);

        /// Discovery list of sync jobs.
        LLD_SYNCJOBS = Metric::json("mailcow.lld.syncjobs").from(Origin::SyncJobs);

        /// Values per sync job.
        LLD_SYNCJOB_DATA = Metric::json("mailcow.lld.syncjob.data").from(Origin::SyncJobs);
    }
}
