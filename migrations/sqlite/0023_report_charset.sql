-- SQLite has one way to write texts: nothing is to be done (see mysql).
SELECT 1;
