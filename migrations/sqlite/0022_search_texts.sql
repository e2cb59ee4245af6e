-- The search index tells grams of ids from those of words. It is derived: without its shape it is made anew from the mails.
DELETE FROM search_shape;
DELETE FROM search_gram;
