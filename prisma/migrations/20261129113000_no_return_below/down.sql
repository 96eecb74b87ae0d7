-- Vehicles keep the bound that is signed, until the flag is signed again.
DROP TRIGGER flags_no_return_below_rises ON flags;
DROP FUNCTION refuse_lower_return();
ALTER TABLE flags DROP CONSTRAINT flags_no_return_below_check, DROP COLUMN no_return_below;
