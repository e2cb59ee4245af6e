//! Reports for tests: taken by the code that takes real ones.

use mailcow_status::{
    ingest::reports::{self, Taken},
    model::report::Arrival,
    store::Db,
};

/// Takes one input; what became of each document in it.
pub async fn take(db: &Db, arrival: &Arrival, bytes: &[u8]) -> Vec<Taken> {
    reports::take(db, arrival, bytes.to_vec()).await.unwrap()
}
