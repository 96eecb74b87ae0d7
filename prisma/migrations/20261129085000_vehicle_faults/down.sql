DROP TABLE vehicle_faults;
