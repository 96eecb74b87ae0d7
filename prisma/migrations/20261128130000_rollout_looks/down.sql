DROP TABLE rollout_looks;
