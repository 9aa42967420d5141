# A hostile job. Its deed is its key up to the dash.
#
# NAP is a sleep that is known by its path, LOG what the jobs of this part of the run write, PART its number, SMALL a
# disk that is soon full, and LETHAL is set if the run itself may be ended. A job logs its start, and in the same way
# what it hands over, which is when it exits with 0.

key=$TICKOFF_KEY
read -r begun _ < /proc/uptime
say() { echo "$TICKOFF_WORKER $1 $key $begun $2" >> "$LOG"; }
say start -
hand_over() {
    read -r now _ < /proc/uptime
    say "$1" "$now"
    exit 0
}
done_so() {
    printf 'SUPPLIER=by %s\n' "$PART" > "$TICKOFF_RESULT" || exit 1
    hand_over done
}
# Whether the parent is the run still: its number may be another process's.
runs() { grep -qF "$MARK" "/proc/$PPID/cmdline" 2> /dev/null; }

case ${key%-*} in
plain) ;;
slow) sleep 0.4 ;;
# What starts something and leaves it.
fork) "$NAP" 600 & ;;
session) setsid -f "$NAP" 600 ;;
orphan) ("$NAP" 600 &) ;;
daemon) (cd / && setsid sh -c '"$NAP" 600 & "$NAP" 600 &' < /dev/null > /dev/null 2>&1 &) ;;
nohup) nohup "$NAP" 600 > /dev/null 2>&1 & ;;
group) set -m; "$NAP" 600 & ;;
stranger) (cd / && env -i setsid "$NAP" 600 < /dev/null > /dev/null 2>&1 &) ;;
deaf) (trap '' TERM HUP INT QUIT; "$NAP" 600 &) ;;
still) "$NAP" 600 & kill -STOP $! ;;
tree) setsid sh -c '(setsid "$NAP" 600 &); "$NAP" 600 & (env -i "$NAP" 600 &) ; exec "$NAP" 600' & ;;
namespace) unshare --pid --fork "$NAP" 600 2> /dev/null & ;;
many) for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (sleep 0.0$i &); done ;;
# What it says.
prints) yes 'a line of a job' | head -c 5000000; yes 'on stderr' | head -c 500000 >&2 ;;
unended) head -c 300000 /dev/zero | tr '\0' x; printf 'no end' >&2 ;;
closed) exec < /dev/null > /dev/null 2>&1; exec <&- >&- 2>&- ;;
huge)
    head -c 1100000 /dev/zero | tr '\0' y > "$TICKOFF_RESULT" || exit 1
    hand_over huge ;;
# What it takes.
full)
    [ -n "$SMALL" ] || done_so
    exec 3> "$SMALL/filler-$$" && rm "$SMALL/filler-$$" || exit 1
    head -c 200000000 /dev/zero >&3
    sleep 0.1
    exec 3>&- ;;
memory) (ulimit -v 60000; x=xxxxxxxx; while :; do x=$x$x; done) 2> /dev/null ;;
hoards) (ulimit -v 60000; x=xxxxxxxx; while :; do x=$x$x; done) 2> /dev/null || exit 4 ;;
again) [ "$TICKOFF_ATTEMPT" = 1 ] && exit 75 ;;
# How it ends.
fails) echo 'it failed' >&2; exit 3 ;;
signalled) kill -SEGV $$ ;;
killed) "$NAP" 600 & kill -9 0 ;;
orphaned) "$NAP" 600 & sh -c 'kill -9 $PPID' ;;
stopped) "$NAP" 600 & kill -STOP $$ ;;
hangs) setsid -f "$NAP" 600; "$NAP" 600 ;;
stubborn) trap '' TERM HUP INT QUIT; setsid -f "$NAP" 600; while :; do "$NAP" 600; done ;;
spreads) setsid sh -c 'while [ -e "$NAP" ]; do setsid -f "$NAP" 600; sleep 0.05; done' & "$NAP" 600 ;;
# What it does to the run.
ends) [ -n "$LETHAL" ] && runs && kill -TERM $PPID ;;
kills) [ -n "$LETHAL" ] && runs && kill -9 $PPID ;;
*) exit 64 ;;
esac
done_so
