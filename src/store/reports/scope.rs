//! Which domains a visitor sees, and which of them count towards figures.

use std::collections::BTreeSet;

use crate::{
    model::scope::Scope,
    store::{
        db::{Db, Result, Sql, Tx, Value, places, sql},
        inventory,
    },
};

/// A condition on a column that holds a domain, with its values: what the scope sees, exactly.
pub fn condition<'a>(scope: &'a Scope, column: &str) -> (String, Vec<Value<'a>>) {
    match scope {
        Scope::All => ("1 = 1".to_owned(), Vec::new()),
        Scope::Only(holdings) if holdings.domains.is_empty() => ("1 = 0".to_owned(), Vec::new()),
        Scope::Only(holdings) => (
            format!("{column} IN ({})", places(holdings.domains.len())),
            holdings.domains.iter().map(Value::from).collect(),
        ),
    }
}

/// Whether the scope sees the reports of a domain.
pub fn sees(scope: &Scope, domain: &str) -> bool {
    match scope {
        Scope::All => true,
        Scope::Only(holdings) => holdings.domains.contains(domain),
    }
}

/// The domains with reports that the scope sees, sorted.
pub async fn names(db: &Db, scope: &Scope) -> Result<Vec<String>> {
    let (condition, values) = condition(scope, "domain");
    let text = format!("SELECT DISTINCT domain FROM report_month WHERE {condition} ORDER BY domain");
    let rows: Vec<(String,)> = db.fetch(sql(text).bind_all(values)).await?;
    Ok(rows.into_iter().map(|(domain,)| domain).collect())
}

/// All domains that Mailcow hosts; `None` as long as nobody has looked there: then every domain counts.
pub async fn hosted(db: &Db) -> Result<Option<BTreeSet<String>>> {
    if inventory::last_look(db).await?.is_none() {
        return Ok(None);
    }
    let rows: Vec<(String,)> = db.fetch(hosted_statement()).await?;
    Ok(Some(rows.into_iter().map(|(domain,)| domain).collect()))
}

fn hosted_statement() -> Sql<'static> {
    sql("SELECT domain FROM hosted_domain UNION SELECT alias_domain FROM alias_domain \
         UNION SELECT SUBSTR(address, INSTR(address, '@') + 1) FROM mailbox")
}

/// Puts a new list of hosted domains (normalised) in the place of the last one.
pub async fn host<'a>(tx: &mut Tx, domains: impl IntoIterator<Item = &'a str>) -> Result<()> {
    tx.execute(sql("DELETE FROM hosted_domain")).await?;
    let rows = domains.into_iter().map(|domain| [domain.into()]).collect();
    tx.upsert("hosted_domain", ["domain"], &["domain"], &[], rows).await
}

/// Those of `names` that count: hosted ones, and only `domain` where one is named.
pub async fn counted(db: &Db, mut names: Vec<String>, domain: Option<&str>) -> Result<Vec<String>> {
    let hosted = hosted(db).await?;
    names.retain(|name| {
        domain.is_none_or(|domain| domain == name)
            && hosted.as_ref().is_none_or(|hosted| hosted.contains(name))
    });
    Ok(names)
}
