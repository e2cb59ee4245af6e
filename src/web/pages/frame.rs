//! What stands around every page: bar, banner, foot.

use std::time::Duration;

use crate::{
    model::{
        scope::Role,
        time::Millis,
        user::{Theme, Visitor},
    },
    store::ingestion::{Gap, Source},
    web::{assets, brand, format::Formats, state::AppState, text::Lang, visitor::Guest},
};

/// An entry of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Is my mail all right?
    Start,
    /// The list, and the story of a mail.
    Mails,
    /// Where is my mail?
    Find,
    /// DMARC and TLS reports, for domain admins and admins.
    Reports,
    /// Is everything all right? For admins.
    System,
    /// The domains of a domain admin.
    Domains,
    /// The visitor's own mailbox.
    Mailbox,
    /// Is the log complete? For admins.
    Ingestion,
    /// What strangers see.
    Public,
}

/// Who looks at the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorBadge {
    /// Their address.
    pub address: String,
    /// What they may see.
    pub role: Role,
    /// Two letters.
    pub initials: String,
}

impl VisitorBadge {
    /// The badge of an address: the first two letters of its name.
    pub fn new(address: &str, role: Role) -> Self {
        let name = address.split('@').next().unwrap_or_default();
        let mut parts = name.split(['.', '-', '_']).filter_map(|part| part.chars().next());
        let initials: String = match (parts.next(), parts.next()) {
            (Some(first), Some(second)) => [first, second].iter().collect(),
            _ => name.chars().take(2).collect(),
        };
        Self { address: address.to_owned(), role, initials: initials.to_uppercase() }
    }
}

/// Whose portal it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Brand {
    /// Name of the portal.
    pub name: String,
    /// Host name of the mail server.
    pub host: String,
    /// Address of the logo on light ground.
    pub logo_light: Option<String>,
    /// Address of the logo on dark ground.
    pub logo_dark: Option<String>,
    /// Name in the foot; empty for none.
    pub footer_company: String,
    /// Where that name leads.
    pub footer_company_url: Option<String>,
    /// Address of the stylesheet of the visitor's domain, where that has a colour.
    pub style: Option<String>,
    /// Address of the mark in that colour.
    pub mark: Option<String>,
}

/// How fresh and how complete the data of the page are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freshness {
    /// When the log was last read.
    pub as_of: Option<Millis>,
    /// Since when the log is complete.
    pub complete_since: Option<Millis>,
    /// A gap lies in the range shown.
    pub gap: bool,
    /// For how long the log could not be read, when that is too long.
    pub stale: Option<Duration>,
}

impl Freshness {
    /// The state of all sources together: as old as the oldest, complete since the last gap. `gaps` are those of
    /// the range shown.
    pub fn of(sources: &[Source], gaps: &[Gap], now: Millis) -> Self {
        let as_of = sources.iter().map(|source| source.succeeded_at).min().flatten();
        let started = sources.iter().filter_map(|source| source.started_at).max();
        let last_gap = gaps.iter().map(|gap| gap.to_at).max();
        let pause = sources.iter().map(|source| source.interval_ms).max().unwrap_or_default();
        let patience =
            Duration::from_millis(u64::try_from(pause).unwrap_or_default() * 3).max(Duration::from_secs(180));
        let silent = as_of.map(|at| now.since(at)).filter(|silent| *silent > patience);
        Self { as_of, complete_since: started.max(last_gap), gap: !gaps.is_empty(), stale: silent }
    }
}

/// Everything around a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Language, zone and the page's moment.
    pub formats: Formats,
    /// Empty, or begins with a slash and ends without one.
    pub base_path: String,
    /// Path and query of this page, with the base path: to come back to after a change of preferences.
    pub here: String,
    /// Which entry of the navigation this page belongs to.
    pub entry: Option<Entry>,
    /// Who looks; nobody before signing in.
    pub visitor: Option<VisitorBadge>,
    /// Chosen theme.
    pub theme: Theme,
    /// Whose portal.
    pub brand: Brand,
    /// How fresh the data are; `None` on pages without data.
    pub freshness: Option<Freshness>,
    /// Mailcow's own address.
    pub mailcow_url: Option<String>,
    /// What an action that has just been done says.
    pub message: Option<String>,
    /// Address of the icons.
    pub sprite: String,
}

