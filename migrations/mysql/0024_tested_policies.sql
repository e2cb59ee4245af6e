-- Whether the policy of a report is only tested (t=y, RFC 9990); reports that are there tell nothing of it.
ALTER TABLE report_line ADD COLUMN policy_testing VARCHAR(20) NULL;
-- Digests tell of it from now on: they are worked out anew.
DELETE FROM report_digest;
