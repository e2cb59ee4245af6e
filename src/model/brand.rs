//! Whose portal it is, by domain: a name and a colour, and the shades of that colour that can be read.

/// Name and colour of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainBrand {
    /// The domain of the logins that see it, lower case.
    pub domain: String,
    /// The portal's name for them.
    pub name: Option<String>,
    /// The accent.
    pub colour: Option<Colour>,
}

/// A colour of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colour(pub u8, pub u8, pub u8);

/// The least contrast of text (WCAG 2.2, 1.4.3, level AA).
pub const READABLE: f64 = 4.5;

const BLACK: Colour = Colour(0, 0, 0);
const WHITE: Colour = Colour(255, 255, 255);
/// What links lie on in light: canvas, surface, raised, and the tint behind what is chosen.
const LIGHT: [Colour; 4] =
    [Colour(0xf7, 0xf8, 0xf9), WHITE, Colour(0xf2, 0xf4, 0xf6), Colour(0xe5, 0xf1, 0xf6)];
/// The same in dark.
const DARK: [Colour; 4] =
    [Colour(0x1c, 0x1c, 0x1e), Colour(0x26, 0x26, 0x29), Colour(0x30, 0x30, 0x34), Colour(0x1b, 0x32, 0x3c)];

/// The shades of an accent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shades {
    /// Links and lines in light.
    pub light: Colour,
    /// Links and lines in dark.
    pub dark: Colour,
    /// Filled buttons and the mark, which carry white, in both.
    pub fill: Colour,
}

impl Colour {
    /// Reads `#0a6699` or `#069`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let part = |shift: u32, mask: u32| u8::try_from(number >> shift & mask).unwrap_or_default();
        match digits.len() {
            6 => Some(Self(part(16, 0xff), part(8, 0xff), part(0, 0xff))),
            3 => Some(Self(part(8, 0xf) * 17, part(4, 0xf) * 17, part(0, 0xf) * 17)),
            _ => None,
        }
    }

    /// `#0a6699`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// How well one can be read on the other, from 1 to 21 (WCAG 2.2, contrast ratio).
    pub fn contrast(self, other: Self) -> f64 {
        let (own, other) = (self.luminance() + 0.05, other.luminance() + 0.05);
        if own > other { own / other } else { other / own }
    }

    /// The shades of this accent: the colour itself where it can be read, else as little darker or brighter as needed.
    pub fn shades(self) -> Shades {
        Shades {
            light: self.readable(&LIGHT, BLACK),
            dark: self.readable(&DARK, WHITE),
            fill: self.readable(&[WHITE], BLACK),
        }
    }

    /// The colour nearest to this one, on the way to `end`, that can be read on all the grounds.
    fn readable(self, grounds: &[Self], end: Self) -> Self {
        let fits = |colour: &Self| grounds.iter().all(|ground| colour.contrast(*ground) >= READABLE);
        (0..=100).map(|share| self.mixed(end, share)).find(fits).unwrap_or(end)
    }

    fn mixed(self, other: Self, percent: u16) -> Self {
        let mix = |own: u8, other: u8| {
            let sum = u16::from(own) * (100 - percent) + u16::from(other) * percent;
            u8::try_from((sum + 50) / 100).unwrap_or(u8::MAX)
        };
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(self) -> f64 {
        let part = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(self.0) + 0.7152 * part(self.1) + 0.0722 * part(self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_written() {
        assert_eq!(Colour::parse("#0A6699"), Some(Colour(0x0a, 0x66, 0x99)));
        assert_eq!(Colour::parse("#069"), Some(Colour(0, 0x66, 0x99)));
        assert_eq!(Colour(0x0a, 0x66, 0x99).hex(), "#0a6699");
        for text in ["", "#", "069", "#06", "#0699", "#06699", "#gg0000", "#+12345", "red", "#0000000"] {
            assert_eq!(Colour::parse(text), None, "{text}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 1e-9);
        assert!((Colour(0x77, 0x77, 0x77).contrast(WHITE) - 4.48).abs() < 0.01);
        assert!((WHITE.contrast(WHITE) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn every_accent_can_be_read_in_light_and_dark() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let accent = Colour(red, green, blue);
                    let shades = accent.shades();
                    for ground in LIGHT {
                        assert!(shades.light.contrast(ground) >= READABLE, "{accent:?} {shades:?}");
                    }
                    for ground in DARK {
                        assert!(shades.dark.contrast(ground) >= READABLE, "{accent:?} {shades:?}");
                    }
                    assert!(shades.fill.contrast(WHITE) >= READABLE, "{accent:?} {shades:?}");
                }
            }
        }
    }

    #[test]
    fn what_can_be_read_stays_as_it_is() {
        let blue = Colour(0x0f, 0x68, 0x8d);
        assert_eq!((blue.shades().light, blue.shades().fill), (blue, blue));
        assert_eq!(Colour(0x6f, 0xc7, 0xe9).shades().dark, Colour(0x6f, 0xc7, 0xe9));
        assert_ne!(Colour(0xff, 0xee, 0).shades().light, Colour(0xff, 0xee, 0));
    }

    /// The grounds are those of the stylesheet.
    #[test]
    fn the_grounds_are_those_of_the_pages() {
        let css = include_str!("../../static/portal.css");
        let names = ["canvas", "surface", "raised", "info-tint"];
        for (name, (light, dark)) in names.iter().zip(LIGHT.into_iter().zip(DARK)) {
            let token = format!("--{name}: light-dark({}, {})", light.hex(), dark.hex());
            assert!(css.contains(&token), "{token}");
        }
    }
}
