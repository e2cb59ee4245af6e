-- Tables that an old dmarcts-report-parser made may be in latin1, which has no letters for most names of receivers and cannot
-- be compared with them. Tables in utf8mb4, as ours and newer ones of theirs, stay untouched. Texts keep their meaning and
-- columns their lengths; of lengths in bytes, which grow, the longest key still fits into InnoDB's 3072, if its rows are not
-- of an old format, and into no other engine's.

SET @convert = (
    SELECT IF(COUNT(columns.column_name) = 0, 'DO 0', CONCAT(
        'ALTER TABLE report CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin',
        IF(MAX(tables.engine) = 'InnoDB' AND MAX(tables.row_format) NOT IN ('Compact', 'Redundant'), '',
            ', ENGINE = InnoDB, ROW_FORMAT = DYNAMIC')))
    FROM information_schema.tables AS tables
    LEFT JOIN information_schema.columns AS columns ON columns.table_schema = tables.table_schema
        AND columns.table_name = tables.table_name AND columns.character_set_name <> 'utf8mb4'
    WHERE tables.table_schema = DATABASE() AND tables.table_name = 'report');
PREPARE statement FROM @convert;
EXECUTE statement;
DEALLOCATE PREPARE statement;

SET @convert = (
    SELECT IF(COUNT(columns.column_name) = 0, 'DO 0', CONCAT(
        'ALTER TABLE rptrecord CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin',
        IF(MAX(tables.engine) = 'InnoDB' AND MAX(tables.row_format) NOT IN ('Compact', 'Redundant'), '',
            ', ENGINE = InnoDB, ROW_FORMAT = DYNAMIC')))
    FROM information_schema.tables AS tables
    LEFT JOIN information_schema.columns AS columns ON columns.table_schema = tables.table_schema
        AND columns.table_name = tables.table_name AND columns.character_set_name <> 'utf8mb4'
    WHERE tables.table_schema = DATABASE() AND tables.table_name = 'rptrecord');
PREPARE statement FROM @convert;
EXECUTE statement;
DEALLOCATE PREPARE statement;
