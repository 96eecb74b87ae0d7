#!/usr/bin/env bash
# Builds both images without a Docker engine, runs the role start from the one with the embedded stores, and the end-to-end
# tests with every role from the services' image:
#   docker/test-image.sh [TESTS]       as root, on Debian; TESTS are paths for Jest, all end-to-end tests when absent
# No ClickHouse server can be installed here. The embedded engine of node_modules stands in for it, behind ClickHouse's HTTP
# interface and outside of the image; CLICKHOUSE_URL names a real one.
# It needs buildah and debootstrap (apt-get install buildah debootstrap), a PostgreSQL and a Redis server as DATABASE_URL and
# REDIS_URL name them, and this project's node_modules. Without a registry of images, the base is made from Debian's
# packages and this machine's Node; IMAGE_MIRROR names the mirror. IMAGE_FOLDER keeps the images and the logs for the next
# run; without it, nothing is left. A signal ends the build or the tests, and nothing stays mounted; tests that it ends may
# leave databases on the server, and embedded PostgreSQL servers, which have process groups of their own.
# An image runs by chroot, because a container's runtime needs more rights than a build machine gives: this tries the files,
# the account and the entry point, and neither the network nor the limits of a container.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?names a PostgreSQL server for the end-to-end tests}" "${REDIS_URL:?names a Redis server for the end-to-end tests}"

