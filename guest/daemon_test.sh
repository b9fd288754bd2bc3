#!/bin/sh
# What the guest does for `rmt guest test --daemon`: all together. Faults of a process go by the module's
# rings to the daemon and by VFIO to the card; what the program on the card predicts is read ahead by the
# kernel. The first line that fails ends it.
set -e
cd /
metric() { # metric NAME: the value with this name and these labels
    wget -q -O - http://127.0.0.1:9464/metrics | sed -n "s/^$1 //p"
}
at_least() { # at_least COUNT METRIC, for a bounded time
    for _ in $(seq 120); do
        [ "$(metric "$2")" -ge "$1" ] && return
        sleep 1
    done
    rmt ctl counters
    echo "$2 is $(metric "$2"), not $1"
    return 1
}
# A process with more memory than it may have, read page after page.
faults() {
    sh -c 'echo $$ >/sys/fs/cgroup/small/cgroup.procs; exec rmt kernel load column --threads 1 --mib 16 "$@"' load "$@"
}
until_running() {
    for _ in $(seq 60); do
        rmt ctl list >/tmp/list 2>/tmp/list.err && return
        sleep 1
    done
    cat /tmp/list.err /tmp/serve.out
    return 1
}
serve() {
    rmt serve --kernel --card first --settings /tmp/settings.toml --metrics 127.0.0.1:9464 \
        --program firmware/page_prefetch.rmt --program firmware/can_migrate_task.rmt \
        --hook do_swap_page=act --hook can_migrate_task=shadow >>/tmp/serve.out 2>&1 &
    daemon=$!
    until_running
}

mount -t cgroup2 cgroup /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/small
echo 12M >/sys/fs/cgroup/small/memory.max
modprobe virtio_blk
mkswap /dev/vda >/dev/null
swapon /dev/vda
insmod /rmt_shim.ko ring_log2=12
card="$(lspci -D -d 1af4:10f5 | cut -d' ' -f1)"
rmt card bind "$card"
ifconfig lo up
on_card='rmt_program_on_card_total{program="page_prefetch"}'
# The card is a simulation, thousands of times slower than one of silicon.
printf '[queue]\nbudget_microseconds = 30000000\nring_log2 = 6\n' >/tmp/settings.toml

say "faults of a process: page_prefetch on the card, can_migrate_task in software"
serve
rmt ctl place page_prefetch card
faults --work 1
at_least 1000 "$on_card"
at_least 1 'rmt_source_total{source="kernel",what="pages_taken_on"}'
rmt ctl list
rmt ctl counters
rmt kernel status

say "the daemon is killed under load: the kernel decides by itself"
faults --work 20 --seconds 30 &
load=$!
sleep 3
rmt ctl add page_prefetch page_prefetch pid=4242 'leave_to_kernel()'
kill -9 $daemon
put_off do_swap_page daemon-gone
put_off can_migrate_task daemon-gone
rmt kernel status --check

say "a new daemon restores programs, entries and places"
serve
rmt ctl list
rmt ctl table page_prefetch page_prefetch | grep 4242
at_least 100 "$on_card"

say "the card goes under load: software goes on"
# Its memory off, it answers all ones, as a card that was pulled out.
printf '\0' | dd of="/sys/bus/pci/devices/$card/config" bs=1 seek=4 count=1 conv=notrunc 2>/dev/null
at_least 1 'rmt_program_card_losses_total{program="page_prefetch"}'
at_least 100 'rmt_program_on_jit_total{program="page_prefetch"}'
[ "$(metric rmt_card_works)" = 0 ]
rmt ctl counters

say "orderly end, unloading under load"
kill $daemon
wait $daemon
rmt kernel status --check
rmmod rmt_shim
wait $load
healthy
cat /tmp/serve.out
say "the machine is healthy"
