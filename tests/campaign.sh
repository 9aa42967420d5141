#!/usr/bin/env bash
# Everything that is to prove that nothing is lost, at full scale: hours on two cores.
#
#   tests/campaign.sh [STEP...]    all steps, or some of them, in this order:
#     states       100,000 crash states
#     faults       a fault, and a kill, at every file operation
#     kills        10,000 kills of runs
#     power        3,000 power cuts: 750 on each of three kinds of ext4 and XFS (root)
#     thin         100 full thin disks (root)
#     editors      20,000 outside edits of each kind
#     deeds        10,000 histories of what people and tickoff do to a sheet
#     soak         an hour of hostile jobs, sixteen at a time, and signals at any moment (root, for all of it)
#     poor         the first three and editors in poorer systems: 20,000 states, every fault, 2,000 kills
#                  and 2,000 edits of each kind without all that can be lacking, and fewer without each
#     hostile      fields and files of 300 MB
#     schedules    1,000,000 schedules of each scenario (shuttle)
#     loom         all interleavings with few preemptions (loom)
#     miri         the queue and what needs no files, under miri (nightly)
#     races        ThreadSanitizer (nightly features)
#     fuzz         50,000,000 executions over all targets
#     planted      every planted bug is caught
#
# Each step prints its seed into its log, target/campaign/STEP.log. states, kills, power, editors, deeds, soak
# and poor go on where they were stopped. Exits with 1 if one failed.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$PWD/target/campaign
mkdir -p "$logs"
# Syncs are modelled or injected in these: a filesystem in memory saves the time of real ones.
memory=${TMPDIR:-/tmp}
[ -d /dev/shm ] && memory=/dev/shm
it=(cargo test --release --test it --)

failed=0
step() {
    local name=$1 begun=$SECONDS outcome=ok
    shift
    if [ -n "$wanted" ] && [[ " $wanted " != *" $name "* ]]; then return; fi
    TICKOFF_CAMPAIGN=$name "$@" >"$logs/$name.log" 2>&1 || outcome=FAILED
    [ $outcome = ok ] || failed=1
    if grep -q SKIPPED "$logs/$name.log"; then outcome="$outcome, in part SKIPPED"; fi
    printf '%-10s %6d s  %s  %s\n' "$name" $((SECONDS - begun)) "$outcome" \
        "$(grep -hE '^[0-9]+ |TICKOFF_SEED=|^seed ' "$logs/$name.log" | paste -sd';')"
}

# A campaign in a poorer system, with a log of its own: without WHAT CAMPAIGN PART VARIABLE=VALUE...
without() {
    local what=$1 campaign=$2 log=$logs/poor-$1-$2-$3.log
    shift 3
    env TICKOFF_POOR_SYSTEM="$what" TICKOFF_CAMPAIGN="${log##*/}" "$@" "${it[@]}" --nocapture "$campaign::" >"$log" 2>&1 ||
        touch "$logs/poor-failed"
}

# All of them in each. Without leases most of their time is waiting, so they run beside each other, and the
# crash states in four parts; only editors and races, which are about moments, have the machine to themselves.
poor() {
    local what states faults kills edits part
    cargo test --release --test it --no-run || return
    rm -f "$logs"/poor-*
    for what in all tmpfile exchange lease fallocate clone; do
        case $what in
            all) states=5000 faults=all kills=2000 edits=2000 ;;
            *) states=500 faults=200 kills=100 edits=400 ;;
        esac
        for part in 1 2 3 4; do
            without $what crash_states $part TMPDIR="$memory" TICKOFF_CRASH_STATES=$states &
        done
        without $what faults 1 TMPDIR="$memory" TICKOFF_FAULTS=$faults &
        without $what kills 1 TICKOFF_KILLS=$kills &
        wait
        without $what editors 1 TICKOFF_EDITS=$edits
        without $what raced 1
        echo "== without $what"
        grep -hE '^test result|^[0-9]+ |TICKOFF_SEED=|edits, .* results|panicked|SKIPPED' \
            "$logs/poor-$what-"*.log
    done
    [ ! -e "$logs/poor-failed" ]
}

wanted="$*"
step states env TMPDIR="$memory" TICKOFF_CRASH_STATES=100000 "${it[@]}" --nocapture crash_states::
step faults env TMPDIR="$memory" TICKOFF_FAULTS=all "${it[@]}" --nocapture faults::
step kills env TICKOFF_KILLS=10000 "${it[@]}" --nocapture kills::
step power env TICKOFF_POWER_CUTS=750 "${it[@]}" --nocapture power::
step thin env TICKOFF_THIN_DISKS=100 "${it[@]}" --nocapture thin_disk::
step editors env TICKOFF_EDITS=20000 "${it[@]}" --nocapture editors::
step deeds env TMPDIR="$memory" TICKOFF_DEEDS=10000 "${it[@]}" --nocapture deeds::
# What started it may ignore SIGINT or SIGHUP, and runs leave that so.
step soak env --default-signal TICKOFF_SOAK=3600 "${it[@]}" --nocapture soak::
step poor poor
step hostile env TICKOFF_HOSTILE_MB=300 "${it[@]}" --nocapture hostile::
step schedules env TICKOFF_SCHEDULES=1000000 RUSTFLAGS='--cfg shuttle' \
    CARGO_TARGET_DIR=target/shuttle \
    cargo test --release --lib --no-default-features queue::schedules -- --nocapture
step loom env TICKOFF_PREEMPTIONS=3 RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=target/loom \
    cargo test --release --lib --no-default-features queue::interleavings -- --nocapture
step miri env MIRIFLAGS=-Zmiri-disable-isolation \
    cargo +nightly miri test --lib --no-default-features -- queue:: overlay::
step races env RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=target/tsan \
    TICKOFF_ROUNDS=5 cargo test -Zbuild-std --target x86_64-unknown-linux-gnu \
    --no-default-features --test it -- queue:: handler:: several:: outside::
step fuzz fuzz/campaign 50000000
step planted tests/planted.sh
exit $failed