# The real path, because mounts are listed by it.
folder=${IMAGE_FOLDER:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(realpath "$folder")
# Tests and programs share it, by the same name inside and outside of an image.
scratch=$(mktemp -d)
chmod 711 "$scratch"
# Without overlay mounts, each step of a build is a copy of all files: minutes and gigabytes more.
driver=vfs
store() { buildah --storage-driver "$driver" --root "$folder/images" --runroot "$folder/run" "$@"; }
base=docker.io/library/node:20-bookworm-slim

# Ends all programs of the steps, and waits for them: one that goes on would mount again what is unmounted below.
end_steps() {
  local attempt
  [ -n "${steps:-}" ] || return 0
  kill -TERM -- "-$steps" 2>/dev/null || true
  for attempt in $(seq 1 600); do
    kill -0 -- "-$steps" 2>/dev/null || return 0
    [ "$attempt" -ne 300 ] || kill -KILL -- "-$steps" 2>/dev/null || true
    sleep 0.1
  done
}
mounts_in_folder() { awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | tac; }
cleanup() {
  trap '' TERM INT HUP
  end_steps
  local mount
  for mount in $(mounts_in_folder); do
    umount "$mount" || true
  done
  # What is still mounted there would be deleted, too.
  if [ -n "$(mounts_in_folder)" ]; then
    echo "$folder is left, because something is still mounted in it." >&2
    return
  fi
  store rm --all >/dev/null 2>&1 || true
  rm -rf "$scratch"
  [ -n "${IMAGE_FOLDER:-}" ] || rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'exit 129' HUP
mkdir -p "$folder"/overlay/{lower,upper,work,merged}
if mount -t overlay overlay -o "lowerdir=$folder/overlay/lower,upperdir=$folder/overlay/upper,workdir=$folder/overlay/work" "$folder/overlay/merged" 2>/dev/null; then
  umount "$folder/overlay/merged"
  driver=overlay
fi
rm -rf "$folder/overlay"

make_base() {
  local root=$folder/base npm authority container
  # What an ended run has left of it.
  rm -rf "$root"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "${IMAGE_MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  npm=$(dirname "$(readlink -f "$(command -v npm)")")/..
  install "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
  mkdir -p "$root/usr/local/lib/node_modules" "$root/usr/local/etc"
  cp -aL "$npm" "$root/usr/local/lib/node_modules/npm"
  printf '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n' >"$root/usr/local/bin/npm"
  chmod +x "$root/usr/local/bin/npm"
  # The registry and the certificates that npm uses here.
  printf 'registry=%s\n' "$(npm config get registry)" >"$root/usr/local/etc/npmrc"
  authority=${NODE_EXTRA_CA_CERTS:-$(npm config get cafile)}
  if [ -f "$authority" ]; then
    cp "$authority" "$root/usr/local/etc/authority.pem"
    echo 'cafile=/usr/local/etc/authority.pem' >>"$root/usr/local/etc/npmrc"
  fi
  chroot "$root" useradd --create-home --uid 1000 node
  container=$(store from scratch)
  store add --quiet "$container" "$root" / >/dev/null
  store config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  store commit --quiet --rm "$container" "$base" >/dev/null
  rm -rf "$root"
}

build() {
  store bud --format docker --isolation chroot --network host --pull-never --layers --quiet \
    --ignorefile docker/Dockerfile.dockerignore -f docker/Dockerfile "$@" . >>"$folder/build.log"
}
megabytes() { store images --format '{{.Size}}' "$1"; }

# Gives the folder of an image's files, in which its programs run.
mount_image() {
  local container root
  container=$(store from --pull-never "$1")
  root=$(store mount "$container")
  mkdir -p "$root$scratch"
  mount --bind "$scratch" "$root$scratch"
  mount -t proc proc "$root/proc"
  mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || true
  mknod -m 444 "$root/dev/urandom" c 1 9 2>/dev/null || true
  cp /etc/hosts /etc/resolv.conf "$root/etc/" 2>/dev/null || true
  echo "$root"
}

# As a container runs it: without rights, by the entry point, with the settings of the image.
as_container() {
  local root=$1
  shift
  chroot --userspec=node:node "$root" /bin/sh -c \
    'cd /app && exec env -i PATH="$PATH" NODE_ENV=production HOST=127.0.0.1 FLEETFLAG_DATA_DIR=/var/lib/fleetflag "$@"' sh "$@"
}

steps() {
  local size all started port services clickhouse
  if ! store inspect --type image "$base" >/dev/null 2>&1; then
    echo "== a base of Debian's packages and this machine's Node"
    make_base
  fi
  echo "== the images"
  build --target services -t fleetflag-services
  build -t fleetflag
  size=$(megabytes fleetflag-services)
  echo "base $(megabytes "$base"), services $size, all $(megabytes fleetflag)"
  [[ $size == *" MB" && ${size%%[. ]*} -le 500 ]] || { echo "The services' image is larger than 500 MB." >&2; exit 1; }

  echo "== the role start of the image with the embedded stores, without rights"
  all=$(mount_image localhost/fleetflag)
  as_container "$all" PORT=0 LOG_LEVEL=warn /bin/sh docker/entrypoint.sh start >"$folder/start.log" 2>&1 &
  started=$!
  for _ in $(seq 1 600); do
    grep -q 'FleetFlag ready at' "$folder/start.log" && break
    kill -0 "$started" || { cat "$folder/start.log"; exit 1; }
    sleep 0.2
  done
  port=$(sed -n 's#.*ready at http://localhost:##p' "$folder/start.log")
  curl --fail --silent --show-error "http://127.0.0.1:$port/health/ready" >/dev/null
  curl --fail --silent --show-error --output /dev/null "http://127.0.0.1:$port/console"
  # The program is the shell's child; it must end by itself, with 0.
  pkill -TERM -P "$started"
  wait "$started"

  services=$(mount_image localhost/fleetflag-services)
  echo "== an image without the embedded stores says what it lacks"
  if as_container "$services" PORT=0 /bin/sh docker/entrypoint.sh start >"$folder/refused.log" 2>&1; then exit 1; fi
  tail -n 1 "$folder/refused.log"

  if [ -z "${CLICKHOUSE_URL:-}" ]; then
    echo "== the stand-in for a ClickHouse server"
    node --import tsx e2e/harness/clickhouse-server.ts "$scratch/clickhouse" >"$folder/clickhouse.log" &
    clickhouse=$!
    until grep -q 'listens on' "$folder/clickhouse.log"; do
      kill -0 "$clickhouse"
      sleep 0.2
    done
    CLICKHOUSE_URL=http://127.0.0.1:$(sed 's/.*listens on //' "$folder/clickhouse.log")
  fi
  echo "== the end-to-end tests, every role from the services' image"
  [ ! -e "$services/app/node_modules/chdb" ]
  TMPDIR=$scratch FLEETFLAG_E2E_IMAGE="$services" CLICKHOUSE_URL=$CLICKHOUSE_URL npm run jest -- "$@" --selectProjects e2e
}
# In a process group of their own, which is ended as a whole.
set -m
steps "$@" </dev/null &
steps=$!
set +m
wait "$steps"
