#!/usr/bin/env bash
# What any built program must do on its system: a batch that is killed with `kill -9` goes on where it stopped.
#
#   tests/smoke.sh [EMULATOR] PROGRAM
set -euo pipefail
data=$(realpath "$(dirname "$0")/data/orders-446.csv")
tickoff=("${@:1:$#-1}" "$(realpath "${@: -1}")")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cp "$data" orders.csv

failed() {
    echo "FAILED: $*" >&2
    exit 1
}

# ends CODE ARGUMENT...
ends() {
    local code=0
    "${tickoff[@]}" "${@:2}" >out 2>&1 </dev/null || code=$?
    [ "$code" = "$1" ] || failed "exit $code instead of $1: tickoff ${*:2}: $(cat out)"
}

lines() {
    wc -l <ran
}

job='echo "$TICKOFF_KEY" >>ran; sleep 0.05; echo "{\"ATTACHMENTS_FOUND\":2}" >"$TICKOFF_RESULT"'
run=(run orders.csv -j 4 -- sh -c "$job")
touch ran
"${tickoff[@]}" "${run[@]}" >out 2>&1 </dev/null &
for _ in $(seq 600); do
    [ "$(lines)" -lt 100 ] || break
    sleep 0.1
done
kill -9 $!
wait $! 2>/dev/null || true
[ "$(lines)" -ge 100 ] && [ "$(lines)" -lt 446 ] || failed "killed after $(lines) jobs: $(cat out)"
sleep 0.2

ends 0 "${run[@]}"
[ "$(sort -u ran | wc -l)" = 446 ] || failed 'not every order ran'
[ "$(lines)" -le 450 ] || failed "of 4 that ran at the kill $(($(lines) - 446)) were repeated"
ends 0 status orders.csv --json
grep -q '"completed": *446' out || failed "$(cat out)"
ends 0 "${run[@]}"
[ "$(lines)" -le 450 ] || failed 'orders that were done ran again'

cp "$data" fresh.csv
ends 1 run fresh.csv --limit 1 -- false
ends 2 run
ends 3 status missing.csv
ends 127 run fresh.csv -- ./missing
echo "passed: ${*}"
