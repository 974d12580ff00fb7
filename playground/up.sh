#!/usr/bin/env bash
# Starts Grafana with a collector (compose.yaml), runs a specification that reports to it, and says where to look.
# Needs docker compose or podman-compose.
#
# usage: playground/up.sh [SPECIFICATION]    default: examples/diamond.yaml
#        playground/up.sh --down             ends it; what was collected goes
# GRAFANA_PORT (3000) and OTLP_PORT (4318) are where it listens on 127.0.0.1.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../scripts/lib.sh"
help_if_asked "$@"

if docker compose version &> /dev/null; then
    compose=(docker compose)
elif command -v podman-compose > /dev/null; then
    compose=(podman-compose)
else
    die "neither docker compose nor podman-compose is installed; run: apt-get install podman-compose" 3
fi
compose+=(-f "$ROOT/playground/compose.yaml")

if [[ ${1:-} == --down ]]; then
    "${compose[@]}" down
    exit
fi
specification=$(realpath -- "${1:-$ROOT/examples/diamond.yaml}")
[[ -f $specification ]] || die "there is no specification $specification" 2
grafana=http://127.0.0.1:${GRAFANA_PORT:-3000}
collector=http://127.0.0.1:${OTLP_PORT:-4318}

answers() { # URL [CURL_ARGUMENT...]
    curl --silent --fail --output /dev/null --max-time 5 "${@:2}" "$1"
}

"${compose[@]}" up --detach
say "playground: waiting for Grafana and the collector"
for ((attempt = 0; ; attempt++)); do
    answers "$grafana/api/health" &&
        answers "$collector/v1/traces" --header 'content-type: application/json' --data '{"resourceSpans": []}' && break
    ((attempt < 120)) || die "not ready after two minutes; look at: ${compose[*]} logs"
    sleep 1
done

cd "$ROOT"
[[ -x .build/debug/voidbox ]] || swift build --product voidbox
status=0
VOIDBOX_OTLP_ENDPOINT=$collector .build/debug/voidbox run --file "$specification" || status=$?
say "playground: see $grafana; end it with: playground/up.sh --down"
exit "$status"
