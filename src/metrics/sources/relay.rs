//! Whether the mail host relays for strangers.

use std::{net::IpAddr, time::Duration};

use futures_util::FutureExt;

use super::{Reach, probes::is_public};
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        modules::security as m,
        samples::Samples,
    },
    remote::smtp::{self, Relaying},
};

/// Postscreen lets new clients wait, and so do rules against spam.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let host = reach.probes.peer()?.via;
        if !reach.probes.relay {
            return Err(Trouble::NotGranted("Set PROBE_RELAY to on.".to_owned()));
        }
        let port = reach.probes.ports.iter().find(|port| port.number == 25).map_or(25, |port| port.at);
        tell(&smtp::relaying(host, port, PATIENCE).await?, out);
        Ok(())
    }
    .boxed()
}

/// Only what speaks of relaying counts: a greylisted or blocked stranger has not been told whether he may relay.
pub(super) fn tell(answer: &Relaying, out: &mut Samples) {
    let Relaying { code, text, from, to } = answer;
    let speaks_of_relaying = text.to_ascii_lowercase().contains("relay");
    match code {
        400..600 if speaks_of_relaying => out.set(&m::OPEN_RELAY, false),
        200..300 if is_stranger(*from, *to) => out.set(&m::OPEN_RELAY, true),
        200..300 => {
            let why = format!("the server relays for {from}, which may be because it trusts that address");
            out.unknown(&m::OPEN_RELAY, &why);
        }
        _ => out.unknown(&m::OPEN_RELAY, &format!("the server answered for another reason: {code} {text}")),
    }
}

/// Servers trust their own networks.
fn is_stranger(from: IpAddr, to: IpAddr) -> bool {
    is_public(from) && from != to
}
