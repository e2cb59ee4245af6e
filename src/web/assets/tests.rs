use std::{collections::BTreeMap, path::Path};

use axum::http::{StatusCode, header};
use sha2::{Digest, Sha256};

use super::{read, serve, version};

fn css() -> String {
    String::from_utf8(read("portal.css").unwrap().into_owned()).unwrap()
}

/// The tokens of one scheme: 0 for light, 1 for dark.
fn tokens(scheme: usize) -> BTreeMap<String, [f64; 3]> {
    let css = css();
    let lines = css.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": light-dark("));
    lines
        .map(|(name, rest)| {
            let pair = rest.split(')').next().unwrap();
            let hex = pair.split(',').nth(scheme).unwrap().trim().trim_start_matches('#');
            let part = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            (name.to_owned(), [part(0), part(2), part(4)])
        })
        .collect()
}

/// WCAG 2.2, relative luminance and contrast ratio.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    let luminance = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn colours_can_be_read_in_both_schemes() {
    for scheme in [0, 1] {
        let tokens = tokens(scheme);
        let check = |text: &str, ground: &str, least: f64| {
            let ratio = contrast(tokens[text], tokens[ground]);
            assert!(ratio >= least, "{text} on {ground}: {ratio:.2}, scheme {scheme}");
        };
        for ground in ["surface", "canvas", "raised"] {
            check("text", ground, 4.5);
            check("muted", ground, 4.5);
            check("brand", ground, 4.5);
        }
        check("brand", "surface", 5.8);
        for tone in ["ok", "wait", "bad", "info", "junk", "idle"] {
            check(tone, &format!("{tone}-tint"), 4.5);
            check(tone, "surface", 4.5);
            check(&format!("{tone}-fill"), "surface", 3.0);
        }
        check("calm-fill", "surface", 3.0);
        check("control", "surface", 3.0);
        let white = contrast(tokens["brand-fill"], [1.0; 3]);
        assert!(white >= 4.5, "white on the main button: {white:.2}");
        // The pill whose turn it is, is inverted.
        check("surface", "text", 4.5);
    }
    assert_eq!(tokens(0).len(), 28);
}

#[test]
fn browsers_without_light_dark_get_the_light_colours() {
    let css = css();
    let old = css.split("@supports not").nth(1).unwrap().split("\n}").next().unwrap();
    for (name, _) in tokens(0) {
        let light = css.split(&format!("--{name}: light-dark(")).nth(1).unwrap().split(',').next().unwrap();
        assert!(old.contains(&format!("--{name}: {light};")), "{name}");
    }
}

#[test]
fn own_style_and_script_stay_small() {
    use std::io::Write;
    for (name, most) in [("portal.css", 10_000), ("portal.js", 3_000), ("icons.svg", 9_000)] {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&read(name).unwrap()).unwrap();
        let bytes = packer.finish().unwrap().len();
        assert!(bytes <= most, "{name}: {bytes} bytes");
    }
}

#[test]
fn files_of_others_are_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/vendor");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let sums = readme.lines().filter_map(|line| line.split_once("  ").filter(|(sum, _)| sum.len() == 64));
    let sums: BTreeMap<_, _> = sums.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect();
    let mut seen = 0;
    for package in
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for file in std::fs::read_dir(&package).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
            let sum: String = Sha256::digest(std::fs::read(&file).unwrap())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(sums.get(&name), Some(&sum), "{name}");
            seen += 1;
        }
    }
    assert_eq!(seen, sums.len());
}

#[test]
fn links_between_files_lead_somewhere_and_none_leads_away() {
    for part in css().split("url(\"").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(read(name).is_some(), "{name}");
    }
    let script = String::from_utf8(read("portal.js").unwrap().into_owned()).unwrap();
    assert!(!script.contains("innerHTML") && !script.contains("eval("));
    assert!(!script.contains("http://") && !script.contains("https://"));
}

#[test]
fn no_style_sheet_carries_pictures() {
    for name in super::Files::iter().filter(|name| name.ends_with(".css")) {
        let sheet = String::from_utf8(read(&name).unwrap().into_owned()).unwrap();
        assert!(!sheet.contains("data:"), "{name}");
        assert_eq!(sheet.matches('{').count(), sheet.matches('}').count(), "{name}");
    }
    let sheet = |text: &'static str| super::without_carried_pictures(text.as_bytes().into());
    let two = sheet(
        "a{x:url(\"data:image/svg+xml,%3csvg a='(b)'%3e\") y}b{z:none,url(\"data:,\")}c{d:url(\"e.svg\")}",
    );
    assert_eq!(two, "a{x:none y}b{z:none,none}c{d:url(\"e.svg\")}".as_bytes());
    // What has no end stays as it is.
    for text in ["a{b:c}", "a{b:url(\"data:,"] {
        assert_eq!(sheet(text), text.as_bytes());
    }
}

#[tokio::test]
async fn a_file_is_kept_for_a_year_under_its_own_version_only() {
    let answer = serve(axum::extract::Path((version().to_owned(), "portal.css".to_owned()))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
    let older = serve(axum::extract::Path(("0000000000".to_owned(), "portal.css".to_owned()))).await;
    assert_eq!(older.headers()[header::CACHE_CONTROL], "no-cache");
    let missing = serve(axum::extract::Path((version().to_owned(), "../Cargo.toml".to_owned()))).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}
