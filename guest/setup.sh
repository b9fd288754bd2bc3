#!/bin/bash
# Unpacks what a guest needs: QEMU, a stock kernel with its headers and compiler, busybox, kmod, lspci.
#   setup.sh FOLDER MIRROR
# Reads: Debian's packages at MIRROR. Writes: FOLDER, which must not exist; nothing outside it.
# No maintainer script runs and nothing is installed into this machine: `rmt guest` starts QEMU from the
# folder, with the folder's own libraries. The text of this script names the cache entry: another recipe is
# another folder.
set -euo pipefail
folder="$1" mirror="$2"

# Kernels of the distribution carry their version in the package's name and vanish with point releases; the
# metapackages stay. QEMU has a vfio-user client since 10.1: it comes from backports, with the libelf that it
# shares with the headers' tools.
packages=(
    qemu-system-x86 seabios
    linux-image-amd64 linux-headers-amd64
    gcc-14 make base-files dash coreutils sed grep mawk findutils
    busybox-static kmod pciutils
)
readonly PIN='Package: src:qemu:any src:seabios:any src:elfutils:any\nPin: release n=trixie-backports\nPin-Priority: 990\n'

printf -v include '%s,' "${packages[@]}"
mmdebstrap --variant=extract --mode=root --format=directory --components=main --quiet \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='APT::Sandbox::User "root"' \
    --aptopt='Acquire::Retries "3"' \
    --setup-hook="mkdir -p \"\$1/etc/apt/preferences.d\"; printf '$PIN' >\"\$1/etc/apt/preferences.d/backports\"" \
    --include="${include%,}" \
    trixie "$folder" "deb $mirror trixie main" "deb $mirror trixie-backports main"

# What a maintainer script would have done: the kernel's build needs an awk.
ln -sf mawk "$folder/usr/bin/awk"
# modules.dep, by which modprobe and `rmt guest` find what a module needs. The loader runs the folder's own kmod.
release="$(basename "$folder"/usr/lib/modules/[0-9]*)"
libraries="$folder/usr/lib/x86_64-linux-gnu"
"$folder/lib64/ld-linux-x86-64.so.2" --argv0 depmod --library-path "$libraries" "$folder/usr/bin/kmod" \
    -b "$folder/usr" "$release"
