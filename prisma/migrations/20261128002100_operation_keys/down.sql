DROP TABLE persisted_operation_keys;
