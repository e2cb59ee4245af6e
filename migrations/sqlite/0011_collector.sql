-- What a host collector posted last (store::collector_posts). at: the moment that it names itself.
CREATE TABLE collector_post (
    server INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    text   TEXT NOT NULL
);
