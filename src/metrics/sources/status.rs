//! The mail store's file system, the host, and Mailcow's version.

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{
        collector::Outcome,
        modules::{disk, host, updates},
        samples::Samples,
    },
    remote::status::{Machine, Vmail},
};

const LACKING: &str = "Mailcow did not tell it";

pub(super) fn collect_vmail<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell_vmail(&reach.mailcow.vmail().await?, out);
        Ok(())
    }
    .boxed()
}

pub(super) fn collect_machine<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell_machine(&reach.mailcow.machine().await?, out);
        Ok(())
    }
    .boxed()
}

pub(super) fn collect_version<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell_version(reach.mailcow.version().await?, out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell_version(version: String, out: &mut Samples) {
    let version = Some(version).filter(|version| !version.is_empty());
    out.set_or(&updates::VERSION_CURRENT, version, LACKING);
}

pub(super) fn tell_vmail(vmail: &Vmail, out: &mut Samples) {
    // Without a device, Mailcow could not look.
    let told = |text: &Option<String>| text.clone().filter(|_| vmail.disk.is_some());
    let kib =
        |text: &Option<String>| told(text).as_deref().and_then(bytes).map(|bytes| (bytes / 1024.0).floor());
    let (used, total) = (kib(&vmail.used), kib(&vmail.total));
    let percent = told(&vmail.used_percent).and_then(|text| text.trim_end_matches('%').parse::<f64>().ok());
    out.set_or(&disk::VMAIL_TOTAL, total, LACKING);
    out.set_or(&disk::VMAIL_USED, percent, LACKING);
    out.set_or(&disk::VMAIL_FREE, total.zip(used).map(|(total, used)| (total - used).max(0.0)), LACKING);
    out.set_or(&disk::VMAIL_EXISTS, vmail.disk.as_ref().map(|_| true), LACKING);
}

/// `29G` in decimal units, as `df -H` prints.
fn bytes(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * 1000_f64.powi(power))
}

pub(super) fn tell_machine(machine: &Machine, out: &mut Samples) {
    out.set_or(&host::CPU, machine.cpu.usage, LACKING);
    out.set_or(&host::CORES, machine.cpu.cores, LACKING);
    out.set_or(&host::MEMORY, machine.memory.usage, LACKING);
    out.set_or(&host::MEMORY_TOTAL, machine.memory.total, LACKING);
    out.set_or(&host::UPTIME, machine.uptime.map(f64::floor), LACKING);
    match machine.memory.swap.as_slice() {
        [total, _, _, percent, ..] if *total > 0.0 => out.set(&host::SWAP, *percent),
        [_, _, _, _, ..] => out.not_in_use(&host::SWAP, "the host has no swap space"),
        _ => out.unknown(&host::SWAP, LACKING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(bytes("29G"), Some(29e9));
        assert_eq!(bytes("1.5T"), Some(1.5e12));
        assert_eq!(bytes("0"), Some(0.0));
        assert_eq!((bytes("much"), bytes("5Q")), (None, None));
    }
}
