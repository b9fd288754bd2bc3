#!/bin/sh
# What the guest does last for `rmt guest study balance`: jobs of fixed work, decided by the kernel alone
# (off), by the kernel while programs answer (shadow), and by programs (act): one that was learnt from what
# the guest did first, and two that always say the same. Each job is a line of JSON in /results/balance.jsonl.
set -e
cd /

rounds=@ROUNDS@
mkdir -p /results
insmod /rmt_shim.ko ring_log2=14
always() { # always ANSWER: a program that says nothing else
    printf 'program always;\nhook can_migrate_task = 2 { key pid: u64; }\ndecision { migrate: u8; }\n'
    printf 'table can_migrate_task { actions = { say }; default = say(); }\naction say() { out.migrate = %s; }\n' "$1"
}
always 0 >/tmp/never.rmt
always 1 >/tmp/ever.rmt
answer() { # answer MODE PROGRAM: on the last processor, before all others there
    # shellcheck disable=SC2016  # $$ is the new shell's
    sh -c 'renice -n -20 -p $$ && exec taskset 8 rmt kernel answer "$@"' answer "$2" --mode "$1" --budget-ns 200000 --poll --seconds 3600 >/tmp/answer.out 2>&1 &
    answer=$!
    for _ in $(seq 60); do
        rmt kernel status | grep -q "can_migrate_task *$1" && return
        sleep 1
    done
    cat /tmp/answer.out
    return 1
}
job() { # job DECIDER ROUND LOAD WORK
    before="$(rmt kernel status --json)"
    line="$(rmt kernel load "$3" --threads 10 --work "$4" --json)"
    after="$(rmt kernel status --json)"
    echo "{\"decider\":\"$1\",\"round\":$2,\"run\":$line,\"before\":$before,\"after\":$after}" >>/results/balance.jsonl
    echo "$1 $2 $3: $line"
}
jobs() { # jobs DECIDER ROUND
    job "$1" "$2" black-scholes 25
    job "$1" "$2" stream-cluster 200
    job "$1" "$2" fibonacci 200
    job "$1" "$2" matrix 12
}

for round in $(seq "$rounds"); do
    jobs off "$round"
    while read -r decider mode program; do
        answer "$mode" "$program"
        jobs "$decider" "$round"
        kill -9 $answer
        wait $answer || true
    done <<'END'
shadow shadow /study/can_migrate_task.rmt
learnt act /study/can_migrate_task.rmt
never act /tmp/never.rmt
ever act /tmp/ever.rmt
END
done
rmt kernel status --check
healthy
say "the machine is healthy"
