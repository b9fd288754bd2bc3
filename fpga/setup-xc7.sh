#!/bin/bash
# Unpacks the open tools for the 7-series, which only Debian sid has: nextpnr with its data of the parts, Project
# X-Ray's writer of bitstreams and its database.
#   setup-xc7.sh FOLDER MIRROR
# Reads: Debian's packages at MIRROR. Writes: FOLDER, which must not exist; nothing outside it.
# No maintainer script runs and nothing is installed into this machine, as for the guest (guest/setup.sh):
#   FOLDER/system  what was unpacked
#   FOLDER/bin     starts its programs with its own loader and libraries
#   FOLDER/share   is where the database is looked for: beside bin
set -euo pipefail
folder="$1" mirror="$2"

readonly PROGRAMS=(nextpnr-himbaechel-xilinx xc7frames2bit bitread)
readonly PACKAGES=nextpnr-himbaechel-xilinx,nextpnr-himbaechel-xilinx-chipdb,prjxray,prjxray-database

work="$(mktemp -d -p "$(dirname "$folder")" xc7-work-XXXXXX)"
trap 'rm -rf "$work"' EXIT

# A mirror that is not refreshed daily is past the date until which it calls itself valid.
mmdebstrap --variant=extract --mode=root --format=directory --components=main --quiet \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='APT::Sandbox::User "root"' \
    --aptopt='Acquire::Retries "3"' \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --include="$PACKAGES" \
    sid "$work/system" "deb $mirror sid main"

# A program takes the file that the kernel started for itself, and looks for its data from there on: the loader has to
# stand beside it.
cp -L "$work"/system/usr/lib/*-linux-gnu/ld-linux-*.so.* "$work/system/usr/bin/loader"
# The folder may be moved as a whole: programs find it from where they are.
mkdir "$work/bin"
ln -s system/usr/share "$work/share"
for program in "${PROGRAMS[@]}"; do
    cat >"$work/bin/$program" <<'SCRIPT'
#!/bin/sh
system="$(dirname "$(readlink -f "$0")")/../system"
# nextpnr has a Python in it, which looks for its library.
PYTHONHOME="$system/usr" PYTHONDONTWRITEBYTECODE=1 exec "$system/usr/bin/loader" \
    --library-path "$(echo "$system"/usr/lib/*-linux-gnu)" "$system/usr/bin/$(basename "$0")" "$@"
SCRIPT
    chmod +x "$work/bin/$program"
done
"$work/bin/nextpnr-himbaechel-xilinx" --version >/dev/null 2>&1
# Whoever owns the folder around it may remove it again.
chmod 755 "$work"
chown -R --reference="$(dirname "$folder")/." "$work"
mv "$work" "$folder"
trap - EXIT
