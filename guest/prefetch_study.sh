#!/bin/sh
# What the guest does for `rmt guest study prefetch`: the same programs with more memory than they may have,
# under each policy. The module, the daemon and the program page_prefetch are there in all runs; only under
# "rmt" are the pages asked for that it predicts. Its tree begins anew in each run and is learnt on line.
# Each run is a line of JSON in /results/prefetch.jsonl.
set -e
cd /

rounds=@ROUNDS@
mount -t cgroup2 cgroup /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/small /results
echo 12M >/sys/fs/cgroup/small/memory.max
modprobe virtio_blk
mkswap /dev/vda >/dev/null
swapon /dev/vda
insmod /rmt_shim.ko ring_log2=14

serve() { # serve MODE OPTION...: a daemon that knows nothing yet
    mode="$1"
    shift
    rm -f /tmp/state/journal
    # One processor for all of it: the machine below has fewer than the guest.
    taskset 8 rmt serve --state /tmp/state --kernel --hook do_swap_page="$mode" --program firmware/page_prefetch.rmt "$@" >/tmp/serve.out 2>&1 &
    daemon=$!
    for _ in $(seq 60); do
        rmt ctl place page_prefetch jit >/tmp/ctl.out 2>&1 && return
        sleep 1
    done
    cat /tmp/ctl.out /tmp/serve.out
    return 1
}
run() { # run POLICY ROUND LOAD OPTION...: one line of the results
    policy="$1" round="$2" load="$3"
    shift 3
    case "$policy" in
        none) echo 0 >/proc/sys/vm/page-cluster && serve shadow ;;
        linux) echo 3 >/proc/sys/vm/page-cluster && serve shadow ;;
        rmt) echo 0 >/proc/sys/vm/page-cluster && serve act --learn-pages ;;
    esac
    # shellcheck disable=SC2016  # $$ is the new shell's
    line="$(sh -c 'echo $$ >/sys/fs/cgroup/small/cgroup.procs; exec rmt kernel load "$@"' load "$load" --threads 1 --json "$@")"
    line="{\"policy\":\"$policy\",\"round\":$round,\"run\":$line,\"daemon\":$(rmt ctl counters --json)}"
    echo "$line" >>/results/prefetch.jsonl
    echo "$policy $round $load: $(expr "$line" : '.*"run":{\([^}]*\)}')"
    kill "$daemon"
    wait "$daemon"
    sed -n 's/^.*refused/    refused/p' /tmp/serve.out | sort | uniq -c
}

for round in $(seq "$rounds"); do
    for policy in none linux rmt; do
        run $policy "$round" pages --mib 24 --work 3
        run $policy "$round" column --mib 24 --work 3
        run $policy "$round" convolution --mib 24 --work 3
        run $policy "$round" graph --mib 24 --work 5
    done
done
rmt kernel status --check
healthy
say "the machine is healthy"
