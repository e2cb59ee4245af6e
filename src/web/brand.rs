//! The look of a domain for those who sign in with an address of it: a stylesheet and a mark, made from its colour.
//! Others do not get them, so that nobody can try who else is a customer here.

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use sha2::{Digest, Sha256};

use super::{
    assets,
    errors::WebError,
    state::{AppState, WebSettings},
};
use crate::model::{
    brand::{Colour, DomainBrand},
    scope::domain_of,
    user::Visitor,
};

/// The mark's own colour, in its file.
const MARK_COLOUR: &str = "#0f688d";

/// The brand of an address's domain.
pub fn of<'a>(settings: &'a WebSettings, address: &str) -> Option<&'a DomainBrand> {
    let domain = domain_of(address)?;
    settings.brands.iter().find(|brand| brand.domain.eq_ignore_ascii_case(domain))
}

/// Addresses of a colour's stylesheet and of the mark in it; `base_path` as in [`assets::href`].
pub fn hrefs(base_path: &str, colour: Colour) -> [String; 2] {
    let stem = stem(colour);
    ["css", "svg"].map(|ending| format!("{base_path}/brand/{stem}.{ending}"))
}

/// `GET /brand/{file}`: the visitor's own.
pub fn file() -> MethodRouter<AppState> {
    get(async |State(state): State<AppState>, visitor: Visitor, Path(file): Path<String>| {
        let colour = of(&state.settings, &visitor.address).and_then(|brand| brand.colour);
        let colour = colour.ok_or(WebError::NotFound)?;
        let ending = file.strip_prefix(&stem(colour)).ok_or(WebError::NotFound)?;
        match ending {
            ".css" => Ok(kept("text/css; charset=utf-8", style(colour))),
            ".svg" => Ok(kept("image/svg+xml", mark(colour))),
            _ => Err(WebError::NotFound),
        }
    })
}

fn kept(kind: &'static str, text: String) -> Response {
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=31536000, immutable")];
    (headers, text).into_response()
}

/// A few characters that change when what is served changes.
fn stem(colour: Colour) -> String {
    let sum = Sha256::digest(style(colour) + &mark(colour));
    sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The tokens of `portal.css` that are the accent, with shades that can be read. Status colours stay what they are.
fn style(colour: Colour) -> String {
    let shades = colour.shades();
    let (light, dark, fill) = (shades.light.hex(), shades.dark.hex(), shades.fill.hex());
    format!(
        ":root, [data-bs-theme] {{ --brand: light-dark({light}, {dark}); --brand-fill: light-dark({fill}, {fill}); }}\n\
         @supports not (color: light-dark(#000, #fff)) {{\n  \
         :root, [data-bs-theme] {{ --brand: {light}; --brand-fill: {fill}; }}\n}}\n"
    )
}

fn mark(colour: Colour) -> String {
    let mark = assets::read("mark.svg").unwrap_or_default();
    String::from_utf8_lossy(&mark).replace(MARK_COLOUR, &colour.shades().fill.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_has_a_style_and_a_mark_of_its_own() {
        let (red, blue) = (Colour(0xc0, 0x10, 0x20), Colour(0x10, 0x20, 0xc0));
        assert_ne!(hrefs("/status", red), hrefs("/status", blue));
        assert!(hrefs("/status", red)[0].starts_with("/status/brand/"));
        let style = style(red);
        assert!(style.contains("--brand: light-dark(#c01020, ") && style.contains("--brand-fill"), "{style}");
        assert!(!style.contains("--ok") && !style.contains("--bad"));
        let mark = mark(red);
        assert!(mark.contains("#c01020") && !mark.contains(MARK_COLOUR), "{mark}");
    }

    /// The style sets tokens that the stylesheet of all knows.
    #[test]
    fn the_tokens_exist() {
        let css = include_str!("../../static/portal.css");
        for token in ["  --brand: light-dark(", "  --brand-fill: light-dark("] {
            assert!(css.contains(token), "{token}");
        }
    }
}
