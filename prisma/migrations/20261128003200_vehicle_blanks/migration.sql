-- Blanks around a vehicle's facts do not count, and are not stored: a region "EU " fell out of every rule for EU.
UPDATE vehicles
SET model = regexp_replace(model, '^\s+|\s+$', '', 'g'),
    sw_version = regexp_replace(sw_version, '^\s+|\s+$', '', 'g'),
    region = regexp_replace(region, '^\s+|\s+$', '', 'g')
WHERE model ~ '^\s|\s$' OR sw_version ~ '^\s|\s$' OR region ~ '^\s|\s$';
