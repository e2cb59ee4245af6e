-- From here on a verdict that a mail has claimed lies in the mail's story, and stories are packed otherwise: a program
-- that does not know this step must not read them. What was stored before stays as it is.
SELECT 1;
