-- The search index: derived from the mails, fed behind the ingestion (store::search).

-- Which blocks of a segment hold a gram (three bytes of lower-case text). A block is a span of time.
CREATE TABLE search_gram (
    segment INTEGER NOT NULL,
    gram    INTEGER NOT NULL,
    blocks  BLOB NOT NULL,
    PRIMARY KEY (segment, gram)
) WITHOUT ROWID;

-- Ids of mails that were written and are not yet in the index, eight bytes each.
CREATE TABLE search_todo (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    mails BLOB NOT NULL
);

-- How the index is cut; one row. A block lasts 2^width seconds. Mails below rest are still to be fed.
CREATE TABLE search_shape (
    id    INTEGER PRIMARY KEY,
    width INTEGER NOT NULL,
    rest  INTEGER NOT NULL,
    mails INTEGER NOT NULL,
    fed   INTEGER NOT NULL
);
