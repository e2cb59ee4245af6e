//! Mail flow in an hour, with pflogsumm's meaning of each word.

use super::super::registry::{
    Metric, Origin,
    Severity::{High, Warning},
    Unit,
    Window::Hour,
    metrics,
};

metrics! {
    Mailflow {
        /// Messages accepted into the queue.
        RECEIVED = Metric::gauge("mailcow.mail.received", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Successful deliveries (one per recipient).
        DELIVERED = Metric::gauge("mailcow.mail.delivered", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Recipients rewritten by forwarding.
        FORWARDED = Metric::gauge("mailcow.mail.forwarded", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Messages deferred at least once.
        DEFERRED = Metric::gauge("mailcow.mail.deferred", Unit::Count).from(Origin::PostfixLog).over(Hour)
            .above(&[(Warning, 10.0), (High, 50.0)])
            .corrects(
                "A parser fault makes it 0 whenever there are deferrals; here mails with at least one \
                 deferral are counted.",
            );

        /// Failed deliveries (one per recipient).
        BOUNCED = Metric::gauge("mailcow.mail.bounced", Unit::Count).from(Origin::PostfixLog).over(Hour)
            .above(&[(Warning, 20.0), (High, 50.0)]);

        /// Rejections.
        REJECTED = Metric::gauge("mailcow.mail.rejected", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Share of rejections.
        REJECT_RATE = Metric::gauge("mailcow.mail.reject.rate", Unit::Percent).from(Origin::PostfixLog)
            .over(Hour).above(&[(Warning, 80.0)]);

        /// Bytes received.
        BYTES_RECEIVED = Metric::gauge("mailcow.mail.bytes.received", Unit::Bytes).from(Origin::PostfixLog)
            .over(Hour);

        /// Bytes delivered.
        BYTES_DELIVERED = Metric::gauge("mailcow.mail.bytes.delivered", Unit::Bytes).from(Origin::PostfixLog)
            .over(Hour);

        /// Distinct sender addresses.
        SENDERS = Metric::gauge("mailcow.mail.senders", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Distinct recipient addresses delivered to.
        RECIPIENTS = Metric::gauge("mailcow.mail.recipients", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Distinct sending domains/hosts.
        SENDING_DOMAINS = Metric::gauge("mailcow.mail.sending.domains", Unit::Count).from(Origin::PostfixLog)
            .over(Hour);

        /// Distinct recipient domains.
        RECIPIENT_DOMAINS = Metric::gauge("mailcow.mail.recipient.domains", Unit::Count)
            .from(Origin::PostfixLog).over(Hour);

        /// Five busiest senders.
        TOP_SENDERS = Metric::text("mailcow.mail.top.senders").from(Origin::PostfixLog).over(Hour);

        /// Five busiest recipients.
        TOP_RECIPIENTS = Metric::text("mailcow.mail.top.recipients").from(Origin::PostfixLog).over(Hour);

        /// Five busiest sending domains.
        TOP_SENDING_DOMAINS = Metric::text("mailcow.mail.top.sending.domains").from(Origin::PostfixLog)
            .over(Hour);

        /// Five busiest recipient domains.
        TOP_RECIPIENT_DOMAINS = Metric::text("mailcow.mail.top.recipient.domains").from(Origin::PostfixLog)
            .over(Hour);

        /// Rejections by block lists.
        REJECT_RBL = Metric::gauge("mailcow.mail.reject.rbl", Unit::Count).from(Origin::PostfixLog).over(Hour);

        /// Rejections for unknown mailbox.
        REJECT_UNKNOWN_USER = Metric::gauge("mailcow.mail.reject.unknown.user", Unit::Count)
            .from(Origin::PostfixLog).over(Hour);

        /// Rejections for relaying.
        REJECT_RELAY_DENIED = Metric::gauge("mailcow.mail.reject.relay.denied", Unit::Count)
            .from(Origin::PostfixLog).over(Hour);

        /// Rejections for non-existent domain.
        REJECT_DOMAIN_NOTFOUND = Metric::gauge("mailcow.mail.reject.domain.notfound", Unit::Count)
            .from(Origin::PostfixLog).over(Hour);

        /// Messages refused by the milter at end of data.
        REJECT_CLEANUP = Metric::gauge("mailcow.mail.reject.cleanup", Unit::Count).from(Origin::PostfixLog)
            .over(Hour);

        /// Reject summary.
        REJECT_DETAIL = Metric::text("mailcow.mail.reject.detail").from(Origin::PostfixLog).over(Hour);

        /// Bounce reasons.
        BOUNCE_DETAIL = Metric::text("mailcow.mail.bounce.detail").from(Origin::PostfixLog).over(Hour)
            .corrects("A parser fault makes it always empty; here the reasons are counted.");

        /// SASL warnings.
        WARNINGS_SASL = Metric::gauge("mailcow.mail.warnings.sasl", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).above(&[(Warning, 100.0)])
            .corrects("Texts are cut before the word there; here whole lines are looked at.");

        /// TLS warnings.
        WARNINGS_TLS = Metric::gauge("mailcow.mail.warnings.tls", Unit::Count).from(Origin::PostfixLog)
            .over(Hour);

        /// DNSBL lookup warnings.
        WARNINGS_DNS = Metric::gauge("mailcow.mail.warnings.dns", Unit::Count).from(Origin::PostfixLog)
            .over(Hour);

        /// postscreen warnings.
        WARNINGS_POSTSCREEN = Metric::gauge("mailcow.mail.warnings.postscreen", Unit::Count)
            .from(Origin::PostfixLog).over(Hour)
            .corrects(
                "It looks for the service's name where it does not stand; here the program of the line \
                 counts.",
            );
    }
}
