-- What a host collector posted last (store::collector_posts). at: the moment that it names itself.
CREATE TABLE IF NOT EXISTS collector_post (
    server SMALLINT PRIMARY KEY,
    at     BIGINT NOT NULL,
    text   MEDIUMTEXT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
