-- The search index tells grams of ids from those of words. It is derived: without its shape it is made anew from the mails.
DELETE FROM search_shape;
DROP TABLE IF EXISTS search_gram;
CREATE TABLE IF NOT EXISTS search_gram (
    segment INT NOT NULL,
    gram    INT NOT NULL,
    blocks  VARBINARY(960) NOT NULL,
    PRIMARY KEY (segment, gram)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
