-- Whether the policy of a report is only tested (t=y, RFC 9990); reports that are there tell nothing of it.
SET @add = (
    SELECT IF(COUNT(*) = 0, 'ALTER TABLE report_line ADD COLUMN policy_testing VARCHAR(20) NULL', 'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'report_line' AND column_name = 'policy_testing');
PREPARE statement FROM @add;
EXECUTE statement;
DEALLOCATE PREPARE statement;
-- Digests tell of it from now on: they are worked out anew.
DELETE FROM report_digest;
