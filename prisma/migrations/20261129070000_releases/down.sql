-- What is under way ends as if it were completed: the columns hold the new content, and it reaches a vehicle when its flag is signed again.
DROP TABLE releases;
ALTER TABLE flags
    DROP CONSTRAINT flags_release_check,
    DROP COLUMN release;
