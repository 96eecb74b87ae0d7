DROP TABLE webhook_checks;
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
