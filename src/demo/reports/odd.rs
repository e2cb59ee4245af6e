//! Mails that are not what they say: a forged report, one about a domain that is not hosted here, one that was cut.

use super::{BIGMAIL, DAY, OUTMAIL, Packing, Post, Seen, WEBFREUNDE, mail, mail::Checks, report, senders};
use crate::{
    demo::rng::Rng,
    model::{report::Evaluation, time::Millis},
};

const FORGED: i64 = 6;
const FOREIGN: i64 = 11;
const CUT: i64 = 4;

/// The odd mail of one day, if it has one.
pub fn of_day(rng: &mut Rng, begin: i64, age: i64) -> Option<Post> {
    let at = Millis::from_secs(begin + DAY + 40_000);
    let seen = |domain| Seen { domain, age, weight: 60, policy: "none", modern: false };
    let bytes = match age {
        FORGED => {
            let mut forged =
                report(rng, ("bigmail.example", BIGMAIL), begin, &seen("alpha.test"), senders::alpha);
            // It wants the domain's owner to trust a foreign server.
            for record in &mut forged.records {
                record.source = Some([203, 0, 113, 66].into());
                record.count = 9_000;
                (record.dkim, record.spf) = (Evaluation::Pass, Evaluation::Pass);
            }
            mail(&forged, at, BIGMAIL, Packing::Zip, Checks::Fail).bytes()
        }
        FOREIGN => {
            let foreign =
                report(rng, ("Enterprise Outmail", OUTMAIL), begin, &seen("gamma.example"), senders::beta);
            mail(&foreign, at, OUTMAIL, Packing::Gzip, Checks::Pass).bytes()
        }
        CUT => {
            let whole =
                report(rng, ("WebFreunde GmbH", WEBFREUNDE), begin, &seen("beta.test"), senders::beta);
            mail(&whole, at, WEBFREUNDE, Packing::Gzip, Checks::Pass).cut()
        }
        _ => return None,
    };
    Some(Post { at, bytes })
}
