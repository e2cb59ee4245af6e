//! What DNS says of each domain: seven checks that make the score, what is missing in words, and what to publish.

use askama::Template;

use super::{
    Which,
    shell::{self, Shell},
    words,
};
use crate::{
    metrics::{
        facts::{Finding, Outcome, Publish, Records},
        health::{Health, Standing},
        modules::security,
    },
    model::{
        sample::{Labels, State},
        time::Millis,
    },
    web::pages::{frame::Frame, look::Look},
};

/// Domains of a page.
const PER_PAGE: usize = 50;
/// So many of the checks make the score.
const COUNTED: usize = 7;

/// What is known of one domain.
pub struct Domain<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its checks.
    pub records: Records,
}

/// How the page is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// `name`; empty for the score.
    pub sort: String,
    /// The other way round.
    pub turned: bool,
    /// Only domains that lack something.
    pub trouble: bool,
    /// What the name contains.
    pub search: String,
    /// The domain that is shown in full.
    pub domain: String,
    /// Page, from 0.
    pub page: usize,
}

impl Query {
    /// The query of an address; what is no query of ours is passed over.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let short = || value.trim().chars().take(260).collect();
            match &*name {
                "sort" => query.sort = short(),
                "order" => query.turned = value == "turned",
                "only" => query.trouble = value == "trouble",
                "q" => query.search = short(),
                "domain" => query.domain = short(),
                "page" => query.page = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        query
    }

    fn link(&self) -> String {
        let mut out = url::form_urlencoded::Serializer::new(String::new());
        let page = if self.page > 0 { self.page.to_string() } else { String::new() };
        for (name, value) in [
            ("sort", self.sort.as_str()),
            ("order", if self.turned { "turned" } else { "" }),
            ("only", if self.trouble { "trouble" } else { "" }),
            ("q", &self.search),
            ("domain", &self.domain),
            ("page", &page),
        ] {
            if !value.is_empty() {
                out.append_pair(name, value);
            }
        }
        format!("?{}", out.finish())
    }
}

/// What the page is made of.
pub struct Input<'a> {
    /// All modules.
    pub healths: &'a [Health<'a>],
    /// The domains.
    pub domains: Vec<Domain<'a>>,
    /// When they were looked at.
    pub told: Option<Millis>,
    /// How it is asked for.
    pub query: Query,
    /// Why nothing is known, where the source says so.
    pub absent: Option<&'a State>,
}

/// The page.
#[derive(Template)]
#[template(path = "system_dns.html")]
pub struct DnsPage<'a> {
    frame: &'a Frame,
    title: String,
    shell: Shell,
    query: Query,
    heads: Vec<super::table::Head>,
    checks: Vec<&'static str>,
    rows: Vec<Row>,
    searchable: bool,
    pages: (Option<String>, Option<String>),
    detail: Option<Detail>,
}

struct Row {
    name: String,
    href: String,
    here: bool,
    points: String,
    tone: &'static str,
    marks: Vec<Look>,
    lacking: String,
}

/// A domain in full.
pub struct Detail {
    /// Its name.
    pub name: String,
    /// Its points, as a sentence.
    pub sentence: String,
    /// Its checks.
    pub findings: Vec<Told>,
}

/// A check in words.
pub struct Told {
    /// `SPF`.
    pub check: String,
    /// What it is good for.
    pub about: &'static str,
    /// How it ended.
    pub look: Look,
    /// What is wrong or not known.
    pub why: String,
    /// The records that are there.
    pub found: Vec<String>,
    /// What should be there.
    pub publish: Vec<Publish>,
    /// What else is to be done; empty where nothing is.
    pub next: &'static str,
}

/// Points of a domain: passed checks, and those whose outcome is not known.
pub fn points(records: &Records) -> (usize, usize) {
    let counted = || records.findings.iter().take(COUNTED);
    let of = |outcome: Outcome| counted().filter(|finding| finding.outcome == outcome).count();
    (of(Outcome::Good), of(Outcome::Unknown))
}

/// How a domain is.
pub fn standing(records: &Records) -> Standing {
    let missed = records.findings.iter().filter(|finding| finding.outcome == Outcome::Bad);
    judge(points(records), missed.map(|finding| finding.check.as_str()))
}

