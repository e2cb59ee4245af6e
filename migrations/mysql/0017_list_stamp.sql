-- Another number whenever what lists of mails show has changed (store::lists). One row.
CREATE TABLE IF NOT EXISTS list_stamp (
    id    INT PRIMARY KEY,
    stamp BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
