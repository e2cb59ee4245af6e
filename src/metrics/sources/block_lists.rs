//! DNS block lists (RFC 5782). They are third parties: only those that the admin named are asked.

use std::net::IpAddr;

use futures_util::{FutureExt, future::join_all};

use super::Reach;
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        modules::security as m,
        samples::Samples,
    },
    model::sample::{Labels, State},
    parse::records::{Listing, listing},
    remote::dns::Dns,
};

/// The entry that every list has (RFC 5782 section 5): a list without it is dead, or does not answer us.
const TEST_ENTRY: &str = "2.0.0.127";

/// What a list says: the entries that it has, or why that is not known.
pub(super) type Verdict = Result<Vec<String>, String>;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let probes = &reach.probes;
        probes.host()?;
        if probes.block_lists.is_empty() {
            let how =
                "Name the lists to ask in BLOCK_LISTS, as zen.spamhaus.org; their owners see the questions.";
            return Err(Trouble::NotGranted(how.to_owned()));
        }
        let (dns, addresses) = (probes.dns()?, probes.public_addresses().await?);
        let asked =
            probes.block_lists.iter().map(|list| async { (list.clone(), ask(dns, list, &addresses).await) });
        tell(&join_all(asked).await, out);
        Ok(())
    }
    .boxed()
}

/// What one list says of these addresses.
pub(super) async fn ask(dns: &Dns, list: &str, addresses: &[IpAddr]) -> Verdict {
    if meanings(dns, list, TEST_ENTRY).await?.is_empty() {
        return Err("it lacks the entry that every list has".to_owned());
    }
    let mut entries = Vec::new();
    for address in addresses {
        for part in meanings(dns, list, &reversed(*address)).await? {
            entries.push(format!("{address} {part}").trim_end().to_owned());
        }
    }
    Ok(entries)
}

/// The parts of the list that have an entry; a refusal is an error.
async fn meanings(dns: &Dns, list: &str, entry: &str) -> Result<Vec<&'static str>, String> {
    let answers = dns.answers(&format!("{entry}.{list}")).await.map_err(|error| error.to_string())?;
    let mut parts = Vec::new();
    for answer in answers {
        match listing(list, answer) {
            Listing::Listed(part) => parts.push(part),
            Listing::Refused(why) => return Err(why.to_owned()),
        }
    }
    parts.sort_unstable();
    parts.dedup();
    Ok(parts)
}

/// Bytes of IPv4, half bytes of IPv6, last one first (RFC 5782 sections 2.1 and 2.4).
pub(super) fn reversed(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.octets().iter().rev().map(u8::to_string).collect::<Vec<_>>().join("."),
        IpAddr::V6(ip) => {
            let halves = ip.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            halves.map(|half| format!("{half:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

pub(super) fn tell(verdicts: &[(String, Verdict)], out: &mut Samples) {
    let (mut listed, mut unknown, mut detail) = (0_usize, Vec::new(), Vec::new());
    for (list, verdict) in verdicts {
        let state = match verdict {
            Ok(entries) => {
                listed += usize::from(!entries.is_empty());
                detail.extend((!entries.is_empty()).then(|| format!("{list}: {}", entries.join(", "))));
                State::from(!entries.is_empty())
            }
            Err(why) => {
                unknown.push(format!("{list}: {why}"));
                detail.push(format!("{list}?"));
                State::Unknown(why.clone())
            }
        };
        out.set_each(&m::EACH_LISTED, Labels::one("list", list), state);
    }
    // One listing is known to be one, whatever the silent lists would have said; none is not.
    if listed > 0 || unknown.is_empty() {
        out.set(&m::RBL_LISTED, listed);
    } else {
        out.unknown(&m::RBL_LISTED, &unknown.join("; "));
    }
    out.set(&m::RBL_DETAIL, if detail.is_empty() { "clean".to_owned() } else { detail.join("; ") });
}
