-- Nothing to take back: where the blanks were is not known any more.
SELECT 1;
