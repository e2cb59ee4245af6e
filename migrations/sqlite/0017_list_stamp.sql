-- Another number whenever what lists of mails show has changed (store::lists). One row.
CREATE TABLE list_stamp (
    id    INTEGER PRIMARY KEY,
    stamp INTEGER NOT NULL
);