/// A link of the navigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NavLink {
    /// Where it leads.
    pub href: String,
    /// Its word.
    pub word: &'static str,
    /// Whether this page is there.
    pub here: bool,
}

impl Frame {
    /// A frame around a page that nobody has signed in for.
    pub fn new(formats: Formats, base_path: &str, brand: Brand) -> Self {
        Self {
            formats,
            base_path: base_path.to_owned(),
            here: "/".to_owned(),
            entry: None,
            visitor: None,
            theme: Theme::System,
            brand,
            freshness: None,
            mailcow_url: None,
            message: None,
            sprite: assets::href(base_path, "icons.svg"),
        }
    }

    /// The frame of a request; `here` is the page's path and query below the base path.
    pub fn around(state: &AppState, guest: &Guest, visitor: Option<&Visitor>, here: &str) -> Self {
        let settings = &state.settings;
        let formats = Formats { lang: guest.lang, zone: guest.zone.clone(), now: guest.now };
        let domain = visitor.and_then(|visitor| brand::of(settings, &visitor.address));
        let colour = domain.and_then(|domain| domain.colour);
        let [style, mark] = match colour.map(|colour| brand::hrefs(&settings.base_path, colour)) {
            Some(hrefs) => hrefs.map(Some),
            None => [None, None],
        };
        let name = domain.and_then(|domain| domain.name.clone());
        let brand = Brand {
            name: name.unwrap_or_else(|| guest.lang.t("brand.name").to_owned()),
            host: settings.mailcow_url.host_str().unwrap_or_default().to_owned(),
            logo_light: settings.logo_light.clone(),
            logo_dark: settings.logo_dark.clone(),
            footer_company: settings.footer_company.clone().unwrap_or_default(),
            footer_company_url: settings.footer_company_url.clone(),
            style,
            mark,
        };
        Self {
            here: settings.at(here),
            visitor: visitor.map(|visitor| VisitorBadge::new(&visitor.address, visitor.role)),
            theme: guest.theme,
            mailcow_url: Some(settings.mailcow_url.to_string()),
            ..Self::new(formats, &settings.base_path, brand)
        }
    }

