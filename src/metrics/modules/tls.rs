//! Certificates and reachability.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Warning},
    Unit, metrics,
};

metrics! {
    Acme {
        /// A certificate exists.
        CERT_EXISTS = Metric::flag("mailcow.acme.cert.exists").from(Origin::Ports);

        /// Subject common name.
        CERT_SUBJECT = Metric::text("mailcow.acme.cert.subject").from(Origin::Ports);

        /// Issuer common name.
        CERT_ISSUER = Metric::text("mailcow.acme.cert.issuer").from(Origin::Ports);

        /// Start of validity.
        CERT_VALID_FROM = Metric::moment("mailcow.acme.cert.valid.from").from(Origin::Ports);

        /// End of validity.
        CERT_VALID_UNTIL = Metric::moment("mailcow.acme.cert.valid.until").from(Origin::Ports);

        /// Days until expiry.
        CERT_DAYS_LEFT = Metric::gauge("mailcow.acme.cert.days.left", Unit::Days).from(Origin::Ports)
            .below(&[(Warning, 14.0), (High, 7.0), (Disaster, 3.0)]);

        /// Serial number.
        CERT_SERIAL = Metric::text("mailcow.acme.cert.serial").from(Origin::Ports);
    }

    Tls {
        /// Days until the certificate on port 443 expires.
        CERT_DAYS_443 = Metric::gauge("mailcow.tls.cert.days.443", Unit::Days).from(Origin::Ports)
            .below(&[(Warning, 30.0), (High, 14.0), (Disaster, 3.0)]);

        /// Days until the certificate on port 587 expires.
        CERT_DAYS_587 = Metric::gauge("mailcow.tls.cert.days.587", Unit::Days).from(Origin::Ports)
            .below(&[(Warning, 30.0), (High, 14.0), (Disaster, 3.0)]);

        /// Days until the certificate on port 993 expires.
        CERT_DAYS_993 = Metric::gauge("mailcow.tls.cert.days.993", Unit::Days).from(Origin::Ports)
            .below(&[(Warning, 30.0), (High, 14.0), (Disaster, 3.0)]);

        /// Expiry and subject text of port 443.
        CERT_RAW_443 = Metric::text("mailcow.tls.cert.raw.443").from(Origin::Ports);

        /// Expiry and subject text of port 587.
        CERT_RAW_587 = Metric::text("mailcow.tls.cert.raw.587").from(Origin::Ports);

        /// Expiry and subject text of port 993.
        CERT_RAW_993 = Metric::text("mailcow.tls.cert.raw.993").from(Origin::Ports);

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

        /// Web interface answers.
        UI_CHECK = Metric::flag("mailcow.ui.check").from(Origin::Ports).bad_at(&[(High, 0.0)]);
    }
}
