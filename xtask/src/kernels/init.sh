#!/bin/busybox sh
# The first process of a guest: /cases calls `run` and `rule`; the host reads what they say on the serial line.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tracefs nodev /sys/kernel/tracing

# run NAME OPTIONS PROGRAM [ARG...]: traces it; what it says of itself becomes variables of the rules.
run() {
    echo "@@run $1"
    options=$2
    shift 2
    rm -f /tmp/trace /tmp/summary
    # Unquoted on purpose: none, one or several words.
    timeout 300 map-trace run --no-progress --color never $options -o /tmp/trace --summary /tmp/summary \
        -- "$@" >/tmp/said 2>/tmp/told
    echo "@@status $?"
    echo "@@said"
    cat /tmp/said
    echo "@@told"
    cat /tmp/told
    echo "@@summary"
    cat /tmp/summary
    . /tmp/said
}

# rule TEXT: judges the trace of the last run.
rule() {
    eval "text=\"$1\""
    map-trace check --color never --expect "$text" /tmp/trace >/tmp/verdict 2>&1
    echo "@@rule $? $text"
    cat /tmp/verdict
}

echo "@@kernel $(uname -r)"
map-trace doctor >/tmp/doctor 2>&1
echo "@@doctor $?"
cat /tmp/doctor
. /cases
echo "@@end"
poweroff -f
