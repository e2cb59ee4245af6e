//! The look of a domain: for those of the domain, and for nobody else.

use mailcow_status::model::brand::{Colour, DomainBrand};

use serde_json::json;

use super::{
    browser::{is_clean, sign_in},
    support::{
        browser::Browser,
        portal::{Portal, Surfer, Wishes},
    },
};

fn wishes() -> Wishes {
    let brand = |domain: &str, name: Option<&str>, colour| DomainBrand {
        domain: domain.to_owned(),
        name: name.map(str::to_owned),
        colour,
    };
    let brands = vec![
        brand("alpha.test", Some("Alpha <Mail>"), Some(Colour(0xff, 0xcc, 0))),
        brand("beta.test", Some("Beta Post"), Some(Colour(0x80, 0x10, 0x60))),
    ];
    Wishes { brands, ..Wishes::default() }
}

/// The addresses of the stylesheet and the mark that a page names.
async fn look(browser: &mut Surfer) -> (String, Vec<String>) {
    let page = browser.get("/mails").await.body;
    let links = page.split('"').filter(|text| text.contains("/brand/")).map(str::to_owned);
    let mut links: Vec<String> = links.collect();
    links.sort();
    links.dedup();
    (page, links)
}

#[tokio::test]
async fn everybody_sees_the_look_of_their_own_domain_only() {
    let portal = Portal::start(wishes()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    let mut carla = portal.signed_in("carla@beta.test").await;
    let (page, alpha) = look(&mut ann).await;
    assert!(page.contains("<b>Alpha &#60;Mail&#62;</b>") && !page.contains("Beta"), "{page}");
    let (page, beta) = look(&mut carla).await;
    assert!(page.contains("<b>Beta Post</b>") && !page.contains("Alpha"), "{page}");
    assert_eq!((alpha.len(), beta.len()), (2, 2), "{alpha:?} {beta:?}");
    for (own, foreign, browser) in [(&alpha, &beta, &mut ann), (&beta, &alpha, &mut carla)] {
        for (path, kind) in own.iter().zip(["text/css; charset=utf-8", "image/svg+xml"]) {
            let file = browser.get(path).await;
            assert_eq!(
                (file.status, file.headers["content-type"].to_str().ok()),
                (200, Some(kind)),
                "{path}"
            );
            assert!(file.headers["cache-control"].to_str().unwrap().starts_with("private,"), "{path}");
        }
        for path in foreign {
            assert_eq!(browser.get(path).await.status, 404, "{path}");
        }
    }
    let style = ann.get(&alpha[0]).await.body;
    // Yellow is darkened on white, and stays as it is on dark.
    assert!(style.contains("light-dark(#") && style.contains(", #ffcc00)"), "{style}");
    assert!(!style.contains("light-dark(#ffcc00"), "{style}");
}

#[tokio::test]
async fn strangers_and_other_domains_see_the_portals_own_look() {
    let portal = Portal::start(wishes()).await;
    let (_, alpha) = look(&mut portal.signed_in("admin@alpha.test").await).await;
    for path in ["/login", "/signed-out", "/nothing"] {
        let page = portal.browser().get(path).await.body;
        assert!(!page.contains("/brand/") && !page.contains("Alpha") && !page.contains("Beta"), "{path}");
    }
    for path in &alpha {
        let answer = portal.browser().get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (303, ""), "{path}");
    }
    let plain = Portal::start(Wishes::default()).await;
    let mut ann = plain.signed_in("ann@alpha.test").await;
    let (page, links) = look(&mut ann).await;
    assert!(links.is_empty() && page.contains("<b>Mail status</b>"));
    assert_eq!(ann.get(&alpha[0]).await.status, 404);
    // An error page has the visitor's look, too.
    let mut ann = portal.signed_in("ann@alpha.test").await;
    let lost = ann.get("/nothing").await;
    assert!(lost.status == 404 && lost.body.contains(&alpha[0]), "{}", lost.body);
}

/// What the browser makes of it, under the strict policy: the colours, and Mailcow's choice of light or dark.
#[tokio::test]
async fn the_browser_takes_the_colours() {
    let Some(browser) = Browser::start().await else { return };
    let portal = Portal::start(wishes()).await;
    sign_in(&browser, &portal, "carla@beta.test").await;
    let link = "const link = Object.assign(document.createElement('a'), { href: '/' });
        return getComputedStyle(document.body.appendChild(link)).color";
    browser.goto(&format!("{}/find", portal.url)).await;
    let button = "return getComputedStyle(document.querySelector('main .btn.main')).backgroundColor";
    assert_eq!(browser.run(button, json!([])).await, json!("rgb(128, 16, 96)"));
    for theme in ["light", "dark"] {
        browser.run("localStorage.setItem('mailcow_theme', arguments[0])", json!([theme])).await;
        browser.goto(&format!("{}/find", portal.url)).await;
        let seen = browser.run("return document.documentElement.dataset.bsTheme", json!([])).await;
        assert_eq!(seen, json!(theme), "Mailcow's choice");
        let colour = browser.run(link, json!([])).await;
        let shades = Colour(0x80, 0x10, 0x60).shades();
        let Colour(red, green, blue) = if theme == "light" { shades.light } else { shades.dark };
        assert_eq!(colour, json!(format!("rgb({red}, {green}, {blue})")), "{theme}");
    }
    is_clean(&browser, "carla").await;
}
