#!/bin/sh
# What the guest does for `rmt guest test --kernel`: the kernel's own decisions on the hooks of the module.
# Programs in this process answer (`rmt kernel answer`); there is no card. The first line that fails ends it.
set -e
cd /
# The daemon's part. It must not wait behind the load that it decides about.
answer() {
    # shellcheck disable=SC2016  # $$ is the new shell's
    exec sh -c 'renice -n -15 -p $$; exec rmt kernel answer "$@"' answer "$@"
}
until_mode() { # until_mode HOOK MODE, for a bounded time
    for _ in $(seq 60); do
        rmt kernel status | grep -q "$1 *$2" && return
        sleep 1
    done
    echo "$1 is not in mode $2"
    cat /tmp/*.out
    return 1
}
hits() { # how often the kernel itself counts the function
    sed -n 's/.*Hits: *//p' $tracing/events/fprobes/check/hist
}
count() { rmt kernel count can_migrate_task "$1"; }
# A program for can_migrate_task that always answers with $1.
always() {
    printf 'program always;\nhook can_migrate_task = 2 { key pid: u64; }\ndecision { migrate: u8; }\n'
    printf 'table can_migrate_task { actions = { say }; default = say(); }\naction say() { out.migrate = %s; }\n' "$1"
}

decisions=@DECISIONS@
tracing=/sys/kernel/tracing
mount -t tracefs tracefs $tracing
mount -t cgroup2 cgroup /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
modprobe virtio_blk
mkswap /dev/vda >/dev/null
swapon /dev/vda
always 0 >/tmp/never.rmt
always 1 >/tmp/ever.rmt

say "refused without module, without daemon, and out of range"
refused "rmt kernel build" rmt kernel status
insmod /rmt_shim.ko ring_log2=12
refused "no daemon" rmt kernel set can_migrate_task shadow
refused "out of range" rmt kernel set can_migrate_task off --budget-ns 999999999
refused "there is no hook" rmt kernel set no_such_hook off

say "shadow: the network of firmware/can_migrate_task.rmt beside the kernel, $decisions decisions"
echo 'f:check can_migrate_task' >>$tracing/dynamic_events
echo 'hist:keys=common_type' >$tracing/events/fprobes/check/trigger
answer firmware/can_migrate_task.rmt --mode shadow --events "$decisions" >/tmp/shadow.out &
answer=$!
until_mode can_migrate_task shadow
# More threads than processors, which sleep and wake, so that tasks are moved.
rmt kernel load burst --threads 24 --work 1000000000 >/tmp/load.out &
load=$!
refused "another process" rmt kernel answer /tmp/never.rmt
before=$(hits) first=$(count calls) after=$(hits)
sleep 10
before_last=$(hits) last=$(count calls) after_last=$(hits)
echo "calls by the module: $((last - first)); by the kernel's own count: between $((before_last - after)) and $((after_last - before))"
# The two count a call one after the other: each processor may stand between them.
[ $((last - first)) -ge $((before_last - after - 4)) ]
[ $((last - first)) -le $((after_last - before + 4)) ]
wait $answer
cat /tmp/shadow.out
[ "$(count sent)" -ge "$decisions" ]
compared=$(($(count agreed) + $(count disagreed)))
[ "$compared" -gt $((decisions * 9 / 10)) ]
[ "$(count used)" = 0 ]
rmt kernel status --check
healthy

say "act: the program's answers are used, rules of the kernel stay"
(answer firmware/can_migrate_task.rmt --mode act --budget-ns 200000 --poll --seconds 20)
[ "$(count used)" -gt 0 ]
used=$(count used)
(answer /tmp/ever.rmt --mode act --budget-ns 200000 --poll --seconds 10)
(answer /tmp/never.rmt --mode advise --budget-ns 200000 --poll --seconds 10)
echo "used $(($(count used) - used)), changed $(count changed), overruled $(count overruled)"
[ "$(count changed)" -gt 0 ]
rmt kernel status --check
healthy

