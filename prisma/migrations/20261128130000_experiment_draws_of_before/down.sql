-- The salts before were any of several: there is nothing to go back to.
SELECT 1;
