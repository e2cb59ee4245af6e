-- What stories are packed with, made from the stories of this database (store::dictionaries). Stories name their dictionary by
-- its number: without its row they cannot be read. hash: XXH3 of the data. Number 0, without data: nothing could be learnt then.
CREATE TABLE pack_dictionary (
    number  INTEGER PRIMARY KEY,
    made_at INTEGER NOT NULL,
    hash    INTEGER NOT NULL,
    data    BLOB NOT NULL
);
