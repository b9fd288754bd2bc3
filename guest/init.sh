#!/bin/sh
# The first process of the guest: runs /run/task and gives its exit code to `rmt guest` by QEMU's
# debug-exit device, as 0x10 + code; the guest ends there.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
export PATH=/bin HOME=/tmp
cd /tmp || exit
sh /task
code=$?
# What the task has left in /results goes, as an archive, to the disk with that serial number.
if cd /results 2>/dev/null; then
    modprobe virtio_blk
    for disk in /sys/block/vd*; do
        if [ "$(cat "$disk/serial")" = results ]; then
            find . -type f | cpio -o -H newc >"/dev/${disk##*/}" 2>/dev/null
        fi
    done
fi
sync
[ "$code" -gt 15 ] && code=15
# The port is at 0xf4. printf takes octal.
printf '%b' "\\0$(printf %o $((16 + code)))" | dd of=/dev/port bs=1 seek=244 2>/dev/null
poweroff -f
