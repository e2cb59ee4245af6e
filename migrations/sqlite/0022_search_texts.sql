-- The search index tells grams of ids from those of words. It is derived: without its shape it is made anew from the mails.
DELETE FROM search_shape;
DROP TABLE search_gram;
CREATE TABLE search_gram (
    segment INTEGER NOT NULL,
    gram    INTEGER NOT NULL,
    blocks  BLOB NOT NULL,
    PRIMARY KEY (segment, gram)
) WITHOUT ROWID;