say "put off by the module: too little agreement, too late"
answer /tmp/never.rmt --mode shadow --window 64 --min-agreement 900 --seconds 60 >/tmp/out &
answer=$!
put_off can_migrate_task accuracy
kill -9 $answer
answer /tmp/never.rmt --mode shadow --budget-ns 0 --window 64 --max-late 10 --seconds 60 >/tmp/out &
answer=$!
put_off can_migrate_task latency
kill -9 $answer
wait $answer || true

say "put off by the module: errors, because the program was removed and the hook left on"
rmt serve --kernel --program firmware/can_migrate_task.rmt --hook can_migrate_task=shadow >/tmp/serve.out 2>&1 &
daemon=$!
until_mode can_migrate_task shadow
rmt kernel set can_migrate_task shadow --window 64 --max-errors 8
sleep 2
# As long as there is a program there are none.
[ "$(count errors)" = 0 ]
until_mode can_migrate_task shadow
rmt ctl remove can_migrate_task
put_off can_migrate_task errors
[ "$(count errors)" -gt 8 ]
kill $daemon
wait $daemon
rmt kernel status --check

say "swap: faults of a process that has more memory than it may, beside the scheduler's hook"
mkdir /sys/fs/cgroup/small
echo 40M >/sys/fs/cgroup/small/memory.max
answer firmware/page_prefetch.rmt firmware/can_migrate_task.rmt --mode shadow --seconds 600 >/tmp/swap.out &
answer=$!
until_mode do_swap_page shadow
# Before the 24 threads, which would leave it little of the processors: a fault takes milliseconds here.
sh -c 'echo $$ >/sys/fs/cgroup/small/cgroup.procs; renice -n -10 -p $$; exec rmt kernel load column --threads 1 --mib 48 --work 1'
rmt kernel status
[ "$(rmt kernel count do_swap_page in-time)" -gt 1000 ]

say "the daemon is killed under load: the kernel decides by itself"
kill -9 $answer
put_off can_migrate_task daemon-gone
put_off do_swap_page daemon-gone
rmt kernel status --check

say "file read-ahead: one page at a time by a program"
printf 'program one;\nhook page_cache_ra_unbounded = 5 { key inode: u64; }\ndecision { pages: u32; }\n' >/tmp/one.rmt
printf 'table one { actions = { say }; default = say(); }\naction say() { out.pages = 1; }\n' >>/tmp/one.rmt
requests() { # read requests of the disk for 4 MiB of it
    echo 3 >/proc/sys/vm/drop_caches
    requests=$(awk '{ print $1 + $2 }' /sys/block/vda/stat)
    dd if=/dev/vda of=/dev/null bs=64k skip=8000 count=64 2>/dev/null
    requests=$(($(awk '{ print $1 + $2 }' /sys/block/vda/stat) - requests))
}
requests
kernel=$requests
answer /tmp/one.rmt --mode act --budget-ns 200000 --poll --seconds 600 >/tmp/out &
answer=$!
until_mode page_cache_ra_unbounded act
requests
echo "read requests for 4 MiB: $kernel by the kernel, $requests when the program says one page"
[ "$(rmt kernel count page_cache_ra_unbounded changed)" -gt 0 ]
[ "$requests" -gt "$kernel" ]

say "kill switch"
echo 1 >/sys/module/rmt_shim/parameters/kill
put_off page_cache_ra_unbounded killed
kill -9 $answer

say "unloading under load"
for round in 1 2 3; do
    answer firmware/can_migrate_task.rmt --mode act --budget-ns 100000 --seconds 600 >/tmp/out &
    answer=$!
    until_mode can_migrate_task act
    refused "rmt_shim" rmmod rmt_shim
    sleep 1
    kill -9 $answer
    wait $answer || true
    rmt kernel status --check >/dev/null
    rmmod rmt_shim
    insmod /rmt_shim.ko
    echo "round $round: unloaded and loaded again"
done
kill $load || true
wait $load || true
rmmod rmt_shim
healthy
say "the machine is healthy"
