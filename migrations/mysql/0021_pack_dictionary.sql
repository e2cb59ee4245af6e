-- What stories are packed with, made from the stories of this database (store::dictionaries). Stories name their dictionary by
-- its number: without its row they cannot be read. hash: XXH3 of the data. Number 0, without data: nothing could be learnt then.
CREATE TABLE IF NOT EXISTS pack_dictionary (
    number  INT PRIMARY KEY,
    made_at BIGINT NOT NULL,
    hash    BIGINT NOT NULL,
    data    LONGBLOB NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
