//! What a mail takes in the database.

use mailcow_status::store::{Db, db::sql};

/// Prints bytes a mail for the largest tables and indexes.
pub async fn print(db: &Db) {
    let known: Vec<(i64,)> = db.fetch(sql("SELECT COUNT(*) FROM mail_story")).await.expect("a count");
    let mails = known.first().map_or(1, |(count,)| *count).max(1);
    let text = match db {
        Db::Sqlite { .. } => {
            "SELECT name, CAST(SUM(pgsize) AS SIGNED) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 8"
        }
        Db::Mysql { .. } => {
            "SELECT table_name, CAST(data_length + index_length AS SIGNED) FROM information_schema.tables \
             WHERE table_schema = DATABASE() ORDER BY 2 DESC LIMIT 8"
        }
    };
    let rows: Vec<(String, i64)> = db.fetch(sql(text)).await.expect("sizes");
    println!("| table or index | bytes a mail, of {mails} |\n|---|---|");
    for (name, bytes) in rows {
        println!("| {name} | {:.1} |", bytes as f64 / mails as f64);
    }
}
