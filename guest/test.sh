#!/bin/sh
# What the guest does for `rmt guest test`: shows the card, tries what must be refused, binds the card and
# runs the driver's suite. Every refusal must name its remedy.
set -e
cd /

rmt card list
card="$(lspci -D -d 1af4:10f5 | cut -d' ' -f1)"
echo "--- lspci -vv"
lspci -vv -s "$card"

echo "--- refused while another driver, or none, has the card"
refused "rmt card bind" rmt card info
rmt card bind "$card"
rmt card list

rmt card info

echo "--- the suite"
rmt card test --events @EVENTS@

echo "--- a driver that is killed under load leaves a card that works"
rmt card test --events 100000 --only page_prefetch &
driver=$!
sleep 8
refused "kill $driver" rmt card info
kill -9 "$driver"
wait "$driver" || true
rmt card test --events 50 --only can_migrate_task

rmt card unbind "$card"
