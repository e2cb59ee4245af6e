-- The index on (serial, ip) finds the records of a report as well: this one cost a seventh of an import.
DROP INDEX rptrecord_serial6;
