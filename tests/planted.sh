#!/usr/bin/env bash
# Breaks each promise on purpose and shows which test catches it.
#
#   tests/planted.sh [NAME...]     all of tests/planted/*.patch, or some of them
#   tests/planted.sh --check       only whether every patch still applies (seconds)
#
# Each patch says the promise that it breaks and the command that must fail. It is applied to a copy
# of HEAD under target/; nothing in the checkout changes. Exits with 1 if a broken promise passes.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
check=
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
copy=$root/target/planted${check:+-check}
export CARGO_TARGET_DIR=$root/target/planted-target

mkdir -p "$copy"
# What was built there before may stay.
find "$copy" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
git archive HEAD | tar -x -C "$copy"
cd "$copy"
git init -q .

if [ $# -gt 0 ]; then
    patches=()
    for name in "$@"; do patches+=("$root/tests/planted/$name.patch"); done
else
    patches=("$root"/tests/planted/*.patch)
fi

# Runs one of the commands that must catch the bug which is applied.
try() {
    local log=$root/target/planted-$name.log compile status=0 caught
    case $command in
        *'cargo fuzz run'*) compile='cargo fuzz build -s none' ;;
        *) compile="${command%% -- *} --no-run" ;;
    esac
    # What does not compile, or does not run, is not caught.
    if ! bash -c "$compile" >"$log" 2>&1; then
        echo "BROKEN  $name: it does not compile, see $log"
        missed=1
        return
    fi
    timeout 600 bash -c "$command" >>"$log" 2>&1 || status=$?
    caught=$(sed -n -e 's/^test \(.*\) \.\.\. FAILED$/\1/p' \
        -e 's/^SUMMARY: libFuzzer: deadly signal$/fuzz target/p' \
        -e 's/^BEHIND \([a-z ]*[a-z]\) .*/gate \1/p' \
        -e "s/^thread '\([a-z_:]*\)' .*/\1/;/^[a-z_:]\+$/h;/process abort signal/{g;p}" "$log" |
        sort -u | paste -sd' ')
    if [ -n "$caught" ]; then
        echo "caught  $name: $caught"
    elif [ $status = 124 ]; then
        echo "caught  $name: hangs in $command"
    else
        echo "MISSED  $name: $promise (see $log)"
        missed=1
    fi
}

missed=0
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    promise=$(sed -n 's/^Promise: //p' "$patch")
    if ! git apply --check "$patch"; then
        echo "STALE   $name: it does not apply any more"
        missed=1
        continue
    fi
    [ -z "$check" ] || continue
    git apply "$patch"
    while IFS= read -r command <&3; do
        try
    done 3< <(sed -n 's/^Caught by: //p' "$patch")
    git apply --reverse "$patch"
done
exit $missed
