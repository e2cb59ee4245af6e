-- The index on (serial, ip) finds the records of a report as well: this one cost a seventh of an import. Where MySQL has
-- it, it stays: MySQL cannot drop what may not be there.
ALTER TABLE rptrecord COMMENT = '' /*M! , DROP INDEX IF EXISTS serial6 */;
