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
