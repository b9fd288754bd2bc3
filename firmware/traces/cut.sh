#!/bin/sh
# Cuts the samples in this folder out of the full recordings: cut.sh FOLDER, with FOLDER/pages and FOLDER/migrations.
# Needs zstd and awk. The same recordings give the same CSV text.
set -eu
recordings=${1:?"usage: cut.sh FOLDER (the folder of the full recordings)"}
here=$(dirname "$0")

# window NAME PART FIRST COUNT: the header and COUNT faults, FIRST faults after the start.
window() {
    zstd -dc "$recordings/pages/$1.csv.zst" |
        awk -v first="$3" -v count="$4" 'NR == 1 || (NR > first + 1 && NR <= first + 1 + count)' |
        zstd -19 -q -f -o "$here/pages/$1.$2.csv.zst"
}

for name in resize conv column bfs; do
    faults=$(($(zstd -dc "$recordings/pages/$name.csv.zst" | wc -l) - 1))
    # The test window is the end of the recording, more than a third of it after the training window.
    window "$name" train $((faults * 3 / 10)) 15000
    window "$name" test $((faults - 10000)) 10000
done

# Of the migrations, all rows, but only the columns that the network and its check need.
columns="phase pid src_non_pref_nr delta_hot cpu_idle cpu_not_idle cpu_newly_idle same_node prefer_src prefer_dst \
src_len src_load dst_load dst_len delta_faults total_faults extra_fails buddy_hot hard_pass can_migrate"
zstd -dc "$recordings/migrations/run1.csv.zst" |
    awk -F, -v wanted="$columns" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; n = split(wanted, name, " ") }
        { line = $at[name[1]]; for (i = 2; i <= n; i++) line = line "," $at[name[i]]; print line }' |
    zstd -19 -q -f -o "$here/migrations.csv.zst"
