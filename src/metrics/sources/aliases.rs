//! Aliases.

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::mailboxes as m, samples::Samples},
    remote::status::AliasUse,
};

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell(&reach.mailcow.alias_use().await?, out);
        Ok(())
    }
    .boxed()
}

/// Mailcow leaves the entries out that lead an address to itself.
pub(super) fn tell(aliases: &[AliasUse], out: &mut Samples) {
    let active = |alias: &&AliasUse| alias.active == Some(1.0);
    let forwards = |alias: &&AliasUse| alias.address != alias.goto && !alias.goto.ends_with("@localhost");
    out.set(&m::ALIAS_TOTAL, aliases.len());
    out.set(&m::ALIAS_ACTIVE, aliases.iter().filter(active).count());
    out.set(&m::ALIAS_INACTIVE, aliases.iter().filter(|alias| alias.active == Some(0.0)).count());
    out.set(&m::ALIAS_FORWARDING, aliases.iter().filter(active).filter(forwards).count());
    out.set(&m::ALIAS_INTERNAL, aliases.iter().filter(|alias| alias.internal == Some(1.0)).count());
}