    /// The theme for `<html>`, where one was chosen.
    pub fn theme_code(&self) -> Option<&'static str> {
        (self.theme != Theme::System).then(|| self.theme.code())
    }

    /// The visitor's language.
    pub fn lang(&self) -> Lang {
        self.formats.lang
    }

    /// The text of a key.
    pub fn t(&self, key: &'static str) -> &'static str {
        self.lang().t(key)
    }

    /// The address of a page; `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// The address of a static file.
    pub fn asset(&self, name: &str) -> String {
        assets::href(&self.base_path, name)
    }

    /// The address of the portal's mark, in the colour of the visitor's domain where it has one.
    pub fn mark(&self) -> String {
        self.brand.mark.clone().unwrap_or_else(|| self.asset("mark.svg"))
    }

    /// Where the portal's cookies belong.
    pub fn cookie_path(&self) -> &str {
        if self.base_path.is_empty() { "/" } else { &self.base_path }
    }

    /// What the visitor may do.
    pub fn role(&self) -> Role {
        self.visitor.as_ref().map_or(Role::User, |visitor| visitor.role)
    }

    /// Whether the visitor is an admin.
    pub fn is_admin(&self) -> bool {
        self.role() == Role::Admin
    }

    /// The word for a role.
    pub fn role_word(&self, role: &Role) -> &'static str {
        self.lang().t_in("role", role.code())
    }

    /// Languages in the order in which they are offered.
    pub fn languages(&self) -> &'static [Lang] {
        &Lang::ALL
    }

    /// Whether this theme was chosen.
    pub fn is_theme(&self, code: &str) -> bool {
        self.theme.code() == code
    }

    /// The icon of the theme's menu.
    pub fn theme_icon(&self) -> &'static str {
        match self.theme {
            Theme::System => "circle-half",
            Theme::Light => "sun",
            Theme::Dark => "moon",
        }
    }

    /// The logo for the chosen theme, and for a system that wants dark when none was chosen.
    pub fn logo(&self) -> Option<(&str, Option<&str>)> {
        let (light, dark) = (self.brand.logo_light.as_deref(), self.brand.logo_dark.as_deref());
        match self.theme {
            Theme::System => light.map(|logo| (logo, dark)).or(dark.map(|logo| (logo, None))),
            Theme::Light => light.or(dark).map(|logo| (logo, None)),
            Theme::Dark => dark.or(light).map(|logo| (logo, None)),
        }
    }

    /// The entries that the visitor's role may open.
    pub fn nav(&self) -> Vec<NavLink> {
        let link =
            |entry, path: &str, word| NavLink { href: self.url(path), word, here: self.entry == Some(entry) };
        let mut links = vec![
            link(Entry::Start, "/", self.t("nav.start")),
            link(Entry::Mails, "/mails", self.t("nav.mails")),
        ];
        if self.role() >= Role::DomainAdmin {
            links.push(link(Entry::Reports, "/dmarc", self.t("nav.reports")));
        }
        match self.role() {
            Role::User => links.push(link(Entry::Mailbox, "/mailbox", self.t("nav.mailbox"))),
            Role::DomainAdmin => links.push(link(Entry::Domains, "/domains", self.t("nav.domains"))),
            Role::Admin => links.push(link(Entry::System, "/system", self.t("nav.system"))),
        }
        if self.is_admin() {
            links.push(link(Entry::Ingestion, "/ingestion", self.t("nav.operation")));
        }
        links
    }

    /// The keys that script listens to, one a line.
    pub fn keys(&self) -> String {
        [self.t("keys.find"), self.t("keys.rows"), self.t("keys.up"), self.t("keys.help")].join("\n")
    }

    /// Whether this is the public page, which leads strangers to no other.
    pub fn is_public(&self) -> bool {
        self.entry == Some(Entry::Public)
    }

    /// Whether this is the page Find.
    pub fn on_find(&self) -> bool {
        self.entry == Some(Entry::Find)
    }

    /// The banner when the data are old.
    pub fn stale_text(&self) -> Option<String> {
        let freshness = self.freshness.as_ref()?;
        let (silent, as_of) = (freshness.stale?, freshness.as_of?);
        let (duration, time) = (self.formats.duration(silent), self.formats.sentence(as_of));
        Some(self.lang().tf("stale", &[("duration", &duration), ("time", &time)]))
    }

    /// The foot's line about the data.
    pub fn fresh_text(&self) -> Option<String> {
        let freshness = self.freshness.as_ref()?;
        let time = match self.formats.day_head(freshness.as_of?) == self.formats.day_head(self.formats.now) {
            true => self.formats.time_seconds(freshness.as_of?),
            false => self.formats.moment(freshness.as_of?),
        };
        Some(match freshness.complete_since {
            Some(since) => {
                let since = self.formats.table_date(since);
                self.lang().tf("footer.fresh", &[("time", &time), ("since", &since)])
            }
            None => self.lang().tf("footer.fresh.partly", &[("time", &time)]),
        })
    }

    /// The foot's word about a gap.
    pub fn gap_text(&self) -> Option<&'static str> {
        self.freshness.as_ref().filter(|freshness| freshness.gap).map(|_| self.t("footer.gap"))
    }

    /// Which zone the times are in.
    pub fn zone_text(&self) -> String {
        self.lang().tf("footer.zone", &[("zone", &self.formats.zone_name())])
    }

    /// The zone's own name.
    pub fn zone_id(&self) -> &str {
        self.formats.zone.iana_name().unwrap_or("UTC")
    }
}