/// How a domain is by its points, those that are not known, and the checks that it does not pass: as bad as the worst of
/// them; unknown where the points are, and where they might be enough.
pub fn judge<'a>((good, unknown): (usize, usize), missed: impl Iterator<Item = &'a str>) -> Standing {
    let by_points =
        |points: usize| Standing::by(security::EACH_SCORE.severity(&State::Number(points as f64)));
    let by_points = match (by_points(good), by_points(good + unknown)) {
        (Standing::Fine, _) => Standing::Fine,
        (_, best) if best.is_trouble() => best,
        _ => Standing::Unknown,
    };
    let check = &security::EACH_CHECK;
    let by_check = |name| Standing::by(check.severity_of(&Labels::one("check", name), &State::Number(0.0)));
    missed.map(by_check).fold(by_points, Standing::max)
}

/// "6 of 7", "at least 4 of 7" while some are not known.
pub fn points_text(frame: &Frame, records: &Records) -> String {
    let (good, unknown) = points(records);
    let values = [("part", good.to_string()), ("all", COUNTED.to_string())];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    match unknown {
        0 => frame.lang().tf("system.of", &values),
        _ => frame.lang().tf("dns.points_least", &values),
    }
}

/// What a domain lacks, in words: the names of the checks that it does not pass.
pub fn lacking(frame: &Frame, records: &Records) -> String {
    let mark = |finding: &Finding| match finding.outcome {
        Outcome::Good => None,
        Outcome::Bad => {
            let why = words::in_language(frame.lang(), &finding.why);
            Some(format!("{}: {why}", finding.check))
        }
        Outcome::Unknown => Some(format!("{}: {}", finding.check, frame.t("standing.unknown"))),
    };
    records.findings.iter().filter_map(mark).collect::<Vec<_>>().join("; ")
}

