#!/bin/sh
# What the guest does first for `rmt guest study balance`: records what the scheduler decides under four
# loads, each in several runs. A run is one job after the other, of more threads than processors. Each run is
# a table in /results/balance.
set -e
cd /

runs=@RUNS@ seconds=@SECONDS@
mkdir -p /results/balance
insmod /rmt_shim.ko ring_log2=14

cat >/tmp/jobs <<'END'
end=$(($(cut -d. -f1 /proc/uptime) + $1))
while [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ]; do
    rmt kernel load "$2" --threads 10 --work "$3" --seconds 4
done
END
record() { # record RUN LOAD WORK
    rmt record can_migrate_task -o "/results/balance/$2.$1.csv.zst" --phase "$2$1" -- sh /tmp/jobs "$seconds" "$2" "$3" >/tmp/out
    tail -n 1 /tmp/out
}
say "refused before anything is written"
refused "say when to stop" rmt record can_migrate_task -o /tmp/no.csv
refused "there is no hook" rmt record no_such_hook -o /tmp/no.csv --rows 1
refused "cannot run" rmt record can_migrate_task -o /tmp/no.csv -- /no/such/program
refused "cannot stand in a table" rmt record can_migrate_task -o /tmp/no.csv --phase a,b --rows 1
refused "cannot write" rmt record can_migrate_task -o /no/such/folder.csv --seconds 1
[ ! -e /tmp/no.csv ]

say "$runs runs of $seconds s for each load"
for run in $(seq "$runs"); do
    record "$run" black-scholes 40
    record "$run" stream-cluster 400
    record "$run" fibonacci 400
    record "$run" matrix 40
done
rmt kernel status --check
healthy
say "the machine is healthy"
