-- Reports that another program stored and that came to us, too: we hold their body, but the rows of `report` and `rptrecord`
-- are not ours.
CREATE TABLE IF NOT EXISTS report_adopted (
    serial BIGINT PRIMARY KEY
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
