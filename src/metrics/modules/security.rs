//! DNS records, bans, block lists, relaying, and the mail security score.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Warning},
    Unit, metrics,
};

metrics! {
    Security {
        /// Missing records per domain.
        DNS_DETAIL = Metric::text("mailcow.dns.detail").from(Origin::Dns);

        /// All domains publish a DKIM key.
        DNS_DKIM_EXISTS = Metric::flag("mailcow.dns.dkim.exists").from(Origin::Dns).bad_at(&[(High, 0.0)]);

        /// All domains publish DMARC.
        DNS_DMARC_EXISTS = Metric::flag("mailcow.dns.dmarc.exists").from(Origin::Dns).bad_at(&[(High, 0.0)]);

        /// Active mail domains, separated by blanks.
        DNS_DOMAINS = Metric::text("mailcow.dns.domains").from(Origin::Domains);

        /// Reverse name equals the Mailcow host name.
        DNS_PTR_VALID = Metric::flag("mailcow.dns.ptr.valid").from(Origin::Dns).bad_at(&[(High, 0.0)]);

        /// All domains publish SPF.
        DNS_SPF_EXISTS = Metric::flag("mailcow.dns.spf.exists").from(Origin::Dns).bad_at(&[(High, 0.0)]);

        /// Currently banned networks.
        FAIL2BAN_BANNED = Metric::gauge("mailcow.security.fail2ban.banned", Unit::Count).from(Origin::Netfilter)
            .above(&[(Warning, 20.0), (High, 50.0)])
            .corrects(
                "It counts DROP, but Mailcow bans with REJECT, and knows neither nftables nor IPv6; here \
                 Mailcow's own lists of bans are counted.",
            );

        /// Currently banned networks caused by IMAP/POP3.
        FAIL2BAN_DOVECOT = Metric::gauge("mailcow.security.fail2ban.dovecot", Unit::Count)
            .from(Origin::Netfilter)
            .corrects(
                "It asks a program that Mailcow does not have; here an active ban belongs to the service \
                 whose rule matched before it.",
            );

        /// Currently banned networks caused by SMTP/SASL.
        FAIL2BAN_POSTFIX = Metric::gauge("mailcow.security.fail2ban.postfix", Unit::Count)
            .from(Origin::Netfilter)
            .corrects(
                "It asks a program that Mailcow does not have; here an active ban belongs to the service \
                 whose rule matched before it.",
            );

        /// Currently banned networks caused by SOGo/web login.
        FAIL2BAN_SOGO = Metric::gauge("mailcow.security.fail2ban.sogo", Unit::Count).from(Origin::Netfilter)
            .corrects(
                "It asks a program that Mailcow does not have; here an active ban belongs to the service \
                 whose rule matched before it.",
            );

        /// Server relays for everyone.
        OPEN_RELAY = Metric::flag("mailcow.security.open.relay").from(Origin::Relay).bad_at(&[(Disaster, 1.0)]);

        /// Names of the lists.
        RBL_DETAIL = Metric::text("mailcow.security.rbl.detail").from(Origin::BlockLists);

        /// Number of block lists naming the server address.
        RBL_LISTED = Metric::gauge("mailcow.security.rbl.listed", Unit::Count).from(Origin::BlockLists)
            .above(&[(Disaster, 0.0)])
            .corrects(
                "Any answer counts there, also a list's refusal to answer; here only return codes that mean \
                 listed, and a time-out is unknown.",
            );
    }

    Audit {
        /// TLSA record for the MX host.
        DANE_EXISTS = Metric::flag("mailcow.security.dane.exists").from(Origin::Dns);

        /// All domains announce MTA-STS.
        MTA_STS_EXISTS = Metric::flag("mailcow.security.mta_sts.exists").from(Origin::Dns);

        /// All domains announce TLS reporting.
        TLS_RPT_EXISTS = Metric::flag("mailcow.security.tls_rpt.exists").from(Origin::Dns);

        /// All domains publish BIMI.
        BIMI_EXISTS = Metric::flag("mailcow.security.bimi.exists").from(Origin::Dns);

        /// Passed mail security checks of 7: SPF, DKIM, DMARC, DANE, MTA-STS, TLS-RPT, BIMI.
        AUDIT_SCORE = Metric::gauge("mailcow.security.audit.score", Unit::Count).from(Origin::Dns)
            .below(&[(Warning, 5.0), (High, 3.0)])
            .corrects("Three points look at the first domain only; here each point needs all domains.");

        /// Missing audit records.
        AUDIT_DETAIL = Metric::text("mailcow.security.audit.detail").from(Origin::Dns);
    }
}
