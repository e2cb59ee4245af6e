-- The search index: derived from the mails, fed behind the ingestion (store::search).

-- Which blocks of a segment hold a gram (three bytes of lower-case text). A block is a span of time.
CREATE TABLE IF NOT EXISTS search_gram (
    segment INT NOT NULL,
    gram    INT NOT NULL,
    blocks  VARBINARY(512) NOT NULL,
    PRIMARY KEY (segment, gram)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Ids of mails that were written and are not yet in the index, eight bytes each.
CREATE TABLE IF NOT EXISTS search_todo (
    id    BIGINT PRIMARY KEY AUTO_INCREMENT,
    mails LONGBLOB NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How the index is cut; one row. A block lasts 2^width seconds. Mails below rest are still to be fed.
CREATE TABLE IF NOT EXISTS search_shape (
    id    INT PRIMARY KEY,
    width INT NOT NULL,
    rest  BIGINT NOT NULL,
    mails BIGINT NOT NULL,
    fed   BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
