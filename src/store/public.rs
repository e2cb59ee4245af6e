//! What the public page shows: which services under which names, and what admins announce. It tells of nobody's mails,
//! so it needs no scope.

use std::collections::BTreeMap;

use super::db::{Db, Error, Result, Tx, Value, places, sql};
use crate::model::{
    announcement::{Announcement, Kind, Update},
    time::Millis,
};

/// Announcements that are read at once.
const MOST: u32 = 200;

/// A service that strangers see.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Shown {
    /// Its code: see `metrics::uptime`.
    pub code: String,
    /// Its name for strangers; services of one name are shown as one.
    pub name: String,
}

/// The services that strangers see, in their order.
pub async fn shown(db: &Db) -> Result<Vec<Shown>> {
    db.fetch(sql("SELECT code, name FROM public_service ORDER BY place, code")).await
}

/// Shows these services, in this order, and no others.
pub async fn show(tx: &mut Tx, services: &[Shown]) -> Result<()> {
    tx.execute(sql("DELETE FROM public_service")).await?;
    let rows = (0_i64..).zip(services).map(|(place, service)| -> [Value<'_>; 3] {
        [Value::from(&service.code), place.into(), Value::from(&service.name)]
    });
    tx.upsert("public_service", ["code", "place", "name"], &["code"], &["place", "name"], rows.collect())
        .await
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    kind: String,
    title: String,
    from_at: Millis,
    until_at: Option<Millis>,
    excuses: i64,
    services: String,
    changed_at: Millis,
}

impl Row {
    fn announcement(self, updates: Vec<Update>) -> Result<Announcement> {
        Ok(Announcement {
            id: self.id,
            kind: Kind::from_code(&self.kind).ok_or(Error::Damaged("the kind of an announcement"))?,
            title: self.title,
            from: self.from_at,
            until: self.until_at,
            excuses: self.excuses != 0,
            services: self.services.lines().map(str::to_owned).collect(),
            changed: self.changed_at,
            updates,
        })
    }
}

const ROWS: &str =
    "SELECT id, kind, title, from_at, until_at, excuses, services, changed_at FROM public_note";

/// What was announced and is not over since before `since`; newest begin first.
pub async fn announcements(db: &Db, since: Millis) -> Result<Vec<Announcement>> {
    let text =
        format!("{ROWS} WHERE until_at IS NULL OR until_at >= ? ORDER BY from_at DESC, id DESC LIMIT {MOST}");
    with_updates(db, db.fetch(sql(text).bind(since)).await?).await
}

/// One announcement.
pub async fn find(db: &Db, id: i64) -> Result<Option<Announcement>> {
    let rows: Vec<Row> = db.fetch(sql(format!("{ROWS} WHERE id = ?")).bind(id)).await?;
    Ok(with_updates(db, rows).await?.pop())
}

async fn with_updates(db: &Db, rows: Vec<Row>) -> Result<Vec<Announcement>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "SELECT note, at, text FROM public_update WHERE note IN ({}) ORDER BY note, at",
        places(rows.len())
    );
    let told: Vec<(i64, Millis, String)> =
        db.fetch(sql(text).bind_all(rows.iter().map(|row| row.id))).await?;
    let mut updates: BTreeMap<i64, Vec<Update>> = BTreeMap::new();
    for (note, at, text) in told {
        updates.entry(note).or_default().push(Update { at, text });
    }
    rows.into_iter()
        .map(|row| {
            let updates = updates.remove(&row.id).unwrap_or_default();
            row.announcement(updates)
        })
        .collect()
}

/// Stores an announcement with its updates; one of the same id is replaced.
pub async fn save(tx: &mut Tx, note: &Announcement) -> Result<()> {
    let services: Vec<&str> = note.services.iter().map(String::as_str).collect();
    let columns = ["id", "kind", "title", "from_at", "until_at", "excuses", "services", "changed_at"];
    let row: [Value<'_>; 8] = [
        note.id.into(),
        note.kind.code().into(),
        Value::from(&note.title),
        note.from.into(),
        note.until.into(),
        note.excuses.into(),
        services.join("\n").into(),
        note.changed.into(),
    ];
    tx.upsert("public_note", columns, &["id"], &columns[1..], vec![row]).await?;
    tx.execute(sql("DELETE FROM public_update WHERE note = ?").bind(note.id)).await?;
    let rows = note
        .updates
        .iter()
        .map(|update| -> [Value<'_>; 3] { [note.id.into(), update.at.into(), Value::from(&update.text)] });
    tx.upsert("public_update", ["note", "at", "text"], &["note", "at"], &["text"], rows.collect()).await
}

/// Removes an announcement.
pub async fn remove(tx: &mut Tx, id: i64) -> Result<()> {
    for text in ["DELETE FROM public_update WHERE note = ?", "DELETE FROM public_note WHERE id = ?"] {
        tx.execute(sql(text).bind(id)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
