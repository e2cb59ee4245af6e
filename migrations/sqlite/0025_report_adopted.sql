-- Reports that another program stored and that came to us, too: we hold their body, but the rows of `report` and `rptrecord`
-- are not ours.
CREATE TABLE report_adopted (
    serial INTEGER PRIMARY KEY
);
