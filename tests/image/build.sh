#!/usr/bin/env bash
# Build localhost/streamer:test with whatever builds images here: docker, else podman, else buildah.
#
# DEVICE=gpu builds localhost/streamer:test-gpu, for NVIDIA GPUs. BUILDER names one of the builders, BASE
# another base image. Where no image registry can be reached, BASE=debootstrap makes a base of Debian's own
# packages (mmdebstrap and buildah, as root).
set -euo pipefail
cd "$(dirname "$0")/../.."

device=${DEVICE:-cpu}
tag=localhost/streamer:test
[[ $device == cpu ]] || tag+=-$device
for builder in ${BUILDER:-docker podman buildah}; do
    command -v "$builder" > /dev/null && break || builder=
done
[[ -n $builder ]] || { echo "image-test: none of docker, podman and buildah is here" >&2; exit 1; }
options=(--build-arg "DEVICE=$device" --build-arg "REVISION=$(git rev-parse HEAD)" -t "$tag")

if [[ ${BASE:-} == debootstrap ]]; then
    builder=buildah BASE=localhost/streamer-base:bookworm
    if ! buildah inspect --type image "$BASE" > /dev/null 2>&1; then
        root=$(mktemp --suffix .tar)
        trap 'rm -f "$root"' EXIT
        mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
            bookworm "$root"
        container=$(buildah from scratch)
        buildah add "$container" "$root" / > /dev/null
        inside=$(buildah mount "$container")
        ln -sf /usr/bin/python3 "$inside/usr/local/bin/python"
        ln -sf /usr/bin/pip3 "$inside/usr/local/bin/pip"
        rm -f "$inside"/usr/lib/python3*/EXTERNALLY-MANAGED
        # What this machine trusts and how it reaches packages.
        cp /etc/ssl/certs/ca-certificates.crt "$inside/etc/ssl/certs/"
        [[ ! -f /etc/pip.conf ]] || cp /etc/pip.conf "$inside/etc/pip.conf"
        buildah commit --quiet "$container" "$BASE" > /dev/null
        buildah rm "$container" > /dev/null
    fi
fi
[[ -z ${BASE:-} ]] || options+=(--build-arg "BASE=$BASE")

case $builder in
    # Without its own namespaces, which containers in containers don't have; docker's format keeps HEALTHCHECK.
    buildah) buildah build --isolation chroot --network host --layers --format docker "${options[@]}" . ;;
    *) "$builder" build "${options[@]}" . ;;
esac
