//! Mail flow beyond what the Zabbix package asks.

use super::super::registry::{Metric, Origin, Severity::Warning, Unit, Window::Hour, metrics};
use crate::model::sample::DOMAIN;

metrics! {
    Mailflow {
        /// Seconds from arrival to delivery that half of the deliveries did not exceed.
        DELAY_MEDIAN = Metric::gauge("portal.mail.delay.median", Unit::Seconds).from(Origin::PostfixLog).over(Hour);

        /// Seconds from arrival to delivery that 95 of 100 deliveries did not exceed.
        DELAY_95 = Metric::gauge("portal.mail.delay.p95", Unit::Seconds).from(Origin::PostfixLog).over(Hour);

        /// Seconds from arrival to delivery, longest.
        DELAY_MAX = Metric::gauge("portal.mail.delay.longest", Unit::Seconds).from(Origin::PostfixLog).over(Hour);

        /// Delivery attempts that are to be repeated.
        DEFERRALS = Metric::gauge("portal.mail.deferrals", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Mails that waited too long and went back to their senders.
        EXPIRED = Metric::gauge("portal.mail.expired", Unit::Count).from(Origin::PostfixLog).over(Hour)
            .above(&[(Warning, 20.0)]);

        /// Mails put on hold.
        HELD = Metric::gauge("portal.mail.held", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Mails thrown away by a rule.
        DISCARDED = Metric::gauge("portal.mail.discarded", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Delivered recipients as a share of those that are settled: delivered, failed, or expired.
        DELIVERY_RATE = Metric::gauge("portal.mail.delivery.rate", Unit::Percent).from(Origin::PostfixLog).over(Hour);

        /// Deliveries to a provider: one of the ten busiest by the names of the servers that take the mails.
        EACH_PROVIDER_DELIVERED = Metric::gauge("portal.mail.provider.delivered[{#PROVIDER}]", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).per(&["provider"]);

        /// Attempts at a provider that are to be repeated.
        EACH_PROVIDER_DEFERRALS = Metric::gauge("portal.mail.provider.deferrals[{#PROVIDER}]", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).per(&["provider"]);

        /// Recipients that a provider refused for good.
        EACH_PROVIDER_BOUNCED = Metric::gauge("portal.mail.provider.bounced[{#PROVIDER}]", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).per(&["provider"]);

        /// Deliveries to recipients of a domain of this server.
        EACH_DOMAIN_DELIVERED = Metric::gauge("portal.mail.domain.delivered[{#DOMAIN}]", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).per(&[DOMAIN]);

        /// Deliveries of mails from a domain of this server, at home and elsewhere.
        EACH_DOMAIN_SENT = Metric::gauge("portal.mail.domain.sent[{#DOMAIN}]", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).per(&[DOMAIN]);

        /// Attempts for mails from a domain of this server that are to be repeated.
        EACH_DOMAIN_DEFERRALS = Metric::gauge("portal.mail.domain.deferrals[{#DOMAIN}]", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).per(&[DOMAIN]);

        /// Recipients of mails from a domain of this server for whom it failed for good.
        EACH_DOMAIN_BOUNCED = Metric::gauge("portal.mail.domain.bounced[{#DOMAIN}]", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).per(&[DOMAIN]);
    }
}
