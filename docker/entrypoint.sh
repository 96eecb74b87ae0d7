#!/bin/sh
# The first argument chooses what the container is. exec: the program is the process that signals reach.
set -eu
role="${1:-start}"
[ "$#" -gt 0 ] && shift
case "$role" in
  start) exec node --import tsx main/start.ts "$@" ;;
  gateway | flags | vehicles | experiments | audit) exec node --import tsx main/service.ts "$role" "$@" ;;
  migrate) exec node --import tsx main/migrate.ts "$@" ;;
  admin) exec node --import tsx main/admin.ts "$@" ;;
  agent) exec node --import tsx agent/main.ts "$@" ;;
  *)
    echo "Unknown role \"$role\". Roles: start, gateway, flags, vehicles, experiments, audit, migrate deploy|status|down, admin, agent." >&2
    exit 2
    ;;
esac
