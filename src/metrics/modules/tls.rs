//! Certificates and reachability.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Warning},
    Unit, metrics,
};

metrics! {
    Acme {
        /// A certificate is served. It is that of the first of the ports 443, 993, 465, 587 that shows one: what clients meet,
        /// not the file.
        CERT_EXISTS = Metric::flag("mailcow.acme.cert.exists").from(Origin::Certificates);

        /// Subject common name; the first DNS name where there is none.
        CERT_SUBJECT = Metric::text("mailcow.acme.cert.subject").from(Origin::Certificates);

        /// Issuer common name.
        CERT_ISSUER = Metric::text("mailcow.acme.cert.issuer").from(Origin::Certificates);

        /// Start of validity.
        CERT_VALID_FROM = Metric::moment("mailcow.acme.cert.valid.from").from(Origin::Certificates);

        /// End of validity.
        CERT_VALID_UNTIL = Metric::moment("mailcow.acme.cert.valid.until").from(Origin::Certificates);

        /// Days until expiry; below 0 after it.
        CERT_DAYS_LEFT = Metric::gauge("mailcow.acme.cert.days.left", Unit::Days).from(Origin::Certificates)
            .below(&[(Warning, 14.0), (High, 7.0), (Disaster, 3.0)]);

        /// Days since which the renewal has been due; 0 while it is not. Mailcow renews when 30 days are left, or a third of the
        /// certificate's life where that is shorter.
        RENEWAL_OVERDUE = Metric::gauge("portal.acme.renewal.overdue", Unit::Days).from(Origin::Certificates)
            .above(&[(Warning, 1.0), (High, 14.0)]);

        /// Serial number.
        CERT_SERIAL = Metric::text("mailcow.acme.cert.serial").from(Origin::Certificates);
    }

    Tls {
        /// Days until the certificate on port 443 expires; below 0 after it, unknown while it cannot be
        /// seen.
        CERT_DAYS_443 = Metric::gauge("mailcow.tls.cert.days.443", Unit::Days).from(Origin::Certificates)
            .below(&[(Warning, 30.0), (High, 14.0), (Disaster, 3.0)]);

        /// Days until the certificate on port 587 expires; below 0 after it, unknown while it cannot be
        /// seen.
        CERT_DAYS_587 = Metric::gauge("mailcow.tls.cert.days.587", Unit::Days).from(Origin::Certificates)
            .below(&[(Warning, 30.0), (High, 14.0), (Disaster, 3.0)]);

        /// Days until the certificate on port 993 expires; below 0 after it, unknown while it cannot be
        /// seen.
        CERT_DAYS_993 = Metric::gauge("mailcow.tls.cert.days.993", Unit::Days).from(Origin::Certificates)
            .below(&[(Warning, 30.0), (High, 14.0), (Disaster, 3.0)]);

        /// Expiry and subject text of port 443.
        CERT_RAW_443 = Metric::text("mailcow.tls.cert.raw.443").from(Origin::Certificates);

        /// Expiry and subject text of port 587.
        CERT_RAW_587 = Metric::text("mailcow.tls.cert.raw.587").from(Origin::Certificates);

        /// Expiry and subject text of port 993.
        CERT_RAW_993 = Metric::text("mailcow.tls.cert.raw.993").from(Origin::Certificates);

        /// Port 443 accepts TCP.
        HTTPS_CHECK = Metric::flag("mailcow.tls.https.check").from(Origin::Ports).bad_at(&[(High, 0.0)])
            .corrects("Kept for an hour there, so an outage shows late; here tried every minute.");

        /// Port 993 accepts TCP.
        IMAPS_CHECK = Metric::flag("mailcow.tls.imaps.check").from(Origin::Ports).bad_at(&[(High, 0.0)])
            .corrects("Kept for an hour there, so an outage shows late; here tried every minute.");

        /// Port 587 accepts TCP.
        SUBMISSION_CHECK = Metric::flag("mailcow.tls.submission.check").from(Origin::Ports)
            .bad_at(&[(High, 0.0)])
            .corrects("Kept for an hour there, so an outage shows late; here tried every minute.");

        /// Web interface answers over HTTPS with a trusted certificate, and not with an error.
        UI_CHECK = Metric::flag("mailcow.ui.check").from(Origin::Ports).bad_at(&[(High, 0.0)])
            .corrects("Kept for an hour there, and certificate faults are ignored; here tried every minute.");

        /// A port accepts TCP.
        EACH_PORT_OPEN = Metric::flag("portal.port.open[{#PORT}]").from(Origin::Ports).per(&["port"])
            .bad_at(&[(High, 0.0)]);

        /// Time until a port accepted a connection; unknown while it is closed.
        EACH_PORT_SECONDS = Metric::gauge("portal.port.seconds[{#PORT}]", Unit::Seconds).from(Origin::Ports)
            .per(&["port"]).above(&[(Warning, 2.0)]);

        /// Days until the certificate at a port expires; below 0 after it.
        EACH_CERT_DAYS = Metric::gauge("portal.cert.days[{#PORT}]", Unit::Days).from(Origin::Certificates)
            .per(&["port"]).below(&[(Warning, 30.0), (High, 14.0), (Disaster, 3.0)]);

        /// The certificate at a port is in its time, for the host's name, and from an authority that we know.
        EACH_CERT_TRUSTED = Metric::flag("portal.cert.trusted[{#PORT}]").from(Origin::Certificates)
            .per(&["port"]).bad_at(&[(High, 0.0)]);

        /// The certificate at a port: what is wrong with it, owner, issuer, end, length of the chain, version of TLS.
        EACH_CERT_DETAIL = Metric::text("portal.cert.detail[{#PORT}]").from(Origin::Certificates).per(&["port"]);

        /// The certificate at a port, as JSON: owner, issuer, names, times, faults, chain.
        EACH_CERT_FACTS = Metric::json("portal.cert.facts[{#PORT}]").from(Origin::Certificates).per(&["port"]);
    }
}
