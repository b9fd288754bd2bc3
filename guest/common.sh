#!/bin/sh
# What the tests in the guest share; it stands before each of them.
refused() { # refused WORD COMMAND...: the command must fail with a message that contains WORD
    word="$1"
    shift
    if "$@" >/tmp/out 2>&1; then
        echo "not refused: $*"
        return 1
    fi
    grep -q "$word" /tmp/out || {
        cat /tmp/out
        return 1
    }
    sed 's/^/    /' /tmp/out
}
say() { echo "--- $*"; }
healthy() { # nothing in the kernel's log that should not be there
    if dmesg | grep -E 'BUG|WARNING|Oops|stall|lockup|blocked for more|general protection'; then
        return 1
    fi
}
put_off() { # put_off HOOK WHY: the module has put the hook off by itself
    for _ in $(seq 60); do
        rmt kernel status | grep -q "^ *$1 *off *$2" && return
        sleep 1
    done
    rmt kernel status
    echo "$1 was not put off for: $2"
    return 1
}
