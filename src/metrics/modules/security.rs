//! DNS records, bans, block lists, relaying, and the mail security score.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Info, Warning},
    Unit, metrics,
};
use crate::model::sample::DOMAIN;

metrics! {
    Security {
        /// Domains with what is wrong with their SPF, DKIM and DMARC, as `a.test:SPF DKIM`; `?` marks what could not be
        /// looked up; `OK` where nothing is.
        DNS_DETAIL = Metric::text("mailcow.dns.detail").from(Origin::Dns);

        /// All domains publish a DKIM key, the one with which Mailcow signs.
        DNS_DKIM_EXISTS = Metric::flag("mailcow.dns.dkim.exists").from(Origin::Dns).bad_at(&[(High, 0.0)])
            .corrects("Selectors are guessed there; here Mailcow names selector and key, and a failed lookup is unknown.");

        /// All domains publish a sound DMARC policy, their own or that of a parent domain.
        DNS_DMARC_EXISTS = Metric::flag("mailcow.dns.dmarc.exists").from(Origin::Dns).bad_at(&[(High, 0.0)])
            .corrects("A failed lookup counts as missing there, and parent domains are not asked.");

        /// Active mail domains, separated by blanks.
        DNS_DOMAINS = Metric::text("mailcow.dns.domains").from(Origin::Domains);

        /// The reverse names of all the mail host's addresses are its host name.
        DNS_PTR_VALID = Metric::flag("mailcow.dns.ptr.valid").from(Origin::Dns).bad_at(&[(High, 0.0)])
            .corrects("One IPv4 address is looked at there, which third parties tell; here all of the host's own.");

        /// All domains publish one sound SPF record, of at most 10 lookups, that does not let everybody send.
        DNS_SPF_EXISTS = Metric::flag("mailcow.dns.spf.exists").from(Origin::Dns).bad_at(&[(High, 0.0)])
            .corrects("Two records and more than 10 lookups pass there; a failed lookup counts as missing.");

        /// An address of the mail host has a reverse name that leads back to it (FCrDNS).
        EACH_PTR = Metric::flag("portal.dns.ptr[{#ADDRESS}]").from(Origin::Dns).per(&["address"])
            .bad_at(&[(High, 0.0)]);

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

        /// Server relays for everyone: an SMTP dialogue asks it to, and takes the question back before any mail is sent. Unknown
        /// where it lets the portal relay only because it trusts the portal's address.
        OPEN_RELAY = Metric::flag("mailcow.security.open.relay").from(Origin::Relay).bad_at(&[(Disaster, 1.0)])
            .corrects("Two settings are read there, and what could not be read is safe; here the server is asked.");

        /// Lists that name an address of the mail host, with the address and the part of the list; `clean` where none does;
        /// `?` marks lists that could not be asked.
        RBL_DETAIL = Metric::text("mailcow.security.rbl.detail").from(Origin::BlockLists);

        /// Number of block lists naming an address of the mail host. Only the lists of `BLOCK_LISTS` are asked.
        RBL_LISTED = Metric::gauge("mailcow.security.rbl.listed", Unit::Count).from(Origin::BlockLists)
            .above(&[(Disaster, 0.0)])
            .corrects(
                "Any answer counts there, also a list's refusal to answer; here only return codes that mean \
                 listed, and a time-out is unknown.",
            );

        /// A block list names an address of the mail host.
        EACH_LISTED = Metric::flag("portal.blocklist.listed[{#LIST}]").from(Origin::BlockLists).per(&["list"])
            .bad_at(&[(High, 1.0)]);
    }

    Audit {
        /// The mail host has a TLSA record for port 25 that stands for the certificate that it shows there. Whether its zone is
        /// signed (DNSSEC), without which senders ignore the record, is not checked.
        DANE_EXISTS = Metric::flag("mailcow.security.dane.exists").from(Origin::Dns).bad_at(&[(Info, 0.0)])
            .corrects("The record is not compared with the served certificate there.");

        /// All domains announce MTA-STS and serve a policy that names all their mail servers.
        MTA_STS_EXISTS = Metric::flag("mailcow.security.mta_sts.exists").from(Origin::Dns).bad_at(&[(Info, 0.0)])
            .corrects("The policy file is not fetched there.");

        /// All domains announce TLS reporting.
        TLS_RPT_EXISTS = Metric::flag("mailcow.security.tls_rpt.exists").from(Origin::Dns).bad_at(&[(Info, 0.0)]);

        /// All domains publish BIMI.
        BIMI_EXISTS = Metric::flag("mailcow.security.bimi.exists").from(Origin::Dns).bad_at(&[(Info, 0.0)]);

        /// Passed mail security checks of 7, of the domain that passes fewest: SPF, DKIM, DMARC, DANE, MTA-STS, TLS-RPT, BIMI.
        AUDIT_SCORE = Metric::gauge("mailcow.security.audit.score", Unit::Count).from(Origin::Dns)
            .below(&[(Warning, 5.0), (High, 3.0)])
            .corrects("Three points look at the first domain only; here all are looked at, and the worst counts.");

        /// Missing audit records: `host:DANE`, and domains with those of the 7 checks that they do not pass; `?` marks what could
        /// not be looked up; `OK` where nothing is.
        AUDIT_DETAIL = Metric::text("mailcow.security.audit.detail").from(Origin::Dns);

        /// Passed mail security checks of a domain, of 7: SPF, DKIM, DMARC, DANE, MTA-STS, TLS-RPT, BIMI.
        EACH_SCORE = Metric::gauge("portal.dns.score[{#DOMAIN}]", Unit::Count).from(Origin::Dns).per(&[DOMAIN])
            .below(&[(Warning, 5.0), (High, 3.0)]);

        /// A domain passes a check: the seven of the score, and MX.
        EACH_CHECK = Metric::flag("portal.dns.check[{#DOMAIN},{#CHECK}]").from(Origin::Dns).per(&[DOMAIN, "check"])
            .bad_by("check", &[
                ("SPF", &[(High, 0.0)]),
                ("DKIM", &[(High, 0.0)]),
                ("DMARC", &[(High, 0.0)]),
                ("DANE", &[(Info, 0.0)]),
                ("MTA-STS", &[(Info, 0.0)]),
                ("TLS-RPT", &[(Info, 0.0)]),
                ("BIMI", &[(Info, 0.0)]),
                ("MX", &[(Info, 0.0)]),
            ]);

        /// What is wrong with the records of a domain, a reason for each check; `OK` where nothing is.
        EACH_DNS_DETAIL = Metric::text("portal.dns.detail[{#DOMAIN}]").from(Origin::Dns).per(&[DOMAIN]);

        /// The checks of a domain, as JSON: how each ended and why, which records are there, which should be.
        EACH_DNS_FACTS = Metric::json("portal.dns.facts[{#DOMAIN}]").from(Origin::Dns).per(&[DOMAIN]);
    }
}
