DROP TABLE rollout_evidence;
