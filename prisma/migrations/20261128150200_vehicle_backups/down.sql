DROP TABLE vehicle_backups;
