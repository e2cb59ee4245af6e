//! Sums over reports: by day, by domain, by receiver. Only reports count whose sender is not disproven and whose domain
//! is hosted here; both are looked at when a question is asked, because both may change.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{
    about::{About, DAY},
    debut,
    digest::{self, Fact},
    months::{self, Part, Piece},
    packed,
};
use crate::{
    model::{
        figures::{Day, DomainFigures, PolicySeen, Span, Sums},
        scope::Scope,
        time::Millis,
    },
    store::db::{Db, Result},
};

/// [`Sums`] as the database answers them.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct SumsRow {
    messages: i64,
    dkim: i64,
    spf: i64,
    aligned: i64,
    quarantined: i64,
    rejected: i64,
}

impl From<SumsRow> for Sums {
    fn from(row: SumsRow) -> Self {
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        Self {
            messages: number(row.messages),
            dkim: number(row.dkim),
            spf: number(row.spf),
            aligned: number(row.aligned),
            quarantined: number(row.quarantined),
            rejected: number(row.rejected),
        }
    }
}

/// Sums by day, in order; days without a report are not there. Days at either end of the span count as a whole.
pub async fn days(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<Day>> {
    let about = About::of(db, scope, span).await?;
    let work = async {
        let mut days: BTreeMap<i64, Sums> = BTreeMap::new();
        for piece in months::pieces(db, &about, Part::Facts).await? {
            digest::facts(&piece.bytes, |fact| {
                if about.holds(fact.begin) && !fact.failed {
                    packed::add(days.entry(fact.begin - fact.begin.rem_euclid(DAY)).or_default(), &fact.sums);
                }
            })?;
        }
        Ok(days.into_iter().map(|(at, sums)| Day { at: Millis(at), sums }).collect())
    };
    about.answer(db, "days", work).await
}

/// Receivers with their sums, most messages first.
pub async fn receivers(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<(String, Sums)>> {
    let about = About::of(db, scope, span).await?;
    let work = async {
        let pieces = months::pieces(db, &about, Part::Facts).await?;
        let mut receivers: HashMap<&str, Sums> = HashMap::new();
        for piece in &pieces {
            digest::facts(&piece.bytes, |fact| {
                if about.holds(fact.begin) && !fact.failed {
                    packed::add(receivers.entry(fact.org).or_default(), &fact.sums);
                }
            })?;
        }
        let mut receivers: Vec<(String, Sums)> =
            receivers.into_iter().map(|(org, sums)| (org.to_owned(), sums)).collect();
        receivers.sort_by(|(one, a), (next, b)| (b.messages, one).cmp(&(a.messages, next)));
        Ok(receivers)
    };
    about.answer(db, "receivers", work).await
}

/// One entry for each domain that has reports, counts and is in scope, by name.
pub async fn domains(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<DomainFigures>> {
    let about = About::of(db, scope, span).await?;
    about.answer(db, "domains", work_out_domains(db, &about)).await
}

async fn work_out_domains(db: &Db, about: &About) -> Result<Vec<DomainFigures>> {
    let mut debuts = debut::days(db, about).await?;
    let mut pieces: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    // The policy may have changed long before the span.
    for piece in months::pieces(db, &about.ever(), Part::Facts).await? {
        pieces.entry(piece.domain.clone()).or_default().push(piece);
    }
    let mut all = Vec::with_capacity(about.domains.len());
    for domain in &about.domains {
        let mut figures = one_domain(about, &pieces.remove(domain).unwrap_or_default())?;
        let debut = debuts.remove(domain).unwrap_or_default();
        figures.new_sources =
            debut.iter().filter(|(day, _)| about.holds(*day)).map(|(_, sources)| sources).sum();
        all.push(DomainFigures { domain: domain.clone(), ..figures });
    }
    Ok(all)
}

fn one_domain(about: &About, pieces: &[Piece]) -> Result<DomainFigures> {
    let (mut figures, mut orgs, mut policies) =
        (DomainFigures::default(), HashSet::new(), Policies::default());
    let before = about.before();
    for piece in pieces {
        digest::facts(&piece.bytes, |fact| {
            let within = about.holds(fact.begin);
            if fact.failed {
                figures.set_aside += u64::from(within);
                return;
            }
            if about.believes(fact.begin) {
                policies.add(&fact);
            }
            if before.holds(fact.begin) {
                packed::add(&mut figures.before, &fact.sums);
            }
            if within {
                let begin = Some(Millis(fact.begin));
                packed::add(&mut figures.sums, &fact.sums);
                figures.reports += 1;
                figures.first = figures.first.map_or(begin, |first| begin.min(Some(first)));
                figures.last = figures.last.max(begin);
                orgs.insert(fact.org);
            }
        })?;
    }
    figures.receivers = orgs.len() as u64;
    policies.tell(&mut figures);
    Ok(figures)
}

/// The words of a policy as one receiver writes them.
type Words<'a> = (&'a str, Option<&'a str>, Option<i64>);

/// What the words mean where a receiver leaves some out: `sp` follows `p`, and `pct` is 100 (RFC 7489 section 6.3).
fn meaning<'a>((p, sp, pct): Words<'a>) -> (&'a str, &'a str, i64) {
    (p, sp.unwrap_or(p), pct.unwrap_or(100))
}

/// For how long newer reports that tell nothing leave a word on test mode standing: receivers that know it report daily.
const TOLD: Duration = Duration::from_secs(14 * 86_400);

/// When which words were seen.
#[derive(Default)]
struct Policies<'a> {
    /// Last begin and last number of each.
    last: BTreeMap<Words<'a>, (i64, i64)>,
    begins: Vec<i64>,
    /// Begin and number of the newest report that tells whether the policy is only tested, and what it tells. Receivers that
    /// know no test mode (RFC 7489) tell nothing of it, and others may leave out what is not so: it is true for [`TOLD`].
    testing: Option<((i64, i64), &'a str)>,
}

impl<'a> Policies<'a> {
    fn add(&mut self, fact: &Fact<'a>) {
        let last = self.last.entry((fact.p, fact.sp, fact.pct)).or_insert((fact.begin, fact.serial));
        *last = (last.0.max(fact.begin), last.1.max(fact.serial));
        self.begins.push(fact.begin);
        if let Some(word) = fact.testing.filter(|word| matches!(*word, "y" | "n")) {
            self.testing = self.testing.max(Some(((fact.begin, fact.serial), word)));
        }
    }

    fn tell(self, figures: &mut DomainFigures) {
        let mut seen: Vec<(Words<'_>, (i64, i64))> = self.last.into_iter().collect();
        seen.sort_by_key(|(_, last)| *last);
        let Some((newest, _)) = seen.pop() else { return };
        figures.policy = policy_seen(newest);
        let newest_begin = self.begins.iter().copied().max().unwrap_or_default();
        let told = self.testing.filter(|((begin, _), _)| newest_begin - begin <= TOLD.as_millis() as i64);
        figures.policy.testing = told.is_some_and(|(_, word)| word == "y");
        let old = seen.into_iter().rev().find(|(words, _)| meaning(*words) != meaning(newest));
        figures.policy_before = old.map(|(words, (last, _))| {
            let since = self.begins.into_iter().filter(|begin| *begin > last).min().unwrap_or(last);
            (policy_seen(words), Millis(since))
        });
    }
}

fn policy_seen((p, sp, pct): Words<'_>) -> PolicySeen {
    let pct = pct.and_then(|pct| u8::try_from(pct).ok());
    PolicySeen { p: p.to_owned(), sp: sp.map(str::to_owned), pct, testing: false }
}
