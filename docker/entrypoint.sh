#!/bin/sh
# The first argument chooses what the container is. exec: the program is the process that signals reach.
set -eu
role="${1:-start}"
[ "$#" -gt 0 ] && shift
case "$role" in
  start) exec node dist/start.js "$@" ;;
  gateway | flags | vehicles | experiments | audit) exec node dist/service.js "$role" "$@" ;;
  migrate) exec node dist/migrate.js "$@" ;;
  admin) exec node dist/admin.js "$@" ;;
  agent) exec node dist/fleetflag-agent.cjs "$@" ;;
  *)
    echo "Unknown role \"$role\". Roles: start, gateway, flags, vehicles, experiments, audit, migrate deploy|status|down, admin, agent." >&2
    exit 2
    ;;
esac
