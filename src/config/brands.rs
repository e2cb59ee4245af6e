//! Names and colours by domain.

use super::{
    kind::{Kind, one_line},
    roles,
};
use crate::model::brand::{Colour, DomainBrand};

/// Longest name, in characters: it stands in the bar.
const NAME: usize = 40;

/// Entries of domains, name and colour.
pub const BRANDS: Kind<Vec<DomainBrand>> = Kind {
    form: "entries as DOMAIN=NAME, DOMAIN=#RRGGBB or DOMAIN=NAME#RRGGBB, separated by ;",
    secret: false,
    parse: brands,
};

fn brands(text: &str) -> Result<Vec<DomainBrand>, String> {
    let mut found: Vec<DomainBrand> = Vec::new();
    let entries = text.split([';', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    for entry in entries {
        let (domains, look) = entry.split_once('=').ok_or_else(|| format!("has {entry:?} without ="))?;
        let (name, colour) = look_of(look.trim())?;
        for domain in domains.split(',').map(str::trim) {
            let domain = roles::domain(domain)?;
            if found.iter().any(|known| known.domain == domain) {
                return Err(format!("names {domain:?} twice"));
            }
            found.push(DomainBrand { domain, name: name.clone(), colour });
        }
    }
    Ok(found)
}

/// Name and colour; the last `#` begins the colour.
fn look_of(look: &str) -> Result<(Option<String>, Option<Colour>), String> {
    let (name, colour) = match look.rfind('#').map(|at| look.split_at(at)) {
        None => (look, None),
        Some((name, colour)) => {
            let wrong = || format!("has {colour:?}, which is no colour as #0a6699");
            (name.trim(), Some(Colour::parse(colour).ok_or_else(wrong)?))
        }
    };
    let name = Some(one_line(name)?).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME) {
        return Err(format!("has a name of more than {NAME} characters"));
    }
    if name.is_none() && colour.is_none() {
        return Err("has an entry with neither name nor colour".to_owned());
    }
    Ok((name, colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_has_a_name_or_a_colour_or_both() {
        let found = brands("a.test, Sub.A.test = Alpha Mail#0a6699; b.test=Beta\n c.test=#fa0;").unwrap();
        let brand = |domain: &str, name: Option<&str>, colour| DomainBrand {
            domain: domain.to_owned(),
            name: name.map(str::to_owned),
            colour,
        };
        let blue = Some(Colour(0x0a, 0x66, 0x99));
        assert_eq!(
            found,
            [
                brand("a.test", Some("Alpha Mail"), blue),
                brand("sub.a.test", Some("Alpha Mail"), blue),
                brand("b.test", Some("Beta"), None),
                brand("c.test", None, Some(Colour(0xff, 0xaa, 0))),
            ]
        );
    }

    #[test]
    fn bad_brands_are_faults() {
        for (text, wrong) in [
            ("a.test", "has \"a.test\" without ="),
            ("a.test=", "has an entry with neither name nor colour"),
            ("a.test=X#blue", "has \"#blue\", which is no colour as #0a6699"),
            ("a.test=X#12", "has \"#12\", which is no colour as #0a6699"),
            ("a.test=X;A.TEST=Y", "names \"a.test\" twice"),
            ("*=X", "has \"*\", which is no domain"),
            ("ann@a.test=X", "has \"ann@a.test\", which is no domain"),
            ("a.test=X\u{7}", "contains a line end or another control character"),
        ] {
            assert_eq!(brands(text), Err(wrong.to_owned()), "{text}");
        }
        assert!(brands(&format!("a.test={}", "x".repeat(41))).is_err());
    }
}