/// The names of the checks that a domain does not pass; with a question mark where that is not known.
pub fn names_lacking(records: &Records) -> String {
    let mark = |finding: &Finding| match finding.outcome {
        Outcome::Good => None,
        Outcome::Bad => Some(finding.check.clone()),
        Outcome::Unknown => Some(format!("{}?", finding.check)),
    };
    let names: Vec<String> = records.findings.iter().filter_map(mark).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

/// A domain in full.
pub fn detail(frame: &Frame, name: &str, records: &Records) -> Detail {
    let points = points_text(frame, records);
    Detail {
        name: name.to_owned(),
        sentence: frame.lang().tf("dns.points_of", &[("points", &points)]),
        findings: records.findings.iter().map(|finding| told(frame, finding)).collect(),
    }
}

fn told(frame: &Frame, finding: &Finding) -> Told {
    let lang = frame.lang();
    let no_key = finding.check == "DKIM" && finding.why == "Mailcow has no key for it";
    Told {
        check: finding.check.clone(),
        about: lang.t_in("dns_about", &finding.check),
        look: look(frame, finding.outcome),
        why: words::in_language(lang, &finding.why),
        found: finding.found.clone(),
        publish: finding.publish.clone(),
        next: match (finding.outcome, no_key) {
            (Outcome::Bad, true) => lang.t("dns.make_key"),
            (Outcome::Bad, false) => lang.t_in("dns_next", &finding.check),
            (Outcome::Unknown, _) => lang.t("dns.next_unknown"),
            (Outcome::Good, _) => "",
        },
    }
}

/// How a check ended, as it is shown.
pub fn look(frame: &Frame, outcome: Outcome) -> Look {
    let (tone, icon, word) = match outcome {
        Outcome::Good => ("ok", "check-circle", "good"),
        Outcome::Bad => ("bad", "x-circle", "bad"),
        Outcome::Unknown => ("idle", "question-circle", "not-known"),
    };
    Look { tone, icon, word: frame.lang().t_in("dns_outcome", word) }
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> DnsPage<'a> {
    let Input { healths, mut domains, told, query, absent } = input;
    let (title, grounds, standing) = answer(frame, &domains, told, absent);
    let all = domains.len();
    let search = query.search.to_lowercase();
    domains.retain(|domain| {
        domain.name.contains(&search) && (!query.trouble || points(&domain.records).0 < COUNTED)
    });
    domains.sort_by(|a, b| a.name.cmp(b.name));
    if query.sort != "name" {
        domains.sort_by_key(|domain| points(&domain.records).0);
    }
    if query.turned {
        domains.reverse();
    }
    let pages = domains.len().div_ceil(PER_PAGE).max(1);
    let query = Query { page: query.page.min(pages - 1), ..query };
    let to = |page: usize| Query { page, ..query.clone() }.link();
    let shown: Vec<&Domain<'_>> = domains.iter().skip(query.page * PER_PAGE).take(PER_PAGE).collect();
    let wished = domains.iter().find(|domain| domain.name == query.domain).or(shown.first().copied());
    DnsPage {
        frame,
        title,
        shell: Shell::new(frame, healths, Which::Dns, standing, grounds),
        heads: heads(frame, &query),
        checks: CHECKS.to_vec(),
        rows: shown.iter().map(|domain| row(frame, domain, wished.map(|it| it.name), &query)).collect(),
        searchable: all > 5,
        pages: (query.page.checked_sub(1).map(to), (query.page + 1 < pages).then(|| to(query.page + 1))),
        detail: wished.map(|domain| detail(frame, domain.name, &domain.records)),
        query,
    }
}

/// The columns of the checks.
const CHECKS: [&str; 8] = ["SPF", "DKIM", "DMARC", "DANE", "MTA-STS", "TLS-RPT", "BIMI", "MX"];

fn heads(frame: &Frame, query: &Query) -> Vec<super::table::Head> {
    let keep = Query { sort: String::new(), turned: false, page: 0, ..query.clone() }.link();
    shell::sorted_heads(
        &[("name", frame.t("dns.domain")), ("", frame.t("dns.points"))],
        (&query.sort, query.turned),
        keep.trim_start_matches('?'),
    )
}

fn row(frame: &Frame, domain: &Domain<'_>, here: Option<&str>, query: &Query) -> Row {
    let mark = |check: &&str| {
        let finding = domain.records.findings.iter().find(|finding| finding.check == *check);
        look(frame, finding.map_or(Outcome::Unknown, |finding| finding.outcome))
    };
    let link = Query { domain: domain.name.to_owned(), ..query.clone() }.link();
    Row {
        name: domain.name.to_owned(),
        href: format!("{link}#detail"),
        here: here == Some(domain.name),
        points: points_text(frame, &domain.records),
        tone: words::look(frame.lang(), standing(&domain.records)).tone,
        marks: CHECKS.iter().map(mark).collect(),
        lacking: lacking(frame, &domain.records),
    }
}

fn answer(
    frame: &Frame,
    domains: &[Domain<'_>],
    told: Option<Millis>,
    absent: Option<&State>,
) -> (String, String, Standing) {
    let lang = frame.lang();
    let about = lang.t("system_about.dns").to_owned();
    let Some(worst) = domains.iter().min_by_key(|domain| points(&domain.records).0) else {
        return shell::absent(frame, absent, "dns", about);
    };
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let bad = domains.iter().filter(|domain| standing(&domain.records).is_trouble()).count();
    let unknown = domains.iter().any(|domain| standing(&domain.records) == Standing::Unknown);
    let points = points_text(frame, &worst.records);
    let values = [("domain", worst.name), ("points", points.as_str())];
    let (title, standing) = match (bad, unknown) {
        (0, true) => (lang.t("dns.title_unknown").to_owned(), Standing::Unknown),
        (0, false) => (lang.tn("dns.title_fine", count(domains.len()), &values), Standing::Fine),
        (1, _) if domains.len() == 1 => (lang.tf("dns.title_one", &values), standing(&worst.records)),
        (bad, _) => (lang.tn("dns.title_bad", count(bad), &values), standing(&worst.records)),
    };
    let checked = told.map(|at| lang.tf("system.checked", &[("ago", &frame.formats.ago(at))]));
    (title, checked.into_iter().chain([about]).collect::<Vec<_>>().join(" "), standing)
}
