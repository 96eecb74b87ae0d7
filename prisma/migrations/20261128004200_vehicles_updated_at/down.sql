DROP TRIGGER vehicles_updated_at ON vehicles;
DROP FUNCTION note_vehicle_change();
