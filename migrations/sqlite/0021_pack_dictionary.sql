-- What stories are packed with, made from the stories of this database (store::dictionaries). Stories name their dictionary by
-- its number: without its row they cannot be read. Number 0, without data: nothing could be learnt at that time.
CREATE TABLE pack_dictionary (
    number  INTEGER PRIMARY KEY,
    data    BLOB NOT NULL,
    made_at INTEGER NOT NULL
);
