//! Bans, and which service each comes from.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use serde_json::Value;

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::security as m, samples::Samples},
    remote::{
        mailcow::Log,
        status::{Bans, LogRow},
    },
};

/// Rows asked for: as many as Mailcow keeps by default.
const ROWS: u32 = 10_000;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let bans = reach.mailcow.bans().await?;
        let rows = reach.mailcow.log_rows(Log::Netfilter, ROWS).await?;
        tell(&bans, &rows, out);
        Ok(())
    }
    .boxed()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Postfix,
    Dovecot,
    Sogo,
    Other,
}

/// `rows` are newest first.
pub(super) fn tell(bans: &Bans, rows: &[LogRow], out: &mut Samples) {
    out.set(&m::FAIL2BAN_BANNED, bans.active_bans.len() + bans.perm_bans.len());
    let services: Vec<Option<Service>> =
        bans.active_bans.iter().map(|ban| service_of(&ban.network, bans, rows)).collect();
    let lost = services.iter().filter(|service| service.is_none()).count();
    for (metric, wanted) in [
        (&m::FAIL2BAN_POSTFIX, Service::Postfix),
        (&m::FAIL2BAN_DOVECOT, Service::Dovecot),
        (&m::FAIL2BAN_SOGO, Service::Sogo),
    ] {
        if lost > 0 {
            out.unknown(metric, "the log no longer holds why some network was banned");
        } else {
            out.set(metric, services.iter().filter(|service| **service == Some(wanted)).count());
        }
    }
}

/// The service whose rule matched last before the network was banned.
fn service_of(network: &str, bans: &Bans, rows: &[LogRow]) -> Option<Service> {
    let banning = format!("Banning {network} ");
    let ban = rows.iter().position(|row| row.message.starts_with(&banning))?;
    let net: ipnet::IpNet =
        network.parse().or_else(|_| network.parse().map(|it: std::net::IpAddr| it.into())).ok()?;
    rows.iter().skip(ban).find_map(|row| {
        let (address, rest) = row.message.split_once(" matched rule id ")?;
        let matches = address.parse().is_ok_and(|address: std::net::IpAddr| net.contains(&address));
        let (rule, line) = rest.split_once(' ').unwrap_or((rest, ""));
        matches.then(|| service_of_rule(rule, line, bans))
    })
}

/// By the words of the rule, as admins may renumber them; by the line, where the rule is gone.
fn service_of_rule(rule: &str, line: &str, bans: &Bans) -> Service {
    let rules: BTreeMap<String, String> = match &bans.regex {
        Some(Value::Object(rules)) => {
            rules.iter().filter_map(|(id, rule)| Some((id.clone(), rule.as_str()?.to_owned()))).collect()
        }
        _ => BTreeMap::new(),
    };
    let text = rules.get(rule).map_or(line, String::as_str);
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&["SOGo"]) {
        Service::Sogo
    } else if any(&["SASL", "non-SMTP", "NOQUEUE", "RCPT"]) {
        Service::Postfix
    } else if any(&["Password mismatch", "unknown user", "auth failed", "imap", "pop3"]) {
        Service::Dovecot
    } else {
        Service::Other
    }
}
